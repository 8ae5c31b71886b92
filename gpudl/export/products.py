"""Products of matrices, attention, softmax and normalization."""

from __future__ import annotations

import numpy as np

from gpudl.engine.spec import limits
from gpudl.export.call import Call, translates
from gpudl.export.elementwise import computed_in
from gpudl.export.graph import Size, kept_in


@translates("matmul")
def matmul(call: Call, a: str, b: str, *, transpose_a: bool = False, transpose_b: bool = False) -> str:
    """A product of matrices."""
    wide = computed_in(call.dtype) if call.dtype.kind in "iu" else kept_in(call.dtype)
    ins = []
    for place, turn in enumerate((transpose_a, transpose_b)):
        edge = call.ins[place]
        x = edge.name if kept_in(edge.spec.dtype) == wide else call.node("Cast", edge.name, to=wide)
        axes = list(range(edge.spec.ndim))
        ins.append(call.transposed(x, [*axes[:-2], axes[-1], axes[-2]]) if turn else x)
    y = call.node("MatMul", *ins)
    return y if wide == kept_in(call.dtype) else call.graph.cast(y, call.dtype)


@translates("softmax")
def softmax(call: Call, x: str) -> str:
    """A softmax."""
    return call.node("Softmax", call.typed(), axis=-1)


@translates("log_softmax")
def log_softmax(call: Call, x: str) -> str:
    """Its logarithm."""
    return call.node("LogSoftmax", call.typed(), axis=-1)


@translates("sparsemax")
def sparsemax(call: Call, x: str) -> str:
    """The nearest point whose numbers are not negative and sum to 1, from the falling numbers and their sums."""
    node, graph = call.node, call.graph
    x = call.typed()
    (count,) = call.fixed(-1)
    axis, dtype = graph.ints(-1), kept_in(call.dtype)
    falling, _ = graph.nodes_of(2, "TopK", x, graph.ints(count), axis=-1, largest=1, sorted=1)
    sums = node("CumSum", falling, graph.number(-1, np.dtype(np.int64)))
    numbers = graph.constant(np.arange(1, count + 1).astype(dtype))
    among = node("Greater", node("Add", node("Mul", falling, numbers), graph.number(1, dtype)), sums)
    size = node("ReduceSum", node("Cast", among, to=dtype), axis, keepdims=1)
    inside = node("ReduceSum", node("Where", among, falling, graph.number(0, dtype)), axis, keepdims=1)
    excess = node("Div", node("Sub", inside, graph.number(1, dtype)), size)
    return node("Relu", node("Sub", x, excess))


@translates("attention")
def attention(call: Call, q: str, k: str, v: str, *mask: str, scale: float, causal: bool) -> list[str]:
    """A softmax of products of queries and keys, and the product of that and the values."""
    node, graph, dtype = call.node, call.graph, kept_in(call.dtype)
    heads = call.ins[0].spec.shape[2]
    keys = call.transposed(_each_head(call, 1, heads), (0, 2, 3, 1))
    values = call.transposed(_each_head(call, 2, heads), (0, 2, 1, 3))
    products = node("MatMul", call.transposed(call.typed(), (0, 2, 1, 3)), keys)
    scores = node("Mul", products, graph.number(scale, dtype))
    seen = list(mask)
    if causal:
        seen.append(_up_to_own(call, call.ins[0].pair.sizes[1], call.ins[1].pair.sizes[1]))
    if seen:
        both = node("And", *seen) if len(seen) > 1 else seen[0]
        scores = node("Where", both, scores, graph.number(limits(dtype)[0], dtype))
    y = node("MatMul", node("Softmax", scores, axis=-1), values)
    return [call.transposed(y, (0, 2, 1, 3)), ""]


def _each_head(call: Call, position: int, heads: int) -> str:
    """Return keys or values (B, S, K, D) with a head for each of the queries' heads."""
    x, sizes = call.typed(position), call.ins[position].pair.sizes
    own = sizes[2][0]
    if own == heads:
        return x
    apart = call.node("Unsqueeze", x, call.graph.ints(3))
    each = call.node("Expand", apart, call.graph.ints(1, 1, 1, heads // own, 1))
    return call.node("Reshape", each, call.graph.ints(0, 0, heads, sizes[3][0]))


def _up_to_own(call: Call, queries: Size, keys: Size) -> str:
    """Return which keys come no later than each query, (queries, keys)."""
    rows = call.node("Unsqueeze", call.graph.numbers(queries), call.graph.ints(1))
    return call.node("GreaterOrEqual", rows, call.graph.numbers(keys))


@translates("layer_norm")
def layer_norm(call: Call, x: str, gamma: str, beta: str, *, epsilon: float) -> list[str]:
    """A normalization of each row."""
    if not any(call.read[1:]):
        ins = (call.typed(place) for place in range(3))
        return [call.node("LayerNormalization", *ins, axis=-1, epsilon=epsilon), "", ""]
    y, *statistics = _normalized(call, (-1,), epsilon)
    return [y, *(call.node("Squeeze", each, call.graph.ints(-1)) for each in statistics)]


@translates("batch_norm")
def batch_norm(call: Call, x: str, gamma: str, beta: str, *, epsilon: float) -> list[str]:
    """A normalization of each channel by the statistics of the batch."""
    axes = tuple(range(call.ins[0].spec.ndim - 1))
    y, *statistics = _normalized(call, axes, epsilon)
    return [y, *(call.node("Reshape", each, call.graph.ints(-1)) for each in statistics)]


def _normalized(call: Call, axes: tuple[int, ...], epsilon: float) -> list[str]:
    node, graph = call.node, call.graph
    x, gamma, beta = (call.typed(place) for place in range(3))
    mean = node("ReduceMean", x, graph.ints(*axes), keepdims=1, noop_with_empty_axes=1)
    centered = node("Sub", x, mean)
    squares = node("Mul", centered, centered)
    variance = node("ReduceMean", squares, graph.ints(*axes), keepdims=1, noop_with_empty_axes=1)
    spread = node("Sqrt", node("Add", variance, graph.number(epsilon, kept_in(call.dtype))))
    return [node("Add", node("Mul", node("Div", centered, spread), gamma), beta), mean, variance]
