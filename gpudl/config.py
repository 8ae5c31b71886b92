"""Settings of the whole process: float type, epsilon, image layout, backend."""

from __future__ import annotations

import os

import numpy as np

from gpudl import backend as _backends

_settings: dict[str, str | float] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
}
_FLOATS = ("float16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")


def floatx() -> str:
    """Return the default float dtype of weights and data, e.g. ``"float32"``.

    Example:
        >>> import gpudl
        >>> gpudl.config.floatx()
        'float32'
    """
    return str(_settings["floatx"])


def set_floatx(value: str) -> None:
    """Set the default float dtype; raises ValueError for anything but float16, float32 or float64."""
    if value not in _FLOATS:
        raise ValueError(f"floatx must be one of {', '.join(_FLOATS)}, got {value!r}.")
    _settings["floatx"] = value


def float_dtype() -> np.dtype:
    """Return `floatx` as a NumPy dtype."""
    return np.dtype(floatx())


def epsilon() -> float:
    """Return the small number that keeps logarithms and divisions finite (default 1e-7)."""
    return float(_settings["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the fuzz factor of numeric expressions."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Return the default layout of images, ``"channels_last"`` or ``"channels_first"``."""
    return str(_settings["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set the default layout of images; raises ValueError for an unknown one."""
    _settings["image_data_format"] = check_data_format(data_format)


def check_data_format(data_format: str | None) -> str:
    """Return `data_format`, or the default for None; raise ValueError for an unknown one."""
    chosen = image_data_format() if data_format is None else data_format
    if chosen not in _LAYOUTS:
        raise ValueError(f"data_format must be one of {', '.join(_LAYOUTS)}, got {data_format!r}.")
    return chosen


def backend() -> str:
    """Return the name of the backend in use: ``"numpy"`` or ``"cupy"``.

    Example:
        >>> import gpudl
        >>> gpudl.config.backend() in ("numpy", "cupy")
        True
    """
    return _backends.current().name


def set_backend(name: str) -> None:
    """Choose the backend of everything created from now on: ``"numpy"``, ``"cupy"`` or ``"auto"``.

    What was created before stays where it is; both backends work side by side in one process. Raises
    `gpudl.backend.BackendError`, with the reason in words, when ``"cupy"`` cannot be used here.
    """
    _backends.use(name)


def is_interactive() -> bool:
    """Tell whether standard output is a terminal whose lines can be redrawn."""
    import sys

    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"
