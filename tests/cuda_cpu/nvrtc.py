"""Compile what the launchers ask CuPy for with NVRTC, by CuPy's own code and options; no GPU is needed.

    python -m cuda_cpu.nvrtc          # in the folder `tests`, where cupy-cuda13x and CUDA's compiler are installed

The sources are those of every call of the op contract's cases, and every tile with every dtype. Kernels of one file are
compiled together, as no launcher does it: that takes a third of the time and shows the same errors.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

ARCHITECTURE = "90"
PROCESSES = 2
Source = tuple[str, tuple[str, ...]]
"""A text, and the options of its compiler."""


class Nothing:
    """Stands in for a kernel: a launch computes nothing."""

    max_dynamic_shared_size_bytes = 2**30

    def __call__(self, *args: Any, **given: Any) -> None:
        """Accept a launch."""


@contextmanager
def noted() -> Iterator[dict[Source, str]]:
    """Let launchers get kernels that do nothing, and note each source with the name of the first kernel asked of it."""
    from gpudl.kernels.cuda import launch

    found: dict[Source, str] = {}

    def make(text: str, options: tuple[str, ...], name: str) -> Nothing:
        kept = tuple(option for option in options if not option.startswith("-DGPUDL_ONLY"))
        found.setdefault((text, kept), name)
        return Nothing()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "make", make)
        yield found
    launch.forget()


def sources() -> dict[Source, str]:
    """Return every source that is compiled, with the name of a kernel in it."""
    from cuda_twins import Placed
    from gpudl.kernels import registry
    from gpudl.kernels.cuda import launch
    from strict_cupy import installed
    from test_cuda_twins import calls

    from cuda_cpu.registers import parse, tile_variants

    tiles = {(launch.source(file), ("--std=c++17", *macros)): file for file, *macros in tile_variants()}
    with installed(), noted() as found:
        for twin in itertools.chain.from_iterable(registry.twins("cuda").values()):
            for static, outs, inputs in calls(twin):
                twin.run(*(Placed(a).array for a in (*outs, *inputs)), **static)
    return {**found, **tiles}


def compiler() -> Any:
    """Return CuPy's own way from a source to machine code, which is called here without a driver.

    Of CuPy two things ask the driver: which device is the current one, whose architecture is given here, and the last
    step, loading what was compiled.
    """
    import cupy
    from cupy._core import core
    from cupy.cuda import compiler as its, function

    class Module(function.Module):
        def load(self, binary: bytes) -> None:
            self.binary = binary

    its.function = type("function", (), {"Module": Module})
    its._get_arch_for_options_for_nvrtc = its._get_arch_for_options_for_nvrtc.__wrapped__
    version = ".".join(map(str, its._get_nvrtc_version()))

    def compile_one(text: str, options: Sequence[str], arch: str) -> bytes:
        made = core.compile_with_cache(text, tuple(options), arch=arch, prepend_cupy_headers=False)
        return bytes(made.binary)

    compile_one.__doc__ = f"CuPy {cupy.__version__} with NVRTC {version}"
    return compile_one
