"""How well a tutorial's network reads MNIST after a training from scratch, for several seeds.

    python -m benchmarks.accuracy --network mnist-cnn --seeds 1 2 3 --repeat --json cnn.json

Every seed is a training of its own. The times of the epochs are recorded as they come; the first one of the
process includes compiling kernels and recording the step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gpudl
from benchmarks.record import circumstances, write
from gpudl.cli import BATCH_SIZES, network

Part = tuple[np.ndarray, np.ndarray]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.accuracy", description="Accuracy on MNIST, seed by seed.")
    made.add_argument("--network", choices=sorted(BATCH_SIZES), default="mnist-cnn")
    made.add_argument("--epochs", type=int, default=5, help="passes over the data (default 5)")
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="SEED")
    made.add_argument("--data", metavar="FILE", help="an mnist.npz to read instead of looking for one")
    made.add_argument("--samples", type=int, metavar="N", help="train on the first N images only")
    made.add_argument("--repeat", action="store_true", help="train the first seed twice and compare the weights")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, print a line for each seed and a summary, and return (and write) the record."""
    options = parser().parse_args(arguments)
    train, test = _mnist(options)
    record = {
        "network": options.network,
        "epochs": options.epochs,
        "batch_size": BATCH_SIZES[options.network],
        "training_images": len(train[0]),
        "test_images": len(test[0]),
        **circumstances(),
    }
    print(f"{record['network']}, {record['epochs']} epochs, on {record['device']}, {record['cpu']}")
    runs, weights = [], []
    for seed in options.seeds:
        run, trained = one_run(options, seed, train, test)
        runs.append(run)
        weights.append(trained)
    accuracies = [run["accuracy"] for run in runs]
    record |= {
        "runs": runs,
        "median_accuracy": statistics.median(accuracies),
        "minimum_accuracy": min(accuracies),
        "median_loss": statistics.median(run["loss"] for run in runs),
        "median_seconds_per_epoch": statistics.median(s for run in runs for s in run["seconds_per_epoch"]),
    }
    print(
        f"median accuracy {record['median_accuracy']:.4f}, minimum {record['minimum_accuracy']:.4f}, "
        f"median loss {record['median_loss']:.4f}, {record['median_seconds_per_epoch']:.2f} s/epoch"
    )
    if options.repeat:
        _, again = one_run(options, options.seeds[0], train, test)
        same = all(a.tobytes() == b.tobytes() for a, b in zip(weights[0], again, strict=True))
        record["repeat"] = {"seed": options.seeds[0], "same_weights_bit_for_bit": same}
        print(f"a second run of seed {options.seeds[0]} gives {'the same' if same else 'OTHER'} weights")
    write(record, options.json)
    return record


def one_run(options: argparse.Namespace, seed: int, train: Part, test: Part) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Train from scratch with one seed; return what was measured and the weights."""
    gpudl.utils.set_random_seed(seed)
    model = network(options.network)
    marks = [0.0]
    clock = gpudl.callbacks.LambdaCallback(
        on_train_begin=lambda logs: marks.__setitem__(0, time.perf_counter()),
        on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter()),
    )
    model.fit(
        *train,
        epochs=options.epochs,
        batch_size=BATCH_SIZES[options.network],
        verbose=0,
        callbacks=[clock],
    )
    loss, accuracy = model.evaluate(*test, verbose=0)
    seconds = [round(float(s), 3) for s in np.diff(marks)]
    print(f"seed {seed}: accuracy {accuracy:.4f}, loss {loss:.4f}, s/epoch {seconds}", flush=True)
    run = {"seed": seed, "accuracy": accuracy, "loss": loss, "seconds_per_epoch": seconds}
    return run, model.get_weights()


def _mnist(options: argparse.Namespace) -> tuple[Part, Part]:
    """Return images as the network takes them and one-hot labels, for training and for the test."""
    where = () if options.data is None else (Path(options.data).resolve(),)
    train, test = gpudl.datasets.mnist.load_data(*where)
    shape = (28 * 28,) if options.network == "mnist-mlp" else (28, 28, 1)

    def prepared(images: np.ndarray, labels: np.ndarray) -> Part:
        one_hot = gpudl.utils.to_categorical(labels, 10).astype("float32")
        return images.reshape(len(images), *shape).astype("float32") / 255, one_hot

    return prepared(*(part[: options.samples] for part in train)), prepared(*test)


if __name__ == "__main__":
    main()
