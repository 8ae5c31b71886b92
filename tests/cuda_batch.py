"""Compiling many generated kernels as one source: g++ takes longer to start than to compile one of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import cuda_cpu
import pytest
from gpudl.kernels.cuda import elementwise, program
from strict_cupy.raw import RawKernel

Key = tuple[str, str, int]


def assembled(keys: list[Key]) -> str:
    """Return one source with a kernel `run0`, `run1`, ... for each text, index type and width."""
    headers: dict[str, None] = {}
    common, bodies = "", []
    for number, (text, index, width) in enumerate(keys):
        headers |= dict.fromkeys(re.findall(r"^#include <cuda_\w+.h>\n", text.split("//")[0], re.M))
        shared, body = text.split(program.BEGIN)
        common = re.sub(r"\A(#include <cuda_\w+.h>\n)+", "", shared)
        body = body.replace("GPUDL_WIDTH", str(width)).replace("Index", f"{index.split()[0]}_index")
        body = re.sub(r"\bat(?=[<(])", f"at{number}", body)
        bodies.append(re.sub(r"\bvoid run_\w+\(", f"void run{number}(", body))
    names = "typedef int int_index;\ntypedef long long long_index;\n"
    return "".join(headers) + common + names + "\n".join(bodies)


class Batch:
    """Stands in for the compiler: first it notes what is wanted, then it has all of it."""

    def __init__(self) -> None:
        self.wanted: dict[Key, None] = {}
        self.kernels: dict[Key, Any] = {}

    def __call__(self, text: str, index: str = "int", width: int = 1) -> Any:
        key = (text, index, width)
        if self.kernels:
            return self.kernels[key]
        self.wanted[key] = None
        return lambda *args: None

    def build(self) -> None:
        """Compile what is wanted."""
        keys = list(self.wanted)
        macros = {"GPUDL_REAL": "FLOAT32", "GPUDL_INDEX": "long long"}
        module = cuda_cpu.build(assembled(keys), macros)
        self.kernels = {key: RawKernel(module, f"run{number}") for number, key in enumerate(keys)}


def twice(work: Callable[[], Any]) -> Any:
    """Call `work` once to see which kernels it wants, and again with them; return what it returns then."""
    batch = Batch()
    with pytest.MonkeyPatch.context() as patch:
        for module in (elementwise, program):
            patch.setattr(module, "compile_run", batch)
        work()
        batch.build()
        return work()
