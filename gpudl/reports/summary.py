"""The table of `Model.summary`."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gpudl.callbacks.progress import put
from gpudl.engine.calls import kind_of

if TYPE_CHECKING:
    from rich.text import Text

_NUMBER, _NONE, _TYPE = "color(34)", "color(45)", "color(33)"
_WIDTH, _CONNECTED_WIDTH, _TRAINABLE_WIDTH, _MARGIN, _NARROWEST = 88, 108, 12, 4, 4
_SIDES: dict[str, Any] = {
    "Layer (type)": "left",
    "Output Shape": "left",
    "Param #": "right",
    "Connected to": "left",
    "Trainable": "center",
}
_UNIT = 1024


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Iterable[float] | None = None,
    print_fn: Callable[[str], object] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print the layers of a model with their output shapes and numbers of weights, as Keras 3 does.

    Args:
        model: the model; layers without weights yet are called unbuilt.
        line_length: width of the table in characters; by default that of the terminal, up to 88.
        positions: the end of each column, as a fraction of the width.
        print_fn: called with the whole text, without colours; by default it is printed.
        expand_nested: whether to show the layers inside layers.
        show_trainable: whether to show which layers train.
        layer_range: names, or regular expressions for the names, of the first and last layer to show.

    Raises:
        ValueError: too narrow a table, a wrong number of `positions`, or a `layer_range` without a match.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if print_fn is not None:
        console = Console(highlight=False, force_terminal=False, color_system=None)
    header = ["Layer (type)", "Output Shape", "Param #"]
    shares, width = [0.45, 0.80, 1.0], _WIDTH
    graph = getattr(model, "_graph", None)
    connections = None if graph is None or graph.linear else graph.connections
    if connections is not None:
        header.append("Connected to")
        shares, width = [0.3, 0.56, 0.74, 1.0], _CONNECTED_WIDTH
    shares = shares if positions is None else list(positions)
    if show_trainable:
        header.append("Trainable")
        shares = [*(0.9 * share for share in shares), 1.0]
        width += _TRAINABLE_WIDTH
    width = line_length or min(width, shutil.get_terminal_size().columns - _MARGIN)
    # A table with an explicit width is not clipped to the console.
    console.width = max(console.width, width)
    table = _table(header, width, shares)
    for layer in _in_range(list(_inside(model)), layer_range):
        for depth, shown in _nested(layer, 0, expand_nested):
            links = None if connections is None else () if depth else connections(shown)
            table.add_row(*_row(shown, depth, show_trainable, links))
    with nullcontext() if console.is_jupyter and not print_fn else console.capture() as captured:
        for part in (_text((f'Model: "{model.name}"', "bold")), table, *_totals(model)):
            console.print(part)
    if captured:
        (print_fn or partial(put, sys.stdout))(captured.get())


def _table(header: list[str], width: int, shares: list[float]) -> Any:
    from rich.table import Column, Table

    if len(shares) != len(header):
        raise ValueError(
            f"positions expected {len(header)} shares of the width, one for each column, got {len(shares)}."
        )
    ends = [0, *(int(share * width) for share in shares)]
    widths = [end - start for start, end in pairwise(ends)]
    if min(widths) < _NARROWEST:
        raise ValueError(
            f"a summary of {width} characters leaves columns of {widths}. Pass a larger line_length or other "
            "positions, or widen the terminal."
        )
    columns = [Column(name, justify=_SIDES[name], width=size) for name, size in zip(header, widths, strict=True)]
    return Table(*columns, width=width, show_lines=True)


def _in_range(layers: list[Any], layer_range: Sequence[str] | None) -> list[Any]:
    if layer_range is None:
        return layers
    if isinstance(layer_range, str) or len(layer_range) != 2:
        raise ValueError(f"layer_range expected the names of the first and the last layer, got {layer_range!r}.")
    found = [[at for at, la in enumerate(layers) if re.match(name, la.name)] for name in layer_range]
    if not all(found):
        known = ", ".join(la.name for la in layers)
        raise ValueError(f"layer_range {tuple(layer_range)!r} matches no layers. The layers are {known}.")
    first, last = found
    # Names given the other way round mean the same range.
    start, stop = (first[0], last[-1]) if first[0] <= last[-1] else (last[0], first[-1])
    return layers[start : stop + 1]


def _inside(layer: object) -> Any:
    """Return the rows of a model: its layers, and the plain ops between them."""
    graph = getattr(layer, "_graph", None)
    return getattr(layer, "layers", ()) if graph is None else graph.operations


def _nested(layer: object, depth: int, expand: bool) -> Iterator[tuple[int, Any]]:
    yield depth, layer
    for inner in getattr(layer, "layers", ()) if expand else ():  # without plain ops, as Keras does
        yield from _nested(inner, depth + 1, expand)


def _row(layer: Any, depth: int, show_trainable: bool, connections: Sequence[str] | None) -> list[Text]:
    prefix = "   " * depth + "└ " if depth else ""
    name = _text(f"{prefix}{layer.name} (", (kind_of(layer), _TYPE), ")")
    count = f"{layer.count_params():,}" if layer.built else "0"
    cells = [
        name,
        _shape(getattr(layer, "output_shape", None)),
        _text((count, _NUMBER), "" if layer.built else " (unbuilt)"),
    ]
    if connections is not None:
        cells.append(_text(", ".join(connections) or "-"))
    if show_trainable:
        trains, colour = ("Y", _NUMBER) if layer.trainable else ("N", "color(9)")
        cells.append(_text((trains, f"bold {colour}") if layer.weights else ("-", "bold")))
    return cells


def _shape(nest: object) -> Text:
    """Return a shape as text, or a list of those in a nest, for several outputs."""
    if nest is None:
        return _text("?")
    shapes = [_text("(", _text(", ").join(map(_size, shape)), ")") for shape in _shapes(nest)]
    return shapes[0] if len(shapes) == 1 else _text("[", _text(", ").join(shapes), "]")


def _shapes(nest: Any) -> Iterator[tuple[int | None, ...]]:
    if isinstance(nest, tuple) and not any(isinstance(inner, tuple | list | dict) for inner in nest):
        yield nest
    elif nest is not None:
        for inner in nest.values() if isinstance(nest, dict) else nest:
            yield from _shapes(inner)


def _size(size: int | None) -> Text:
    return _text((str(size), _NONE if size is None else _NUMBER))


def _totals(model: Any) -> Iterator[Text]:
    parts = {"Trainable": model.trainable_weights, "Non-trainable": model.non_trainable_weights}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        parts["Optimizer"] = optimizer.variables
    parts = {"Total": [v for variables in parts.values() for v in variables], **parts}
    for name, variables in parts.items():
        distinct = list({id(v): v for v in variables}.values())
        count = sum(v.size for v in distinct)
        memory = _memory(sum(v.size * v.dtype.itemsize for v in distinct))
        yield _text((f" {name} params: ", "bold"), (f"{count:,}", _NUMBER), f" ({memory})")


def _memory(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < _UNIT:
            return f"{size:.2f} {unit}"
        size /= _UNIT
    return f"{size:.2f} PB"


def _text(*parts: str | Text | tuple[str, str]) -> Text:
    from rich.text import Text

    return Text.assemble(*parts)
