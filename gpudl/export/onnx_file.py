"""Graphs as ONNX files, by the library `onnx`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from gpudl.export.graph import Graph, Node, Port
from gpudl.utils.files import replacing

if TYPE_CHECKING:
    import onnx

OLDEST = 18  # the set of operators in which reductions take their axes as an input
LARGEST = 2**31 - 2**20  # bytes of constants: a file of protocol buffers has at most 2 GiB
_INSTALL = "Install it by `pip install gpudl[onnx]`."


def newest() -> int:
    """Return the newest set of operators that the library knows.

    Raises:
        ImportError: the library `onnx` is not installed.
    """
    try:
        from onnx import defs
    except ImportError as error:
        raise ImportError(
            f"export: an ONNX file is written by the library onnx, which is missing. {_INSTALL}"
        ) from error
    return defs.onnx_opset_version()


def write(graph: Graph, path: str | os.PathLike[str], name: str, opset: int) -> None:
    """Write a graph to a file, which replaces an old one when it is complete.

    Args:
        graph: the graph.
        path: the file.
        name: the name of the model.
        opset: the version of the set of operators.

    Raises:
        ValueError: its constants are too large for one file.
    """
    from onnx import helper, numpy_helper

    nodes, constants = needed(graph)
    total = sum(array.nbytes for array in constants.values())
    if total > LARGEST:
        raise ValueError(
            f"export: the weights of {name!r} are {total / 2**30:.1f} GiB, and one ONNX file holds 2 GiB. Export its "
            "parts as models of their own, or cast its weights to float16."
        )
    made = helper.make_graph(
        [_node(node) for node in nodes],
        name,
        [_port(port) for port in graph.inputs],
        [_port(port) for port in graph.outputs],
        [numpy_helper.from_array(np.asarray(array, order="C"), key) for key, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    model = helper.make_model(made, producer_name="gpudl", opset_imports=opsets, ir_version=version)
    with replacing(path) as unfinished:
        unfinished.write_bytes(model.SerializeToString())


def needed(graph: Graph) -> tuple[list[Node], dict[str, np.ndarray]]:
    """Return the nodes and constants on which the outputs of a graph depend."""
    wanted = {port.name for port in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outs):
            kept.append(node)
            wanted.update(read(node))
    return kept[::-1], {name: array for name, array in graph.constants.items() if name in wanted}


def read(node: Node) -> Iterable[str]:
    """Yield the names that a node reads, also in its bodies."""
    yield from node.ins
    for attribute in node.attributes.values():
        if isinstance(attribute, Graph):
            for inner in needed(attribute)[0]:
                yield from read(inner)


def _node(node: Node) -> onnx.NodeProto:
    from onnx import helper

    made = helper.make_node(node.kind, node.ins, node.outs, name=node.outs[0])
    made.attribute.extend(helper.make_attribute(name, _attribute(value)) for name, value in node.attributes.items())
    return made


def _attribute(value: object) -> object:
    from onnx import helper

    if isinstance(value, np.dtype):
        return helper.np_dtype_to_tensor_dtype(value)
    if isinstance(value, Graph):
        nodes = [_node(node) for node in needed(value)[0]]
        return helper.make_graph(nodes, "body", [_port(p) for p in value.inputs], [_port(p) for p in value.outputs])
    return value


def _port(port: Port) -> onnx.ValueInfoProto:
    from onnx import helper

    return helper.make_tensor_value_info(port.name, helper.np_dtype_to_tensor_dtype(port.dtype), port.shape)
