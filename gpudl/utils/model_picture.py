"""Pictures of models, drawn by Graphviz: a box for each layer and op, an arrow for each tensor between them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gpudl.engine.calls import calls_of, kind_of
from gpudl.engine.symbol import KerasTensor, symbols
from gpudl.engine.tree import Nest, flatten, map_leaves

if TYPE_CHECKING:
    import pydot

__all__ = ["model_to_dot", "plot_model"]

_INSTALL = "Install it by `pip install gpudl[plot]`."


class Box(Protocol):
    """A layer, a model or an op, as far as a picture shows it."""

    name: str
    built: bool
    trainable: bool

    @property
    def weights(self) -> Sequence[object]:
        """The weights; a picture says whether they train."""


class Shown(NamedTuple):
    """What a box says beside the kind of a layer."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool


class Arrow(NamedTuple):
    """A tensor on its way: the result of an operation in a row of its results, and the input of another."""

    source: Box
    result: int
    target: Box
    argument: int


def model_to_dot(
    model: Box,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> pydot.Graph:
    """Return a model as a graph in Graphviz's language.

    Args:
        model: a functional model, a `Sequential` or any other model that is built.
        show_shapes: whether to show the shapes of inputs and outputs.
        show_dtype: whether to show the dtypes of outputs.
        show_layer_names: whether to show the names of layers.
        rankdir: ``"TB"`` draws from the top to the bottom, ``"LR"`` from left to right.
        expand_nested: whether to show the layers of models inside the model, in a frame for each.
        dpi: dots an inch.
        subgraph: whether to return a part of a picture, a frame, and not a whole one.
        show_layer_activations: whether to show the activations of layers that have one.
        show_trainable: whether to show which layers train.
        splines: how arrows are drawn.

    Raises:
        ValueError: a model that is not built.
        ImportError: pydot is not installed.
    """
    try:
        import pydot
    except ImportError as error:
        raise ImportError(f"model_to_dot draws with pydot, which is not installed. {_INSTALL}") from error
    if not model.built:
        raise ValueError(
            f'{type(model).__name__} "{model.name}" cannot be drawn: this model has not yet been built. Call it on a '
            "batch of data, or build() it."
        )
    picture: pydot.Graph
    if subgraph:
        picture = pydot.Cluster(graph_name=model.name, style="dashed", label=model.name, labeljust="l")
    else:
        picture = pydot.Dot(rankdir=rankdir, concentrate=True, dpi=dpi, splines=splines)
        picture.set_node_defaults(shape="record")
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    _draw(picture, model, shown, expand_nested)
    return picture


def plot_model(
    model: Box,
    to_file: str | Path = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> object:
    """Draw a model into a file, and in a notebook below the cell.

    Args:
        model: as for `model_to_dot`, and so are the others.
        to_file: where to; what follows the last dot is the format, by default png.

    Raises:
        ValueError: a model that is not built.
        ImportError: pydot or Graphviz is not installed.
    """
    picture = model_to_dot(
        model,
        show_shapes,
        show_dtype,
        show_layer_names,
        rankdir,
        expand_nested,
        dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
        splines=splines,
    )
    if shutil.which("dot") is None:
        raise ImportError(
            "plot_model draws with Graphviz, whose program dot is not installed. Install Graphviz "
            "(graphviz.org/download), or take the graph from model_to_dot(model).to_string()."
        )
    import pydot

    assert isinstance(picture, pydot.Dot)
    path = Path(to_file)
    kind = path.suffix.lstrip(".").lower() or "png"
    path = path if path.suffix else path.with_suffix(".png")
    picture.write(str(path), format=kind)
    if "IPython" in sys.modules and kind in ("png", "jpg", "jpeg"):
        from IPython.display import Image

        return Image(filename=str(path))
    return None


def _draw(picture: Any, model: Box, shown: Shown, expand: bool) -> None:
    import pydot

    for operation in _inside(model):
        if expand and _is_made_of_layers(operation):
            frame = pydot.Cluster(operation.name, style="dashed", label=operation.name, labeljust="l")
            _draw(frame, operation, shown, expand)
            picture.add_subgraph(frame)
        else:
            label = f"<{_table(operation, shown)}>"
            picture.add_node(pydot.Node(str(id(operation)), label=label, fontname="Helvetica", border=0, margin=0))
    for arrow in dict.fromkeys(_arrows(model)):
        source, target = arrow.source, arrow.target
        if expand:
            source, target = _last(source, arrow.result), _first(target, arrow.argument)
        picture.add_edge(pydot.Edge(str(id(source)), str(id(target)), penwidth=2))


def _graph(model: object) -> Any:
    return getattr(model, "_graph", None)


def _is_made_of_layers(operation: object) -> bool:
    return _graph(operation) is not None or hasattr(operation, "_stack")


def _inside(model: Box) -> list[Box]:
    """Return the boxes of a model: that of an own class is one box."""
    if not _is_made_of_layers(model):
        return [model]
    found: list[Box] = getattr(model, "layers" if _graph(model) is None else "operations")
    return found


def _arrows(model: Box) -> Iterator[Arrow]:
    graph = _graph(model)
    if graph is None:
        for below, above in pairwise(_inside(model)):
            yield Arrow(below, 0, above, 0)
        return
    for step in graph.steps:
        for number, place in enumerate(step.places):
            yield Arrow(graph.steps[place.step].operation, place.position, step.operation, number)


def _last(operation: Box, result: int) -> Box:
    """Return the box inside that gives a result of an operation."""
    if not _is_made_of_layers(operation):
        return operation
    graph = _graph(operation)
    if graph is None:
        return _last(_inside(operation)[-1], result)
    place = graph.output_places[result]
    return _last(graph.steps[place.step].operation, place.position)


def _first(operation: Box, argument: int) -> Box:
    """Return the box inside that takes an input of an operation."""
    if not _is_made_of_layers(operation):
        return operation
    graph = _graph(operation)
    return _first(_inside(operation)[0], argument) if graph is None else graph.steps[argument].operation


def _table(operation: Box, shown: Shown) -> str:
    """Return the text of a box, a table in HTML."""
    cells = list(_cells(operation, shown))
    width = max(sum((2 * shown.shapes, shown.dtype, shown.trainable)), 1)
    kind = kind_of(operation)
    title = f"<b>{escape(operation.name)}</b> ({escape(kind)})" if shown.names else f"<b>{escape(kind)}</b>"
    rows = [_cell(title, 16, "black", "white", width)]
    activation = getattr(operation, "activation", None)
    if shown.activations and activation is not None:
        name = getattr(activation, "__name__", type(activation).__name__)
        rows.append(_cell(f"Activation: <b>{escape(name)}</b>", columns=width))
    if cells:
        rows.append("".join(cells))
    inner = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table border="0" cellborder="1" bgcolor="black" cellpadding="10">{inner}</table>'


def _cells(operation: Box, shown: Shown) -> Iterator[str]:
    call = next(iter(calls_of(operation)), None)
    given, returned = (call.inputs, call.outputs) if call is not None else ([], [])
    if shown.shapes and (given or call is None):
        yield _cell(f"Input shape: <b>{_row([str(s.shape) for s in given])}</b>")
    if shown.shapes:
        named = isinstance(returned, dict) and [f"{name}: {_shapes(nest)}" for name, nest in returned.items()]
        yield _cell(f"Output shape: <b>{escape(', '.join(named) if named else _shapes(returned))}</b>")
    if shown.dtype:
        dtypes = map_leaves(lambda symbol: str(symbol.dtype), returned)
        yield _cell(f"Output dtype: <b>{dtypes if isinstance(dtypes, dict) else _row(flatten(dtypes)[0])}</b>")
    if shown.trainable and operation.weights:
        word, colour = ("Trainable", "forestgreen") if operation.trainable else ("Non-trainable", "firebrick")
        yield _cell(f"<b>{word}</b>", background=colour, colour="white")


def _shapes(nest: Nest[KerasTensor]) -> str:
    return _row([str(symbol.shape) for symbol in symbols(nest)])


def _row(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else "?"


def _cell(text: str, size: int = 14, background: str = "white", colour: str = "black", columns: int = 1) -> str:
    font = f'<font point-size="{size}" color="{colour}">{text}</font>'
    return f'<td bgcolor="{background}" colspan="{columns}">{font}</td>'
