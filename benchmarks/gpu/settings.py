"""What a side of a comparison on a GPU is told, and how each side obeys it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads.base import Settings


@dataclass(frozen=True)
class OnDevice(Settings):
    """Settings of a side that computes on a GPU.

    Attributes:
        device: ``"cuda"``, or ``"cpu"`` to try the programs.
        precision: ``"highest"`` for float32, ``"high"`` for TF32, of products and convolutions.
    """

    device: str = "cuda"
    precision: str = "highest"


def gpudl_precision(gpudl: Any, precision: str) -> None:
    """Set how exactly gpudl multiplies."""
    choose = getattr(gpudl.config, "set_matmul_precision", None)
    if choose is not None:
        choose(precision)
    elif precision != "highest":
        raise RuntimeError("this gpudl has no config.set_matmul_precision: it multiplies in float32 only.")


def torch_precision(precision: str) -> None:
    """Set the same for PyTorch, and let cuDNN try all its algorithms."""
    import torch

    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"
    torch.backends.cudnn.benchmark = True


def host(value: Any) -> np.ndarray:
    """Return a tensor of either side as float32 in the host's memory."""
    if hasattr(value, "detach"):
        return np.asarray(value.detach().float().cpu())
    return np.asarray(value.numpy(), np.float32)
