"""The tutorials' networks on gpudl and on the peers that are installed: the same work, in turns, as ratios.

    python -m benchmarks.compare --network mnist-cnn --images 12800 --repeats 7 --json cnn.json

Every side lives in a process of its own, so that thread pools do not meet. In each round every side trains on the
same images once, one side after the other; before the first round each does so once unmeasured, which compiles and
records. Machines are shared and noisy: the ratio of the medians over the rounds is what counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCH_SIZES = {"mnist-mlp": 128, "mnist-cnn": 64}
# What has to be installed for each side.
SIDES = {
    "gpudl": "gpudl",
    "torch": "torch",
    "torch-channels-last": "torch",
    "keras-jax": "jax",
    "keras-tensorflow": "tensorflow",
}
Epoch = Callable[[], float]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.compare", description="gpudl beside its peers, in turns.")
    made.add_argument("--network", choices=sorted(BATCH_SIZES), default="mnist-cnn")
    made.add_argument("--images", type=int, default=12800, help="images in each measured pass (default 12800)")
    made.add_argument("--repeats", type=int, default=7, help="rounds (default 7)")
    made.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="default: all that are installed")
    made.add_argument("--data", metavar="FILE", help="an mnist.npz to read instead of looking for one")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    made.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    return made


def digits(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return images as the network takes them, channels last, and one-hot labels."""
    import gpudl

    where = () if options.data is None else (Path(options.data).resolve(),)
    (images, labels), _ = gpudl.datasets.mnist.load_data(*where)
    shape = (28 * 28,) if options.network == "mnist-mlp" else (28, 28, 1)
    x = images[: options.images].reshape(-1, *shape).astype("float32") / 255
    return x, np.eye(10, dtype="float32")[labels[: options.images]]


def keras_like(framework: Any, options: argparse.Namespace, x: np.ndarray, y: np.ndarray) -> Epoch:
    """Return one pass of `fit` for gpudl or Keras, whose programs are the same."""
    layers = framework.layers
    if options.network == "mnist-mlp":
        first = [layers.Input((28 * 28,)), layers.Dense(512, activation="relu")]
    else:
        first = [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ]
    model = framework.Sequential([*first, layers.Dense(10, activation="softmax")])
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])

    def epoch() -> float:
        history = model.fit(x, y, batch_size=BATCH_SIZES[options.network], verbose=0)
        return float(history.history["loss"][0])

    return epoch


def torch_loop(options: argparse.Namespace, x: np.ndarray, y: np.ndarray, channels_last: bool) -> Epoch:
    """Return one pass of a plain training loop in PyTorch, with the same shuffling, loss and accuracy."""
    import torch
    from torch import nn

    if options.network == "mnist-mlp":
        model: Any = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
        images = torch.from_numpy(x)
    else:
        convolutions = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU()]
        convolutions += [nn.MaxPool2d(2), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()]
        model = nn.Sequential(*convolutions, nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10))
        images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
        if channels_last:
            model, images = (
                model.to(memory_format=torch.channels_last),
                images.contiguous(memory_format=torch.channels_last),
            )
    labels = torch.from_numpy(y.argmax(axis=1))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.001, alpha=0.9, eps=1e-7)
    cross_entropy, size = nn.CrossEntropyLoss(), BATCH_SIZES[options.network]

    def epoch() -> float:
        order = torch.randperm(len(images))
        loss_sum, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for start in range(0, len(images), size):
            chosen = order[start : start + size]
            optimizer.zero_grad(set_to_none=True)
            scores = model(images[chosen])
            loss = cross_entropy(scores, labels[chosen])
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss * len(chosen)
                right += (scores.argmax(dim=1) == labels[chosen]).sum()
        return float(loss_sum) / len(images)

    return epoch


def worker(options: argparse.Namespace) -> None:
    """Train once for every line on standard input, and answer each with the seconds and the loss."""
    x, y = digits(options)
    if options.worker.startswith("torch"):
        epoch = torch_loop(options, x, y, options.worker == "torch-channels-last")
    else:
        name = "gpudl" if options.worker == "gpudl" else "keras"
        epoch = keras_like(importlib.import_module(name), options, x, y)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = epoch()
        print(json.dumps([time.perf_counter() - start, loss]), flush=True)


def start(side: str, arguments: list[str]) -> subprocess.Popen[str]:
    """Return the process of a side."""
    environment = os.environ | {"KERAS_BACKEND": side.partition("-")[2], "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "benchmarks.compare", *arguments, "--worker", side]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )


def ask(process: subprocess.Popen[str]) -> list[float]:
    """Let a side train once; return the seconds and the loss."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("["):
            return [float(v) for v in json.loads(line)]
    raise RuntimeError("a side ended before it answered; run it with --worker to see why.")


def main() -> None:
    """Compare, print the table of ratios, and write the record."""
    from benchmarks.accuracy import circumstances

    options = parser().parse_args()
    if options.worker:
        worker(options)
        return
    sides = [s for s in options.sides if importlib.util.find_spec(SIDES[s])]
    processes = {side: start(side, sys.argv[1:]) for side in sides}
    for side in sides:
        ask(processes[side])
    times: dict[str, list[float]] = {side: [] for side in sides}
    losses: dict[str, float] = {}
    for _ in range(options.repeats):
        for side in sides:
            seconds, losses[side] = ask(processes[side])
            times[side].append(seconds)
    for process in processes.values():
        process.kill()
    medians = {side: statistics.median(values) for side, values in times.items()}
    for side in sides:
        ratio = medians[side] / medians["gpudl"]
        print(f"{side:22} {medians[side]:8.3f} s   {ratio:5.2f} times gpudl's time   loss {losses[side]:.4f}")
    record = {
        "network": options.network,
        "images": options.images,
        "batch_size": BATCH_SIZES[options.network],
        **circumstances(),
        "seconds": times,
        "median_seconds": medians,
        "times_gpudl": {side: medians[side] / medians["gpudl"] for side in sides},
        "last_loss": losses,
    }
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
