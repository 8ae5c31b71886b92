"""Declaring elementwise ops by one expression each, from which the reference and the kernels are derived."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from gpudl.backend import Array
from gpudl.engine.op import Op, op
from gpudl.kernels.expression import Body, Declared, declare
from gpudl.ops.reference import reference


def elementwise(infer: Callable[..., Any], **options: Any) -> Callable[[Body], Op]:
    """Make ``body(*inputs, **static)``, which returns the expression of the result, an op.

    So ``@elementwise(floating)`` before ``def halved_square(x): return x * x / 2`` makes an op of that name. The name
    of an update ends in ``_``: its body returns the new value of the target, or of each of the first inputs.

    Args:
        infer: the rule for shape and dtype, see `op`.
        options: the options of `op`.
    """

    def enter(body: Body) -> Op:
        return op(infer, **options)(_forward(declare(body)))

    return enter


def _forward(it: Declared) -> Callable[..., None]:
    """Return the reference ``forward(xp, out, *inputs, **static)`` of a declared op; an update has no `out`."""
    parameters = signature(it.body).parameters.values()
    made: Any
    if len(parameters) == len(it.inputs):
        made = reference(it, it.expressions({}))
    else:

        def made(xp: Any, *arrays: Array, **static: Any) -> None:
            reference(it, it.expressions(static))(xp, *arrays)

    before = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("xp", *([] if it.update else ["out"]))]
    made.__name__, made.__doc__ = it.name, it.body.__doc__
    made.__signature__ = signature(it.body).replace(parameters=[*before, *parameters])
    return made  # type: ignore[no-any-return]
