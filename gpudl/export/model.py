"""Writing a model to an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypedDict, Unpack

from gpudl import backend
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.export import onnx_file, translation
from gpudl.export.graph import Graph, NotExpressibleError
from gpudl.export.recording import Recorded, RecordsDifferError, pairs_of, recorded
from gpudl.export.signature import Entry, entry, names_of_inputs, names_of_outputs
from gpudl.layers.base.layer import Layer


class Options(TypedDict, total=False):
    """The options of an export to ONNX: `opset_version` is the version of the set of operators."""

    opset_version: int | None


def export_onnx(
    model: Layer,
    filepath: str | os.PathLike[str],
    signature: Sequence[Nest[object]],
    output_names: Sequence[str],
    **options: Unpack[Options],
) -> None:
    """Write what `model` computes at inference to an ONNX file.

    Args:
        model: the model.
        filepath: the file.
        signature: for each positional argument of a call a nest of what says the shapes and dtypes.
        output_names: the names of the outputs, none if they are not known.
        **options: the version of the set of operators, by default the oldest that is supported.

    Raises:
        ImportError: the library `onnx` is not installed.
        ValueError: an op of the model is no operator of ONNX.
    """
    who = f"{type(model).__name__} {model.name!r}"
    newest = onnx_file.newest()
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        raise TypeError(f"{who}: export to ONNX takes opset_version, got {', '.join(sorted(unknown))}.")
    opset = options.get("opset_version") or onnx_file.OLDEST
    if not onnx_file.OLDEST <= opset <= newest:
        raise ValueError(f"{who}: opset_version is from {onnx_file.OLDEST} to {newest}, got {opset!r}.")
    leaves, _ = flatten(list(signature))
    entries = [entry(who, leaf) for leaf in leaves]

    def called(tensors: list[Tensor]) -> Nest[Tensor | None]:
        given = iter(tensors)
        outs: Nest[Tensor | None] = model(*(map_leaves(lambda _: next(given), e) for e in signature), training=False)
        return outs

    try:
        record = _recorded(called, entries)
        graph = _said(model, record, names_of_inputs(leaves), output_names)
    except (RecordsDifferError, NotExpressibleError) as error:
        raise ValueError(f"{who}: {error}") from error
    except ShapeError as error:
        raise ValueError(
            f"{who}: it cannot be exported for any batch, or other sizes that are None in the shapes of its inputs. "
            f"input_signature can fix them. {error}"
        ) from error
    onnx_file.write(graph, filepath, model.name, opset)


def _recorded(function: Callable[[list[Tensor]], Nest[Tensor | None]], entries: Sequence[Entry]) -> Recorded:
    """Return the record for sizes that all differ, where the function takes such."""
    try:
        return recorded(function, pairs_of(entries, even=False))
    except ShapeError:
        return recorded(function, pairs_of(entries, even=True))


def _said(model: Layer, record: Recorded, ins: Sequence[str], outs: Sequence[str]) -> Graph:
    graph = Graph()
    names = {backend.of(v.array()).address(v.array()): v.path for v in model.variables}
    steps = translation.Translation(graph, names)
    translation.inputs(graph, steps, record.inputs, ins)
    steps.run(record.steps, record.results)
    translation.outputs(graph, steps, record.results, names_of_outputs(record.nest, outs, len(record.results)))
    return graph
