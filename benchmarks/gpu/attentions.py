"""Attention on a GPU, forward and backward: gpudl's kernels, and PyTorch's fused ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.gpu.convolutions import repeated
from benchmarks.gpu.settings import OnDevice, gpudl_precision, torch_precision
from benchmarks.workloads.base import Work


@dataclass(frozen=True)
class Attended:
    """Self-attention of (batch, tokens, heads, width), each token seeing itself and those before it if `causal`."""

    name: str
    batch: int
    tokens: int
    heads: int
    width: int
    causal: bool = False

    def arrays(self) -> list[np.ndarray]:
        """Return queries, keys, values and a gradient of the result; large ones repeat themselves."""
        random, shape = np.random.default_rng(0), (self.batch, self.tokens, self.heads, self.width)
        return [np.resize(random.standard_normal(2**20 - 1, np.float32), shape) for _ in range(4)]


ATTENTIONS = (
    Attended("attention-128x64", 32, 128, 4, 64),
    Attended("attention-1024x64", 8, 1024, 12, 64, causal=True),
    Attended("attention-1024x128", 8, 1024, 8, 128, causal=True),
)
SMALL = Attended("attention-tiny", 1, 5, 2, 4, causal=True)
PASSES = ("forward", "training")


def gpudl_attention(case: Attended, way: str, dtype: str, settings: OnDevice) -> Work:
    """Return the value in gpudl, or the value and all gradients, as a recorded step."""
    import gpudl

    gpudl_precision(gpudl, settings.precision)
    variables = [gpudl.Variable(gpudl.ops.cast(gpudl.convert_to_tensor(a), dtype=dtype)) for a in case.arrays()]
    attention = partial(gpudl.ops.registry["attention"], scale=case.width**-0.5, causal=case.causal)

    def step(q: Any, k: Any, v: Any, g: Any) -> Any:
        out = attention(q, k, v)[0]
        return out if way == "forward" else sum(gpudl.ops.sum(each) for each in gpudl.grad(out, [q, k, v], seed=g))

    return repeated(partial(gpudl.traced(step).run, *variables), settings, "gpudl")


def torch_attention(case: Attended, way: str, dtype: str, settings: OnDevice) -> Work:
    """Return the same in PyTorch, on tensors whose heads come first, by whichever kernel it chooses."""
    import torch

    torch_precision(settings.precision)
    q, k, v, g = (
        torch.from_numpy(a).to(settings.device, getattr(torch, dtype)).transpose(1, 2).contiguous()
        for a in case.arrays()
    )
    for each in (q, k, v):
        each.requires_grad_(way == "training")

    def call() -> Any:
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=case.causal)
        return out if way == "forward" else sum(each.sum() for each in torch.autograd.grad(out, [q, k, v], g))

    return repeated(call, settings, "torch")
