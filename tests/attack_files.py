"""Files that mean harm, made of one that does not, and a watch on what loading them does."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.numpy  # noqa: F401  # is loaded before anything is watched

import gpudl
from gpudl import layers, models

Config = dict[str, Any]
MOST_SECONDS, MOST_BYTES = 1, 200 << 20
KERNEL = "layers/dense/vars/0"
_watched: list[list[str]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Note what a program might do that loading a file must not."""
    forbidden = ("subprocess.Popen", "os.fork", "os.system", "os.exec", "os.posix_spawn", "os.spawn")
    if _watched and event.startswith(
        (*forbidden, "socket.", "urllib.", "pickle.", "marshal.", "exec", "ctypes.dlopen")
    ):
        _watched[-1].append(event)
    if event in ("os.remove", "os.rmdir") and args[1] != -1:
        return  # a name in a folder that is open, which shutil.rmtree was called on
    if _watched and event in ("open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.listdir", "shutil.rmtree"):
        _watched[-1].append(f"{event} {args[0]}" if isinstance(args[0], str | bytes | Path) else "")


sys.addaudithook(_hook)


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Fail if what runs inside touches files elsewhere, starts programs, runs code, or takes long or much memory."""
    seen: list[str] = []
    _harmless()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted anew
    begin, before = time.process_time(), most_memory()
    _watched.append(seen)
    try:
        yield
    finally:
        _watched.pop()
        seconds, more = time.process_time() - begin, most_memory() - before
    mine = (str(folder), tempfile.gettempdir())
    wrong = [event for event in seen if event and not event.partition(" ")[2].startswith(mine)]
    assert wrong == [], wrong
    assert seconds < MOST_SECONDS
    assert more < MOST_BYTES


def most_memory() -> int:
    """Return the most bytes that were in memory."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024


def refused(file: Path, text: str) -> None:
    """Fail unless a file is refused with a sentence, by `load_model`, without harm."""
    with watched(file.parent), pytest.raises(ValueError, match=text):
        models.load_model(file)


def small() -> gpudl.Model:
    """Return a small model that has been trained."""
    model = gpudl.Sequential([layers.Input((3,)), layers.Dense(2, name="d"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    return model


@cache
def _harmless() -> bytes:
    """Return the file of a small model; after that all libraries are there that files are read with."""
    model = small()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("m.h5", "m.keras"):
            model.save(Path(folder, name))
            models.load_model(Path(folder, name))
        for name in ("m.npz", "m.safetensors", "m.weights.h5"):
            model.save_weights(Path(folder, name))
            model.load_weights(Path(folder, name))
        np.save(Path(folder, "text.npy"), np.array(["text"]))
        return Path(folder, "m.keras").read_bytes()


def harmless(folder: Path) -> Path:
    """Write the file of a small model that has been trained, and return its path."""
    (folder / "m.keras").write_bytes(_harmless())
    return folder / "m.keras"


def as_h5(file: Path) -> Path:
    """Return the config of an archive in a file of the older format."""
    config = json.loads(members(file)["config.json"])
    compiled = config.pop("compile_config", None)
    other = file.with_suffix(".h5")
    with h5py.File(other, "w") as inside:
        inside.attrs["model_config"] = json.dumps(config)
        if compiled:
            compiled["optimizer_config"] = compiled.pop("optimizer")
            inside.attrs["training_config"] = json.dumps(compiled)
        inside.create_group("model_weights").attrs["layer_names"] = []
    return other


def members(file: Path) -> dict[str, bytes]:
    """Return what is in an archive, by name."""
    with zipfile.ZipFile(file) as whole:
        return {name: whole.read(name) for name in whole.namelist()}


def rewritten(file: Path, content: list[tuple[str, bytes]], **options: Any) -> Path:
    """Return another archive beside a file."""
    other = file.with_name("other.keras")
    with zipfile.ZipFile(other, "w", **options) as archive:
        for name, data in content:
            archive.writestr(name, data)
    return other


def changed(file: Path, change: Callable[[Config], object]) -> Path:
    """Return another file, with a changed config."""
    content = members(file)
    config = json.loads(content["config.json"])
    change(config)
    return rewritten(file, list((content | {"config.json": json.dumps(config).encode()}).items()))


def layer_of(config: Config) -> Config:
    """Return the config of the first layer."""
    found: Config = config["config"]["layers"][1]
    return found


def weights_with(file: Path, change: Callable[[h5py.File], object]) -> Path:
    """Return another file, with changed weights."""
    content = members(file)
    place = file.with_name("w.h5")
    place.write_bytes(content["model.weights.h5"])
    with h5py.File(place, "r+") as inside:
        change(inside)
    return rewritten(file, list((content | {"model.weights.h5": place.read_bytes()}).items()))


def in_place(make: Callable[[h5py.File], object], path: str = KERNEL) -> Callable[[h5py.File], object]:
    """Return what puts something else in the place of an array."""

    def change(inside: h5py.File) -> None:
        del inside[path]
        make(inside)

    return change
