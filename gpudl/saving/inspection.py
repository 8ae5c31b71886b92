"""What is inside a file of a model or of weights, as text: nothing of it is made, and no weight is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpudl.registry import Config
from gpudl.saving import npz, safetensors_file
from gpudl.saving.archive import CONFIG, WEIGHTS, opened_archive, version_of, weights_file_of
from gpudl.saving.h5_model import read_config
from gpudl.saving.hdf5 import array_in, is_hdf5, names_in, opened_file, undamaged
from gpudl.saving.model_text import parsed
from gpudl.saving.shards import INDEX, names_of
from gpudl.saving.stored import StoredArray
from gpudl.saving.weights_formats import PathLike

if TYPE_CHECKING:
    import h5py

_DEEPEST, _LONGEST = 32, 120


class Part(NamedTuple):
    """A layer, as its config describes it: how deep in models, its name, its class, and its arguments in short."""

    depth: int
    name: str
    kind: str
    arguments: str


class Weight(NamedTuple):
    """An array of a file."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


class Contents(NamedTuple):
    """What a file has.

    Attributes:
        kind: the kind of file.
        facts: what else is known of the file, by name.
        parts: the layers that its config describes, if it has one.
        weights: the arrays.
    """

    kind: str
    facts: dict[str, str]
    parts: list[Part]
    weights: list[Weight]


def contents_of(filepath: PathLike) -> Contents:
    """Return what a file has: a ``.keras`` or ``.h5`` model, or weights of any kind.

    Raises:
        ValueError: a file of another kind, which is named, or one that is damaged or means harm.
        OSError: there is no such file.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "m.keras"
        >>> gpudl.Sequential([gpudl.layers.Input((3,)), gpudl.layers.Dense(2, name="d")]).save(place)
        >>> found = contents_of(place)
        >>> [(part.name, part.kind) for part in found.parts[1:]]
        [('input_layer', 'InputLayer'), ('d', 'Dense')]
        >>> [(weight.path, weight.shape, weight.dtype) for weight in found.weights]
        [('layers/dense/vars/0', (3, 2), 'float32'), ('layers/dense/vars/1', (2,), 'float32')]
    """
    source = Path(filepath)
    if source.name.endswith(INDEX):
        return _of_shards(source)
    if not source.is_dir():
        if is_hdf5(source):
            return _of_hdf5(source)
        for ending, opened in ((".npz", npz.opened), (".safetensors", safetensors_file.opened)):
            if source.name.endswith(ending):
                with opened(source) as weights:
                    return Contents(f"weights ({ending})", {}, [], _listed(weights.every()))
    return _of_archive(source)


def _of_archive(source: Path) -> Contents:
    with opened_archive(source) as archive, ExitStack() as stack:
        config = parsed(archive.read(CONFIG), str(source))
        facts = {"Keras": version_of(archive), **_compiled(config)}
        others = [name for name in archive.namelist() if name.startswith("assets/")]
        if others:
            facts["files of layers"] = ", ".join(others)
        weights, require_checksum = stack.enter_context(weights_file_of(archive, source))
        require_checksum()
        return Contents(f"a model (.keras, weights in {WEIGHTS})", facts, list(_parts(config)), _walk(weights, source))


def _of_hdf5(source: Path) -> Contents:
    with opened_file(source) as file:
        with undamaged(source):
            facts = {"Keras": _text(file.attrs.get("keras_version", ""))}
            has_model = "model_config" in file.attrs
        weights = _walk(file, source)
        if not has_model:
            return Contents("weights (HDF5)", facts, [], weights)
        config = read_config(file, source)
        return Contents("a model (.h5, the older format)", facts | _compiled(config), list(_parts(config)), weights)


def _of_shards(index: Path) -> Contents:
    weights: list[Weight] = []
    names = names_of(index)
    for name in names:
        with opened_file(index.with_name(name)) as file:
            weights += _walk(file, index)
    return Contents("weights in several files", {"files": ", ".join(names)}, [], weights)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _walk(group: h5py.Group, source: Path, depth: int = 0) -> list[Weight]:
    """Return the arrays in a group and in those inside, which are no links."""
    import h5py

    if depth > _DEEPEST:  # hard links may lead back
        raise ValueError(f"{source}: its groups are nested more than {_DEEPEST} levels deep: this is no model.")
    found: list[Weight] = []
    for name in names_in(group, source):
        with undamaged(source):
            inner = group.get(name, getclass=True, getlink=True) is h5py.HardLink and group[name]
        if isinstance(inner, h5py.Group):
            found += _walk(inner, source, depth + 1)
        else:
            path = f"{group.name}/{name}".replace("//", "/").strip("/")
            found += _listed({path: array_in(group, name, source)})
    return found


def _listed(arrays: Mapping[str, StoredArray]) -> list[Weight]:
    made = []
    for path, array in arrays.items():
        size = array.dtype.itemsize
        for length in array.shape:
            size *= length
        made.append(Weight(path, array.shape, array.dtype.name, size))
    return made


def _parts(config: object, depth: int = 0) -> Iterator[Part]:
    """Yield the layers of a config."""
    if not isinstance(config, dict) or not isinstance(own := config.get("config"), dict):
        return
    short = {k: v for k, v in own.items() if k not in ("name", "layers", "trainable", "dtype") and _is_short(v)}
    arguments = ", ".join(f"{name}={value!r}" for name, value in short.items())
    arguments = arguments if len(arguments) <= _LONGEST else f"{arguments[: _LONGEST - 3]}..."
    yield Part(depth, str(own.get("name", config.get("name", ""))), str(config.get("class_name")), arguments)
    inside = own.get("layers")
    for layer in inside if isinstance(inside, list) else [own.get("layer")]:
        yield from _parts(layer, depth + 1)


def _is_short(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, int | float | str) or item is None for item in value)
    return isinstance(value, int | float | str)


def _compiled(config: Config) -> dict[str, str]:
    """Return what a model was compiled with, as text."""
    compiled = config.get("compile_config")
    if not isinstance(compiled, dict):
        return {"compiled": "no"}
    return {name: _described(value) for name, value in compiled.items() if value not in (None, False, [], {})}


def _described(value: object) -> str:
    """Return a nest of configs in short: the classes, with what they were given."""
    if isinstance(value, dict) and "class_name" in value:
        part = next(_parts(value), None)
        return str(value.get("config")) if part is None else f"{part.kind}({part.arguments})"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_described(child)}" for name, child in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_described, value))
    return value if isinstance(value, str) else json.dumps(value)
