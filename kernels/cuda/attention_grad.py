"""The gradients of attention, by the kernels of `attention_grad.cu`: of queries first, then of keys and values."""

from __future__ import annotations

from ..registry import accelerates
from .attention import Inputs, Pass
from .launch import Array
from .sharing import sum_type

FILE = "attention_grad.cu"
OF_QUERIES = Pass(FILE, "attention_queries_grad", (2, 2, 1), (32, 32))
OF_KEYS = Pass(FILE, "attention_keys_grad", (2, 4, 2), (32, 64), of_keys=True)


def _supports(
    dq: Array,
    dk: Array,
    dv: Array,
    g: Array,
    out: Array,
    lse: Array,
    q: Array,
    k: Array,
    v: Array,
    *mask: Array,
    scale: float,
    causal: bool,
) -> bool:
    of = Inputs(q, k, v, out, mask)
    return of.fit(dq, dk, dv, g, lse) and OF_QUERIES.compiles(of) and OF_KEYS.compiles(of)


@accelerates("attention_grad", device="cuda", supports=_supports)
def attention_grad(
    dq: Array,
    dk: Array,
    dv: Array,
    g: Array,
    out: Array,
    lse: Array,
    q: Array,
    k: Array,
    v: Array,
    *mask: Array,
    scale: float,
    causal: bool,
) -> None:
    """Compute the gradients of `attention` from that of its result, `g`."""
    import cupy

    of = Inputs(q, k, v, out, mask)
    sums, products = (cupy.empty(lse.shape, sum_type(lse.dtype)) for _ in range(2))
    numbers = of.numbers(scale, causal)
    OF_QUERIES.start(of, (dq, sums, products, g, out, lse, q, k, v), numbers)
    OF_KEYS.start(of, (dk, dv, g, q, k, v, sums, products), numbers)
