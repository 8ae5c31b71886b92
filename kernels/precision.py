"""The precision of float32 matrix products on a GPU; the CPU always computes them in float32.

A recorded step depends on this setting.
"""

from __future__ import annotations

NAMES = ("highest", "high")
_chosen = ["highest"]


def choose(name: str, asked_by: str) -> None:
    """Set the precision to one of `NAMES`; raise ValueError, which names `asked_by`, for anything else."""
    if name not in NAMES:
        raise ValueError(
            f'{asked_by} expected "highest" (float32) or "high" (TF32 where the GPU has it), got {name!r}.'
        )
    _chosen[0] = name


def chosen() -> str:
    """Return the current precision: ``"highest"`` or ``"high"``."""
    return _chosen[0]


def tensor_cores() -> bool:
    """Return whether the operands of a float32 product may be rounded to TF32, which tensor cores multiply.

    TF32 has the range of float32 and ten bits of mantissa; sums are still accumulated in float32.
    """
    return _chosen[0] == "high"
