"""Ops, and `apply`: the only place that computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

from gpudl import backend
from gpudl.backend import Array, Backend
from gpudl.engine import cost
from gpudl.engine.calls import remember
from gpudl.engine.convert import operand
from gpudl.engine.grad import Application
from gpudl.engine.parts import Part
from gpudl.engine.rounding import quiet
from gpudl.engine.spec import FLOAT32, ShapeError, Spec, is_floating, is_half
from gpudl.engine.state import state
from gpudl.engine.symbol import SymbolError, any_symbol
from gpudl.engine.tensor import Tensor, faces
from gpudl.engine.value import Value
from gpudl.engine.variable import Variable

Forward = Callable[..., Any]
Specs = Spec | tuple[Spec, ...] | None

registry: dict[str, Op] = {}
"""The ops by name."""


class Op:
    """A computation: shape rule, portable reference, and one gradient rule per differentiable argument.

    There are three kinds. A *normal* op fills fresh outs; an *alias* op returns a view of its input; an
    *update* op, whose name ends in ``_``, writes its first inputs and returns nothing. Every out of floats is
    differentiable. `flops` counts the operations, by default one per element, `reads` the bytes of each
    input that are read, by default all. `prepare` gets the inputs of a call as they were given, and returns those to
    compute with or raises.
    """

    def __init__(
        self,
        forward: Forward,
        infer: Callable[..., Specs],
        *,
        outs: int = 1,
        alias: bool = False,
        writes: int = 1,
        gathers: bool = False,
        workspace: Callable[..., Spec] | None = None,
        flops: cost.Flops | None = None,
        reads: cost.Reads = cost.all_read,
        prepare: Callable[..., tuple[Any, ...]] | None = None,
    ) -> None:
        self.name = forward.__name__
        self.__doc__ = forward.__doc__
        self.forward = forward
        self.infer = infer
        self.update = self.name.endswith("_")
        self.alias = alias
        self.outs = 0 if self.update else outs
        self.writes = writes if self.update else 0
        self.gathers = gathers
        self.workspace = workspace
        self.prepare = prepare
        self.reads = reads
        self.flops = flops or (cost.free if alias else cost.per_output(1) if self.outs else cost.per_input(1))
        self.rules: dict[str, Callable[..., Any]] = {}
        self.joint: dict[str, tuple[str, ...]] = {}  # the inputs that share a rule, by each of them
        parameters = list(inspect.signature(forward).parameters.values())
        positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        skipped = 1 + (0 if alias else self.outs)
        self.inputs = [p.name for p in positional[skipped:]]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in positional)
        self.static = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "work"]
        # What `inspect` and `help` show, and what arguments by keyword are bound to.
        shown = (p for p in parameters if p.name in self.inputs or p.name in self.static)
        self.__signature__ = inspect.Signature(list(shown))

    def vjp(self, **rules: Callable[..., Tensor | Part | None]) -> Op:
        """Add gradient rules ``argument=lambda g, y, *inputs, **static: gradient`` and return the op.

        `y` is the out and `g` the gradient of it. For an op with several outs both are tuples; the gradient of an out
        that the loss does not depend on is None there. The rule of a variadic argument gets its number before `g`.
        """
        self._known(rules)
        self.rules.update(rules)
        return self

    def joint_vjp(self, inputs: tuple[str, ...], rule: Callable[..., tuple[Tensor | None, ...]]) -> Op:
        """Add one rule for several inputs whose gradients are computed together, and return the op.

        It is called once, as ``rule(wanted, g, y, *inputs, **static)``, and returns a gradient for each of `inputs`;
        those whose names are not in the set `wanted` may be None.
        """
        self._known(inputs)
        self.rules.update(dict.fromkeys(inputs, rule))
        self.joint.update(dict.fromkeys(inputs, inputs))
        return self

    def _known(self, names: Iterable[str]) -> None:
        unknown = set(names) - set(self.inputs)
        if unknown:
            raise TypeError(f"{self.name} has no input called {', '.join(sorted(unknown))}.")

    def __call__(self, *inputs: Any, **static: Any) -> Tensor:
        """Apply the op to tensors, arrays or numbers; several outs are a tuple, and an update returns None."""
        if not self.variadic and len(inputs) != len(self.inputs):
            inputs, static = self._bound(inputs, static)
        given = inputs
        if self.prepare is not None:
            inputs = given if any_symbol(given) else self.prepare(*given)
        if state.autocast is not None and not self.update:
            inputs = tuple(map(_autocast, inputs))
        tensors = [t for t in inputs if isinstance(t, Tensor)]
        # A number takes the dtype of a float beside it, and not that of a condition.
        like = max(tensors, key=lambda t: (is_floating(t.dtype), "bui".find(t.dtype.kind)), default=None)
        try:
            result: Tensor = apply(self, *(operand(t, like) for t in inputs), **static)
        except SymbolError:  # found where the shapes are inferred, so that tensors need not be looked at before
            if self.update:
                raise
        else:
            return result
        symbols: Tensor = remember(self, given, static)
        return symbols

    def _bound(self, inputs: tuple[Any, ...], static: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the inputs in their order, some of which were given by keyword, and the static arguments."""
        try:
            given = self.__signature__.bind(*inputs, **static).arguments
        except TypeError as error:
            raise TypeError(
                f"{self.name} takes {len(self.inputs)} tensors ({', '.join(self.inputs)}), got {len(inputs)}: {error}."
            ) from None
        return tuple(given.pop(name) for name in self.inputs), given

    def specs(self, inputs: tuple[Tensor, ...], static: dict[str, Any]) -> tuple[Spec, ...]:
        """Return the specs of the outs; raises ShapeError naming the op and what it got."""
        try:
            specs: Specs = self.infer(*(t.spec for t in inputs), **static)
        except ValueError as error:
            got = ", ".join(f"{t.dtype}{list(t.shape)}" for t in inputs)
            raise ShapeError(f"{self.name}({got}): {error}") from error
        return () if specs is None else specs if isinstance(specs, tuple) else (specs,)

    def kernel(self, on: Backend, arrays: tuple[Any, ...], static: dict[str, Any]) -> Forward | None:
        """Return a faster kernel than the reference that takes these outs and inputs, or None."""
        return on.twin(self.name, arrays, static) if state.twins else None

    def work_spec(self, arrays: tuple[Any, ...], static: dict[str, Any]) -> Spec | None:
        """Return the spec of the scratch array that the reference wants for one call with these outs and inputs."""
        if self.workspace is None or self._rounds(arrays):
            return None
        return self.workspace(*(Spec(a.shape, a.dtype) for a in arrays[self.outs :]), **static)

    def bind(
        self, on: Backend, kernel: Forward | None, arrays: tuple[Array, ...], static: dict[str, Any], work: Array
    ) -> Forward:
        """Return a call without arguments, to be made many times: of `kernel`, or of the reference where it is None."""
        return self._reference(on, arrays, static, work) if kernel is None else on.bind(kernel, arrays, static, work)

    def run(self, outs: tuple[Array, ...], inputs: tuple[Array, ...], static: dict[str, Any]) -> None:
        """Compute plain arrays into plain arrays; what a forward uses to call another op."""
        on = backend.of(outs[0] if outs else inputs[0])
        arrays = (*outs, *inputs)
        kernel = self.kernel(on, arrays, static)
        if kernel is not None:
            kernel(*arrays, **static)
            return
        wanted = self.work_spec(arrays, static)
        self._reference(on, arrays, static, None if wanted is None else on.empty(wanted.shape, wanted.dtype))()

    def _reference(self, on: Backend, arrays: tuple[Array, ...], static: dict[str, Any], work: Array) -> Forward:
        if self._rounds(arrays):
            return partial(self._in_single, on, arrays, static)
        scratch = {} if self.workspace is None else {"work": work}
        return partial(self.forward, on.xp, *arrays, **static, **scratch)

    def _rounds(self, arrays: tuple[Array, ...]) -> bool:
        """Tell whether floats of 16 bits are computed, and not only moved, where no twin takes them."""
        return self.flops is not cost.free and any(is_half(a.dtype) for a in arrays)

    def _in_single(self, on: Backend, arrays: tuple[Array, ...], static: dict[str, Any]) -> None:
        """Compute floats of 16 bits in float32 and round the results: sums of many stay right, kernels may help."""
        wide = []
        for position, array in enumerate(arrays):
            single = on.empty(array.shape, FLOAT32) if is_half(array.dtype) else array
            if single is not array and position >= self.outs:
                on.xp.copyto(single, array)
            wide.append(single)
        with quiet():
            self.run(tuple(wide[: self.outs]), tuple(wide[self.outs :]), static)
            for array, single in zip(arrays[: self.outs or self.writes], wide, strict=False):
                if single is not array:
                    on.xp.copyto(array, single, casting="unsafe")

    def __reduce__(self) -> Any:
        return _registered, (self.name,)  # copies and pickles are the op itself

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs)})>"


