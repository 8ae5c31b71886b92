"""What nvcc makes of every `.cu` file is recorded, is within the limits, and is of the files as they are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from gpudl.kernels.cuda import launch

from cuda_cpu import kinds, registers

FOLDER = Path(launch.__file__).parent
FILES = sorted(path.name for path in FOLDER.glob("*.cu"))


@pytest.fixture(scope="module")
def table() -> Any:
    return registers.load()


def variants(table: Any, file: str) -> list[kinds.Variant]:
    return [variant for variant in map(kinds.parse, table["uses"]) if variant[0] == file]


@pytest.mark.parametrize("file", FILES)
def test_the_table_has_every_kernel_within_the_limits(file: str, table: Any) -> None:
    kernels = set(re.findall(r'"C" __global__ void (?:__launch_bounds__\([\w, ]+\)\s+)?(\w+)\(', launch.source(file)))
    assert variants(table, file), f"{file} is not in the table: python -m cuda_cpu.registers writes it"
    for variant in variants(table, file):
        uses = table["uses"][" ".join(variant)]
        kernels -= set(uses)
        assert all(set(use) == set(map(str, kinds.architectures(variant))) for use in uses.values())
        assert registers.faults(variant, uses, table["reasons"]) == []
    assert not kernels, "not in the table"


def test_the_table_has_every_tile_with_every_dtype(table: Any) -> None:
    wanted = kinds.tile_variants()
    assert len(wanted) == len(kinds.PRODUCTS) * (2 * 4 + 4 + 2 + 3 * 6)  # 16 bits, float32, float64, tensor cores
    assert {" ".join(variant) for variant in (*wanted, *kinds.more_variants())} <= set(table["uses"])


@pytest.mark.parametrize("file", FILES)
def test_the_table_is_of_the_files_as_they_are(file: str, table: Any) -> None:
    assert table["files"].get(file) == registers.digest(file), (
        f"{file}, or what it includes, is not what {registers.TABLE.name} was measured with. Where nvcc is, "
        "`python -m cuda_cpu.registers`, in the folder tests, measures it anew; look then at what became of them."
    )


@pytest.mark.parametrize("part", sorted(path.name for path in FOLDER.glob("*.cu*")))
def test_a_digest_tells_a_change_of_a_file_and_of_what_it_includes(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(by: str) -> set[str]:
        (tmp_path / part).write_text((FOLDER / part).read_text(encoding="utf-8") + by, encoding="utf-8")
        return {file for file in FILES if registers.digest(file) != before[file]}

    before = {file: registers.digest(file) for file in FILES}
    for path in FOLDER.glob("*.cu*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(launch, "__file__", str(tmp_path / "launch.py"))
    monkeypatch.setattr(launch, "source", launch.source.__wrapped__)  # which keeps no text
    including = re.compile(rf'^#include "{re.escape(part)}"', re.MULTILINE)
    direct = {file for file in FILES if file == part or including.search((FOLDER / file).read_text(encoding="utf-8"))}
    assert direct <= changed("\n__device__ int more;\n")
    assert changed("\n__device__ int more;\n")
    assert not changed("\n\n// a comment\n")


def test_what_is_measured_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one, other, gone = ("norm.cu", "-DA=1"), ("loss.cu", "-DA=1"), ("norm.cu", "-DA=2")
    use = {"kernel": {"90": [32, 0, 0]}}
    measured: list[Any] = []

    def measure(variant: kinds.Variant) -> Any:
        measured.append(variant)
        return use

    monkeypatch.setattr(registers, "TABLE", tmp_path / "registers.json")
    monkeypatch.setattr(registers, "release", lambda: "13.0")
    monkeypatch.setattr(registers, "measure", measure)
    monkeypatch.setattr(registers, "used_variants", lambda: [one, other])
    registers.save({one: use, gone: use}, {})
    assert registers.main([]) == 0
    assert measured == [other], "what is not in the table"
    assert set(registers.load()["uses"]) == {"norm.cu -DA=1", "loss.cu -DA=1"}
    digest = registers.digest
    monkeypatch.setattr(registers, "digest", lambda file: "another" if file == "norm.cu" else digest(file))
    assert registers.main([]) == 0
    assert measured == [other, one], "what has changed"
    monkeypatch.setattr(registers, "release", lambda: "13.1")
    assert registers.main([]) == 0
    assert measured[2:] == [one, other], "another nvcc"
    assert registers.main(["--all"]) == 0
    assert measured[4:] == [one, other]


def test_a_check_says_what_differs_from_the_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use = {"kernel": {"90": [32, 0, 0]}}
    monkeypatch.setattr(registers, "TABLE", tmp_path / "registers.json")
    monkeypatch.setattr(registers, "release", lambda: "13.0")
    registers.save({("norm.cu", "-DA=1"): use}, {})
    before = registers.TABLE.read_text()
    for found, sentence in (
        (use, ""),
        ({"kernel": {"90": [33, 0, 0]}}, "norm.cu -DA=1: nvcc says {'kernel': {'90': [33, 0, 0]}}, recorded is"),
        ({"kernel": {"90": [32, 8, 0]}}, "kernel of norm.cu -DA=1 needs 32 registers and spills 8 bytes on sm_90."),
    ):
        monkeypatch.setattr(registers, "measure", lambda variant, found=found: found)
        assert registers.main(["--check", "1"]) == bool(sentence)
        assert sentence in capsys.readouterr().out
    assert registers.TABLE.read_text() == before


def test_what_is_over_a_limit_needs_a_reason() -> None:
    uses = {"slow": {"80": [200, 0, 0]}, "good": {"80": [128, 0, 0]}, "spilled": {"90": [128, 8, 0]}}
    found = registers.faults(("a.cu", "-DGPUDL_REAL=FLOAT32"), uses, {"spilled FLOAT32": "it is rare"})
    assert found == [
        "slow of a.cu -DGPUDL_REAL=FLOAT32 needs 200 registers and spills 0 bytes on sm_80. Let a thread do less, or "
        "give a reason in registers.json."
    ]
