"""Training the tutorials' networks on one card: a whole run, epochs beside PyTorch's, and the race to 99 percent."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.gpu.parts import Found, Options, Part, Section
from benchmarks.gpu.settings import OnDevice, gpudl_precision
from benchmarks.gpu.sides import WORKLOADS, Sides
from benchmarks.workloads.networks import BATCH_SIZES, keras_model

Digits = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def all_digits(network: str, data: str | None) -> Digits:
    """Return images as the network takes them and one-hot labels, for training and for the test."""
    if data is None:
        raise RuntimeError("no digits: pass --data mnist.npz")
    shape = (28 * 28,) if network == "mnist-mlp" else (28, 28, 1)
    made = []
    with np.load(data) as arrays:
        for part in ("train", "test"):
            made.append(arrays[f"x_{part}"].reshape(-1, *shape).astype("float32") / 255)
            made.append(np.eye(10, dtype="float32")[arrays[f"y_{part}"]])
    x, y, x_test, y_test = made
    return x, y, x_test, y_test


def whole_runs(network: str, precision: str, options: Options) -> Found:
    """Time 5 epochs and the evaluation after them, from arrays in the host's memory, for several seeds.

    A model that is thrown away comes first: it compiles every kernel. Each measured run has a model of its own, which
    uploads the data and captures its steps again.
    """
    import gpudl

    gpudl_precision(gpudl, precision)
    x, y, x_test, y_test = all_digits(network, options.data)
    size, epochs = BATCH_SIZES[network], options.pick(5, 5, 1)

    def run(seed: int, epochs: int) -> tuple[float, float]:
        gpudl.utils.set_random_seed(seed)
        begin = time.perf_counter()
        model = keras_model(gpudl, network)
        model.fit(x, y, epochs=epochs, batch_size=size, verbose=0)
        accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
        return time.perf_counter() - begin, accuracy

    yield "first run ever, one epoch", run(0, 1)[0]
    seconds, accuracies = [], []
    for seed in range(1, options.pick(4, 2, 2)):
        took, accuracy = run(seed, epochs)
        seconds.append(took)
        accuracies.append(accuracy)
        yield f"seed {seed}", {"seconds": took, "accuracy": accuracy}
        yield "median seconds", statistics.median(seconds)
        yield "median accuracy", statistics.median(accuracies)
        yield "lowest accuracy", min(accuracies)


def epochs(network: str, precision: str, ways: Sequence[str], options: Options) -> Found:
    """Let gpudl and ways of PyTorch take turns at an epoch, data on the device and everything compiled."""
    settings = OnDevice(
        data=options.data,
        images=options.pick(60_000, 60_000, 96),
        batch_size=options.pick(None, None, 32),
        device=options.device,
        precision=precision,
    )
    begins = ("gpudl", *(f"torch-{way}" for way in ways))
    sides = [side for side in WORKLOADS[network].sides if side.startswith(begins)]
    with Sides(options.device) as them:
        rounds, turn = options.pick(7, 3, 1), options.pick(0.2, 0.1, 0.001)
        for found in them.compared(network, sides, settings, rounds=rounds, seconds=turn):
            yield from found.items()


def race(options: Options) -> Found:
    """Time the way from a new model and arrays on the host to 99.0 percent of the test images, for several seeds."""
    from benchmarks.gpu.race import sprint

    digits = all_digits("mnist-cnn", options.data)
    for precision in ("highest", "high") if options.size != "tiny" else ("highest",):
        sprint(digits, precision, seed=0, most=2 if options.size != "tiny" else 1)  # compiles
        runs = []
        for seed in range(1, options.pick(6, 3, 2)):
            runs.append(sprint(digits, precision, seed))
            yield precision, {"runs": runs, "median seconds": statistics.median(run["seconds"] for run in runs)}


def _part(function: Callable[..., Found], *arguments: Any, seconds: float) -> Part:
    return Part(partial(function, *arguments), seconds)


FIRST = Section(
    "seed 004 whole: 5 epochs and the evaluation",
    45,
    {"cnn": _part(whole_runs, "mnist-cnn", "highest", seconds=45)},
)
EPOCHS = Section(
    "epochs beside PyTorch's, eager and as a captured graph",
    100,
    {
        "cnn epochs": _part(epochs, "mnist-cnn", "highest", ("eager", "graph"), seconds=45),
        "mlp epochs": _part(epochs, "mnist-mlp", "highest", ("eager", "graph"), seconds=35),
        "cnn epochs in TF32": _part(epochs, "mnist-cnn", "high", ("eager", "graph"), seconds=45),
    },
)
MORE = Section(
    "the race to 99 percent, and other whole trainings",
    60,
    {
        "race": Part(race, 30),
        "mlp": _part(whole_runs, "mnist-mlp", "highest", seconds=20),
        "cnn in TF32": _part(whole_runs, "mnist-cnn", "high", seconds=20),
    },
)
COMPILED = Section(
    "epochs beside torch.compile",
    120,
    {"cnn": _part(epochs, "mnist-cnn", "highest", ("compiled", "reduce-overhead"), seconds=120)},
)
