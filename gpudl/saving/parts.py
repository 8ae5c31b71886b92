"""The parts of a model, by the paths that Keras gives them in its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Protocol, runtime_checkable

from gpudl.engine.calls import kind_of
from gpudl.layers import Layer
from gpudl.metrics import Metric
from gpudl.names import snake_case


@runtime_checkable
class Numbered(Protocol):
    """A model whose layers are saved by their number, whatever attribute they are in."""

    def saved_layers(self) -> list[Layer] | None:
        """Return the layers in their order; None where they are saved by attribute after all."""


def parts_of(root: Layer) -> Iterator[tuple[str, Layer | Metric]]:
    """Yield `root` and every layer and metric in it, each once, with its path.

    A path has the names of attributes; in a list or dict the name is that of the class in snake case, counted. The
    layers of a functional or sequential model are a list called ``layers``.

    Example:
        >>> model = gpudl.Sequential([gpudl.layers.Dense(2), gpudl.layers.Dense(1)])
        >>> [path for path, part in parts_of(model)]
        ['', 'layers/dense', 'layers/dense_1']
    """
    yield from _walk(root, "", set())


def _walk(part: Layer | Metric, path: str, seen: set[int]) -> Iterator[tuple[str, Layer | Metric]]:
    if id(part) in seen:
        return
    seen.add(id(part))
    yield path, part
    layers = part.saved_layers() if isinstance(part, Numbered) else None
    if layers is not None:
        yield from _walk_items(layers, _inside(path, "layers"), seen)
    for name, value in sorted(vars(part).items()):
        if name in _not_parts():
            continue
        if isinstance(value, Layer | Metric):
            yield from _walk(value, _inside(path, name), seen)
        elif isinstance(value, Mapping):
            yield from _walk_items(value.values(), _inside(path, name), seen)
        elif isinstance(value, list | tuple | set):
            yield from _walk_items(value, _inside(path, name), seen)


def _walk_items(items: Iterable[object], path: str, seen: set[int]) -> Iterator[tuple[str, Layer | Metric]]:
    counts: dict[str, int] = {}
    for item in items:
        if isinstance(item, Layer | Metric):
            name = snake_case(kind_of(item))
            count = counts.get(name, 0)
            counts[name] = count + 1
            yield from _walk(item, _inside(path, f"{name}_{count}" if count else name), seen)


def _inside(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


@cache
def _not_parts() -> frozenset[str]:
    """Return the attributes of gpudl's own classes, which hold parts once more or none."""
    of_models = ("_calls", "_chain", "_compiled", "_graph", "_history", "_input", "_optimized", "_stack", "loss")
    return frozenset((*vars(Layer(name="none")), *of_models, "optimizer"))
