"""The cost of an image against the batch size and the width of the tutorial's convolutional network.

    python -m benchmarks.curves --json curves.json

The batch size varies at width 1, the width at the tutorial's batch size; the sides take turns as in
`benchmarks.compare`. A cliff shows as a jump of the microseconds an image, or of the ratio.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.children import Child
from benchmarks.compare import Result, add_common, measure, ratios, run, show, table
from benchmarks.record import write
from benchmarks.workloads import WORKLOADS, Settings
from benchmarks.workloads.networks import BATCH_SIZES

NETWORK = "mnist-cnn"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.curves", description="Cost against batch size and width.")
    sizes, widths = [16, 32, 64, 128, 256, 512, 1024], [1, 2, 3, 4]
    made.add_argument("--batch-sizes", type=int, nargs="*", default=sizes, metavar="N", help="default 16 to 1024")
    made.add_argument("--widths", type=int, nargs="*", default=widths, metavar="N", help="default 1 to 4")
    made.add_argument("--images", type=int, default=4096, help="images in each pass, cut to whole batches")
    add_common(made)
    made.set_defaults(sides=["gpudl", "torch-channels-last"], rounds=5, reads_digits=True)
    return made


def points(batch_sizes: Sequence[int], widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (batch size, width) along both curves, each once."""
    tutorial = BATCH_SIZES[NETWORK]
    yield from dict.fromkeys([*((size, 1) for size in batch_sizes), *((tutorial, width) for width in widths)])


def main(arguments: Sequence[str] | None = None) -> Result:
    """Measure every point of both curves, print the table, and write the record."""
    options = parser().parse_args(arguments)

    def each(children: dict[str, Child], settings: Settings) -> dict[str, Result]:
        results = {}
        for size, width in points(options.batch_sizes, options.widths):
            images = max(size, options.images // size * size)
            name = f"batch {size}, width {width}"
            print(name, flush=True, file=sys.stderr)
            at = replace(settings, images=images, batch_size=size, width=width)
            passes = measure(WORKLOADS[NETWORK], children, at, rounds=options.rounds)
            times = {side: [s / images for s in seconds] for side, seconds in passes["seconds"].items()}
            results[name] = {"batch_size": size, "width": width, "unit": "us/image", "seconds": times, **ratios(times)}
        return results

    record = run(options, each)
    show(table(record["workloads"]))
    write(record, options.json)
    return record


if __name__ == "__main__":
    main()
