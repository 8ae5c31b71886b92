"""The graph of a functional model: the calls from its inputs to its outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gpudl.engine.calls import Call, Operation
from gpudl.engine.enclosing import innermost
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.layers import Input, InputLayer
from gpudl.layers.base.layer import Layer
from gpudl.models.given_inputs import fitting, one_each, sorted_leaves
from gpudl.models.host_part import HostPart, host_arrays
from gpudl.models.steps import Place, Step, filled


class CallGraph:
    """The calls from inputs to outputs, in topological order.

    It keeps calls and not shapes, so it computes batches of any size. A copy has symbols of its own.

    Args:
        inputs: a nest of symbols; those that no `Input` has made become inputs too.
        outputs: a nest of symbols that are computed from them.

    Raises:
        ValueError: an input or output is not a symbol, or the outputs need another input.
    """

    def __init__(self, inputs: object, outputs: object) -> None:
        given = _checked(inputs, "inputs")
        wanted = _checked(outputs, "outputs")
        if len({symbol.key for symbol in given}) < len(given):
            raise ValueError("Model got the same input twice among its inputs. Give each Input once.")
        entries = [symbol if _is_input(symbol) else _entry(symbol) for symbol in given]
        names = [entry.call.operation.name for entry in entries]
        calls, ranks = _before(wanted, {symbol.key for symbol in given}, names)
        _check_names([call.operation for call in (*(entry.call for entry in entries), *calls)])
        numbers = {id(entry.call): number for number, entry in enumerate(entries)}
        numbers |= {id(call): len(entries) + number for number, call in enumerate(calls)}
        known = {symbol.key: Place(number, 0) for number, symbol in enumerate(given)}

        def placed(leaf: object) -> Any:
            if type(leaf) is not KerasTensor:
                return leaf
            return known.get(leaf.key) or Place(numbers[id(leaf.call)], leaf.position)

        self.steps = [
            Step(
                call.operation, map_leaves(placed, call.args), map_leaves(placed, call.kwargs), call.results, call.index
            )
            for call in (*(entry.call for entry in entries), *calls)
        ]
        self.entries = len(entries)
        self._in = map_leaves(placed, inputs)
        self._out = map_leaves(placed, outputs)
        self.host = HostPart.of(self.steps, self.entries, flatten(self._out)[0])
        depths = self._depths()
        self.operations = self._ordered(depths, ranks)
        self.linear = self._is_linear(depths)
        known_calls = (*(entry.call for entry in entries), *calls)
        self._symbols: list[Sequence[KerasTensor]] = [flatten(call.outputs)[0] for call in known_calls]

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_symbols"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update({**state, "_symbols": []})
        for step in self.steps:
            args, kwargs = self._with_symbols((step.args, step.kwargs))
            call = Call(step.operation, args, kwargs, step.results)
            self._symbols.append(flatten(call.outputs)[0])

    def _with_symbols(self, nest: object) -> Any:
        return filled(nest, self._symbols)

    @property
    def inputs(self) -> Any:
        """The input symbols, in the nest that was passed."""
        return self._with_symbols(self._in)

    @property
    def outputs(self) -> Any:
        """The output symbols, in the nest that was passed."""
        return self._with_symbols(self._out)

    @property
    def input_places(self) -> Nest[Place]:
        """The places of the inputs, in the nest that was passed."""
        return self._in

    @property
    def output_nest(self) -> Nest[Place]:
        """The places of the outputs, in the nest that was passed."""
        return self._out

    def symbol(self, place: Place) -> KerasTensor:
        """Return the symbol at a place."""
        return self._symbols[place.step][place.position]

    @property
    def layers(self) -> list[Layer]:
        """The layers, without plain ops, from the inputs to the outputs."""
        return [operation for operation in self.operations if isinstance(operation, Layer)]

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [step.operation.name for step in self.steps[: self.entries]]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers and ops that return the outputs, those of a dict in the order of its keys."""
        return [self.steps[place.step].operation.name for place in sorted_leaves(self._out)]

    @property
    def output_places(self) -> list[Place]:
        """The places of the outputs, in the order in which a call of the model returns them in its nest."""
        return flatten(self._out)[0]

    def connections(self, operation: object) -> list[str]:
        """Return the inputs of each call of `operation`, as ``name[call][result]``."""
        return [
            f"{self.steps[place.step].operation.name}[{self.steps[place.step].index}][{place.position}]"
            for step in self.steps
            if step.operation is operation
            for place in step.places
        ]

    def __call__(self, inputs: Nest[Tensor], who: str) -> Any:
        """Compute the outputs for a nest of tensors, or for what `prepared` has returned; errors name the model."""
        frame = innermost.get()
        training = None if frame is None else frame.training
        if self.host is not None:
            values, steps = self.host.known(inputs, who)
        else:
            values, steps = [[value] for value in self._fitted(inputs, who)], range(self.entries, len(self.steps))
        for number in steps:
            step = self.steps[number]
            args, kwargs = filled((step.args, step.kwargs), values)
            if training is not None and "training" in kwargs:  # what is said of the whole model counts
                kwargs["training"] = training
            results = flatten(step.operation(*args, **kwargs))[0]
            if len(results) != len(flatten(step.results)[0]):
                raise ValueError(
                    f"{who}: {step.operation.name} returned {len(results)} results, and {len(flatten(step.results)[0])}"
                    " when it was called on symbols. Return the same nest in every call."
                )
            values[number:] = [results, *values[number + 1 :]]
        outputs = filled(self._out, values)
        return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs

    def prepared(self, inputs: Nest[object], who: str) -> dict[str, object]:
        """Return the results of the layers that work on the host, for data, and the inputs of the others.

        `__call__` computes the outputs from them. There must be such a layer.
        """
        assert self.host is not None
        return self.host.prepared(one_each(self._names(), host_arrays(inputs, who), who), who)

    def _names(self) -> Nest[str]:
        return map_leaves(lambda place: self.steps[place.step].operation.name, self._in)

    def inputs_like(self, make: Callable[[KerasTensor, str], KerasTensor]) -> Nest[KerasTensor]:
        """Return what `make` makes of each input and its name, in the nest in which they were given."""
        names = self.input_names
        nest: Nest[Place] = self._in
        return map_leaves(lambda place: make(self._symbols[place.step][0], names[place.step]), nest)

    def called_with(
        self, inputs: list[KerasTensor], exchanged: Callable[[Any], Any], call: Callable[..., Nest[KerasTensor]]
    ) -> Nest[KerasTensor]:
        """Return the outputs that the graph has with other inputs and other operations, as symbols.

        Args:
            inputs: a symbol for each input.
            exchanged: returns what takes the place of a layer or op; it is asked once for each.
            call: calls the former with arguments.
        """
        made: dict[int, object] = {}
        values: list[Sequence[object]] = [[symbol] for symbol in inputs]
        for step in self.steps[self.entries :]:
            if id(step.operation) not in made:
                made[id(step.operation)] = exchanged(step.operation)
            args, kwargs = filled((step.args, step.kwargs), values)
            values.append(flatten(call(made[id(step.operation)], *args, **kwargs))[0])
        found: Nest[KerasTensor] = filled(self._out, values)
        return found

    def _fitted(self, inputs: Nest[Tensor], who: str) -> list[Tensor | None]:
        """Return the inputs in the order, shapes and dtypes of the graph's own."""
        given = one_each(self._names(), inputs, who)
        return [fitting(x, step.operation, step.results, who) for x, step in zip(given, self.steps, strict=False)]

    def _depths(self) -> list[int]:
        """Return for each call the length of the longest path to an output; calls of one layer are equally deep."""
        depths = [0] * len(self.steps)
        deepest: dict[int, int] = {}
        for number, step in reversed(list(enumerate(self.steps))[self.entries :]):
            depths[number] = deepest[id(step.operation)] = max(depths[number], deepest.get(id(step.operation), 0))
            for place in step.places:
                depths[place.step] = max(depths[place.step], depths[number] + 1)
        return depths

    def _ordered(self, depths: list[int], ranks: dict[int, int]) -> list[object]:
        """Return the operations, the deepest first; those of equal depth in the order in which outputs need them."""
        found: dict[int, tuple[Layer | Operation | None, int]] = {}
        for depth, step in zip(depths, self.steps, strict=True):
            _, before = found.get(id(step.operation), (None, 0))
            found[id(step.operation)] = step.operation, max(depth, before)
        return [
            operation
            for operation, _ in sorted(found.values(), key=lambda item: (-item[1], ranks.get(id(item[0]), -1)))
        ]

    def _is_linear(self, depths: list[int]) -> bool:
        """Return whether the model is a chain: the only input of each operation is the result of the one before."""
        alone = len(set(depths)) == len(depths) == len({id(step.operation) for step in self.steps})
        return alone and all(len(step.places) <= 1 for step in self.steps)


