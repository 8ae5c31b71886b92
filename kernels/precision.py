"""How exactly products of float32 are computed on a GPU; the CPU computes them in float32 always.

What is chosen here is a part of what a recorded step depends on.
"""

from __future__ import annotations

NAMES = ("highest", "high")
_chosen = ["highest"]


def choose(name: str, asked_by: str) -> None:
    """Choose one of `NAMES` from now on; raises ValueError, naming `asked_by`, for anything else."""
    if name not in NAMES:
        raise ValueError(
            f'{asked_by} expected "highest" (float32) or "high" (TF32 where the GPU has it), got {name!r}.'
        )
    _chosen[0] = name


def chosen() -> str:
    """Return what was chosen: ``"highest"``, or ``"high"``."""
    return _chosen[0]


def tensor_cores() -> bool:
    """Tell whether the factors of a product of float32 may be rounded to TF32, which tensor cores multiply.

    TF32 has the range of float32 and ten bits after the point; sums are float32 all the same.
    """
    return _chosen[0] == "high"
