"""Every kernel of a training step beside what this machine can do at best.

    python -m benchmarks.roofline --network mnist-cnn --json roofline.json

The roof of a kernel is min(peak, intensity * bandwidth), where the intensity is operations a byte; `benchmarks.peaks`
says which bandwidth. Below the table stands the step beside its floor: the operations of its products, at the peak.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

import gpudl
from benchmarks import peaks
from benchmarks.record import circumstances, write
from benchmarks.workloads.networks import BATCH_SIZES, batch, keras_model

PRODUCTS = ("matmul", "conv2d")  # how the names of the ops begin that are bound by multiplications


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.roofline", description="A training step on the machine's roof.")
    made.add_argument("--network", choices=BATCH_SIZES, default="mnist-cnn")
    made.add_argument("--batch-size", type=int, help="images a step (default: the tutorial's)")
    made.add_argument("--width", type=int, default=1, help="times as many units and filters (default 1)")
    made.add_argument("--repeats", type=int, default=50, help="runs of each kernel, and of the step (default 50)")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    return made


def on_the_roof(rows: Sequence[Any], machine: peaks.Peaks) -> list[dict[str, Any]]:
    """Return the rows of a profile with their rates and their share of the roof."""
    return [
        {
            "op": row.op,
            "from": row.layer,
            "outs": row.outs,
            "kernel": row.kernel,
            "bytes": row.bytes,
            "flops": row.flops,
            "seconds": row.seconds,
            **machine.rates(row.flops, row.bytes, row.seconds),
        }
        for row in rows
    ]


def floor(rows: Sequence[Any], machine: peaks.Peaks) -> float:
    """Return the seconds in which the products of a step, with what is joined to them, could be done at the peak."""
    products = (row for row in rows if any(part.startswith(PRODUCTS) for part in row.op.split(" + ")))
    return float(sum(row.flops for row in products)) / machine.flops


def step_seconds(model: Any, x: np.ndarray, y: np.ndarray, repeats: int) -> float:
    """Return the median time of a step inside `fit`, by the callbacks' clock."""
    size = len(x)
    marks: list[float] = []
    clock = gpudl.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: marks.append(time.perf_counter()))
    many = (np.concatenate([a] * (repeats + 1)) for a in (x, y))
    model.fit(*many, batch_size=size, verbose=0, callbacks=[clock])
    return statistics.median(np.diff(marks).tolist())


def table(kernels: Sequence[dict[str, Any]]) -> Any:
    """Return a rich table of the kernels, in the order of the step."""
    from rich.table import Table

    made = Table("op", "from", title="Kernels of a step")
    for column in ("us", "share of step", "GFLOP/s", "GB/s", "share of roof"):
        made.add_column(column, justify="right")
    total = sum(kernel["seconds"] for kernel in kernels)
    for kernel in kernels:
        made.add_row(
            kernel["op"],
            kernel["from"],
            f"{kernel['seconds'] * 1e6:.1f}",
            f"{kernel['seconds'] / total:.1%}",
            f"{kernel['gflops']:.1f}",
            f"{kernel['gbytes']:.1f}",
            f"{kernel['share']:.0%}",
        )
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure the machine and the model, print both, and write the record."""
    from benchmarks.compare import show

    options = parser().parse_args(arguments)
    about = circumstances()
    machine = peaks.measure()
    model = keras_model(gpudl, options.network, options.width)
    size = options.batch_size or BATCH_SIZES[options.network]
    x, y = batch(options.network, size)
    profile = model.profile(x, y, batch_size=size, repeats=options.repeats, print_fn=lambda text: None)
    kernels = on_the_roof(profile.rows, machine)
    least, step = floor(profile.rows, machine), step_seconds(model, x, y, options.repeats)
    show(table(kernels))
    print(f"sgemm peak {machine.flops / 1e9:.1f} GFLOP/s, memory {machine.slowest / 1e9:.1f} GB/s (read and written)")
    print(
        f"step {step * 1e3:.2f} ms, kernels one by one {profile.seconds * 1e3:.2f} ms; "
        f"floor of its products {least * 1e3:.2f} ms: the step takes {step / least:.2f} times that"
    )
    record = {
        **about,
        "network": options.network,
        "batch_size": size,
        "width": options.width,
        "peaks": asdict(machine),
        "kernels": kernels,
        "step_seconds": step,
        "floor_seconds": least,
        "step_by_floor": step / least,
    }
    write(record, options.json)
    return record


if __name__ == "__main__":
    main()