def _checked(nest: Any, what: str) -> list[KerasTensor]:
    found = list(sorted_leaves(nest))
    for leaf in found:
        if type(leaf) is not KerasTensor or leaf.call is None:
            raise ValueError(
                f"the {what} of a Model are symbols, got {leaf!r} of type {type(leaf).__name__}. Begin with "
                "Input(shape), and call layers and functions of gpudl.ops on it."
            )
    if not found:
        raise ValueError(f"the {what} of a Model are symbols, got none. Begin with Input(shape).")
    return found


def _check_names(operations: list[Layer | Operation]) -> None:
    """Raise ValueError if two layers or inputs have the same name."""
    different = {id(operation): operation.name for operation in operations}
    (name, count), *_ = Counter(different.values()).most_common(1)
    if count > 1:
        raise ValueError(
            f'The name "{name}" is used {count} times in the model: the layers and inputs of a model need different '
            "names. Pass another name=."
        )


def _is_input(symbol: KerasTensor) -> bool:
    return isinstance(symbol.call.operation, InputLayer) and not symbol.call.args


def _entry(symbol: KerasTensor) -> KerasTensor:
    """Return an input in place of a computed symbol that is used as an input."""
    return Input(batch_shape=symbol.shape, dtype=symbol.dtype, name=symbol.name)


def _before(
    wanted: list[KerasTensor], given: set[tuple[int, int]], names: list[str]
) -> tuple[list[Call], dict[int, int]]:
    """Return the calls that `wanted` depend on, in topological order, and the order in which operations were found."""
    ranks: dict[int, int] = {}
    calls: list[Call] = []
    seen: set[int] = set()
    stack: list[tuple[Call | None, Iterator[KerasTensor]]] = [(None, iter(wanted))]
    while stack:  # a recursion would be too deep for long networks
        above, symbols = stack[-1]
        symbol = next(symbols, None)
        if symbol is None:
            stack.pop()
            if above is not None:
                calls.append(above)
            continue
        call: Call = symbol.call
        ranks.setdefault(id(call.operation), len(ranks))
        if symbol.key in given or id(call) in seen:
            continue
        if _is_input(symbol):
            raise ValueError(
                f'the outputs of the Model need the input "{call.operation.name}" of shape {symbol.shape}, which is '
                f"not among its inputs ({', '.join(names)}). Add it to the inputs."
            )
        seen.add(id(call))
        stack.append((call, iter(call.inputs)))
    return calls, ranks
