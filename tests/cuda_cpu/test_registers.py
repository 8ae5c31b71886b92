"""nvcc compiles every `.cu` file for every architecture, within the limits, to what the recorded table says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from gpudl.kernels.cuda import launch

from cuda_cpu import registers

FILES = sorted(path.name for path in Path(launch.__file__).parent.glob("*.cu"))


@pytest.fixture(scope="module")
def table() -> Any:
    return registers.load()


def variants(table: Any, file: str) -> list[registers.Variant]:
    return [variant for variant in map(registers.parse, table["uses"]) if variant[0] == file]


def one(table: Any, file: str) -> registers.Variant:
    """Return the variant of a file that is compiled here: the one of float32, if there is one."""
    return min(variants(table, file), key=lambda variant: ("-DGPUDL_REAL=FLOAT32" not in variant, variant))


@pytest.fixture(scope="module")
def measured(table: Any) -> dict[registers.Variant, registers.Uses]:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed")
    return registers.measure_all(one(table, file) for file in FILES)


@pytest.mark.parametrize("file", FILES)
def test_the_table_has_every_kernel_within_the_limits(file: str, table: Any) -> None:
    kernels = set(re.findall(r'"C" __global__ void (?:__launch_bounds__\([\w, ]+\)\s+)?(\w+)\(', launch.source(file)))
    assert variants(table, file), f"{file} is not in the table: python -m cuda_cpu.registers writes it"
    for variant in variants(table, file):
        uses = table["uses"][" ".join(variant)]
        kernels -= set(uses)
        assert all(set(use) == set(map(str, registers.architectures(variant))) for use in uses.values())
        assert registers.faults(variant, uses, table["reasons"]) == []
    assert not kernels, "not in the table"


def test_the_table_has_every_tile_with_every_dtype(table: Any) -> None:
    wanted = registers.tile_variants()
    assert len(wanted) == len(registers.PRODUCTS) * (2 * 4 + 4 + 2 + 3 * 6)  # 16 bits, float32, float64, tensor cores
    assert {" ".join(variant) for variant in wanted} <= set(table["uses"])


@pytest.mark.parametrize("file", FILES)
def test_nvcc_says_what_is_recorded(file: str, table: Any, measured: Any) -> None:
    variant = one(table, file)
    assert registers.faults(variant, measured[variant], table["reasons"]) == []
    if registers.release() == table["nvcc"]:
        recorded = table["uses"][" ".join(variant)]
        assert measured[variant] == recorded, "record them anew: python -m cuda_cpu.registers, in the folder tests"


def test_what_is_over_a_limit_needs_a_reason() -> None:
    uses = {"slow": {"80": [200, 0, 0]}, "good": {"80": [128, 0, 0]}, "spilled": {"90": [128, 8, 0]}}
    found = registers.faults(("a.cu", "-DGPUDL_REAL=FLOAT32"), uses, {"spilled FLOAT32": "it is rare"})
    assert found == [
        "slow of a.cu -DGPUDL_REAL=FLOAT32 needs 200 registers and spills 0 bytes on sm_80. Let a thread do less, or "
        "give a reason in registers.json."
    ]
