"""How long a large model takes to be saved and loaded, beside a copy of its bytes, and how much memory.

    python -m benchmarks.saving --json saving.json

The model is a stack of `Dense` layers with a hundred million parameters. To save it is compared with writing as many
bytes from memory to the same disk, flushed; to load it with reading them into new memory, from the disk itself where
the system can be told to forget what it has of the file. Both take turns, in a process for each kind of file.
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


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes; what it returns is freed afterwards."""
    begin = time.perf_counter()
    made = call()
    took = time.perf_counter() - begin
    del made
    return took


def copy_to(path: Path, held: memoryview) -> None:
    """Write bytes from memory to a file, flushed to the disk."""
    with path.open("wb") as file:
        file.write(held)
        file.flush()
        os.fsync(file.fileno())


def copy_from(path: Path, size: int) -> object:
    """Read a file into new memory."""
    import numpy as np

    with path.open("rb", buffering=0) as file:
        held = memoryview(np.empty(size, np.uint8))
        done = 0
        while done < size and (count := file.readinto(held[done:])):
            done += count
    return held


def in_turns(path: Path, what: str, parameters: int, repeats: int) -> dict[str, Any]:
    """Return by how many bytes the most memory grew, and the times of saving or loading and of copies, in turns."""
    import numpy as np

    import gpudl

    small, warm = stack(WARM, 2), path.with_name(f"warm-{path.name}")
    write = "save_weights" if is_weights(path) else "save"
    getattr(small, write)(warm)  # libraries are there
    model = stack(WIDTH, layers_of(parameters)) if what == "save" or is_weights(path) else None
    if what == "load":
        small.load_weights(warm) if is_weights(path) else gpudl.models.load_model(warm)
    calls: dict[str, Callable[[], object]] = {
        "save": lambda: getattr(model, write)(path),
        "load": lambda: model.load_weights(path) if is_weights(path) else gpudl.models.load_model(path),
    }
    size, copied, call = 4 * layers_of(parameters) * WIDTH * (WIDTH + 1), path.with_name("copied"), calls[what]
    before = peak()
    call()
    found: dict[str, Any] = {"bytes": peak() - before, "seconds": [], "copies": []}
    held = np.ones(size, np.uint8).data
    copy_to(copied, held)
    for _ in range(repeats):
        for name, place, one in (
            ("copies", copied, lambda: copy_to(copied, held) if what == "save" else copy_from(copied, size)),
            ("seconds", path, call),
        ):
            # A file that is written begins without an old one; one that is read is on the disk, and not in memory.
            place.unlink(missing_ok=True) if what == "save" else forget(place)
            found[name].append(seconds(one))
    copied.unlink()
    return found


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
    done = in_turns(Path(options.folder, name), what, options.parameters, options.repeats)
    pipe.write(json.dumps(done) + "\n")


def measured(options: argparse.Namespace, folder: str) -> dict[str, dict[str, Any]]:
    """Return what each thing took, by ``"save:m.keras"`` and so on."""
    given = ("--parameters", str(options.parameters), "--repeats", str(options.repeats), "--folder", folder)
    runs: dict[str, dict[str, Any]] = {}
    for name in options.files:
        for what in ("save", "load"):
            with Child("benchmarks.saving", f"{what}:{name}", *given) as child:
                runs[f"{what}:{name}"] = child.read()
        Path(folder, name).unlink()
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
        for what in ("save", "load"):
            run = runs[f"{what}:{name}"]
            took, copied = statistics.median(run["seconds"]), statistics.median(run["copies"])
            memory = run["bytes"] / size
            memory += what == "save" or is_weights(Path(name))  # the model itself, which was there before
            record["ratios"][f"{what}:{name}"] = {"times_the_copy": took / copied, "memory_of_the_model": memory}
            made.add_row(name, what, f"{took:.2f}", f"{copied:.2f}", f"{took / copied:.2f}", f"{memory:.2f}")
    show(made)
    write(record, options.json)
    return record


if __name__ == "__main__":
    main()
