"""Training beside other programs that keep processors busy, gpudl and its peers in turns.

    python -m benchmarks.busy --json busy.json
    python -m benchmarks.busy --workload mnist-mlp --beside 0 1 --sides gpudl keras-tensorflow

A busy program is a process that counts and never waits. Each side trains one pass after the other side's, alone and
beside so many of them; its slowdown is the ratio of its own medians, so that fast and slow sides compare.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.children import SIDES, Child
from benchmarks.compare import Result, add_common, measure, run, show
from benchmarks.record import write
from benchmarks.workloads import WORKLOADS, Settings, chosen
from benchmarks.workloads.base import UNITS

NETWORKS = ("mnist-mlp", "mnist-cnn")
SETTLED = 0.5  # seconds after which the system has found places for the busy programs


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.busy", description="gpudl and its peers beside busy programs.")
    made.add_argument("--workload", action="append", default=[], choices=WORKLOADS, help="default: the tutorials' two")
    made.add_argument("--beside", type=int, nargs="+", default=[1, 2], help="busy programs (default 1 2); 0 is implied")
    made.add_argument("--images", type=int, default=6400, help="images in each training pass (default 6400)")
    made.add_argument("--seconds", type=float, default=0.6, help="shortest turn of a side (default 0.6)")
    add_common(made)
    return made


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` processes busy meanwhile."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(SETTLED if count else 0)
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def slowdowns(results: Mapping[int, Result]) -> dict[int, dict[str, float]]:
    """Return, by the number of busy programs, how many times as long each side takes as alone."""
    alone = results[0]["median_seconds"]
    return {
        count: {side: median / alone[side] for side, median in result["median_seconds"].items()}
        for count, result in results.items()
    }


def table(results: Mapping[str, Mapping[int, Result]]) -> Any:
    """Return a rich table: a row for each workload and number of busy programs, a column for each side."""
    from rich.table import Table

    sides = [side for side in SIDES if any(side in found[0]["median_seconds"] for found in results.values())]
    made = Table("", "beside", *sides, title="Median, and times the side's own when alone")
    for name, found in results.items():
        for count, times in slowdowns(found).items():
            unit = found[count]["unit"]
            cells = [
                f"{found[count]['median_seconds'][side] * UNITS[unit]:.3f} {unit}  {times[side]:.2f}x"
                if side in times
                else ""
                for side in sides
            ]
            made.add_row(name, f"{count} busy", *cells)
    return made


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure, print the table of slowdowns, and write the record."""
    options = parser().parse_args(arguments)
    options.reads_digits = True

    def each(children: dict[str, Child], settings: Settings) -> dict[str, Any]:
        settings = replace(settings, images=options.images)
        found: dict[str, dict[int, Result]] = {}
        for workload in chosen(options.workload or list(NETWORKS), []):
            found[workload.name] = {}
            for count in sorted({0, *options.beside}):
                print(workload.name, count, flush=True, file=sys.stderr)
                with busy(count):
                    found[workload.name][count] = measure(
                        workload, children, settings, rounds=options.rounds, seconds=options.seconds
                    )
        show(table(found))
        return {name: {"beside": one, "slowdown": slowdowns(one)} for name, one in found.items()}

    record = run(options, each)
    write(record, options.json)
    return record


if __name__ == "__main__":
    main()
