"""Attention, block by block: the scores of some queries and keys at a time, never the whole matrix of them.

A block of scores is computed transposed, keys by queries, so that the maximum and the sum of a softmax are taken down
the columns, which are vectors. The register tile reads either orientation of a block, and rows of queries, keys and
values where they lie, head by head. Only the queries of a block, and in the backward pass the gradients of its results,
are copied, transposed.

The softmax over several blocks of keys is corrected as larger scores are found (Dao et al., "FlashAttention", NeurIPS
2022). Its sums are divided by last. A unit of work is all of a block of queries; in the backward pass all queries that
share a head of keys, so that the result is bitwise the same for any number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from .. import team
from ..registry import accelerates, floats
from .machine.layout import multiples
from .machine.prebound import ParallelLoop, share
from .machine.scratch import scratch
from .machine.threads import inner
from .machine.tile import ROWS, Left, Result, Right, address, compiled, product
from .machine.transcendental import exp
from .machine.vectors import LANES

BLOCK = 192  # queries or keys of a block: tiles of six rows and of four vectors divide it
_NO_MASK = np.empty((0, 0, 0, 0), np.bool_)
HIDDEN = np.float32(-np.inf)
_LEAST = np.float32(-87)  # whose exponential is about the least normal number
f4 = np.float32


class Sizes(NamedTuple):
    """The sizes of an attention.

    Attributes:
        queries, keys: numbers of tokens.
        heads, key_heads: numbers of heads; each head of keys is shared by several of queries.
        width, value_width: elements of a query or key, and of a value.
        rows: queries of a block.
        stride: floats between the rows of a block of scores, one row per key.
        scale: the factor of all scores.
        causal: whether a query sees the keys up to its own place only.
    """

    queries: int
    keys: int
    heads: int
    key_heads: int
    width: int
    value_width: int
    rows: int
    stride: int
    scale: float
    causal: bool


class Tables(NamedTuple):
    """Offsets of rows, in floats.

    Attributes:
        query, key, value, out: of the tokens in the arrays.
        line, place: of the keys and of the queries in a block of scores.
        element, packed: of the elements of a token, in the arrays and transposed.
    """

    query: ndarray
    key: ndarray
    value: ndarray
    out: ndarray
    line: ndarray
    place: ndarray
    element: ndarray
    packed: ndarray


class Given(NamedTuple):
    """The inputs: flat queries, keys and values; the mask is (batch, heads, queries, keys), or has sizes of 1."""

    q: ndarray
    k: ndarray
    v: ndarray
    mask: ndarray


class Buffers(NamedTuple):
    """Scratch memory of each thread: two blocks of scores, two of transposed rows, and lines, one value a query."""

    scores: ndarray
    slopes: ndarray
    queries: ndarray
    gradients: ndarray
    lines: ndarray


@inner
def weight(score: np.float32) -> np.float32:
    """Return exp(score) for a score of at most about 0; 0 instead of subnormal numbers, which take a hundred cycles."""
    near = f4(0) if score <= _LEAST else score
    return f4(0) if score <= _LEAST else exp(near)


@inner
def transpose(to: ndarray, rows: ndarray, start: int, step: int, count: int, scale: float) -> None:
    """Copy `count` rows of floats, `step` apart, to the columns of `to`, scaled."""
    factor = f4(scale)
    for d in range(np.uintp(len(to))):
        source = np.uintp(start) + d
        for i in range(np.uintp(count)):
            to[d, i] = rows[source + i * np.uintp(step)] * factor


@inner
def hide(scores: ndarray, mask: ndarray, at: Sizes, place: tuple[int, int], first: int, key: int, count: int) -> None:
    """Set the scores of a block that do not count to minus infinity: queries from `first`, `count` keys from `key`."""
    rows = min(at.rows, at.queries - first)
    if at.causal:
        for j in range(count):
            for i in range(np.uintp(min(max(key + j - first, 0), rows))):
                scores[j, i] = HIDDEN
    if mask.size:
        batches, heads, queries, keys = mask.shape
        seen = mask[place[0] if batches > 1 else 0, place[1] if heads > 1 else 0]
        for j in range(count):
            column = key + j if keys > 1 else 0
            if queries > 1:
                for i in range(rows):
                    if not seen[first + i, column]:
                        scores[j, i] = HIDDEN
            elif not seen[0, column]:
                for i in range(np.uintp(rows)):
                    scores[j, i] = HIDDEN


@inner
def keys_seen(at: Sizes, first: int) -> int:
    """Return how many keys a block of queries from `first` may see: whole tiles of them."""
    last = first + min(at.rows, at.queries - first)
    return min(at.keys, (last + ROWS - 1) // ROWS * ROWS) if at.causal else at.keys


@inner
def starts(at: Sizes, b: int, h: int) -> tuple[int, int, int, int]:
    """Return where queries, keys, values and results of head `h` of sample `b` begin."""
    head = h // (at.heads // at.key_heads)
    return (
        (b * at.queries * at.heads + h) * at.width,
        (b * at.keys * at.key_heads + head) * at.width,
        (b * at.keys * at.key_heads + head) * at.value_width,
        (b * at.queries * at.heads + h) * at.value_width,
    )


@inner
def _softmax(scores: ndarray, lines: ndarray, count: int, columns: int) -> None:
    """Replace scores by their exponentials, and update the lines: the factor of what was summed before is line 2."""
    top, total, factor, shift = lines[0], lines[1], lines[2], lines[3]
    wide = np.uintp(columns)
    for i in range(wide):
        factor[i] = top[i]
    for j in range(np.uintp(count)):
        for i in range(wide):
            top[i] = scores[j, i] if scores[j, i] > top[i] else top[i]
    for i in range(wide):
        shift[i] = f4(0) if top[i] == HIDDEN else top[i]
        factor[i] = weight(factor[i] - shift[i])
        total[i] *= factor[i]
    for j in range(np.uintp(count)):
        for i in range(wide):
            scores[j, i] = weight(scores[j, i] - shift[i])
            total[i] += scores[j, i]


@ParallelLoop
def _forward(worker, workers, thread, tiles, out, lse, given, at, tables, buffers):  # type: ignore[no-untyped-def]
    # q (B, T, H, D), k (B, S, K, D), v (B, S, K, E) -> out (B, T, H, E), lse (B, H, T), all flat
    scores, queries, lines = buffers.scores[thread], buffers.queries[thread], buffers.lines[thread]
    blocks, apart = (at.queries + at.rows - 1) // at.rows, at.heads * at.value_width
    for unit in share(len(lse) // at.queries * blocks, worker, workers):
        b, h, first = unit // blocks // at.heads, unit // blocks % at.heads, unit % blocks * at.rows
        of_query, of_key, of_value, of_out = starts(at, b, h)
        count, seen = min(at.rows, at.queries - first), keys_seen(at, first)
        transpose(queries, given.q, of_query + first * at.heads * at.width, at.heads * at.width, count, at.scale)
        lines[0], lines[1] = HIDDEN, f4(0)
        to = Result(address(out) + 4 * of_out, address(tables.out) + 8 * first)
        for key in range(0, seen, BLOCK):
            some, line, begin = min(BLOCK, seen - key), address(tables.line) + 8 * key, 4 * key * at.stride
            keys = Left(address(given.k) + 4 * of_key, address(tables.key) + 8 * key, address(tables.element))
            block = Result(address(scores) - begin, line)
            by_query = Right(address(queries), address(tables.packed), 1)
            product(tiles, keys, by_query, block, at.width, some, count, 0, 0, 0)
            hide(scores, given.mask, at, (b, h), first, key, some)
            _softmax(scores, lines, some, count)
            for i in range(count if key else 0):
                row = np.uintp(of_out + (first + i) * apart)
                for d in range(np.uintp(at.value_width)):
                    out[row + d] *= lines[2, i]
            weights = Left(address(scores) - begin - 4 * first, address(tables.place) + 8 * first, line)
            values = Right(address(given.v) + 4 * of_value, address(tables.value) + 8 * key, 1)
            product(tiles, weights, values, to, some, count, at.value_width, min(key, 1), 0, 0)
        for i in range(count):
            row, total = np.uintp(of_out + (first + i) * apart), lines[1, i]
            lse[unit // blocks * at.queries + first + i] = lines[0, i] + f4(math.log(total))
            for d in range(np.uintp(at.value_width)):
                out[row + d] *= f4(1) / total
            for d in range(0 if total != 0 else at.value_width):  # no key counts: the mean of all values
                mean = 0.0
                for j in range(at.keys):
                    mean += given.v[np.uintp(of_value + j * at.key_heads * at.value_width + d)]
                out[row + np.uintp(d)] = mean / at.keys


def supports_floats(*arrays: ndarray, scale: float, causal: bool) -> bool:
    """Accept C-contiguous float32 arrays that are not empty."""
    return floats(*arrays) and all(a.size > 0 for a in arrays) and arrays[0].dtype == np.float32


def sizes_of(q: ndarray, k: ndarray, v: ndarray, scale: float, causal: bool) -> Sizes:
    """Return the sizes of an attention with these inputs."""
    (_, queries, heads, width), (keys, key_heads, value_width) = q.shape, v.shape[1:]
    rows = min(queries, BLOCK)
    stride = -(-rows // LANES) * LANES
    return Sizes(queries, keys, heads, key_heads, width, value_width, rows, stride, float(scale), bool(causal))


def tables_of(at: Sizes) -> Tables:
    """Return the offsets for these sizes."""
    most = max(at.width, at.value_width)
    return Tables(
        multiples(at.queries, at.heads * at.width),
        multiples(at.keys, at.key_heads * at.width),
        multiples(at.keys, at.key_heads * at.value_width),
        multiples(at.queries, at.heads * at.value_width),
        multiples(at.keys, at.stride),
        multiples(at.queries, 1),
        multiples(most, 1),
        multiples(most, at.stride),
    )


def buffers_of(at: Sizes, backward: bool) -> Buffers:
    """Return scratch memory, with `backward` that of the backward pass too."""
    threads, block = team.size(), (min(at.keys, BLOCK) + ROWS, at.stride)
    return Buffers(
        scratch(threads, *block),
        scratch(threads, *(block if backward else (1, 1))),
        scratch(threads, at.width, at.stride),
        scratch(threads, *((at.value_width, at.stride) if backward else (1, 1))),
        scratch(threads, 4, at.stride),
    )


def inputs_of(q: ndarray, k: ndarray, v: ndarray, mask: tuple[ndarray, ...]) -> Given:
    """Return the inputs flat, with an empty mask for none."""
    return Given(q.reshape(-1), k.reshape(-1), v.reshape(-1), mask[0] if mask else _NO_MASK)


@accelerates("attention", device="cpu", supports=supports_floats)
def attention(
    out: ndarray, lse: ndarray, q: ndarray, k: ndarray, v: ndarray, *mask: ndarray, scale: float, causal: bool
) -> None:
    """Compute softmax(scale * q @ k^T) @ v for each head, and the logarithm of the sum of the exponentials.

    q (B, T, H, D), k (B, S, K, D), v (B, S, K, E) -> out (B, T, H, E), lse (B, H, T).
    """
    at = sizes_of(q, k, v, scale, causal)
    work = q.size * at.keys
    _forward(
        work,
        compiled(),
        out.reshape(-1),
        lse.reshape(-1),
        inputs_of(q, k, v, mask),
        at,
        tables_of(at),
        buffers_of(at, False),
    )
