"""Where the axes of an image are, and arguments that several functions share."""

from __future__ import annotations

from collections.abc import Callable

from gpudl import config
from gpudl.engine.convert import operand
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import expand_dims, squeeze, transpose


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise ValueError unless an argument has one of the values `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def image(images: TensorLike) -> Tensor:
    """Return an image or a batch of images as a tensor; raise ShapeError unless there are three or four axes."""
    x = operand(images)
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"expected an image with 3 axes, or a batch of images with 4, got shape {x.shape}. "
            "A grey image needs an axis for its one channel."
        )
    return x


def spatial(images: TensorLike, data_format: str | None) -> tuple[Tensor, int]:
    """Return images as a tensor, and the axis of their height, before that of their width."""
    x = image(images)
    return x, x.ndim - 3 if config.check_data_format(data_format) == "channels_last" else x.ndim - 2


def channels(images: TensorLike, data_format: str | None) -> tuple[Tensor, int]:
    """Return images as a tensor, and the axis of their channels."""
    x = image(images)
    return x, x.ndim - 1 if config.check_data_format(data_format) == "channels_last" else x.ndim - 3


def as_batch(images: TensorLike, data_format: str | None, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Return `transform` of a batch (N, H, W, C), for images of either layout, one or a batch of them."""
    x = image(images)
    first = config.check_data_format(data_format) == "channels_first"
    single = x.ndim == 3
    if single:
        x = expand_dims(x, 0)
    y = transform(transpose(x, (0, 2, 3, 1)) if first else x)
    y = transpose(y, (0, 3, 1, 2)) if first else y
    return squeeze(y, 0) if single else y
