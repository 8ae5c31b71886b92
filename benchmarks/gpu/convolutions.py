"""Large convolutions on a GPU, value and both gradients: gpudl's kernels, and cuDNN through PyTorch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.gpu.clock import wait
from benchmarks.gpu.settings import OnDevice, gpudl_precision, host, torch_precision
from benchmarks.workloads.base import Work
from benchmarks.workloads.convolutions import Convolution

CONVOLUTIONS = (
    Convolution("conv-56x56x64", 256, 56, 64, 64, padding="same"),
    Convolution("conv-28x28x128", 256, 28, 128, 128, padding="same"),
    Convolution("conv-14x14x256", 256, 14, 256, 256, padding="same"),
)
TINY = Convolution("conv-tiny", 2, 6, 4, 4, padding="same")
CALLS = 20  # a turn waits for the device once


def arrays(case: Convolution) -> list[np.ndarray]:
    """Return images, filters and a gradient of the output; large ones repeat themselves, which is drawn faster."""
    random = np.random.default_rng(0)
    return [np.resize(random.standard_normal(2**20 - 1, np.float32), shape) for shape in case.shapes]


def gpudl_convolution(case: Convolution, direction: str, dtype: str, settings: OnDevice) -> Work:
    """Return one direction in gpudl, as a recorded step of one op."""
    import gpudl

    gpudl_precision(gpudl, settings.precision)
    window = gpudl.layers.Conv2D(case.filters, case.kernel, padding=case.padding).window
    x, w, g = (gpudl.Variable(gpudl.ops.cast(gpudl.convert_to_tensor(a), dtype=dtype)) for a in arrays(case))
    ops = gpudl.ops.registry
    call = {
        "forward": lambda x, w, g: ops["conv2d"](x, w, window=window),
        "input-grad": lambda x, w, g: ops["conv2d_input_grad"](g, w, shape=case.shapes[0], window=window),
        "weight-grad": lambda x, w, g: ops["conv2d_weight_grad"](x, g, window=window),
    }[direction]
    run = partial(gpudl.traced(call).run, x, w, g)
    return repeated(run, settings, "gpudl")


def torch_convolution(case: Convolution, direction: str, dtype: str, settings: OnDevice) -> Work:
    """Return one direction in PyTorch, images and filters in channels_last memory."""
    import torch

    torch_precision(settings.precision)
    images, filters, gradient = (torch.from_numpy(a).to(settings.device, getattr(torch, dtype)) for a in arrays(case))
    x, g = (a.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) for a in (images, gradient))
    w = filters.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    form: Any = ([1, 1], [case.padded] * 2, [1, 1], False, [0, 0], 1)
    mask = [direction == "input-grad", direction == "weight-grad", False]

    def call() -> Any:
        with torch.no_grad():
            if direction == "forward":
                return torch.ops.aten.convolution(x, w, None, *form)
            return torch.ops.aten.convolution_backward(g, x, w, None, *form, mask)[mask.index(True)]

    return repeated(call, settings, "torch")


def repeated(call: Any, settings: OnDevice, side: str) -> Work:
    """Return many calls of `call` as one turn."""
    synchronize = wait(settings.device, side)

    def calls() -> Any:
        for _ in range(CALLS):
            result = call()
        synchronize()
        return result

    return Work(calls, CALLS, lambda result: float(np.abs(host(result)).mean()))
