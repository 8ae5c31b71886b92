"""Ops, and `apply`: the only place that computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from operator import itemgetter
from typing import Any, Generic, Self, TypeAlias, TypeVar

from gpudl import backend
from gpudl.backend import Array, Backend, Static
from gpudl.engine import cost
from gpudl.engine.calls import remember
from gpudl.engine.common_backend import common_backend
from gpudl.engine.convert import operand
from gpudl.engine.grad import Application
from gpudl.engine.parts import Part
from gpudl.engine.rounding import quiet
from gpudl.engine.spec import FLOAT32, ShapeError, Spec, is_floating, is_half
from gpudl.engine.state import state
from gpudl.engine.symbol import SymbolError, any_symbol
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.value import Value
from gpudl.engine.variable import Variable

Forward = Callable[..., Array]
Specs = Spec | tuple[Spec, ...] | None
R_co = TypeVar("R_co", covariant=True)
# What a call returns for the tuple of its outs, by their number; several are returned as a tuple.
_UNPACK: dict[int, Callable[[tuple[Tensor, ...]], Any]] = {0: lambda outs: None, 1: itemgetter(0)}


class Op(Generic[R_co]):
    """A computation: shape rule, portable reference, and one gradient rule per differentiable argument.

    There are three kinds. A *normal* op fills newly allocated outs; an *alias* op returns a view of its input; an
    *update* op, whose name ends in ``_``, writes its first inputs and returns nothing. The type parameter is what a
    call returns: a tensor, several, or None. Every floating-point out is differentiable. `flops` counts the operations,
    by default one per element, `reads` the bytes of each input that are read, by default all. `prepare` gets the inputs
    of a call unchanged, and returns those to compute with, or raises.
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
        prepare: Callable[..., tuple[TensorLike, ...]] | None = None,
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
        self.unpack: Callable[[tuple[Tensor, ...]], R_co] = _UNPACK.get(self.outs, tuple)
        self.rules: dict[str, Callable[..., Any]] = {}
        self.joint: dict[str, tuple[str, ...]] = {}  # for each input, the inputs that share its rule
        parameters = list(inspect.signature(forward).parameters.values())
        positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        skipped = 1 + (0 if alias else self.outs)
        self.inputs = [p.name for p in positional[skipped:]]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in positional)
        self.static = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "work"]
        # For `inspect` and `help`, and for binding keyword arguments.
        shown = (p for p in parameters if p.name in self.inputs or p.name in self.static)
        self.__signature__ = inspect.Signature(list(shown))

    def vjp(self, **rules: Callable[..., Tensor | Part | None]) -> Self:
        """Add gradient rules ``argument=lambda g, y, *inputs, **static: gradient`` and return the op.

        `y` is the out and `g` the gradient of it. For an op with several outs both are tuples; the gradient of an out
        that the loss does not depend on is None there. The rule of a variadic argument gets its number before `g`.
        """
        self._known(rules)
        self.rules.update(rules)
        return self

    def joint_vjp(self, inputs: tuple[str, ...], rule: Callable[..., tuple[Tensor | None, ...]]) -> Self:
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

    def __call__(self, *inputs: TensorLike, **static: object) -> R_co:
        """Apply the op to tensors, arrays or numbers; return the out, a tuple of outs, or None for an update."""
        if not self.variadic and len(inputs) != len(self.inputs):
            inputs, static = self._bound(inputs, static)
        if state.stateless is not None:
            return state.stateless.run(self, inputs, static)
        given = inputs
        if self.prepare is not None:
            inputs = given if any_symbol(given) else self.prepare(*given)
        if state.autocast is not None and not self.update:
            inputs = tuple(map(_autocast, inputs))
        tensors = [t for t in inputs if isinstance(t, Tensor)]
        # A number gets the dtype of a floating-point operand, and not that of a condition.
        like = max(tensors, key=lambda t: (is_floating(t.dtype), "bui".find(t.dtype.kind)), default=None)
        try:
            return apply(self, *(operand(t, like) for t in inputs), **static)
        except SymbolError:  # raised by shape inference, so that calls with tensors need no check
            if self.update:
                raise
        return remember(self, given, static)

    def _bound(self, inputs: tuple[TensorLike, ...], static: Static) -> tuple[tuple[TensorLike, ...], Static]:
        """Return the inputs in order, also those passed by keyword, and the static arguments."""
        try:
            given = self.__signature__.bind(*inputs, **static).arguments
        except TypeError as error:
            raise TypeError(
                f"{self.name} takes {len(self.inputs)} tensors ({', '.join(self.inputs)}), got {len(inputs)}: {error}."
            ) from None
        return tuple(given.pop(name) for name in self.inputs), given

    def specs(self, inputs: tuple[Tensor, ...], static: Static) -> tuple[Spec, ...]:
        """Return the specs of the outs; raise ShapeError, which names the op and its inputs."""
        try:
            specs: Specs = self.infer(*(t.spec for t in inputs), **static)
        except ValueError as error:
            got = ", ".join(f"{t.dtype}{list(t.shape)}" for t in inputs)
            raise ShapeError(f"{self.name}({got}): {error}") from error
        return () if specs is None else specs if isinstance(specs, tuple) else (specs,)

    def kernel(self, on: Backend, arrays: tuple[Array, ...], static: Static) -> Forward | None:
        """Return the kernel that supports these outs and inputs, or None for the reference."""
        return on.kernel(self.name, arrays, static) if state.kernels else None

    def work_spec(self, arrays: tuple[Array, ...], static: Static) -> Spec | None:
        """Return the spec of the scratch array that the reference needs for a call with these outs and inputs."""
        if self.workspace is None or self._rounds(arrays):
            return None
        return self.workspace(*(Spec(a.shape, a.dtype) for a in arrays[self.outs :]), **static)

    def bind(
        self, on: Backend, kernel: Forward | None, arrays: tuple[Array, ...], static: Static, work: Array
    ) -> Forward:
        """Return a call without arguments, for many calls: of `kernel`, or of the reference if it is None."""
        return self._reference(on, arrays, static, work) if kernel is None else on.bind(kernel, arrays, static, work)

    def run(self, outs: tuple[Array, ...], inputs: tuple[Array, ...], static: Static) -> None:
        """Compute plain arrays into plain arrays; references use it to call other ops."""
        on = backend.of(outs[0] if outs else inputs[0])
        arrays = (*outs, *inputs)
        kernel = self.kernel(on, arrays, static)
        if kernel is not None:
            kernel(*arrays, **static)
            return
        wanted = self.work_spec(arrays, static)
        self._reference(on, arrays, static, None if wanted is None else on.empty(wanted.shape, wanted.dtype))()

    def _reference(self, on: Backend, arrays: tuple[Array, ...], static: Static, work: Array) -> Forward:
        if self._rounds(arrays):
            return partial(self._in_single, on, arrays, static)
        scratch = {} if self.workspace is None else {"work": work}
        return partial(self.forward, on.xp, *arrays, **static, **scratch)

    def _rounds(self, arrays: tuple[Array, ...]) -> bool:
        """Return whether the reference computes 16-bit floats, and does not only move them."""
        return self.flops is not cost.free and any(is_half(a.dtype) for a in arrays)

    def _in_single(self, on: Backend, arrays: tuple[Array, ...], static: Static) -> None:
        """Compute 16-bit floats in float32, possibly by a kernel, and round the results: long sums stay accurate."""
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

    def __reduce__(self) -> tuple[Callable[[str], AnyOp], tuple[str]]:
        return _registered, (self.name,)  # copying or unpickling an op gives the op itself

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs)})>"


