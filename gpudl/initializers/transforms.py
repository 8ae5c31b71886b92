"""Initializers that make the matrices of transforms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gpudl import config
from gpudl.initializers.base import Initializer, Shape

__all__ = ["STFT", "stft"]

# The weights of 1, cos(a), cos(2 * a), ... of which the signs alternate, a from 0 to 2 * pi over the window.
_WINDOWS = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}


class STFT(Initializer):
    """One part of the matrix of a short-time Fourier transform, as the kernel of a convolution.

    For a shape (frame length, channels, frequencies); the kernel is the same for each channel, and has one.

    Args:
        side: ``"real"`` for the cosines, ``"imag"`` for the sines.
        window: what the frame is multiplied by: the name of a window, an array as long as the frame, or None.
        scaling: ``"density"`` to divide by the root of the window's energy, ``"spectrum"`` by its sum, or None.
        periodic: whether the window is one period of a periodic function, and not symmetric.

    Raises:
        ValueError: another side, window or scaling; in a call, a window that is not as long as the frame.

    Example:
        >>> STFT("real", window=None)((4, 1, 3))[:, 0].round(3)
        array([[ 1.,  1.,  1.],
               [ 1.,  0., -1.],
               [ 1., -1.,  1.],
               [ 1., -0., -1.]], dtype=float32)
    """

    def __init__(
        self,
        side: str = "real",
        window: str | ArrayLike | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: side must be 'real' or 'imag', got {side!r}.")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(f"STFT: scaling must be None, 'density' or 'spectrum', got {scaling!r}.")
        if isinstance(window, str) and window not in _WINDOWS:
            raise ValueError(f"STFT: window must be one of {', '.join(_WINDOWS)}, or an array, got {window!r}.")
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return the cosines or sines, each multiplied by the window."""
        length, _, frequencies = self._sizes(shape)
        turns = np.outer(np.arange(length), np.arange(frequencies)) / (2 * (frequencies - 1))
        kernel: np.ndarray = np.cos(2 * np.pi * turns) if self.side == "real" else -np.sin(2 * np.pi * turns)
        if self.window is not None:
            window = self._windowed(length)
            size = {None: 1.0, "density": np.sqrt((window**2).sum()), "spectrum": np.abs(window).sum()}[self.scaling]
            kernel = kernel * window[:, None] / size
        return kernel[:, None, :].astype(dtype or config.float_dtype())

    def _windowed(self, length: int) -> np.ndarray:
        if not isinstance(self.window, str):
            window = np.asarray(self.window, np.float64)
            if window.shape != (length,):
                raise ValueError(f"STFT: the window must have shape ({length},), got {window.shape}.")
            return window
        turn = 2 * np.pi * np.arange(length) / max(length - (not self.periodic), 1)
        waves = [(-1) ** k * weight * np.cos(k * turn) for k, weight in enumerate(_WINDOWS[self.window])]
        made: np.ndarray = np.sum(waves, axis=0) if length > 1 else np.ones(1)
        return made


stft = STFT
