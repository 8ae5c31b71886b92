"""Declaring elementwise ops by one expression each, from which the reference and the kernels are derived."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from types import ModuleType
from typing import Any, TypedDict, Unpack, overload

from gpudl.backend import Array
from gpudl.engine import cost
from gpudl.engine.op import AnyOp, Forward, Op, Specs, registry
from gpudl.engine.spec import Spec
from gpudl.engine.tensor import Tensor, TensorLike, faces
from gpudl.kernels.expression import Body, Declared, declare
from gpudl.ops.primitives.reference import reference


class Options(TypedDict, total=False):
    """The options of an op, see `Op`."""

    outs: int
    alias: bool
    writes: int
    gathers: bool
    workspace: Callable[..., Spec]
    flops: cost.Flops
    reads: cost.Reads
    prepare: Callable[..., tuple[TensorLike, ...]]


Several = tuple[Tensor, ...]
Two = tuple[Tensor, Tensor]
Three = tuple[Tensor, Tensor, Tensor]


@overload
def op(infer: Callable[..., None], **options: Unpack[Options]) -> Callable[[Forward], Op[None]]: ...
@overload
def op(infer: Callable[..., Spec], **options: Unpack[Options]) -> Callable[[Forward], Op[Tensor]]: ...
@overload
def op(infer: Callable[..., tuple[Spec, Spec]], **options: Unpack[Options]) -> Callable[[Forward], Op[Two]]: ...
@overload
def op(infer: Callable[..., tuple[Spec, Spec, Spec]], **options: Unpack[Options]) -> Callable[[Forward], Op[Three]]: ...
@overload
def op(infer: Callable[..., tuple[Spec, ...]], **options: Unpack[Options]) -> Callable[[Forward], Op[Several]]: ...


def op(infer: Callable[..., Specs], **options: Unpack[Options]) -> Callable[[Forward], AnyOp]:
    """Make a function ``forward(xp, *outs, *inputs, **static)`` an op, and register it.

    A call of it returns a tensor for each spec that `infer` does.
    """

    def enter(forward: Forward) -> AnyOp:
        made: AnyOp = Op(forward, infer, **options)
        registry[made.name] = faces[made.name] = made
        return made

    return enter


@overload
def elementwise(infer: Callable[..., None], **options: Unpack[Options]) -> Callable[[Body], Op[None]]: ...


@overload
def elementwise(infer: Callable[..., Spec], **options: Unpack[Options]) -> Callable[[Body], Op[Tensor]]: ...


def elementwise(
    infer: Callable[..., Spec] | Callable[..., None], **options: Unpack[Options]
) -> Callable[[Body], AnyOp]:
    """Make an op of ``body(*inputs, **static)``, the expression of its result.

    So ``@elementwise(floating)`` before ``def halved_square(x): return x * x / 2`` makes an op of that name. The name
    of an update ends in ``_``: its body returns the new value of the target, or of each of the first inputs.

    Args:
        infer: the rule for shape and dtype, see `op`.
        options: the options of `op`.
    """

    def enter(body: Body) -> AnyOp:
        return op(infer, **options)(_forward(declare(body)))

    return enter


def _forward(it: Declared) -> Callable[..., None]:
    """Return the reference ``forward(xp, out, *inputs, **static)`` of a declared op; an update has no `out`."""
    parameters = signature(it.body).parameters.values()
    made: Any
    if len(parameters) == len(it.inputs):
        made = reference(it, it.expressions({}))
    else:

        def made(xp: ModuleType, *arrays: Array, **static: object) -> None:
            reference(it, it.expressions(static))(xp, *arrays)

    before = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("xp", *([] if it.update else ["out"]))]
    made.__name__, made.__doc__ = it.name, it.body.__doc__
    made.__signature__ = signature(it.body).replace(parameters=[*before, *parameters])
    return made  # type: ignore[no-any-return]
