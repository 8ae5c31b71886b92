"""Settings of the process: float type, epsilon, image layout, backend."""

from __future__ import annotations

import os
import sys

from gpudl import backend as _backends
from gpudl.dtype_policies import dtype_policy as dtype_policy
from gpudl.dtype_policies import set_dtype_policy as set_dtype_policy
from gpudl.engine.default_float import float_dtype as float_dtype
from gpudl.engine.default_float import floatx as floatx
from gpudl.engine.default_float import set_floatx as set_floatx
from gpudl.engine.state import changed as _changed

_settings: dict[str, str | float] = {
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "interactive_logging": True,
    "traceback_filtering": True,
}
_limits: dict[str, int | None] = {"epochs": None, "steps": None}
_LAYOUTS = ("channels_last", "channels_first")


def _set(name: str, value: str | float) -> None:
    if _settings[name] != value:
        _settings[name] = value
        _changed()


def epsilon() -> float:
    """Return the small number that keeps logarithms and divisions finite (default 1e-7)."""
    return float(_settings["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the fuzz factor of numeric expressions."""
    _set("epsilon", float(value))


def image_data_format() -> str:
    """Return the default layout of images, ``"channels_last"`` or ``"channels_first"``."""
    return str(_settings["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set the default layout of images; raise ValueError for an unknown one."""
    _set("image_data_format", check_data_format(data_format))


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


def set_backend(backend: str) -> None:
    """Set the backend of everything that is created from now on: ``"numpy"``, ``"cupy"`` or ``"auto"``.

    Existing tensors are not moved; both backends can be used in one process. Raises
    `gpudl.backend.BackendError`, with the reason, if ``"cupy"`` cannot be used.
    """
    _backends.use(backend)


def list_devices() -> list[str]:
    """Return the devices that `gpudl.device` can choose: ``"cpu"``, and ``"gpu:0"`` and so on.

    A GPU that is listed may still be unusable; `gpudl.backend.why_not_cupy` and the command ``gpudl doctor`` say why.

    Example:
        >>> import gpudl
        >>> gpudl.config.list_devices()[0]
        'cpu'
    """
    return _backends.list_devices()


def set_num_threads(count: int) -> None:
    """Set the number of threads of gpudl's kernels on the CPU; the environment variable is ``GPUDL_NUM_THREADS``.

    By default there is one per processor that this process may use, as the machine and the container allow. This
    affects gpudl's own kernels only, not NumPy's BLAS, which computes large products other than in float32, or your
    own code.

    Raises:
        ValueError: not an integer, less than 1, or more than there are processors.

    Example:
        >>> import gpudl
        >>> before = gpudl.config.get_num_threads()
        >>> gpudl.config.set_num_threads(1)
        >>> gpudl.config.get_num_threads()
        1
        >>> gpudl.config.set_num_threads(before)
    """
    _backends.set_num_threads(count)


def get_num_threads() -> int:
    """Return the number of threads of gpudl's kernels on the CPU.

    Raises:
        ValueError: the environment variable ``GPUDL_NUM_THREADS`` is not an integer from 1 to the number of processors.
    """
    return _backends.get_num_threads()


def enable_op_determinism() -> None:
    """Make all results bitwise independent of the number of threads, for the rest of the process.

    gpudl's own kernels always are. Products that NumPy's BLAS would compute, such as large ones in float64, are
    then computed by a kernel of gpudl too, which takes several times as long. For reproducible runs also set the
    seeds: `gpudl.utils.set_random_seed`.
    """
    _backends.enable_op_determinism()


def op_determinism_enabled() -> bool:
    """Return whether `enable_op_determinism` was called."""
    return _backends.op_determinism_enabled()


def set_matmul_precision(name: str) -> None:
    """Set the precision of float32 matrix products and convolutions on a GPU, from now on.

    Args:
        name: ``"highest"``, the default, computes in float32. ``"high"`` rounds the operands to TF32 if the GPU has
            tensor cores for it: TF32 has the range of float32 and ten bits of mantissa, about three decimal digits.
            Sums are float32 either way, and the CPU always computes in float32.

    Raises:
        ValueError: another name.

    Example:
        >>> import gpudl
        >>> gpudl.config.set_matmul_precision("high")
        >>> gpudl.config.matmul_precision()
        'high'
        >>> gpudl.config.set_matmul_precision("highest")
    """
    _backends.set_matmul_precision(name)


def matmul_precision() -> str:
    """Return the precision of float32 products on a GPU: ``"highest"`` or ``"high"``."""
    return _backends.matmul_precision()


def enable_traceback_filtering() -> None:
    """Note that tracebacks shall be filtered, for programs that ask: gpudl has no frames to hide and shows them all."""
    _settings["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Note that tracebacks shall not be filtered; see `enable_traceback_filtering`."""
    _settings["traceback_filtering"] = False


def is_traceback_filtering_enabled() -> bool:
    """Return what was noted last, by default True as in Keras.

    Example:
        >>> import gpudl
        >>> gpudl.config.disable_traceback_filtering()
        >>> gpudl.config.is_traceback_filtering_enabled()
        False
        >>> gpudl.config.enable_traceback_filtering()
    """
    return bool(_settings["traceback_filtering"])


def is_interactive() -> bool:
    """Return whether standard output is a terminal whose lines can be redrawn."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def max_epochs() -> int | None:
    """Return the most epochs of a `fit`, None without a limit."""
    return _limits["epochs"]


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of each `fit`, to try a program quickly; None for no limit."""
    _limits["epochs"] = _count("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """Return the most steps of an epoch, of an evaluation and of a prediction, None without a limit."""
    return _limits["steps"]


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of each epoch, evaluation and prediction, to try a program quickly; None for no limit."""
    _limits["steps"] = _count("max_steps_per_epoch", max_steps_per_epoch)


def _count(name: str, value: int | None) -> int | None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a positive integer or None, got {value!r}.")
    return value


def enable_interactive_logging() -> None:
    """Print progress as it is made, which is the default."""
    _set("interactive_logging", True)


def disable_interactive_logging() -> None:
    """Print a line after each epoch where ``verbose="auto"`` would draw progress, as suits a file."""
    _set("interactive_logging", False)


def is_interactive_logging_enabled() -> bool:
    """Return whether progress is printed as it is made."""
    return bool(_settings["interactive_logging"])


def is_nnx_enabled() -> bool:
    """Return False: it is about another library."""
    return False