def _registered(name: str) -> Op:
    return registry[name]


def _autocast(value: Any) -> Any:
    """Return a float variable that takes part in mixed precision in the dtype of the layer that uses it."""
    wanted = state.autocast
    if wanted is None or not (isinstance(value, Variable) and value.autocast and is_floating(value.dtype)):
        return value
    return value if value.dtype == wanted else apply(registry["cast"], value, dtype=wanted)


def op(infer: Callable[..., Specs], **options: Any) -> Callable[[Forward], Op]:
    """Make an op of a function ``forward(xp, *outs, *inputs, **static)`` and enter it in the registry."""

    def enter(forward: Forward) -> Op:
        made = Op(forward, infer, **options)
        registry[made.name] = faces[made.name] = made
        return made

    return enter


def apply(op: Op, *inputs: Tensor, **static: Any) -> Any:
    """Run `op` once: infer, allocate, compute, record.

    Returns:
        A tensor, a tuple of tensors for an op with several outs, None for an update.

    Raises:
        ShapeError: shapes or dtypes that do not fit; nothing was computed.
        TypeError: inputs on different devices.
        OutOfMemoryError: the device has no room for the results.
    """
    specs = op.specs(inputs, static)
    if op.update and state.symbolic:
        return None
    if any(t.data is None for t in inputs):
        for t in inputs:
            if t.data is not None and not t.is_computed:
                t.array()  # raises: the tensor outlived its step
        return _unpack(op, tuple(Tensor(None, spec) for spec in specs))
    recorder = state.recorder
    outs: tuple[Tensor, ...] = (
        _computed(op, specs, inputs, static) if recorder is None else recorder.add(op, specs, inputs, static)
    )
    if outs and op.rules and state.gradients and any(t.requires_grad for t in inputs):
        Application(op, inputs, tuple(t.data for t in outs), static).joined(outs)
    return _unpack(op, outs)


