"""Fourier transforms, of whole signals and of short parts, with Keras's arguments and dtypes.

A complex tensor is a pair of its real and its imaginary part.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np

from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.ops.numpy.arrangement import moveaxis
from gpudl.ops.numpy.padding import pad
from gpudl.ops.numpy.repetition import flip
from gpudl.ops.numpy.selection import take
from gpudl.ops.primitives.elementwise import where, zeros_like
from gpudl.ops.primitives.fourier import dft
from gpudl.ops.primitives.gather import take_grad
from gpudl.ops.primitives.shape import concatenate, take_slice

__all__ = [
    "extract_sequences",
    "fft",
    "fft2",
    "ifft2",
    "irfft",
    "istft",
    "rfft",
    "stft",
]

Complex = tuple[Tensor, Tensor]


def _parts(who: str, x: Sequence[TensorLike]) -> Complex:
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ValueError(f"{who} needs a pair of the real and the imaginary part, got {type(x).__name__}.")
    real, imag = (as_tensor(part) for part in x)
    if not (is_floating(real.dtype) and is_floating(imag.dtype)):
        raise ValueError(f"{who} needs parts of floats, got {real.dtype} and {imag.dtype}.")
    return real, imag


def fft(x: Sequence[TensorLike]) -> Complex:
    """Return the Fourier transform along the last axis.

    Args:
        x: the real and the imaginary part.

    Raises:
        ValueError: no pair of floats.

    Example:
        >>> real, imag = fft(([1.0, 0.0, 0.0, 0.0], [0.0] * 4))
        >>> real.numpy()
        array([1., 1., 1., 1.], dtype=float32)
    """
    return dft(*_parts("fft", x), axes=1)


def fft2(x: Sequence[TensorLike]) -> Complex:
    """Return the Fourier transform along the last two axes, see `fft`.

    Example:
        >>> fft2(([[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]))[0].numpy()
        array([[10., -2.],
               [-4.,  0.]], dtype=float32)
    """
    return dft(*_parts("fft2", x), axes=2)


def ifft2(x: Sequence[TensorLike]) -> Complex:
    """Return the inverse of `fft2`.

    Example:
        >>> ifft2(([[4.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]))[0].numpy()
        array([[1., 1.],
               [1., 1.]], dtype=float32)
    """
    real, imag = dft(*_parts("ifft2", x), axes=2, inverse=True)
    share = 1.0 / (real.shape[-1] * real.shape[-2])
    return real * share, imag * share


def rfft(x: TensorLike, fft_length: int | None = None) -> Complex:
    """Return the first half of the Fourier transform of real numbers along the last axis, n // 2 + 1 of n numbers.

    Args:
        x: floats.
        fft_length: to which length x is cut, or filled with zeros; None for its own.

    Example:
        >>> rfft([1.0, 2.0, 3.0, 4.0])[0].numpy()
        array([10., -2., -2.], dtype=float32)
    """
    x = as_tensor(x)
    if not x.ndim:
        raise ShapeError("rfft needs a tensor with axes.")
    x = _fitted(x, x.shape[-1] if fft_length is None else index(fft_length))
    key = (Ellipsis, (None, x.shape[-1] // 2 + 1, None))
    real, imag = dft(x, zeros_like(x), axes=1)
    return take_slice(real, key=key), take_slice(imag, key=key)


def _fitted(x: Tensor, size: int) -> Tensor:
    """Return x cut to `size` along the last axis, or filled with zeros behind."""
    if x.shape[-1] >= size:
        return x if x.shape[-1] == size else take_slice(x, key=(Ellipsis, (None, size, None)))
    return pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])])


def irfft(x: Sequence[TensorLike], fft_length: int | None = None) -> Tensor:
    """Return the real numbers of which `rfft` returns the transform x.

    Args:
        x: the real and the imaginary part, n // 2 + 1 numbers along the last axis.
        fft_length: n; None for the even one.

    Example:
        >>> irfft(([10.0, -2.0, -2.0], [0.0, 2.0, 0.0])).numpy()
        array([1., 2., 3., 4.], dtype=float32)
    """
    real, imag = _parts("irfft", x)
    n = 2 * (real.shape[-1] - 1) if fft_length is None else index(fft_length)
    real, imag = (_fitted(part, n // 2 + 1) for part in (real, imag))
    # The other half is that of the conjugates; what is its own conjugate has no imaginary part.
    own = np.ones(n // 2 + 1, real.dtype)
    own[0] = 0
    own[n // 2 :] *= n % 2
    imag = imag * own
    rest = (Ellipsis, (1, n - n // 2, None))
    mirrored = [flip(take_slice(part, key=rest), -1) for part in (real, imag)]
    whole = (concatenate(real, mirrored[0], axis=-1), concatenate(imag, -mirrored[1], axis=-1))
    return dft(*whole, axes=1, inverse=True)[0] * (1.0 / n)


def extract_sequences(x: TensorLike, sequence_length: int, sequence_stride: int) -> Tensor:
    """Return overlapping parts along the last axis: (..., parts, sequence_length).

    Args:
        x: signals (..., time).
        sequence_length: the length of each part.
        sequence_stride: how far apart parts begin.

    Raises:
        ShapeError: the signals are shorter than a part.

    Example:
        >>> extract_sequences([1.0, 2.0, 3.0, 4.0, 5.0], 3, 2).numpy()
        array([[1., 2., 3.],
               [3., 4., 5.]], dtype=float32)
    """
    x = as_tensor(x)
    if not x.ndim or x.shape[-1] < sequence_length:
        raise ShapeError(f"parts of {sequence_length} do not fit into signals of shape {x.shape}.")
    return take(x, _places(x.shape[-1], index(sequence_length), index(sequence_stride)), axis=-1)


def _places(size: int, length: int, stride: int) -> np.ndarray:
    starts = np.arange(0, size - length + 1, stride, dtype=np.int32)
    return starts[:, None] + np.arange(length, dtype=np.int32)


def stft(
    x: TensorLike,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: str | TensorLike | None = "hann",
    center: bool = True,
) -> Complex:
    """Return the Fourier transforms of overlapping parts of real signals: (..., parts, fft_length // 2 + 1).

    Args:
        x: signals (..., time) of floats.
        sequence_length: the length of each part.
        sequence_stride: how far apart parts begin.
        fft_length: the length of the transform, at least `sequence_length`.
        window: what each part is multiplied by, ``"hann"``, ``"hamming"``, or `sequence_length` numbers; None for
            parts of `fft_length`, unchanged.
        center: whether the signals are mirrored at both ends, so that part i is around i * sequence_stride.

    Raises:
        ValueError: signals of integers, an unknown window, a transform that is shorter than a part.

    Example:
        >>> stft(np.ones(16, "float32"), 4, 4, 8)[0].shape
        (5, 5)
    """
    x = as_tensor(x)
    if not is_floating(x.dtype):
        raise ValueError(f"stft needs floats, got {x.dtype}.")
    weights = _window("stft", window, index(sequence_length), index(fft_length), x)
    if center:
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(fft_length // 2, fft_length // 2)], mode="reflect")
    parts = extract_sequences(x, fft_length, sequence_stride)
    return rfft(parts if weights is None else parts * weights)


def _window(who: str, window: str | TensorLike | None, length: int, fft_length: int, like: Tensor) -> Tensor | None:
    """Return the numbers that parts are multiplied by, in the middle of zeros, None for ones."""
    if fft_length < length:
        raise ValueError(f"{who}: fft_length must be at least sequence_length, {length}, got {fft_length}.")
    if window is None:
        return None
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(f"{who}: window must be 'hann', 'hamming', None or numbers, got {window!r}.")
        least = 0.5 if window == "hann" else 0.54
        weights = as_tensor((least - (1 - least) * np.cos(2 * np.pi * np.arange(length) / length)).astype(like.dtype))
    else:
        weights = as_tensor(window)
        if weights.shape != (length,):
            raise ValueError(f"{who}: window must have sequence_length numbers, ({length},), got {weights.shape}.")
    before = (fft_length - length) // 2
    return pad(weights, [(before, fft_length - length - before)])


def istft(
    x: Sequence[TensorLike],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: str | TensorLike | None = "hann",
    center: bool = True,
) -> Tensor:
    """Return the signals of which `stft` with these arguments returns the transforms x.

    Args:
        x: the real and the imaginary part, (..., parts, fft_length // 2 + 1).
        sequence_length: the length of each part.
        sequence_stride: how far apart parts begin.
        fft_length: the length of the transform.
        length: the length of the signals; None for as long as the parts reach.
        window: what each part was multiplied by; with None the result is fft_length / sequence_stride times the
            signals, the sum of parts that overlap.
        center: whether the signals were mirrored at both ends.

    Raises:
        ValueError: no pair of floats, an unknown window, a transform that is shorter than a part.

    Example:
        >>> istft(stft(np.ones(16, "float32"), 8, 4, 8), 8, 4, 8).numpy().round(3)[:4]
        array([1., 1., 1., 1.], dtype=float32)
    """
    real, imag = _parts("istft", x)
    weights = _window("istft", window, index(sequence_length), index(fft_length), real)
    parts = irfft((real, imag), fft_length)
    count = parts.shape[-2]
    size = fft_length + sequence_stride * (count - 1)
    places = as_tensor(_places(size, fft_length, index(sequence_stride)))

    def added(parts: Tensor) -> Tensor:
        return take_grad(parts, places, rows=size)

    ones = as_tensor(np.ones((count, fft_length), real.dtype))
    total = added(ones if weights is None else ones * weights * weights)
    total = where(total > 1e-10, total, 1.0)
    first = moveaxis(parts if weights is None else parts * weights, (-2, -1), (0, 1))
    signal = moveaxis(added(first), 0, -1) / total
    if weights is None:
        signal = signal * (fft_length / sequence_stride)
    start = fft_length // 2 if center else 0
    stop = start + length if length is not None else size - start
    return take_slice(signal, key=(Ellipsis, (start, stop, None)))
