"""What this machine can do at best: products of matrices, and copies inside its caches and its memory.

    python -m benchmarks.peaks

A kernel that needs F operations and moves B bytes takes at least max(F / peak, B / bandwidth) seconds: the roofline
of Williams, Waterman and Patterson, CACM 2009. NumPy's BLAS gives the peak. The bandwidth depends on how much is
moved: what fits a cache need not come from memory.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

SIZES = (512, 1024, 2048)
# Bytes of source and target together: for the second cache, the third, and the memory.
WORKING_SETS = (2**19, 2**23, 2**29)


@dataclass(frozen=True)
class Peaks:
    """Operations a second, and bytes read and written a second by the size of what is moved."""

    flops: float
    bandwidths: dict[int, float]

    def bandwidth(self, nbytes: float) -> float:
        """Return the bandwidth for `nbytes`: that of the smallest measured set that holds them."""
        return next((speed for size, speed in self.bandwidths.items() if nbytes <= size), self.slowest)

    @property
    def slowest(self) -> float:
        """The bandwidth of the memory."""
        return self.bandwidths[max(self.bandwidths)]

    def seconds(self, flops: float, nbytes: float) -> float:
        """Return the least time in which `flops` operations on `nbytes` bytes can be done."""
        return max(flops / self.flops, nbytes / self.bandwidth(nbytes))

    def rates(self, flops: float, nbytes: float, seconds: float) -> dict[str, float]:
        """Return what a kernel reached in `seconds`: GFLOP/s, GB/s and the share of what is possible."""
        return {
            "gflops": flops / seconds / 1e9,
            "gbytes": nbytes / seconds / 1e9,
            "share": self.seconds(flops, nbytes) / seconds,
        }


def cores() -> int:
    """Return the number of threads that a BLAS takes here by itself."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("OMP_NUM_THREADS") or usable)


def best(call: Callable[[], Any], seconds: float) -> float:
    """Return the shortest time of a call, from as many as fit in `seconds`, and three at least."""
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def sgemm(size: int, seconds: float = 0.5) -> float:
    """Return the operations a second of a product of two float32 matrices (size, size)."""
    a, b, out = (np.ones((size, size), np.float32) for _ in range(3))
    return 2 * size**3 / best(lambda: np.matmul(a, b, out=out), seconds)


def copy(nbytes: int, seconds: float = 0.5) -> float:
    """Return the bytes read and written a second by all cores, each copying its part of a set of `nbytes`."""
    threads = cores()
    part = nbytes // 2 // threads
    repeats = max(1, 2**25 // part)
    # One call copies a part many times over, as one long element: the call itself must not count.
    sides = [[_repeated(part, repeats) for _ in range(2)] for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        took = best(lambda: list(pool.map(lambda side: np.copyto(*side), sides)), seconds)
    return 2 * part * threads * repeats / took


def _repeated(nbytes: int, repeats: int) -> Any:
    return as_strided(np.ones(nbytes, np.uint8).view(f"V{nbytes}"), (repeats,), (0,))


def measure(sizes: Sequence[int] = SIZES, working_sets: Sequence[int] = WORKING_SETS, seconds: float = 0.5) -> Peaks:
    """Return the peaks of this machine, as it is now: others who compute on it lower them."""
    speeds = {size: copy(size, seconds) for size in sorted(working_sets)}
    return Peaks(max(sgemm(size, seconds) for size in sizes), speeds)


def main(arguments: Sequence[str] | None = None) -> Peaks:
    """Measure, print, and write the record."""
    from benchmarks.record import circumstances, write

    made = argparse.ArgumentParser(prog="benchmarks.peaks", description="The peaks of this machine.")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    options = made.parse_args(arguments)
    found = measure()
    print(f"sgemm {found.flops / 1e9:.1f} GFLOP/s on {cores()} threads")
    for size, speed in found.bandwidths.items():
        print(f"copy within {size / 2**20:g} MiB {speed / 1e9:.1f} GB/s (read and written)")
    write({**circumstances(), "threads": cores(), "peaks": asdict(found)}, options.json)
    return found


if __name__ == "__main__":
    main()
