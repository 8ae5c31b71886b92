"""What nvcc makes of the kernels: registers, spilled bytes and static shared memory, as recorded in `registers.json`.

`python -m cuda_cpu.registers`, in the folder `tests`, compiles every kind of kernel and writes the table. Which kinds
there are it learns from the launchers, which it lets make every call of the op contract's cases.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.cuda.tiles import Tile

TABLE = Path(__file__).with_name("registers.json")
ARCHITECTURES = (75, 80, 90, 100)
MOST_REGISTERS = 128
ROOM_OF_75 = 64 << 10  # bytes of shared memory that a block can have
PRODUCTS = ("matmul.cu", "conv2d.cu", "conv2d_input_grad.cu", "conv2d_weight_grad.cu")
Variant = tuple[str, ...]
"""A `.cu` file and the macros that a launcher gives to it, as options of the compiler."""
Use = list[int]
"""Registers of a thread, bytes that it spills, and bytes of static shared memory."""
Uses = dict[str, dict[str, Use]]
"""By kernel and by architecture."""

_ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)'")
_SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


def release() -> str:
    """Return nvcc's version."""
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"release [\d.]+, V([\d.]+)", said)[0]


def architectures(variant: Variant) -> list[int]:
    """Return for which cards a kind is compiled.

    Tensor cores multiply more than float16 from sm_80 on, and sm_75 has no room for the larger tiles; without tensor
    cores 16 bits are multiplied before sm_80 alone.
    """
    tile = tile_of(variant)
    if tile is None:
        return list(ARCHITECTURES)
    if tile.tensor:
        fits = "-DGPUDL_REAL=FLOAT16" in variant and tile.shared_bytes(2, False, False) <= ROOM_OF_75
        return [arch for arch in ARCHITECTURES if arch >= 80 or fits]
    short = any(f"-DGPUDL_REAL={real}" in variant for real in ("FLOAT16", "BFLOAT16"))
    return [arch for arch in ARCHITECTURES if arch < 80 or not short]


def tile_of(variant: Variant) -> Tile | None:
    """Return the tile that a kind computes, or None."""
    macros = dict(option[2:].split("=") for option in variant[1:])
    names = ("TILE_M", "TILE_N", "TILE_K", "PART_M", "PART_N", "STAGES", "TENSOR")
    if "GPUDL_TILE_M" not in macros:
        return None
    *sizes, tensor = (int(macros[f"GPUDL_{name}"]) for name in names)
    return Tile(*sizes, tensor=bool(tensor))


def measure(variant: Variant) -> Uses:
    """Compile a kind of a `.cu` file for its architectures; fails where nvcc refuses it or warns."""
    from gpudl.kernels.cuda import launch

    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / "unit.cu"
        unit.write_text(launch.source(variant[0]))
        command = ["nvcc", "-std=c++17", "-fatbin", "-Xptxas", "-v", "-o", f"{folder}/out", str(unit), *variant[1:]]
        for arch in architectures(variant):
            command += ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    uses: Uses = {}
    entries = list(_ENTRY.finditer(done.stderr))
    for entry, following in zip(entries, [*entries[1:], None], strict=True):
        text = done.stderr[entry.end() : following.start() if following else None]
        spilled = max((sum(map(int, each)) for each in _SPILLS.findall(text)), default=0)
        shared = sum(map(int, _SHARED.findall(text)))
        uses.setdefault(entry[1], {})[entry[2]] = [int(_USED.findall(text)[0]), spilled, shared]
    return uses


def measure_all(variants: Iterable[Variant]) -> dict[Variant, Uses]:
    """Measure with two compilers at a time."""
    variants = list(variants)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(variants, pool.map(measure, variants), strict=True))


def used_variants() -> list[Variant]:
    """Return what the launchers compile, for each kernel and dtype the kind that moves the most at a time."""
    from cuda_twins import Placed
    from gpudl.kernels import registry
    from gpudl.kernels.cuda import elementwise, launch, program
    from strict_cupy import installed
    from test_cuda_twins import calls

    found: dict[Any, set[Variant]] = {}

    def nothing(*args: Any, **given: Any) -> None: ...

    def note(text: str, title: str, name: str, options: Any = (), **macros: str | int) -> Any:
        kind = (title, *(f"-D{macro}={value}" for macro, value in macros.items()))
        found.setdefault((title, name, macros.get("GPUDL_REAL")), set()).add(kind)
        return nothing

    with installed(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "compiled", note)
        for module in (elementwise, program):  # whose kernels are in no file
            patch.setattr(module, "compile_run", lambda *args: nothing)
        for twins in registry.twins("cuda").values():
            for twin in twins:
                for static, outs, inputs in calls(twin):
                    twin.run(*(Placed(a).array for a in (*outs, *inputs)), **static)
    largest = {max(kinds, key=_size) for (title, *_), kinds in found.items() if title not in PRODUCTS}
    return sorted({*largest, *tile_variants()})


