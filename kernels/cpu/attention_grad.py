"""The gradients of attention, in the blocks of `attention`, whose scores are computed again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..registry import accelerates
from .attention import (
    BLOCK,
    HIDDEN,
    buffers_of,
    hide,
    inputs_of,
    keys_seen,
    sizes_of,
    starts,
    supports_floats,
    tables_of,
    transpose,
    weight,
)
from .machine.memory import clear
from .machine.prebound import ParallelLoop, share
from .machine.threads import inner
from .machine.tile import Left, Result, Right, address, compiled, product

f4 = np.float32


class Gradients(NamedTuple):
    """The arrays of the backward pass, flat: the gradient and the value of the result, log-sum-exp, the results."""

    g: ndarray
    out: ndarray
    lse: ndarray
    dq: ndarray
    dk: ndarray
    dv: ndarray


@inner
def _clear(to: ndarray, start: int, count: int, step: int, width: int) -> None:
    """Set `count` rows of `width` floats, `step` apart, to zero."""
    for row in range(count):
        clear(to, start + row * step, width)


@ParallelLoop
def _backward(worker, workers, thread, tiles, has, given, at, tables, buffers):  # type: ignore[no-untyped-def]
    # `has`, the gradients, from `given`; all flat
    scores, slopes, queries = buffers.scores[thread], buffers.slopes[thread], buffers.queries[thread]
    turned, lse, dots = buffers.gradients[thread], buffers.lines[thread, 0], buffers.lines[thread, 1]
    shared, apart = at.heads // at.key_heads, at.heads * at.value_width
    scale = f4(at.scale)
    for unit in share(len(has.lse) // at.queries // shared, worker, workers):
        b = unit // at.key_heads
        for h in range(unit % at.key_heads * shared, (unit % at.key_heads + 1) * shared):
            of_query, of_key, of_value, of_out = starts(at, b, h)
            if h % shared == 0:
                _clear(has.dk, of_key, at.keys, at.key_heads * at.width, at.width)
                _clear(has.dv, of_value, at.keys, at.key_heads * at.value_width, at.value_width)
            for first in range(0, at.queries, at.rows):
                count, seen = min(at.rows, at.queries - first), keys_seen(at, first)
                start = of_out + first * apart
                transpose(
                    queries, given.q, of_query + first * at.heads * at.width, at.heads * at.width, count, at.scale
                )
                transpose(turned, has.g, start, apart, count, 1.0)
                for i in range(count):
                    row, total = np.uintp(start + i * apart), f4(0)
                    for d in range(np.uintp(at.value_width)):
                        total += has.g[row + d] * has.out[row + d]
                    dots[i] = total
                    lse[i] = has.lse[(b * at.heads + h) * at.queries + first + i]
                    if lse[i] == HIDDEN:  # no key counts
                        lse[i] = f4(np.inf)
                        for j in range(at.keys):
                            to = np.uintp(of_value + j * at.key_heads * at.value_width)
                            for d in range(np.uintp(at.value_width)):
                                has.dv[to + d] += has.g[row + d] / at.keys
                for key in range(0, seen, BLOCK):
                    some, line, begin = min(BLOCK, seen - key), address(tables.line) + 8 * key, 4 * key * at.stride
                    place, element = address(tables.place) + 8 * first, address(tables.element)
                    key_rows, value_rows = address(tables.key) + 8 * key, address(tables.value) + 8 * key
                    query_rows, out_rows = address(tables.query) + 8 * first, address(tables.out) + 8 * first
                    packed, weights, slope = address(tables.packed), address(scores) - begin, address(slopes) - begin
                    k, v, q = address(given.k) + 4 * of_key, address(given.v) + 4 * of_value, address(given.q)
                    left, right = Left(k, key_rows, element), Right(address(queries), packed, 1)
                    product(tiles, left, right, Result(weights, line), at.width, some, count, 0, 0, 0)
                    hide(scores, given.mask, at, (b, h), first, key, some)
                    left, right = Left(v, value_rows, element), Right(address(turned), packed, 1)
                    product(tiles, left, right, Result(slope, line), at.value_width, some, count, 0, 0, 0)
                    for j in range(np.uintp(some)):
                        for i in range(np.uintp(count)):
                            scores[j, i] = weight(scores[j, i] - lse[i])
                            slopes[j, i] = scores[j, i] * (slopes[j, i] - dots[i]) * scale
                    left = Left(weights - 4 * first, line, place)
                    right = Right(address(has.g) + 4 * of_out, out_rows, 1)
                    into = Result(address(has.dv) + 4 * of_value, value_rows)
                    product(tiles, left, right, into, count, some, at.value_width, 1, 0, 0)
                    left, right = Left(slope - 4 * first, line, place), Right(q + 4 * of_query, query_rows, 1)
                    into = Result(address(has.dk) + 4 * of_key, key_rows)
                    product(tiles, left, right, into, count, some, at.width, 1, 0, 0)
                    left, right = Left(slope - 4 * first, place, line), Right(k, key_rows, 1)
                    into = Result(address(has.dq) + 4 * of_query, query_rows)
                    product(tiles, left, right, into, some, count, at.width, min(key, 1), 0, 0)


@accelerates("attention_grad", device="cpu", supports=supports_floats)
def attention_grad(
    dq: ndarray,
    dk: ndarray,
    dv: ndarray,
    g: ndarray,
    out: ndarray,
    lse: ndarray,
    q: ndarray,
    k: ndarray,
    v: ndarray,
    *mask: ndarray,
    scale: float,
    causal: bool,
) -> None:
    """Compute the gradients of `attention` from that of its result, `g`."""
    at = sizes_of(q, k, v, scale, causal)
    has = Gradients(*(a.reshape(-1) for a in (g, out, lse, dq, dk, dv)))
    _backward(q.size * at.keys, compiled(), has, inputs_of(q, k, v, mask), at, tables_of(at), buffers_of(at, True))
