"""How long a large model takes to be saved and loaded, beside a copy of its bytes, and how much memory.

    python -m benchmarks.saving --json saving.json

The model is a stack of `Dense` layers with a hundred million parameters. To save it is compared with writing as many
bytes from memory to the same disk, flushed; to load it with reading them into new memory, from the disk itself where
the system can be told to forget what it has of the file. Both take turns, each time in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.children import Child, answers
from benchmarks.memory import peak

NAMES = ("m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors")
WIDTH = 3000  # a layer of 9 million weights, one eleventh of the model
WARM = 8  # of a model that is saved and loaded first, so that libraries are there


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.saving", description="Saving and loading beside a copy.")
    made.add_argument("--parameters", type=int, default=100_000_000, help="of the model (default a hundred million)")
    made.add_argument("--repeats", type=int, default=5, help="runs of each; the median counts (default 5)")
    made.add_argument("--folder", default=None, help="a folder on the disk (default: the system's for temporary files)")
    made.add_argument("--files", nargs="+", choices=NAMES, default=list(NAMES), help="kinds of files (default: all)")
    made.add_argument("--json", metavar="FILE", help="write what was measured to this file")
    made.add_argument("--worker", help=argparse.SUPPRESS)
    return made


def stack(width: int, count: int) -> Any:
    """Return a network of `count` square layers, whose weights cost no random numbers."""
    import gpudl

    layers = gpudl.layers
    return gpudl.Sequential(
        [layers.Input((width,)), *(layers.Dense(width, kernel_initializer="ones") for _ in range(count))]
    )


def forget(path: Path) -> None:
    """Have the system read a file from the disk the next time, where it can be told so."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Return how many seconds a call took, and by how many bytes the most memory grew."""
    before, begin = peak(), time.perf_counter()
    call()
    return {"seconds": time.perf_counter() - begin, "bytes": peak() - before}


def copy_to(path: Path, size: int) -> dict[str, float]:
    """Write bytes from memory to a file, flushed to the disk."""
    import numpy as np

    held = np.ones(size, np.uint8)

    def write() -> None:
        with path.open("wb") as file:
            file.write(held.data)
            file.flush()
            os.fsync(file.fileno())

    return timed(write)


def copy_from(path: Path, size: int) -> dict[str, float]:
    """Read a file into new memory."""
    import numpy as np

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            held = memoryview(np.empty(size, np.uint8))
            done = 0
            while done < size and (count := file.readinto(held[done:])):
                done += count

    return timed(read)


def save(path: Path, parameters: int) -> dict[str, float]:
    """Save a model."""
    model, small = (stack(width, count) for width, count in ((WIDTH, layers_of(parameters)), (WARM, 2)))
    write = "save_weights" if is_weights(path) else "save"
    getattr(small, write)(path.with_name(f"warm-{path.name}"))
    return timed(lambda: getattr(model, write)(path))


def load(path: Path, parameters: int) -> dict[str, float]:
    """Load a model, or weights into one."""
    import gpudl

    warm = path.with_name(f"warm-{path.name}")
    if not is_weights(path):
        gpudl.models.load_model(warm)
        return timed(lambda: gpudl.models.load_model(path))
    stack(WARM, 2).load_weights(warm)
    model = stack(WIDTH, layers_of(parameters))
    return timed(lambda: model.load_weights(path))


def is_weights(path: Path) -> bool:
    """Return whether a name is that of a file of weights alone."""
    return path.suffix in (".npz", ".safetensors") or path.name.endswith(".weights.h5")


def layers_of(parameters: int) -> int:
    """Return of how many layers a stack has so many parameters."""
    return max(1, round(parameters / (WIDTH * (WIDTH + 1))))


def work(options: argparse.Namespace) -> None:
    """Do one thing, and tell the parent what it took."""
    pipe = answers()
    what, name = options.worker.split(":")
    path, parameters = Path(options.folder, name), layers_of(options.parameters) * WIDTH * (WIDTH + 1)
    calls: dict[str, Callable[[Path, int], dict[str, float]]] = {"save": save, "load": load}
    if what in calls:
        done = calls[what](path, options.parameters)
    else:
        done = (copy_to if what == "copy to" else copy_from)(path, 4 * parameters)
    pipe.write(json.dumps(done) + "\n")


def measured(options: argparse.Namespace, folder: str) -> dict[str, list[dict[str, float]]]:
    """Return what each thing took, each time, by ``"save:m.keras"`` and so on."""
    size = ("--parameters", str(options.parameters), "--folder", folder)
    runs: dict[str, list[dict[str, float]]] = {}
    for name in options.files:
        for _ in range(options.repeats):
            for what, kept in (("copy to", "copied"), ("save", name), ("copy from", "copied"), ("load", name)):
                path = Path(folder, kept)
                if what in ("copy to", "save"):
                    path.unlink(missing_ok=True)  # both find as much free memory for what the system keeps of files
                else:
                    forget(path)
                with Child("benchmarks.saving", f"{what}:{kept}", *size) as child:
                    runs.setdefault(f"{what}:{name}", []).append(child.read())
        for kept in ("copied", name):
            Path(folder, kept).unlink()
    return runs


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table, and write the record."""
    options = parser().parse_args(arguments)
    if options.worker:
        work(options)
        return {}
    from rich.table import Table

    from benchmarks.compare import show
    from benchmarks.record import circumstances, write

    record: dict[str, Any] = {**circumstances("h5py", "safetensors"), "parameters": options.parameters, "ratios": {}}
    with tempfile.TemporaryDirectory(prefix="gpudl-saving-", dir=options.folder) as folder:
        runs = record["runs"] = measured(options, folder)
    size = 4 * layers_of(options.parameters) * WIDTH * (WIDTH + 1)
    made = Table("file", "", "s", "copy s", "times the copy", "memory of the model", title=f"{size / 1e6:.0f} MB")
    for name in options.files:
        for what, copy in (("save", "copy to"), ("load", "copy from")):
            took, copied = (statistics.median(run["seconds"] for run in runs[f"{one}:{name}"]) for one in (what, copy))
            memory = statistics.median(run["bytes"] for run in runs[f"{what}:{name}"]) / size
            memory += what == "save" or is_weights(Path(name))  # the model itself, which was there before
            record["ratios"][f"{what}:{name}"] = {"times_the_copy": took / copied, "memory_of_the_model": memory}
            made.add_row(name, what, f"{took:.2f}", f"{copied:.2f}", f"{took / copied:.2f}", f"{memory:.2f}")
    show(made)
    write(record, options.json)
    return record


if __name__ == "__main__":
    main()
