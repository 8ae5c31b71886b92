"""LSTM and GRU, which are operators of ONNX where no step is masked, and loops, which are its Scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpudl.export.call import Call, translates
from gpudl.export.graph import Graph, Port, kept_in

_ORDER = {"lstm": (0, 3, 1, 2), "gru": (0, 1, 2)}  # ONNX's gates among ours: i, o, f, c, and z, r, h


@dataclass(frozen=True)
class _Projection:
    """What the inputs of a loop are: x times a kernel, plus a bias, or, where that is not known, just x."""

    x: str
    kernel: np.ndarray
    bias: np.ndarray


def _projected(call: Call) -> _Projection:
    edge = call.ins[0]
    wide = edge.spec.shape[2]
    plain = _Projection(call.typed(), np.eye(wide, dtype=kept_in(call.dtype)), np.zeros(wide, kept_in(call.dtype)))
    bias = plain.bias
    maker = edge.maker
    while maker is not None and maker.op in ("reshape_view", "bias_activation"):
        if maker.op == "bias_activation":
            given = maker.ins[1].constant
            if given is None or maker.static["activation"] != "linear":
                return plain
            bias = bias + given
        maker = maker.ins[0].maker
    if maker is None or maker.op != "matmul" or any(maker.static.values()) or maker.ins[1].constant is None:
        return plain
    rows, kernel = maker.ins[0], maker.ins[1].constant
    before = rows.maker
    whole = before.ins[0] if before is not None and before.op == "reshape_view" else rows
    if whole.pair.sizes[:-1] != edge.pair.sizes[:-1] or whole.pair.sizes[-1] != (kernel.shape[0],) * 2:
        return plain
    return _Projection(whole.name, kernel, bias) if whole.spec.dtype == call.dtype else plain


@translates("lstm", "gru")
def whole_loop(call: Call, x: str, kernel: str, bias: str, *rest: str, reverse: bool = False) -> Sequence[str]:
    """The states of all steps and the last ones; what gradients need is not there."""
    *states, mask = call.ins[3:]
    if mask.fill != 1 or any(edge.constant is None for edge in call.ins[1:3]):
        return _scanned(call, reverse)
    node, graph, dtype = call.node, call.graph, kept_in(call.dtype)
    given = _projected(call)
    recurrent, added = (edge.constant for edge in call.ins[1:3])
    assert recurrent is not None
    assert added is not None
    biases = np.concatenate([_gates(call.op, given.bias), _gates(call.op, added)], axis=-1)
    first = [
        "" if edge.fill == 0 else node("Unsqueeze", call.typed(3 + at), graph.ints(0)) for at, edge in enumerate(states)
    ]
    outs = graph.nodes_of(
        1 + len(states),
        call.op.upper(),
        call.transposed(given.x, (1, 0, 2)),
        *(graph.constant(_gates(call.op, w).T[None].astype(dtype)) for w in (given.kernel, recurrent)),
        graph.constant(biases[None].astype(dtype)),
        "",
        *first,
        hidden_size=recurrent.shape[0],
        direction="reverse" if reverse else "forward",
        **({"linear_before_reset": 1} if call.op == "gru" else {}),
    )
    rows = call.transposed(node("Squeeze", outs[0], graph.ints(1)), (1, 0, 2))
    lasts = [node("Squeeze", each, graph.ints(0)) for each in outs[1:]]
    return [rows, *lasts, *[""] * (len(call.outs) - 1 - len(states))]


def _gates(op: str, weight: np.ndarray) -> np.ndarray:
    """Return a weight with its gates, along the last axis, in ONNX's order."""
    order = _ORDER[op]
    parts = np.split(weight, len(order), axis=-1)
    return np.concatenate([parts[at] for at in order], axis=-1)


def _scanned(call: Call, reverse: bool) -> list[str]:
    """Return the loop as a Scan, in which a step that is masked keeps the states."""
    count = len(call.ins) - 4
    body = Graph(call.graph, call.graph.scope)
    before = [body.name("state") for _ in range(count)]
    row, counts = body.name("row"), body.name("counts")
    body.inputs = [Port(name, kept_in(call.dtype), None) for name in (*before, row)]
    body.inputs.append(Port(counts, np.dtype(bool), None))
    step = _lstm_step if call.op == "lstm" else _gru_step
    after = step(Call(body, call.op, call.ins, call.outs), row, call.typed(1), call.typed(2), before)
    kept = [
        body.node("Where", body.node("Unsqueeze", counts, body.ints(1)), new, old)
        for new, old in zip(after, before, strict=True)
    ]
    sequences = call.transposed(call.typed(), (1, 0, 2)), call.transposed(call.ins[-1].name, (1, 0))
    begin = [call.typed(3 + at) for at in range(count)]
    ys = scan(call.graph, body, begin, sequences, [*kept, kept[0]], [call.dtype] * (count + 1), reverse)
    unread = [""] * (len(call.outs) - 1 - count)
    return [call.transposed(ys[-1], (1, 0, 2)), *ys[:-1], *unread]


def _lstm_step(call: Call, row: str, kernel: str, bias: str, states: list[str]) -> list[str]:
    node, graph = call.node, call.graph
    h, c = states
    z = node("Add", row, node("Add", node("MatMul", h, kernel), bias))
    i, f, g, o = graph.nodes_of(4, "Split", z, axis=-1, num_outputs=4)
    kept = node("Mul", node("Sigmoid", f), c)
    c = node("Add", kept, node("Mul", node("Sigmoid", i), node("Tanh", g)))
    return [node("Mul", node("Sigmoid", o), node("Tanh", c)), c]


def _gru_step(call: Call, row: str, kernel: str, bias: str, states: list[str]) -> list[str]:
    node, graph = call.node, call.graph
    (h,) = states
    y = node("Add", node("MatMul", h, kernel), bias)
    (x_z, x_r, x_h), (y_z, y_r, y_h) = (graph.nodes_of(3, "Split", t, axis=-1, num_outputs=3) for t in (row, y))
    z, r = node("Sigmoid", node("Add", x_z, y_z)), node("Sigmoid", node("Add", x_r, y_r))
    candidate = node("Tanh", node("Add", x_h, node("Mul", r, y_h)))
    return [node("Add", candidate, node("Mul", z, node("Sub", h, candidate)))]


def scan(
    graph: Graph,
    body: Graph,
    begin: Sequence[str],
    rows: Sequence[str],
    results: Sequence[str],
    dtypes: Sequence[np.dtype],
    reverse: bool,
) -> tuple[str, ...]:
    """Add a Scan over the first axes of `rows`, and return its results: the last states, and the rows of the others.

    Args:
        graph: where to.
        body: one iteration, whose inputs are the states and a row of each of the `rows`.
        begin: the states before the first iteration.
        rows: what there is a row of for each iteration.
        results: what an iteration returns: new states, and others, of which all are kept.
        dtypes: their dtypes.
        reverse: whether to begin with the last row.
    """
    # An output of a body is the result of a node of its own.
    named = [body.node("Identity", name) for name in results]
    body.outputs = [Port(name, kept_in(dtype), None) for name, dtype in zip(named, dtypes, strict=True)]
    way = int(reverse)
    kept = len(results) - len(begin)
    return graph.nodes_of(
        len(results),
        "Scan",
        *begin,
        *rows,
        body=body,
        num_scan_inputs=len(rows),
        scan_input_directions=(way,) * len(rows),
        **({"scan_output_directions": (way,) * kept} if kept else {}),
    )
