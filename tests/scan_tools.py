"""Cells for the tests of `scan`, and the loop that each of them must equal bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gpudl
from gpudl import ops
from gpudl.engine.tree import flatten, map_leaves

ROWS, UNITS, FEATURES = 3, 4, 5
Step = Callable[..., list[gpudl.Tensor]]


def array(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return (0.5 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def variable(*shape: int, seed: int = 0, dtype: Any = np.float32) -> gpudl.Variable:
    return gpudl.Variable(array(*shape, seed=seed, dtype=dtype))


def loop(f: Any, init: Any, xs: Any, reverse: bool = False) -> Any:
    """What `scan` must be equal to, written out."""
    leaves, _ = flatten(xs)
    carry, rows = init, []
    for t in range(leaves[0].shape[0])[:: -1 if reverse else 1]:
        given = iter([leaf[t] for leaf in leaves])
        carry, y = f(carry, map_leaves(lambda _, given=given: next(given), xs))
        rows.append(y)
    results = (flatten(y)[0] for y in rows[:: -1 if reverse else 1])
    stacks = iter([ops.stack(list(each)) for each in zip(*results, strict=True)])
    return carry, map_leaves(lambda _: next(stacks), rows[0])


def lstm(dtype: Any = np.float32) -> tuple[Any, list[gpudl.Variable]]:
    """A long short-term memory with a skip, whose hidden state is a result too, and a projection of it."""
    shapes = ((FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,), (UNITS, 2))
    kernel, recurrent, bias, out = weights = [variable(*s, seed=n, dtype=dtype) for n, s in enumerate(shapes)]

    def cell(carry: Any, x: Any) -> Any:
        h, c = carry
        gates = ops.matmul(x, kernel) + ops.matmul(h, recurrent) + bias
        i, f, g, o = (gates[:, n * UNITS : (n + 1) * UNITS] for n in range(4))
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c) + 0.25 * h  # read twice in a step: the order of sums counts
        return (h, c), {"h": h, "p": ops.matmul(h, out)}

    return cell, weights


def training(run: Any, made: Any, reverse: bool = False) -> Step:
    """A step that goes forwards and backwards through `lstm`, and returns all results and all gradients."""
    cell, weights = made

    def step(xs: Any, start: Any) -> list[gpudl.Tensor]:
        first = start * weights[3][:, 0]  # so that it depends on a weight, as the rows do
        (h, c), ys = run(cell, (first, start), xs * weights[3][0, 1], reverse=reverse)
        loss = ops.sum(ops.square(ys["p"])) + ops.sum(3.0 * h) + ops.sum(c * c) + ops.sum(ops.tanh(ys["h"]))
        loss = loss + ops.sum(ops.square(weights[1]))  # of which there is a gradient before that of the loop
        return [h, c, ys["h"], ys["p"], loss, *gpudl.grad(loss, weights)]

    return step


def inputs(length: int, dtype: Any = np.float32) -> tuple[gpudl.Tensor, gpudl.Tensor]:
    rows = array(length, ROWS, FEATURES, seed=7, dtype=dtype)
    return gpudl.convert_to_tensor(rows), gpudl.convert_to_tensor(array(ROWS, UNITS, seed=8, dtype=dtype))


def bits(results: Any) -> list[bytes]:
    """The bits of results, of which -0.0 is 0.0."""
    return [(t.numpy() + 0).tobytes() for t in flatten(results)[0]]
