"""What nvcc makes of the kernels: registers, spilled bytes and static shared memory, as recorded in `registers.json`.

    python -m cuda_cpu.registers                # in the folder `tests`: measures the files whose text has changed
    python -m cuda_cpu.registers --all          # measures every kind of every file
    python -m cuda_cpu.registers --check 6      # measures six kinds, others each time, and compares the record

Beside the figures the record has a digest of each file's text: as long as it is the same, so are the figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gpudl.kernels.cuda import launch

from cuda_cpu.kinds import Variant, architectures, parse, tile_of, used_variants

TABLE = Path(__file__).with_name("registers.json")
MOST_REGISTERS = 128
Use = list[int]
"""Registers of a thread, bytes that it spills, and bytes of static shared memory."""
Uses = dict[str, dict[str, Use]]
"""By kernel and by architecture."""

_COMMENT = re.compile(r"//.*")
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)'")
_SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


def release() -> str:
    """Return nvcc's version."""
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"release [\d.]+, V([\d.]+)", said)[0]


def digest(file: str) -> str:
    """Return a digest of what nvcc is given of a `.cu` file: with what it includes, without comments and spaces."""
    words = _COMMENT.sub("", launch.source(file)).split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def measure(variant: Variant) -> Uses:
    """Compile a kind of a `.cu` file for its architectures; fails where nvcc refuses it or warns."""
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


def load() -> dict[str, Any]:
    """Return the recorded table: nvcc's version, digests of files, the uses of each variant, and reasons.

    A reason is for what is over a limit.
    """
    table: dict[str, Any] = json.loads(TABLE.read_text())
    return table


def known(table: Mapping[str, Any]) -> dict[Variant, Uses]:
    """Return what the table has of files whose text is still what was measured, by the nvcc that is here."""
    uses = {parse(line): of_line for line, of_line in table["uses"].items()} if release() == table["nvcc"] else {}
    now = {file: digest(file) for file in {variant[0] for variant in uses} & set(table["files"])}
    return {variant: each for variant, each in uses.items() if now.get(variant[0]) == table["files"].get(variant[0])}


def save(uses: Mapping[Variant, Uses], reasons: Mapping[str, str]) -> None:
    """Write the table, a line for each kernel of a variant."""
    blocks = []
    for variant in sorted(uses):
        lines = ",\n".join(f"   {json.dumps(name)}: {json.dumps(use)}" for name, use in sorted(uses[variant].items()))
        blocks.append(f"  {json.dumps(' '.join(variant))}: {{\n{lines}\n  }}")
    files = {file: digest(file) for file in sorted({variant[0] for variant in uses})}
    head = {"nvcc": release(), "files": files, "reasons": dict(reasons)}
    lines = "".join(f" {json.dumps(name)}: {json.dumps(value, indent=2)},\n" for name, value in head.items())
    TABLE.write_text("{\n" + lines + ' "uses": {\n' + ",\n".join(blocks) + "\n }\n}\n")


def faults(variant: Variant, uses: Uses, reasons: Mapping[str, str]) -> list[str]:
    """Say which kernels need too many registers or spill some, without a reason for that dtype in the table.

    For a tile the reason names its size too: "matmul FLOAT16 128x64x64"; for attention that of a head.
    """
    said = []
    real = next((option.partition("GPUDL_REAL=")[2] for option in variant if "GPUDL_REAL=" in option), "")
    tile = tile_of(variant)
    heads = [option.partition("=")[2] for option in variant if "GPUDL_HEAD=" in option]
    kind = " ".join([real, f"{tile.m}x{tile.n}x{tile.k}"] if tile else [real, *heads])
    for kernel, by_arch in uses.items():
        for arch, (registers, spilled, _) in by_arch.items():
            if (registers > MOST_REGISTERS or spilled) and f"{kernel} {kind}" not in reasons:
                said.append(
                    f"{kernel} of {' '.join(variant)} needs {registers} registers and spills {spilled} bytes on "
                    f"sm_{arch}. Let a thread do less, or give a reason in {TABLE.name}."
                )
    return said


def record(everything: bool) -> list[str]:
    """Measure what has changed, or everything, write the table, and return what is over a limit."""
    table, wanted = load(), used_variants()
    kept = {} if everything else {each: uses for each, uses in known(table).items() if each in wanted}
    measured = kept | measure_all(each for each in wanted if each not in kept)
    print(f"{len(measured) - len(kept)} of {len(measured)} kinds measured, the others are as they were")
    save(measured, table["reasons"])
    return [fault for each, uses in measured.items() for fault in faults(each, uses, table["reasons"])]


def check(count: int) -> list[str]:
    """Measure some kinds of the table; return how what nvcc says differs from it, and what is over a limit."""
    table, same = load(), known(load())
    measured = measure_all(random.sample([parse(line) for line in table["uses"]], count))
    print(f"{count} of {len(table['uses'])} kinds measured: {', '.join(' '.join(each) for each in measured)}")
    said = [fault for each, uses in measured.items() for fault in faults(each, uses, table["reasons"])]
    for each, uses in measured.items():
        if uses != same.get(each, uses):
            said.append(f"{' '.join(each)}: nvcc says {uses}, recorded is {same[each]}")
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Record or check; the exit status is 1 where something is over a limit or not what is recorded."""
    made = argparse.ArgumentParser(prog="cuda_cpu.registers")
    made.add_argument("--all", action="store_true", help="measure what has not changed, too")
    made.add_argument("--check", type=int, metavar="N", help="write nothing: compare N kinds with the record")
    given = made.parse_args(arguments)
    said = check(given.check) if given.check else record(given.all)
    print("\n".join(said))
    return 1 if said else 0


if __name__ == "__main__":
    raise SystemExit(main())
