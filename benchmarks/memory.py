"""The most memory that the tutorial's convolutional network takes, from loading MNIST to the test.

    python -m benchmarks.memory --json memory.json

Each side runs the tutorial's program in a process of its own: images and labels prepared, five epochs of `fit`,
`evaluate`. Counted is what was resident at most, libraries and all.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.children import PEERS, Child, answers, digits_file, usable

SIDES = ("gpudl", "keras-tensorflow", "keras-jax")
NETWORK = "mnist-cnn"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.memory", description="Peak memory of a whole training.")
    made.add_argument("--epochs", type=int, default=5, help="passes over the images (default 5)")
    made.add_argument("--images", type=int, default=60_000, help="images in a pass (default 60000)")
    made.add_argument("--repeats", type=int, default=1, help="runs of each side; the median counts (default 1)")
    made.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES[:2]), help="default: without JAX")
    made.add_argument("--data", metavar="FILE", help="an mnist.npz to read instead of looking for one")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    made.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    return made


def peak() -> int:
    """Return the most bytes that this process has had in memory."""
    status = Path("/proc/self/status")
    if status.is_file():  # the system's counter for children would begin with what the parent had
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def whole_run(name: str, data: str, epochs: int, images: int) -> float:
    """Run the tutorial's program with gpudl or Keras, and return the accuracy on the test images."""
    import numpy as np

    from benchmarks.workloads.networks import BATCH_SIZES, keras_model

    framework = importlib.import_module(name)
    with np.load(data) as arrays:
        train_images, train_labels = arrays["x_train"][:images], arrays["y_train"][:images]
        test_images, test_labels = arrays["x_test"], arrays["y_test"]
    train_images = train_images.reshape((-1, 28, 28, 1))
    train_images = train_images.astype("float32") / 255
    test_images = test_images.reshape((-1, 28, 28, 1))
    test_images = test_images.astype("float32") / 255
    train_labels = framework.utils.to_categorical(train_labels)
    test_labels = framework.utils.to_categorical(test_labels)
    model = keras_model(framework, NETWORK)
    model.fit(train_images, train_labels, epochs=epochs, batch_size=BATCH_SIZES[NETWORK], verbose=0)
    return float(model.evaluate(test_images, test_labels, verbose=0)[1])


def work(options: argparse.Namespace) -> None:
    """Run a side, and tell the parent what it took."""
    pipe = answers()
    accuracy = whole_run(options.worker.partition("-")[0], options.data, options.epochs, options.images)
    pipe.write(json.dumps({"bytes": peak(), "accuracy": accuracy}) + "\n")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure every side, print a table, and write the record."""
    options = parser().parse_args(arguments)
    if options.worker:
        work(options)
        return {}
    import statistics

    from rich.table import Table

    from benchmarks.compare import show
    from benchmarks.record import circumstances, write

    record: dict[str, Any] = {
        **circumstances(*PEERS),
        "network": NETWORK,
        "epochs": options.epochs,
        "images": options.images,
        "runs": {},
    }
    sizes = ("--epochs", str(options.epochs), "--images", str(options.images))
    medians: dict[str, float] = {}
    made = Table("", "peak MB", "share of the largest", "accuracy", title="Most memory of a whole training")
    with digits_file(options.data) as data:
        for side in usable(options.sides):
            runs = record["runs"][side] = []
            for _ in range(options.repeats):
                with Child("benchmarks.memory", side, "--data", data, *sizes) as child:
                    runs.append(child.read())
            medians[side] = statistics.median(one["bytes"] for one in runs)
    for side, median in medians.items():
        share = median / max(medians.values())
        made.add_row(side, f"{median / 1e6:.0f}", f"{share:.2f}", f"{record['runs'][side][-1]['accuracy']:.4f}")
    show(made)
    write(record | {"median_bytes": medians}, options.json)
    return record


if __name__ == "__main__":
    main()
