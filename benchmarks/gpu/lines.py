"""Run pytest on files, in several processes, and write down a line for each test as it ends.

    python -m benchmarks.gpu.lines LINES.jsonl tests/gpu -m gpu

A run that is stopped leaves the lines of the tests that had ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.children import ROOT, command

LONGEST = 12  # lines of an error that are kept


class Lines:
    """A plugin of pytest that writes what became of each test, and what it recorded, to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line, default=str) + "\n")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a line for a test that has run, or that failed before or after it, or was skipped."""
        if report.when == "call" or report.outcome != "passed":
            self._write(
                {
                    "test": report.nodeid,
                    "outcome": report.outcome if report.when == "call" or report.skipped else "error",
                    "seconds": round(report.duration, 3),
                    **({"recorded": dict(report.user_properties)} if report.user_properties else {}),
                    **({} if report.passed else {"said": _shortened(report.longrepr)}),
                }
            )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write a line for a file that could not be read, or that says that it cannot be run here."""
        if not report.passed:
            outcome = "error" if report.failed else "skipped"
            self._write({"test": report.nodeid, "outcome": outcome, "seconds": 0, "said": _shortened(report.longrepr)})


def _shortened(said: Any) -> str:
    if isinstance(said, tuple):  # file, line and reason of a skipped test
        return str(said[2])
    text = str(said).splitlines()
    errors = [line for line in text if line.startswith("E ")]
    return "\n".join([*errors[:LONGEST], *text[-2:]])


def run(
    groups: Sequence[Sequence[str]], folder: Path, seconds: float, variables: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Run pytest once for each group of arguments, all at the same time; return the lines of all tests.

    A group that has not ended in time is stopped, and gets a line that says so; so does one that a fault has ended.
    """
    environment = {**os.environ, **variables}
    processes = []
    for number, arguments in enumerate(groups):
        said = (folder / f"{number}.txt").open("w", encoding="utf-8")
        line = command("benchmarks.gpu.lines", str(folder / f"{number}.jsonl"), *arguments)
        processes.append(subprocess.Popen(line, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT))
        said.close()
    deadline = time.monotonic() + seconds
    lines: list[dict[str, Any]] = []
    for number, process in enumerate(processes):
        try:
            status = process.wait(max(deadline - time.monotonic(), 0.1))
            ended = "" if status in (0, 1, 5) else f"pytest ended with exit status {status}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ended = "stopped: its time was over"
        file = folder / f"{number}.jsonl"
        lines += map(json.loads, file.read_text(encoding="utf-8").splitlines() if file.exists() else ())
        if ended:
            last = (folder / f"{number}.txt").read_text(encoding="utf-8", errors="replace").splitlines()[-LONGEST:]
            test = " ".join(groups[number])
            lines.append({"test": test, "outcome": "error", "seconds": 0, "said": "\n".join([ended, *last])})
    return lines


def counts(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many tests had each outcome."""
    outcomes = [line["outcome"] for line in lines]
    return {outcome: outcomes.count(outcome) for outcome in ("passed", "failed", "error", "skipped")}


def failures(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the lines of the tests that did not pass."""
    return [line for line in lines if line["outcome"] in ("failed", "error")]


def main(arguments: Sequence[str]) -> int:
    """Run pytest with the plugin."""
    file, *given = arguments
    return int(
        pytest.main(
            [*given, "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"], plugins=[Lines(Path(file))]
        )
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
