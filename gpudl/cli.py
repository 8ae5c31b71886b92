"""The command line.

`gpudl run program.py` runs a Keras program on gpudl; `gpudl train mnist-cnn` trains a tutorial's network and says how
well it reads digits; `gpudl doctor` checks whether the GPU can be used, and says what to do if not; `gpudl inspect
model.keras` prints what is inside a file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

import gpudl
from gpudl import Sequential, datasets, inspect_command, layers
from gpudl.backend import BackendError, doctor
from gpudl.compat import run

Digits = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
BATCH_SIZES = {"mnist-mlp": 128, "mnist-cnn": 64}  # as in the tutorials


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="gpudl", description="Deep learning with the face of Keras.")
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a Keras program, whose imports of keras and tensorflow.keras give gpudl")
    run.add_argument("--check", action="store_true", help="only list the names that the program uses and gpudl has not")
    run.add_argument("program", help="a Python file")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program finds in sys.argv")
    train = commands.add_parser("train", help="train a tutorial's network on MNIST")
    train.add_argument("network", choices=sorted(BATCH_SIZES), help="which network")
    train.add_argument("--epochs", type=_positive, default=5, help="passes over the data (default 5)")
    train.add_argument("--batch-size", type=_positive, help="images a step (default 128 for mlp, 64 for cnn)")
    train.add_argument("--backend", choices=("auto", "numpy", "cupy"), help="default: GPUDL_BACKEND, or auto")
    train.add_argument("--data", metavar="FILE", help="an mnist.npz to read instead of looking for one")
    train.add_argument("--samples", type=_positive, metavar="N", help="train on the first N images only")
    train.add_argument("--seed", type=int, help="make the run repeatable")
    train.add_argument("--save-plot", metavar="FILE", help="write curves and misread digits to this image file")
    doctor = commands.add_parser("doctor", help="check whether the GPU can be used, and say what to do if not")
    doctor.add_argument("--json", action="store_true", help="print what was found as JSON")
    inspect = commands.add_parser("inspect", help="print what is inside a file of a model or of weights")
    inspect.add_argument("file", help="a .keras, .h5, .weights.h5, .weights.json, .npz or .safetensors file")
    return top


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except (BackendError, OSError, ValueError) as error:
        print(f"gpudl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gpudl: interrupted", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    return run.check(options.program) if options.check else run.run(options.program, options.arguments)


def _train(options: argparse.Namespace) -> int:
    if options.backend:
        gpudl.config.set_backend(options.backend)
    if options.save_plot:
        _check_plot(Path(options.save_plot))
    if options.seed is not None:
        gpudl.utils.set_random_seed(options.seed)
    print(f"Device: {gpudl.backend.current().describe()}")
    (x_train, y_train), (x_test, y_test) = _digits(options.data)
    x_train, y_train = x_train[: options.samples], y_train[: options.samples]
    model = network(options.network)
    model.summary()
    images = [x.astype("float32") / 255 for x in (x_train, x_test)]
    if options.network == "mnist-mlp":
        images = [x.reshape(len(x), 28 * 28) for x in images]
    else:
        images = [x.reshape(len(x), 28, 28, 1) for x in images]
    labels = [gpudl.utils.to_categorical(y, 10).astype("float32") for y in (y_train, y_test)]
    start = time.perf_counter()
    history = model.fit(
        images[0],
        labels[0],
        epochs=options.epochs,
        batch_size=options.batch_size or BATCH_SIZES[options.network],
        validation_data=(images[1], labels[1]) if options.save_plot else None,
    )
    seconds = time.perf_counter() - start
    loss, accuracy = model.evaluate(images[1], labels[1], verbose=0)
    print(f"Test accuracy: {accuracy:.4f}   test loss: {loss:.4f}   training took {seconds:.2f} s")
    if options.save_plot:
        predicted = model.predict(images[1], verbose=0).argmax(axis=-1)
        save_plot(options.save_plot, history.history, x_test, y_test, predicted)
        print(f"Curves and misread digits are in {options.save_plot}")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    return inspect_command.show(options.file)


def _doctor(options: argparse.Namespace) -> int:
    """Print a report on the GPUs; the status is 1 if there are GPUs but none can be used."""
    report = doctor.examine()
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
        return 0 if report.healthy else 1
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    facts = Table("what", "found", title="gpudl doctor", title_justify="left")
    for name, found in [*report.versions.items(), *report.libraries.items()]:
        facts.add_row(name, found)
    for card in report.cards:
        memory = f"{card['free_bytes'] / 2**30:.1f} of {card['total_bytes'] / 2**30:.1f} GiB free"
        facts.add_row(
            card["device"],
            f"{card['name']}, compute capability {card['compute_capability']}, {card['multiprocessors']} "
            f"multiprocessors, {memory}",
        )
    console.print(facts)
    for check in report.checks:
        console.print(f"{'ok    ' if check.problem is None else 'FAILED'}  {check.what}", markup=False)
        if check.problem is not None:
            console.print(f"        {check.problem}", markup=False)
    for note in report.notes:
        console.print(note, markup=False)
    return 0 if report.healthy else 1


def network(name: str) -> Sequential:
    """Return the compiled network of a tutorial: ``mnist-mlp`` or ``mnist-cnn``.

    Example:
        >>> network("mnist-cnn").count_params()
        93322
    """
    if name == "mnist-mlp":
        model = Sequential(
            [
                layers.Dense(512, activation="relu", input_shape=(28 * 28,)),
                layers.Dense(10, activation="softmax"),
            ]
        )
    else:
        model = Sequential(
            [
                layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
                layers.MaxPooling2D((2, 2)),
                layers.Conv2D(64, (3, 3), activation="relu"),
                layers.MaxPooling2D((2, 2)),
                layers.Conv2D(64, (3, 3), activation="relu"),
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        )
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def _digits(path: str | None) -> Digits:
    """Return MNIST, or, if it is not available and no file was given, the synthetic digits."""
    if path is not None:
        file = Path(path).resolve()
        if not file.is_file():
            raise ValueError(f"--data: there is no file {file}.")
        return datasets.mnist.load_data(file)
    try:
        return datasets.mnist.load_data()
    except datasets.DatasetUnavailable as reason:
        why = " ".join(str(reason.__cause__ or reason).split())
        print(
            f"MNIST is not on this machine and cannot be downloaded ({why}); training on synthetic digits instead.",
            flush=True,
        )
        return datasets.synthetic_digits.load_data()


def _plotting() -> ModuleType:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise ValueError('--save-plot needs matplotlib: install gpudl with the extra "plot".') from None
    return pyplot


def _check_plot(path: Path) -> None:
    """Raise ValueError for a plot that cannot be written, before the training rather than after it."""
    formats = _plotting().figure().canvas.get_supported_filetypes()
    _plotting().close()
    if path.suffix[1:].lower() not in formats:
        usable = ", ".join(f".{name}" for name in sorted(formats))
        raise ValueError(f"--save-plot cannot write {path.suffix!r} files. Use one of: {usable}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--save-plot: there is no folder {path.absolute().parent}. Make it first.")


def save_plot(
    path: str, history: dict[str, list[float]], images: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> None:
    """Write the curves of loss and accuracy, and a sheet of misread digits, to an image file."""
    pyplot = _plotting()
    figure = pyplot.figure(figsize=(10, 8), layout="constrained")
    curves, sheet = figure.subfigures(2, 1)
    for axes, name in zip(curves.subplots(1, 2), ("loss", "accuracy"), strict=True):
        epochs = range(1, len(history[name]) + 1)
        axes.plot(epochs, history[name], marker="o", label="training")
        axes.plot(epochs, history[f"val_{name}"], marker="o", label="test")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    wrong = np.flatnonzero(labels != predicted)
    sheet.suptitle(f"{len(wrong)} of {len(labels)} digits misread (true digit, read as)")
    for axes, index in zip(sheet.subplots(3, 10).flat, [*wrong[:30], *[None] * 30], strict=False):
        axes.set_axis_off()
        if index is not None:
            axes.imshow(images[index], cmap="gray_r")
            axes.set_title(f"{labels[index]}, {predicted[index]}", fontsize=9)
    figure.savefig(path)
    pyplot.close(figure)


_COMMANDS = {"run": _run, "train": _train, "doctor": _doctor, "inspect": _inspect}