def tile_variants() -> list[Variant]:
    """Return what the products of `gemm.py` compile: every tile with every dtype, moved 16 bytes at a time."""
    from gpudl.kernels.cuda import gemm, launch, tiles
    from gpudl.kernels.geometry import Window
    from ml_dtypes import bfloat16
    from strict_cupy import installed

    found: list[Variant] = []
    window = Window((1, 1), (1, 1))

    def note(text: str, title: str, name: str, options: Any = (), **macros: str | int) -> Any:
        found.append((title, *(f"-D{macro}={value}" for macro, value in macros.items())))
        return found

    with installed(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "compiled", note)
        for dtype, tensor in itertools.product(("float16", bfloat16, "float32", "float64"), (False, True)):
            matrix, image = (np.empty(shape, dtype) for shape in ((64, 64), (1, 1, 64, 64)))
            filters = image.reshape(1, 1, 64, 64)
            for tile in () if tensor and dtype == "float64" else tiles.candidates(matrix.itemsize, tensor):
                patch.setattr(gemm, "choose", lambda *asked, tile=tile: (tile, 1))
                gemm.of_matrices(matrix, matrix, matrix).compiles(matrix, matrix, matrix)
                for product in (gemm.of_value, gemm.of_input, gemm.of_weights):
                    product(filters, image, filters, window).compiles(image, image, image)
    return sorted(set(found))


def _size(variant: Variant) -> tuple[int, Variant]:
    return sum(int(number) for option in variant for number in re.findall(r"=(\d+)$", option)), variant


def load() -> dict[str, Any]:
    """Return the recorded table: nvcc's version, the reasons for what is over a limit, and the uses of each variant."""
    table: dict[str, Any] = json.loads(TABLE.read_text())
    return table


def save(uses: Mapping[Variant, Uses], reasons: Mapping[str, str]) -> None:
    """Write the table, a line for each kernel of a variant."""
    blocks = []
    for variant in sorted(uses):
        lines = ",\n".join(f"   {json.dumps(name)}: {json.dumps(use)}" for name, use in sorted(uses[variant].items()))
        blocks.append(f"  {json.dumps(' '.join(variant))}: {{\n{lines}\n  }}")
    head = f' "nvcc": {json.dumps(release())},\n "reasons": {json.dumps(dict(reasons), indent=1)},\n "uses": {{\n'
    TABLE.write_text("{\n" + head + ",\n".join(blocks) + "\n }\n}\n")


def faults(variant: Variant, uses: Uses, reasons: Mapping[str, str]) -> list[str]:
    """Say which kernels need too many registers or spill some, without a reason for that dtype in the table.

    For a tile the reason names its size too: "matmul FLOAT16 128x64x64".
    """
    said = []
    real = next((option.partition("GPUDL_REAL=")[2] for option in variant if "GPUDL_REAL=" in option), "")
    tile = tile_of(variant)
    kind = f"{real} {tile.m}x{tile.n}x{tile.k}" if tile else real
    for kernel, by_arch in uses.items():
        for arch, (registers, spilled, _) in by_arch.items():
            if (registers > MOST_REGISTERS or spilled) and f"{kernel} {kind}" not in reasons:
                said.append(
                    f"{kernel} of {' '.join(variant)} needs {registers} registers and spills {spilled} bytes on "
                    f"sm_{arch}. Let a thread do less, or give a reason in {TABLE.name}."
                )
    return said


def parse(line: str) -> Variant:
    """Return the variant that a key of the table stands for; values of macros may hold spaces."""
    return tuple(re.split(r" (?=-D)", line))


if __name__ == "__main__":
    reasons = load()["reasons"] if TABLE.exists() else {}
    measured = measure_all(used_variants())
    save(measured, reasons)
    wrong = [fault for variant, uses in measured.items() for fault in faults(variant, uses, reasons)]
    sys.exit("\n".join(wrong) or None)
