"""Files with random damage, and random configs: each is read, or refused with a sentence, and nothing else happens."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from attack_files import members, rewritten, small, watched
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpudl import models
from gpudl.datasets import _cifar, _plain_pickle
from gpudl.datasets._source import read_idx, read_npz
from gpudl.datasets._tables import read_table
from gpudl.datasets._texts import read_texts
from gpudl.saving.inspection import contents_of

MODELS = ("m.keras", "m.h5")
WEIGHTS = ("m.npz", "m.safetensors", "m.weights.h5", "m.weights.json")
few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
Damage = list[tuple[float, int]]
damages = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)
cuts = st.one_of(st.none(), st.floats(0, 1))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def damaged(whole: bytes, damage: Damage, cut: float | None) -> bytes:
    made = bytearray(whole)
    for place, value in damage:
        made[int(place * len(made))] = value
    return bytes(made if cut is None else made[: int(cut * len(made))])


@cache
def saved() -> dict[str, bytes]:
    """Return a file of each kind."""
    model = small()
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            model.save(Path(folder, name))
        for name in WEIGHTS:
            model.save_weights(Path(folder, name), max_shard_size=1 if name.endswith(".json") else None)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def survived(folder: Path, call: Callable[[], object]) -> None:
    """Fail if a call does anything but return, or refuse."""
    with watched(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(ValueError, FileNotFoundError):  # an index of files may have another name in it
            call()


@few
@given(st.sampled_from(MODELS + WEIGHTS), damages, cuts)
def test_models_and_weights(name: str, damage: Damage, cut: float | None) -> None:
    model = small()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for other, content in saved().items():
            (folder / other).write_bytes(content)
        (folder / name).write_bytes(damaged(saved()[name], damage, cut))
        if name in MODELS:
            survived(folder, lambda: models.load_model(folder / name))
        survived(folder, lambda: model.load_weights(folder / name))
        survived(folder, lambda: contents_of(folder / name))


@few
@given(st.data())
def test_configs(data: st.DataObject) -> None:
    """Something in the config is something else."""
    with tempfile.TemporaryDirectory() as made:
        file = Path(made, "m.keras")
        file.write_bytes(saved()["m.keras"])
        content = members(file)
        config: Any = json.loads(content["config.json"])
        place: Any = config
        while True:
            key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if not (isinstance(place[key], dict | list) and place[key]) or data.draw(st.integers(0, 9)) == 0:
                break
            place = place[key]
        place[key] = data.draw(values)
        other = rewritten(file, list((content | {"config.json": json.dumps(config).encode()}).items()))
        survived(Path(made), lambda: models.load_model(other))
        survived(Path(made), lambda: contents_of(other))


def npz(**arrays: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


def cifar() -> bytes:
    made = io.BytesIO()
    content = pickle.dumps({b"data": np.ones((2, 3072), np.uint8), b"labels": [1, 2]}, 2)
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        member = tarfile.TarInfo("batch")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


TEXTS = np.array([[1, 2], [3]], object)
READERS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "idx": (
        gzip.compress(b"\0\0\x08\x03" + np.array([2, 3, 3], ">i4").tobytes() + bytes(18)),
        lambda path: read_idx(path, (2, 3, 3)),
    ),
    "npz": (npz(**{f"{k}_{p}": np.ones((2, 3), np.uint8) for k in "xy" for p in ("train", "test")}), read_npz),
    "table": (npz(x=np.ones((4, 3)), y=np.ones(4)), lambda path: read_table(path, 3)),
    "texts": (npz(x=TEXTS, y=np.ones(2, "i8")), lambda path: read_texts(path, ("x", "y"))),
    "cifar": (cifar(), lambda path: _cifar.batches(path, ("batch",), "labels", 10)),
    "pickle": (
        pickle.dumps({"a": [1, 2.5, b"x", ("y",)], "b": np.ones((3, 2), "f4"), "c": TEXTS}, 2),
        lambda path: _plain_pickle.read(path.read_bytes()),
    ),
}


@few
@given(st.sampled_from(sorted(READERS)), damages, cuts)
def test_readers_of_data(name: str, damage: Damage, cut: float | None) -> None:
    content, read = READERS[name]
    with tempfile.TemporaryDirectory() as made:
        place = Path(made, "data")
        place.write_bytes(damaged(content, damage, cut))
        survived(Path(made), lambda: read(place))