def _computed(
    op: Op, specs: tuple[Spec, ...], inputs: tuple[Tensor, ...], static: dict[str, Any]
) -> tuple[Tensor, ...]:
    """Return the results of an op as tensors with values."""
    arrays = tuple(t.data for t in inputs)
    if Value in map(type, arrays):
        arrays = tuple(t.array() for t in inputs)  # raises: a tensor outlived its step
    on = _common_backend(op, arrays)
    with _HERE if on is backend.current() else on.active():
        if op.alias:
            results: tuple[Array, ...] = (op.forward(on.xp, *arrays, **static),)
        else:
            try:
                results = tuple(on.empty(spec.shape, spec.dtype) for spec in specs)
                op.run(results, arrays, static)
            except MemoryError as error:
                on.out_of_memory(error, f"what {op.name} needs")
    return tuple(map(Tensor, results, specs))


_HERE = nullcontext()


def _unpack(op: Op, outs: tuple[Tensor, ...]) -> Any:
    return outs if op.outs > 1 else outs[0] if outs else None


def _common_backend(op: Op, arrays: tuple[Array, ...]) -> Backend:
    on = backend.of(arrays[0]) if arrays else backend.current()
    for array in arrays[1:]:
        if not on.owns(array):
            raise apart(op, on, array)
    return on


def apart(op: Op, on: Backend, array: Array) -> TypeError:
    """Return the error for an op that works on `on` and was given an array on another device."""
    return TypeError(
        f"{op.name} got arrays on two devices ({on.describe()}; {backend.of(array).describe()}). Convert one: "
        "gpudl.convert_to_tensor(x.numpy()) puts it on the current backend."
    )
