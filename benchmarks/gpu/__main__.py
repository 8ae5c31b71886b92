"""The proof with a card, in one command.

    python -m benchmarks.gpu --data mnist.npz
    python -m benchmarks.gpu --only train --only kernels --quick

Sections run one after the other, each in processes of its own and with a limit of time, the most important first. What
a section finds is written to a file of JSON lines as it comes; a part that fails is noted with its traceback, and the
rest goes on. At the end stand a table of the claims and a record. The exit status is 0 when everything ran, whether or
not every claim was reached.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.children import ROOT
from benchmarks.gpu.checkout import importable
from benchmarks.gpu.claims import judged, table
from benchmarks.gpu.parts import Options, Section
from benchmarks.gpu.runner import run
from benchmarks.gpu.sections import SECTIONS


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.gpu", description="The proof with a card, in one command.")
    made.add_argument("--data", metavar="FILE", help="an mnist.npz; without it nothing is trained on digits")
    made.add_argument("--minutes", type=float, default=8.0, help="the most that all takes (default 8)")
    made.add_argument("--only", action="append", default=[], choices=SECTIONS, help="a section; may be repeated")
    made.add_argument("--quick", action="store_true", help="fewer repeats and smaller sizes")
    made.add_argument("--out", metavar="FOLDER", default=str(Path(ROOT) / "benchmarks/results"), help="for the record")
    made.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help=argparse.SUPPRESS)
    made.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    return made


def card() -> str:
    """Return the name of the first card as the driver knows it, without loading CUDA here."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "no card"
    return done.stdout.splitlines()[0].strip()


def slug(name: str) -> str:
    """Return a name as a part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def outcome(part: Mapping[str, Any]) -> str:
    """Return in a few words what became of a part."""
    seconds = f" in {part['seconds']:.1f} s" if "seconds" in part else ""
    if "error" not in part:
        return f"done{seconds}"
    return f"FAILED{seconds}: {str(part['error']).strip().splitlines()[-1][:150]}"


def sections(chosen: Mapping[str, Section], options: Options, minutes: float, lines: Path) -> dict[str, Any]:
    """Run sections until all are done or the time is over; return what was found by section and part."""
    deadline = time.monotonic() + 60 * minutes
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        out = stack.enter_context(lines.open("a", encoding="utf-8"))
        variables = stack.enter_context(importable())
        variables["GPUDL_BACKEND"] = "cupy" if options.device == "cuda" else "numpy"

        def note(line: dict[str, Any]) -> None:
            out.write(json.dumps(line) + "\n")
            out.flush()
            if "key" not in line:
                print(f"  {line['part']}: {outcome(line)}", file=sys.stderr, flush=True)

        for name, section in chosen.items():
            left = deadline - time.monotonic()
            print(f"{name}: {section.about} ({left:.0f} s left)", file=sys.stderr, flush=True)
            results[name] = run(name, section, options, note, seconds=left, variables=variables)
            if name == "probe" and "error" in results[name].get("usable", {}):
                break  # without a GPU the rest would say the same many times
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proof; print the table, write the record, and return the exit status."""
    given = parser().parse_args(arguments)
    data = str(Path(given.data).resolve()) if given.data else None
    if data and not Path(data).is_file():
        parser().error(f"--data: there is no file {data}.")
    chosen = {name: section for name, section in SECTIONS.items() if not given.only or name in given.only}
    size = "tiny" if given.tiny else "quick" if given.quick else "full"
    device, moment = card(), datetime.now(UTC)
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"gpu-{slug(device)}-{moment:%Y-%m-%d-%H%M%S}"
    results = sections(chosen, Options(data, size, given.device), given.minutes, folder / f"{stem}.jsonl")
    probed = results.get("probe", {}).get("usable", {}).get("found", {})
    record = {
        **{"date": moment.isoformat(timespec="seconds"), "card": device, "size": size, "minutes": given.minutes},
        **probed.get("circumstances", {}),
        "clocks": results.get("probe", {}).get("card", {}).get("found", {}).get("fields"),
        "claims": judged({} if size == "tiny" else results),  # what is tiny measures nothing
        "sections": results,
    }
    from benchmarks.compare import show
    from benchmarks.record import write

    write(record, str(folder / f"{stem}.json"))
    show(table(record["claims"], f"{device}, {moment:%Y-%m-%d}, {size}"))
    parts = {f"{name}/{part}": found for name, section in results.items() for part, found in section.items()}
    wrong = [f"{name}: {outcome(part)}" for name, part in parts.items() if "error" in part]
    missing = [name for name in chosen if name not in results]
    for line in [*wrong, *(f"{name}: not run" for name in missing)]:
        print(line)
    print(f"{len(parts) - len(wrong)} of {len(parts)} parts ran; the record is {folder / stem}.json")
    return 1 if wrong or missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