AnyOp: TypeAlias = Op[Any]
"""An op, whatever it returns."""

registry: dict[str, AnyOp] = {}
"""The ops by name."""


def _registered(name: str) -> AnyOp:
    return registry[name]


def _autocast(value: TensorLike) -> TensorLike:
    """Return a floating-point variable cast to the compute dtype of the layer that uses it, if it is autocast."""
    wanted = state.autocast
    if wanted is None or not (isinstance(value, Variable) and value.autocast and is_floating(value.dtype)):
        return value
    return value if value.dtype == wanted else apply(registry["cast"], value, dtype=wanted)


def apply(op: Op[R_co], *inputs: Tensor, **static: object) -> R_co:
    """Run `op` once: infer, allocate, compute, record.

    Returns:
        A tensor, a tuple of tensors for an op with several outs, None for an update.

    Raises:
        ShapeError: shapes or dtypes that the op does not support; nothing was computed.
        TypeError: inputs on different devices.
        OutOfMemoryError: the results do not fit into the device's memory.
    """
    specs = op.specs(inputs, static)
    if op.update and state.symbolic:
        return op.unpack(())
    if any(t.data is None for t in inputs):
        for t in inputs:
            if t.data is not None and not t.is_computed:
                t.array()  # raises: the tensor outlived its step
        return op.unpack(tuple(Tensor(None, spec) for spec in specs))
    recorder = state.recorder
    outs: tuple[Tensor, ...] = (
        _computed(op, specs, inputs, static) if recorder is None else recorder.add(op, specs, inputs, static)
    )
    if outs and op.rules and state.gradients and any(t.requires_grad for t in inputs):
        Application(op, inputs, tuple(t.data for t in outs), static).joined(outs)
    return op.unpack(outs)


def _computed(op: AnyOp, specs: tuple[Spec, ...], inputs: tuple[Tensor, ...], static: Static) -> tuple[Tensor, ...]:
    """Return the results of an op, computed."""
    arrays = tuple(t.data for t in inputs)
    if Value in map(type, arrays):
        arrays = tuple(t.array() for t in inputs)  # raises: a tensor outlived its step
    on = common_backend(op.name, arrays)
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
