"""The proof with a card, in one command.

    python -m benchmarks.gpu --data mnist.npz --out FOLDER
    python -m benchmarks.gpu --out FOLDER --only bandwidth --only tiles --quick
    python -m benchmarks.gpu --from FOLDER/gpu-CARD-DATE.jsonl

Sections run one after the other, each in processes of its own and with a limit of time, the most important first. What
a section finds is written to a file of JSON lines as it comes; a part that fails is noted with its traceback, and the
rest goes on. The record with the claims is written anew after each section, and when the run is told to end (SIGTERM);
of a run that was killed ``--from`` makes it. The exit status is 0 when everything ran, whether or not every claim was
reached.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gpu import summary
from benchmarks.gpu.checkout import importable
from benchmarks.gpu.parts import Options, Section
from benchmarks.gpu.runner import beside, run
from benchmarks.gpu.sections import SECTIONS
from benchmarks.record import write

_AT_THE_END = 5.0  # seconds that are left to write the record


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.gpu", description="The proof with a card, in one command.")
    made.add_argument("--data", metavar="FILE", help="an mnist.npz; without it nothing is trained on digits")
    made.add_argument("--minutes", type=float, default=5.0, help="the most that all takes (default 5)")
    made.add_argument("--only", action="append", default=[], choices=SECTIONS, help="a section; may be repeated")
    made.add_argument("--quick", action="store_true", help="fewer repeats and smaller sizes")
    made.add_argument(
        "--out", metavar="FOLDER", help="where the record is written; of a machine that is lent, what comes back"
    )
    made.add_argument("--from", metavar="FILE.jsonl", dest="lines", help="run nothing: make the record of what came")
    made.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help=argparse.SUPPRESS)
    made.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    return made


class Stopped(BaseException):
    """The run has been told to end."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM raise `Stopped` in a ``with`` block."""

    def stop(number: int, frame: Any) -> None:
        raise Stopped(f"stopped by {signal.Signals(number).name}")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


class Log:
    """The lines of a run, in memory and in a file, and its record beside it.

    Args:
        file: of the lines; the record has the same name with ``.json``.
    """

    def __init__(self, file: Path) -> None:
        self.record = file.with_suffix(".json")
        self._out = file.open("x", encoding="utf-8")
        self._lines: list[summary.Line] = []

    def note(self, line: summary.Line) -> None:
        """Write a line; say on standard error how a part ended."""
        self._lines.append(line)
        self._out.write(json.dumps(line, default=str) + "\n")
        self._out.flush()
        if "part" in line and "key" not in line:
            print(f"  {line['part']}: {summary.outcome(line)}", file=sys.stderr, flush=True)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: object) -> None:
        self._out.close()

    def write(self) -> dict[str, Any]:
        """Write the record of what has been found by now, and return it."""
        made = summary.record(self._lines)
        write(made, str(self.record))
        return made


def sections(chosen: Mapping[str, Section], options: Options, minutes: float, log: Log) -> None:
    """Run sections until all are done or the time is over."""
    deadline = time.monotonic() + 60 * minutes - _AT_THE_END
    with ExitStack() as stack:
        variables = stack.enter_context(importable())
        variables["GPUDL_BACKEND"] = "cupy" if options.device == "cuda" else "numpy"
        if options.device == "cuda" and "agree" in chosen:  # which waits for the CPU's kernels
            stack.enter_context(beside("benchmarks.gpu.compiling", variables))
        for name, section in chosen.items():
            left = deadline - time.monotonic()
            print(f"{name}: {section.about} ({left:.0f} s left)", file=sys.stderr, flush=True)
            found = run(name, section, options, log.note, seconds=left, variables=variables)
            log.write()
            if name == "probe" and "error" in found.get("usable", {}):
                break  # without a GPU the rest would say the same many times


def checked(made: argparse.ArgumentParser, given: argparse.Namespace) -> Path:
    """Return the folder for the record; end with a sentence where an argument does not do."""
    if given.data and not Path(given.data).is_file():
        made.error(f"--data: there is no file {Path(given.data).resolve()}.")
    if not given.out:
        made.error(
            "--out FOLDER is needed: what is found is written there as it comes. On a machine that is lent, name the "
            "folder whose files come back."
        )
    folder = Path(given.out).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        made.error(f"--out: {folder} cannot be written to: {error.strerror}. Name another folder.")
    return folder


def again(made: argparse.ArgumentParser, file: Path) -> int:
    """Write and show the record of a run from its lines."""
    if not file.is_file():
        made.error(f"--from: there is no file {file}.")
    record = summary.record(summary.read(file))
    write(record, str(file.with_suffix(".json")))
    return 0 if summary.show(record) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proof; print the table, write the record, and return the exit status."""
    made = parser()
    given = made.parse_args(arguments)
    if given.lines:
        return again(made, Path(given.lines).resolve())
    folder = checked(made, given)
    chosen = {name: section for name, section in SECTIONS.items() if not given.only or name in given.only}
    size = "tiny" if given.tiny else "quick" if given.quick else "full"
    device, moment = card(), datetime.now(UTC)
    file = folder / f"gpu-{slug(device)}-{moment:%Y-%m-%d-%H%M%S}.jsonl"
    about = {"date": moment.isoformat(timespec="seconds"), "card": device, "size": size, "minutes": given.minutes}
    data = str(Path(given.data).resolve()) if given.data else None
    with Log(file) as log, stoppable():
        log.note({"head": {**about, "asked": list(chosen)}})
        try:
            sections(chosen, Options(data, size, given.device), given.minutes, log)
        except (Stopped, KeyboardInterrupt) as stop:
            log.note({"stopped": str(stop) or "stopped by the keyboard"})
        everything = summary.show(log.write())
    print(f"the record is {log.record}, the lines are beside it")
    return 0 if everything else 1


if __name__ == "__main__":
    raise SystemExit(main())
