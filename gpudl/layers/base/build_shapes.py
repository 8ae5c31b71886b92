"""Shapes with unknown sizes: the arguments of `build`, with Keras's names, and output shapes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gpudl.engine.calls import inferred
from gpudl.engine.symbol import KerasTensor, OpenShape, Pair, open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves

_SUFFIX = "_shape"


def open_batch(value: object) -> OpenShape | None:
    """Return the shape of a tensor with None for the batch size and for other unknown sizes."""
    if not isinstance(value, Tensor):
        return None
    return (None, *open_shape(value.shape[1:])) if value.ndim else ()


def with_batch(value: object) -> OpenShape | None:
    """Return the shape of a tensor with None for unknown sizes."""
    return open_shape(value.shape) if isinstance(value, Tensor) else None


def build_arguments(
    who: str,
    build: Callable[..., object],
    call: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    shape_of: Callable[[object], OpenShape | None] = open_batch,
) -> dict[str, Any]:
    """Return the arguments of `build` for a call with `args` and `kwargs`.

    ``query_shape`` is the shape of the argument ``query`` of `call`, or a nest of shapes. A single argument with
    another name is the shape of the first argument of `call`.

    Raises:
        ValueError: `build` has several arguments, one of which does not belong to an argument of `call`.
    """
    wanted = [
        p for p in inspect.signature(build).parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    taken = inspect.signature(call)
    try:
        given = taken.bind_partial(*args, **kwargs).arguments
    except TypeError:  # the call will raise it again
        given = {str(place): arg for place, arg in enumerate(args)}
    shapes = {
        f"{name}{_SUFFIX}": map_leaves(shape_of, value)
        for name, value in given.items()
        if any(isinstance(leaf, Tensor) for leaf in flatten(value)[0])
    }
    if len(wanted) == 1 and wanted[0].name not in shapes:
        return {wanted[0].name: next(iter(shapes.values()), ())}
    names = [p.name for p in wanted]
    for p in wanted if len(wanted) > 1 else ():
        if p.name.removesuffix(_SUFFIX) not in taken.parameters or not p.name.endswith(_SUFFIX):
            raise ValueError(
                f"{who}: build() takes {', '.join(names)}, but call() has no argument whose shape {p.name!r} could be. "
                f"Name each argument of build() after one of call() ({', '.join(taken.parameters)}), followed by "
                f"{_SUFFIX!r}, or use one argument, the shape of the first."
            )
    return {name: shapes[name] for name in names if name in shapes}


def inferred_shape(function: Callable[..., object], input_shape: Nest[OpenShape], dtype: np.dtype | str) -> Any:
    """Return the output shapes of `function` for a symbol, or a nest of them, with None for unknown sizes."""
    return inferred_shapes(function, (input_shape,), dtype)


def inferred_shapes(
    function: Callable[..., object],
    shapes: Iterable[Nest[OpenShape]],
    dtype: np.dtype | str,
    named: Mapping[str, Nest[OpenShape]] | None = None,
) -> Any:
    """Return the output shapes for several arguments; ``query_shape`` in `named` is that of the argument ``query``."""
    args = tuple(symbols_of(shape, dtype) for shape in shapes)
    kwargs = {name.removesuffix(_SUFFIX): symbols_of(shape, dtype) for name, shape in (named or {}).items()}
    return map_leaves(lambda leaf: leaf.shape if isinstance(leaf, Pair) else leaf, inferred(function, args, kwargs))


def symbols_of(shapes: Any, dtype: np.dtype | str) -> Nest[KerasTensor]:
    """Return a nest of symbols for a nest of shapes."""
    if isinstance(shapes, dict):
        return {name: symbols_of(shape, dtype) for name, shape in shapes.items()}
    if any(isinstance(shape, tuple | list | dict) for shape in shapes):
        return [symbols_of(shape, dtype) for shape in shapes]
    return KerasTensor(shapes, dtype, name="")
