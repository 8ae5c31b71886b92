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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.children import ROOT, command

LONGEST = 12  # lines of an error that are kept
OFTEN = 1.0  # seconds between two looks at what has been written


class Lines:
    """A plugin of pytest that writes what became of each test, and what it recorded, to a file.

    ``--share 3/8`` leaves out all tests but every 8th, from the one on that has number 3.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """Add the option."""
        parser.addoption("--share", default="0/1")

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep a share of the tests."""
        first, by = map(int, config.getoption("--share").split("/"))
        items[:] = items[first::by]

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
) -> Iterator[list[dict[str, Any]]]:
    """Run pytest once for each group of arguments, all at the same time; yield the lines so far, at last all of them.

    A group that has not ended in time is stopped, and gets a line that says so; so does one that a fault has ended.
    """
    environment = {**os.environ, **variables}
    processes = []
    for number, arguments in enumerate(groups):
        with (folder / f"{number}.txt").open("w", encoding="utf-8") as said:
            line = command("benchmarks.gpu.lines", str(folder / f"{number}.jsonl"), *arguments)
            processes.append(subprocess.Popen(line, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT))
    deadline = time.monotonic() + seconds
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(min(OFTEN, max(deadline - time.monotonic(), 0.01)))
        yield _written(folder)
    ended = []
    for number, process in enumerate(processes):
        if process.poll() is None:
            process.kill()
            process.wait()
            fault = "stopped: its time was over"
        else:
            fault = "" if process.returncode in (0, 1, 5) else f"pytest ended with exit status {process.returncode}"
        if fault:
            last = (folder / f"{number}.txt").read_text(encoding="utf-8", errors="replace").splitlines()[-LONGEST:]
            said = "\n".join([fault, *last])
            ended.append({"test": " ".join(groups[number]), "outcome": "error", "seconds": 0, "said": said})
    yield [*_written(folder), *ended]


def _written(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of all groups; the last of each may be half written."""
    lines = []
    for file in sorted(folder.glob("*.jsonl")):
        whole = file.read_text(encoding="utf-8").rpartition("\n")[0]
        lines += [json.loads(line) for line in whole.splitlines()]
    return lines


def counts(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many tests had each outcome."""
    outcomes = [line["outcome"] for line in lines]
    return {outcome: outcomes.count(outcome) for outcome in ("passed", "failed", "error", "skipped")}


def failures(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the lines of the tests that did not pass."""
    return [line for line in lines if line["outcome"] in ("failed", "error")]


# Tests are shared out by their number: no process may have an order of its own.
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--continue-on-collection-errors")


def main(arguments: Sequence[str]) -> int:
    """Run pytest with the plugin."""
    file, *given = arguments
    return int(pytest.main([*given, *OPTIONS], plugins=[Lines(Path(file))]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
