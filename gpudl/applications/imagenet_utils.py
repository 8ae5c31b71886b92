"""What goes into networks that were trained on ImageNet, and what comes out of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from gpudl import config, ops
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor
from gpudl.utils import get_file

__all__ = [
    "decode_predictions",
    "preprocess_input",
]

_CLASSES = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
_MEANS = {"caffe": (103.939, 116.779, 123.68), "torch": (0.485, 0.456, 0.406)}  # of blue, green, red; of red, ...
_DEVIATIONS = (0.229, 0.224, 0.225)

Prediction = tuple[str, str, float]


def preprocess_input(x: ArrayLike | Tensor, data_format: str | None = None, mode: str = "caffe") -> Tensor | np.ndarray:
    """Return RGB images of values from 0 to 255 as networks expect them; an array stays an array.

    Args:
        x: an image, or a batch of them, with 3 channels. It is not changed.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        mode: ``"tf"``: from -1 to 1; ``"torch"``: from 0 to 1, then minus the mean of ImageNet's channels, divided by
            their standard deviation; ``"caffe"``: BGR minus the mean.

    Raises:
        ValueError: an unknown mode or layout.

    Example:
        >>> gpudl.applications.imagenet_utils.preprocess_input(np.full((1, 1, 3), 255.0), mode="tf")
        array([[[1., 1., 1.]]])
    """
    return _preprocessed(x, data_format, mode)


def _preprocessed(x: ArrayLike | Tensor, data_format: str | None, mode: str) -> Tensor | np.ndarray:
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f"mode must be 'caffe', 'tf' or 'torch', got {mode!r}.")
    first = config.check_data_format(data_format) == "channels_first"
    if isinstance(x, np.ndarray):
        array = x if np.issubdtype(x.dtype, np.floating) else x.astype(config.floatx())
        shift, scale = _shift_and_scale(mode, array.ndim, first, array.dtype)
        array = np.flip(array, array.ndim - 3 if first else array.ndim - 1) if mode == "caffe" else array
        changed: np.ndarray = array * scale - shift
        return changed
    tensor = as_tensor(x)
    if not is_floating(tensor.dtype):
        tensor = ops.cast(tensor, config.floatx())
    shift, scale = _shift_and_scale(mode, tensor.ndim, first, tensor.dtype)
    if mode == "caffe":
        axis = tensor.ndim - 3 if first else tensor.ndim - 1
        tensor = tensor[(slice(None),) * axis + (slice(None, None, -1),)]
    return tensor * scale - shift


def preprocessing(mode: str) -> Callable[..., Tensor | np.ndarray]:
    """Return the function `preprocess_input` of networks that expect a mode."""

    def preprocess_input(x: ArrayLike | Tensor, data_format: str | None = None) -> Tensor | np.ndarray:
        return _preprocessed(x, data_format, mode)

    preprocess_input.__doc__ = f"""Return RGB images of values from 0 to 255 as the network expects them.

    That is `imagenet_utils.preprocess_input` with the mode {mode!r}.
    """
    return preprocess_input


def _shift_and_scale(mode: str, ndim: int, first: bool, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return what values are multiplied by, and what is subtracted then, for each channel."""
    scale = {"caffe": np.ones(3), "tf": np.full(3, 1 / 127.5), "torch": 1 / (255 * np.array(_DEVIATIONS))}[mode]
    shift = {
        "caffe": np.array(_MEANS["caffe"]),
        "tf": np.ones(3),
        "torch": np.array(_MEANS["torch"]) / np.array(_DEVIATIONS),
    }[mode]
    shape = (3, 1, 1) if first else (3,)
    return shift.astype(dtype).reshape(shape), scale.astype(dtype).reshape(shape)


def decode_predictions(preds: Tensor | np.ndarray, top: int = 5) -> list[list[Prediction]]:
    """Return the most likely classes of ImageNet for each sample: their codes, names and scores, the best first.

    The names of the classes are downloaded once.

    Args:
        preds: (samples, 1000).
        top: how many.

    Raises:
        ShapeError: another shape.
    """
    scores = preds.numpy() if isinstance(preds, Tensor) else np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ShapeError(f"decode_predictions needs the scores of 1000 classes, (samples, 1000), got {scores.shape}.")
    path = get_file(
        "imagenet_class_index.json", _CLASSES, cache_subdir="models", file_hash="c2c37ea517e94d9795004a39431a14cb"
    )
    with open(path, encoding="utf-8") as file:
        names = json.load(file)
    best = [row.argsort()[::-1][:top] for row in scores]
    return [[(*names[str(at)], row[at]) for at in order] for row, order in zip(scores, best, strict=True)]
