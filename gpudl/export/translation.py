"""From the record of a function to an ONNX graph, instruction by instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from gpudl import backend
from gpudl.engine.op import apply
from gpudl.engine.plan.ir import Applied
from gpudl.engine.plan.loop import Loop
from gpudl.engine.state import gradients
from gpudl.engine.symbol import Pair
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import same_value
from gpudl.engine.value import Value
from gpudl.export import functions, products, reductions, shapes, windows  # noqa: F401 (they fill the table)
from gpudl.export.call import TABLE, Call, Edge
from gpudl.export.elementwise import elementwise
from gpudl.export.graph import UNKNOWN, Graph, NotExpressibleError, Port, kept_in
from gpudl.export.recording import Step, Twin
from gpudl.export.recurrent import scan

_OPEN = {"shape", "key", "keys", "window"}  # static arguments that say where and how large, and may depend on sizes
_GROWS = 4096  # bytes up to which a constant may be larger than what it is computed from


class Translation:
    """Says what a record computes in a graph.

    Args:
        graph: where to.
        names: names of variables, by their addresses.
    """

    def __init__(self, graph: Graph, names: Mapping[int, str]) -> None:
        self._graph = graph
        self._names = names
        self._edges: dict[Value, Edge] = {}

    def edge(self, twin: Twin) -> Edge:
        """Return the value in the graph for one of the record."""
        known = self._edges.get(twin.value)
        if known is None:
            known = self._edges[twin.value] = self._external(twin)
        return known

    def enter(self, twin: Twin, name: str) -> None:
        """Have an input of the graph stand for a value of the record."""
        self._edges[twin.value] = Edge(twin.pair, name)
        self._graph.know(name, twin.pair)

    def _external(self, twin: Twin) -> Edge:
        """Return an edge for a variable or a constant of the record."""
        arrays = [_on_host(value) for value in (twin.value, twin.other)]
        first, second = arrays
        graph, address = self._graph, _address(twin.value)
        if first.shape != second.shape or not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            fill = _only(first) if _only(first) == _only(second) else None
            return Edge(twin.pair, lambda: graph.value(first, second), fill=fill)
        name = self._names.get(address, "constant")
        return Edge(twin.pair, lambda: graph.constant(first, name), constant=first, fill=_only(first))

    def run(self, steps: Sequence[Step], results: Sequence[Twin]) -> None:
        """Say steps, in order.

        Args:
            steps: the instructions.
            results: what is read of them afterwards.

        Raises:
            NotExpressibleError: one of them is no operator of ONNX; the text is a sentence that names its layer.
        """
        read = {twin.value for twin in (*results, *(twin for step in steps for twin in step.ins))}
        for step in steps:
            instruction = step.instruction
            layer = f", in {instruction.origin!r}," if instruction.origin else ""
            self._graph.scope = instruction.origin
            try:
                if instruction.writes:
                    raise NotExpressibleError("it updates a variable, and a file has none that could change")
                if isinstance(instruction, Loop):
                    self._loop(step)
                else:
                    assert isinstance(instruction, Applied)
                    self._apply(step, read)
            except NotExpressibleError as error:
                if str(error).startswith("the op "):
                    raise
                raise NotExpressibleError(f"the op {instruction.name!r}{layer} cannot be exported: {error}.") from None

    def _apply(self, step: Step, read: set[Value]) -> None:
        ins, outs = [self.edge(twin) for twin in step.ins], [twin.pair for twin in step.outs]
        static, other = step.statics
        call = Call(self._graph, step.instruction.name, ins, outs, static, other)
        call.read = [twin.value in read for twin in step.outs]
        fixed = all(same_value(static[name], other[name]) for name in static if name not in _OPEN)
        folded = _folded(step, call) if fixed and same_value(static, other) else None
        if folded is not None:
            self._fold(step, folded)
            return
        if not fixed:
            raise NotExpressibleError(f"one of its arguments depends on a size that is {UNKNOWN}")
        for twin, name in zip(step.outs, _said(call), strict=True):
            fill = ins[0].fill if call.op in ("broadcast_to", "reshape_view", "transpose", "copy") else None
            self._edges[twin.value] = Edge(twin.pair, name, fill=fill, maker=call)
            if name:
                self._graph.know(name, twin.pair)

    def _fold(self, step: Step, arrays: Sequence[np.ndarray]) -> None:
        """Have constants stand for the results of a step."""
        graph, scope = self._graph, self._graph.scope
        for twin, array in zip(step.outs, arrays, strict=True):
            name = f"{scope}/{step.instruction.name}" if scope else step.instruction.name
            named = partial(graph.constant, array, name)
            self._edges[twin.value] = Edge(twin.pair, named, constant=array, fill=_only(array))

    def _loop(self, step: Step) -> None:
        one, two = step.instruction, step.other
        assert isinstance(one, Loop)
        assert isinstance(two, Loop)
        slots, inside, results = step.inside()
        carries, streams = len(one.carries), len(one.streams)
        body = Graph(self._graph, self._graph.scope)
        within = Translation(body, self._names)
        sources = [self.edge(twin) for twin in step.ins]
        for number, (slot, source) in enumerate(zip(slots, sources, strict=True)):
            if number < carries + streams:
                name = body.name("state" if number < carries else "row")
                body.inputs.append(Port(name, kept_in(slot.value.spec.dtype), None))
                within.enter(slot, name)
            else:
                within._edges[slot.value] = source
        within.run(inside, results)
        self._graph.scope = one.origin
        names = [edge.name for edge in sources[: carries + streams]]
        rows = names[carries:]
        if not rows:  # a Scan has as many iterations as there are rows
            rows = [self._graph.numbers((one.times, two.times))]
            body.inputs.append(Port(body.name("row"), np.dtype(np.int64), None))
        kinds = [twin.value.spec.dtype for twin in results]
        ends = [within.edge(twin).name for twin in results]
        made = scan(self._graph, body, names[:carries], rows, ends, kinds, one.reverse)
        for twin, name in zip(step.outs, made, strict=True):
            self._edges[twin.value] = Edge(twin.pair, name)
            self._graph.know(name, twin.pair)


def _said(call: Call) -> Sequence[str]:
    translator = TABLE.get(call.op)
    if translator is not None:
        names = translator(call, *(edge.name for edge in call.ins), **call.static)
        return [names] if isinstance(names, str) else names
    found = elementwise(call)
    if found is None:
        draws = call.op.startswith("random") or call.op == "dropout"
        raise NotExpressibleError(
            "it draws random numbers, and a file has no seed" if draws else "ONNX has no operator for it"
        )
    return [found]


def _folded(step: Step, call: Call) -> Sequence[np.ndarray] | None:
    """Return the results of a step that reads constants only, unless they would make the file much larger."""
    if any(edge.constant is None for edge in call.ins) or any(pair.first != pair.second for pair in call.outs):
        return None
    nbytes = sum(pair.first.nbytes for pair in call.outs)
    if not call.ins or nbytes > max(_GROWS, sum(edge.spec.nbytes for edge in call.ins)):
        return None
    instruction = step.instruction
    assert isinstance(instruction, Applied)
    on = backend.get("numpy")
    with backend.within(on), gradients(False):
        made = apply(instruction.op, *(Tensor(edge.constant) for edge in call.ins), **call.static)
    return [tensor.numpy() for tensor in (made if isinstance(made, tuple) else (made,))]


def _on_host(value: Value) -> np.ndarray:
    array = value.external
    assert array is not None, "a value of the record that nothing computes"
    held: np.ndarray = backend.of(array).to_host(array)
    return held


def _address(value: Value) -> int:
    return backend.of(value.external).address(value.external)


def _only(array: np.ndarray) -> float | None:
    """Return the number that all elements of an array are; None where they differ."""
    return float(array.flat[0]) if array.size and (array == array.flat[0]).all() else None


def inputs(graph: Graph, translation: Translation, twins: Sequence[Twin], names: Sequence[str]) -> None:
    """Enter the inputs of a function, with a name for each size that is unknown."""
    for number, (twin, name) in enumerate(zip(twins, names, strict=True)):
        graph.name(name)
        graph.inputs.append(Port(name, kept_in(twin.value.spec.dtype), _named_sizes(twin.pair, number)))
        translation.enter(twin, name)


def outputs(graph: Graph, translation: Translation, twins: Sequence[Twin], names: Sequence[str]) -> None:
    """Enter the results of a function."""
    graph.scope = ""
    for twin, name in zip(twins, names, strict=True):
        found = translation.edge(twin).name
        made = graph.name(name)
        graph.rename(found, made)
        graph.outputs.append(Port(made, kept_in(twin.value.spec.dtype), _named_sizes(twin.pair, None)))


def _named_sizes(pair: Pair, number: int | None) -> tuple[int | str, ...]:
    """Return a shape, in which an unknown size has a name: "batch" for the first one."""
    shape: list[int | str] = []
    for axis, size in enumerate(pair.shape):
        other = "size" if number is None else f"input_{number}_size"
        shape.append(size if size is not None else f"{other}_{axis}" if axis else "batch")
    return tuple(shape)
