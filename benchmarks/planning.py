"""How long it takes to record and plan a step that is a loop over time.

    python -m benchmarks.planning --json planning.json
    python -m benchmarks.planning --scan

The step goes through two stacked recurrent cells written with ops, back through all of it, and updates by Adam. The
inputs of the first cell are projected at once and sliced, so that the gradients of slices count too. Its time is split:
the call that records and plans it, and a replay. All that is measured should grow as the number of time steps does;
where the loop is one of `ops.scan`, and not one of Python, the time to plan it should not grow at all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gpudl
from gpudl import ops

LENGTHS = (28, 112, 200)
BATCH, FEATURES, UNITS = 32, 28, 64


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.planning", description="Planning a loop over time, by its length.")
    made.add_argument("--lengths", type=int, nargs="+", default=list(LENGTHS), help="time steps (default 28 112 200)")
    made.add_argument("--scan", action="store_true", help="let ops.scan go through time, not a Python loop")
    made.add_argument("--replays", type=int, default=10, help="replays, of which the median is taken (default 10)")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    return made


def loop(scan: bool = False) -> Callable[[Any], Any]:
    """Return a training step of two stacked recurrent cells; it takes x: (batch, time, features)."""
    noise = np.random.default_rng(0)

    def weight(*shape: int) -> gpudl.Variable:
        return gpudl.Variable((0.1 * noise.standard_normal(shape)).astype(np.float32))

    cells = [(weight(n, UNITS), weight(UNITS, UNITS), weight(UNITS)) for n in (FEATURES, UNITS)]
    variables = [variable for cell in cells for variable in cell]
    start = gpudl.convert_to_tensor(np.zeros((BATCH, UNITS), np.float32))
    optimizer = gpudl.optimizers.Adam()
    optimizer.build(variables)

    def cell(carry: Any, row: Any) -> Any:
        (_, u1, b1), (w2, u2, b2) = cells
        first, second = carry
        first = ops.tanh(row + ops.matmul(first, u1) + b1)
        second = ops.tanh(ops.matmul(first, w2) + ops.matmul(second, u2) + b2)
        return (first, second), None

    def step(x: Any) -> Any:
        projected, carry = ops.matmul(x, cells[0][0]), (start, start)
        if scan:
            carry, _ = ops.scan(cell, carry, ops.transpose(projected, (1, 0, 2)))
        else:
            for t in range(x.shape[1]):
                carry, _ = cell(carry, projected[:, t])
        _, second = carry
        loss = ops.mean(ops.square(second))
        optimizer.apply(gpudl.grad(loss, variables), variables)
        return loss

    return step


def measure(length: int, replays: int, scan: bool = False) -> dict[str, Any]:
    """Return the seconds of the first call and of a replay, and what the plan is made of."""
    x = np.random.default_rng(1).standard_normal((BATCH, length, FEATURES)).astype(np.float32)
    step = gpudl.traced(loop(scan))
    begin = time.perf_counter()
    step.run(x)
    first = time.perf_counter() - begin
    seconds = []
    for _ in range(replays):
        begin = time.perf_counter()
        step.run(x)
        seconds.append(time.perf_counter() - begin)
    (entry,) = step.entries.values()
    whole = (BATCH, length, UNITS)
    slices = (
        i for i in entry.plan.instructions if i.origin.endswith("gradient") and i.outs and i.outs[0].spec.shape == whole
    )
    replay = statistics.median(seconds)
    return {
        "length": length,
        "scan": scan,
        "planned": first - replay,
        "replay": replay,
        "recorded": len(entry.record.instructions),
        "instructions": len(entry.plan.instructions),
        "slices": sum(value.spec.nbytes for i in slices for value in {*i.ins, *i.outs}),
        "arena": int(entry.plan.arena.nbytes),
    }


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Measure each length, and print and return what was found."""
    options = parser().parse_args(arguments)
    measure(2, 1, options.scan)  # imports, and compiles what is not in the cache
    found = []
    for length in options.lengths:
        found.append(measure(length, options.replays, options.scan))
        print(
            "{length:4} time steps: planned in {planned:.2f} s, replayed in {replay:.4f} s, {recorded} instructions "
            "recorded, {instructions} planned, "
            "{slices} bytes for the gradients of slices, arena of {arena} bytes".format(**found[-1]),
            flush=True,
        )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=2)
    return found


if __name__ == "__main__":
    main()
