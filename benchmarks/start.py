"""From the start of a process to the first finished training step of the tutorial's convolutional network.

    python -m benchmarks.start --json start.json

The first start ever finds an empty cache of compiled kernels, the later ones what it left. Each start is split: until
the framework is imported, until the images are ready, until the step is done. Files of the packages lie in the
system's cache in all of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.children import PEERS, SIDES, Child, answers, digits_file, usable

MARKS = ("imported", "images ready", "first step")
NETWORK = "mnist-cnn"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.start", description="Process start to first finished step.")
    made.add_argument("--starts", type=int, default=5, help="starts after the first (default 5)")
    made.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="default: all that are installed")
    made.add_argument("--data", metavar="FILE", help="an mnist.npz to read instead of looking for one")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    made.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    return made


def work(side: str, data: str) -> None:
    """Do what a user's program does until its first step is done, and say when each part is."""
    pipe = answers()

    def done(mark: str) -> None:
        pipe.write(json.dumps(mark) + "\n")

    importlib.import_module(side.partition("-")[0])
    done("imported")
    from benchmarks.workloads.base import Settings
    from benchmarks.workloads.networks import BATCH_SIZES, EPOCHS, digits

    x, y = digits(NETWORK, Settings(data=data, images=60_000))
    done("images ready")
    first = slice(BATCH_SIZES[NETWORK])
    EPOCHS[side](NETWORK, x[first], y[first], Settings()).call()
    done("first step")


def start(side: str, data: str, cache: str | None = None) -> dict[str, float]:
    """Start a side's program; return the seconds from there to each mark.

    `cache` is a folder for the kernels that Numba compiles; None is where they usually are.
    """
    variables = {} if cache is None else {"NUMBA_CACHE_DIR": cache}
    begin = time.perf_counter()
    with Child("benchmarks.start", side, "--data", data, variables=variables) as child:
        return {child.read(): time.perf_counter() - begin for _ in MARKS}


def measure(side: str, data: str, starts: int) -> dict[str, Any]:
    """Return the seconds of a side's first start ever, of the later ones, and the medians of these."""
    with tempfile.TemporaryDirectory() as cache:
        first = start(side, data, cache)
        later = [start(side, data, cache) for _ in range(starts)]
    return {
        "first": first,
        "later": later,
        "median_later": {mark: statistics.median(one[mark] for one in later) for mark in MARKS},
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure every side, print a table, and write the record."""
    options = parser().parse_args(arguments)
    if options.worker:
        work(options.worker, options.data)
        return {}
    from rich.table import Table

    from benchmarks.compare import show
    from benchmarks.record import circumstances, write

    record: dict[str, Any] = {**circumstances(*PEERS), "network": NETWORK, "sides": {}}
    made = Table("", "start", *MARKS, title="Seconds from the start of the process")
    with digits_file(options.data) as data:
        for side in usable(options.sides):
            found = record["sides"][side] = measure(side, data, options.starts)
            for name, key in (("first ever", "first"), ("later", "median_later")):
                made.add_row(side, name, *(f"{found[key][mark]:.2f}" for mark in MARKS))
    show(made)
    write(record, options.json)
    return record


if __name__ == "__main__":
    main()
