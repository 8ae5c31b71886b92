"""Attention on the GPU, on the double of CuPy: tiles on tensor cores and without, over more tokens than a tile has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from contract_cases.check import assert_same, spoilt
from contract_cases.contract import normal
from cuda_cpu import same_in_any_order
from cuda_kernels import meter, run
from gemm_ways import double, dtype_of
from gpudl.kernels import precision
from gpudl.kernels import registry as kernels
from gpudl.kernels.cuda import attention, gemm
from strict_cupy import Meter, capture
from strict_cupy.raw import card

__all__ = ["meter"]
Arrays = tuple[np.ndarray, ...]
ROUNDED = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-20, "float64": 2.0**-48}


@pytest.fixture
def cupy() -> Iterator[Any]:
    with double() as cupy:
        yield cupy


@dataclass(frozen=True)
class Way:
    """Arrays of a dtype, the widths of keys and values, and the tile that they are to have.

    Attributes:
        tile: elements of a row, rows of a warp, and whether tensor cores are used.
        card: the compute capability, and kilobytes of shared memory.
    """

    dtype: str
    widths: tuple[int, int]
    tile: tuple[int, int, bool]
    card: tuple[tuple[int, int], int] = ((9, 0), 227)

    @property
    def rounded(self) -> float:
        """The rounding of a weight: to the dtype, or to TF32."""
        return ROUNDED["float16"] if self.tile[2] and self.dtype == "float32" else ROUNDED[self.dtype]


WAYS = [
    Way("float32", (72, 100), (128, 8, False)),
    Way("float64", (130, 5), (256, 4, False)),
    Way("float32", (16, 8), (16, 16, True)),
    Way("float16", (5, 3), (16, 16, True), ((7, 5), 64)),
    Way("bfloat16", (80, 64), (128, 16, True)),
    Way("bfloat16", (24, 32), (32, 16, False), ((7, 5), 64)),
    Way("float16", (200, 136), (256, 4, False)),
]
# Samples, queries, keys, heads of queries and of keys, the axes along which a mask differs, and whether it is causal.
CASES = [
    (1, 66, 34, 2, 1, "hts", True),
    (1, 5, 130, 2, 1, "", False),
    (1, 70, 67, 1, 1, "", True),
    (2, 3, 66, 2, 2, "bs", False),
]


def inputs(case: Any, widths: tuple[int, int], dtype: Any, seed: int = 0) -> tuple[Arrays, dict[str, Any]]:
    """Return queries, keys, values and perhaps a mask, which hides all keys from every fifth query."""
    batch, queries, keys, heads, key_heads, masked, causal = case
    rng = np.random.default_rng(seed)
    shapes = (batch, queries, heads, widths[0]), *((batch, keys, key_heads, width) for width in widths)
    arrays = [normal(rng, *shape).astype(dtype) for shape in shapes]
    if masked:
        full = dict(zip("bhts", (batch, heads, queries, keys), strict=True))
        mask = rng.random([n if axis in masked else 1 for axis, n in full.items()]) < 0.7
        mask[:, :, ::5] &= "t" not in masked
        arrays.append(mask)
    return tuple(arrays), {"scale": float(widths[0]) ** -0.5, "causal": causal}


def by_head(x: np.ndarray, heads: int) -> np.ndarray:
    """Return x (B, T, K, D) as (B, heads, T, D), in float64."""
    return np.repeat(x.astype(np.float64), heads // x.shape[2], axis=2).transpose(0, 2, 1, 3)


def by_key(x: np.ndarray, heads: int) -> np.ndarray:
    """Return x (B, H, S, D) as (B, S, heads, D), with the sums of what shares a head."""
    return x.reshape(len(x), heads, -1, *x.shape[2:]).sum(axis=2).transpose(0, 2, 1, 3)


def weighed(q: Any, k: Any, v: Any, mask: Arrays, scale: float, causal: bool) -> tuple[Any, Any, Any]:
    """Return all weights, the logarithms of the sums, and what is seen, by the formula of the whole matrix."""
    scores = by_head(q, q.shape[2]) @ by_head(k, q.shape[2]).swapaxes(2, 3) * scale
    seen = np.ones(scores.shape, bool) & (mask[0] if mask else True)
    seen &= np.tri(*scores.shape[2:], dtype=bool) if causal else True
    some = seen.any(-1, keepdims=True)
    scores = np.where(some, np.where(seen, scores, -np.inf), 0)
    lse = np.log(np.exp(scores).sum(-1, keepdims=True))
    return np.exp(scores - lse), np.where(some, lse, -np.inf)[..., 0], seen


def value(q: Any, k: Any, v: Any, *mask: Any, scale: float, causal: bool) -> Any:
    """Return both results, and the sizes of what is rounded in them."""
    weights, lse, _ = weighed(q, k, v, mask, scale, causal)
    out, size = (
        np.transpose(weights @ each, (0, 2, 1, 3)) for each in (by_head(v, q.shape[2]), abs(by_head(v, q.shape[2])))
    )
    return (out, lse), (size, np.where(np.isinf(lse), 0, 1 + abs(lse)))


def slopes(g: Any, out: Any, lse: Any, q: Any, k: Any, v: Any, *mask: Any, scale: float, causal: bool) -> Any:
    """Return the gradients, and the sizes of what is rounded in them."""
    heads, shared = q.shape[2], k.shape[2]
    weights, _, seen = weighed(q, k, v, mask, scale, causal)
    g, out, q, k, v = (by_head(x, heads) for x in (g, out, q, k, v))
    of_weights = np.where(seen, weights * (g @ v.swapaxes(2, 3) - (g * out).sum(-1, keepdims=True)), 0) * scale
    exact = of_weights @ k, of_weights.swapaxes(2, 3) @ q, weights.swapaxes(2, 3) @ g
    # The difference is of sums in float32, whose sizes are those of their terms.
    terms = np.where(seen, weights * (abs(g) @ abs(v).swapaxes(2, 3) + abs(g * out).sum(-1, keepdims=True)), 0) * scale
    near = 2 * abs(of_weights) + 2.0**-9 * terms
    sizes = near @ abs(k), near.swapaxes(2, 3) @ abs(q), weights.swapaxes(2, 3) @ abs(g)
    return tuple(
        (each[0].transpose(0, 2, 1, 3), by_key(each[1], shared), by_key(each[2], shared)) for each in (exact, sizes)
    )


def computed(op: str, shapes: list[tuple[int, ...]], ins: Arrays, static: dict[str, Any], shift: int = 0) -> Arrays:
    """Return what the kernel of an op makes of `ins` in either order of threads, with outs full of NaN before."""
    outs = tuple(spoilt(np.empty(shape, ins[0].dtype)) for shape in shapes)
    kernel = next(iter(kernels.registered("cuda")[op])).run
    return tuple(same_in_any_order(lambda: run(kernel, outs, ins, static, shift=shift)))


def assert_near(got: Arrays, exact: Arrays, sizes: Arrays, rounded: float, dtype: str) -> None:
    for out, right, size in zip(got, exact, sizes, strict=True):
        finite = np.isfinite(right)
        np.testing.assert_array_equal(out[~finite].astype(np.float64), right[~finite])
        error = np.abs(np.where(finite, out.astype(np.float64) - np.where(finite, right, 0), 0))
        limit = rounded * size + ROUNDED[dtype] * abs(np.where(finite, right, 0)) + 1e-6
        assert (error <= limit).all(), (error / limit).max()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.dtype} {way.tile}")
def test_every_kind_of_tile(cupy: Any, monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.setattr(card, "capability", way.card[0])
    monkeypatch.setattr(card, "shared", way.card[1] << 10)
    gemm.forget()
    dtype = dtype_of(way.dtype)
    precision.choose("high" if way.tile[2] else "highest", "a test")
    for seed, case in enumerate(CASES[: 1 if max(way.widths) > 64 else None]):
        ins, static = inputs(case, way.widths, dtype, seed)
        of = attention.Inputs(*ins[:3], np.empty((*ins[0].shape[:3], way.widths[1]), dtype), ins[3:])
        tile = attention.FORWARD.tile(of)
        assert tile is not None
        assert (tile.head, tile.rows, tile.tensor) == way.tile
        batch, queries, _, heads, *_ = case
        forward = computed("attention", [of.out.shape, (batch, heads, queries)], ins, static)
        assert_near(forward, *value(*ins, **static), way.rounded, way.dtype)
        given = (normal(np.random.default_rng(9), *of.out.shape).astype(dtype), *forward, *ins)
        backward = computed("attention_grad", [a.shape for a in ins[:3]], given, static)
        assert_near(backward, *slopes(*given, **static), way.rounded, way.dtype)


def test_addresses_do_not_change_a_bit(cupy: Any) -> None:
    ins, static = inputs(CASES[2], (8, 4), np.dtype("float32"))
    shapes = [(1, 70, 1, 4), (1, 1, 70)]
    assert_same(computed("attention", shapes, ins, static, shift=1), computed("attention", shapes, ins, static))


def test_what_is_not_a_number_stays_with_its_queries(cupy: Any) -> None:
    ins, static = inputs((1, 4, 66, 1, 1, "", False), (3, 2), np.dtype("float32"))
    ins[0][0, 1] = np.nan
    out, lse = computed("attention", [(1, 4, 1, 2), (1, 1, 4)], ins, static)
    np.testing.assert_array_equal(np.isnan(lse[0, 0]), [False, True, False, False])
    np.testing.assert_array_equal(np.isnan(out[0, :, 0, 0]), [False, True, False, False])


@pytest.mark.parametrize("spoil", [lambda a: a[:, :0], lambda a: a.astype(np.float64), np.asfortranarray])
def test_what_a_kernel_does_not_take(cupy: Any, spoil: Any) -> None:
    (q, k, v), static = inputs((2, 4, 6, 2, 1, "", False), (3, 2), np.dtype("float32"))
    outs = np.empty((2, 4, 2, 2), "f"), np.empty((2, 2, 4), "f")
    assert kernels.find("attention", "cuda", tuple(map(cupy.asarray, (*outs, q, k, v))), static)
    assert not kernels.find("attention", "cuda", tuple(map(cupy.asarray, (*outs, spoil(q), k, v))), static)
    wide = np.empty((1, 1, 1, 257), "f")
    arrays = (wide, np.empty((1, 1, 1), "f"), wide, wide, wide)
    assert not kernels.find("attention", "cuda", tuple(map(cupy.asarray, arrays)), static), "no tile is as wide"


def test_a_capture_has_one_launch_and_two_of_the_gradients(meter: Meter) -> None:
    import cupy

    ins, static = inputs((1, 5, 6, 2, 1, "ts", True), (3, 2), np.dtype("float32"))
    outs = np.empty((1, 5, 2, 2), "f"), np.empty((1, 2, 5), "f")
    forward = tuple(map(cupy.asarray, (*outs, *ins)))
    backward = tuple(map(cupy.asarray, (*ins[:3], outs[0], *outs, *ins)))
    for op, arrays, count in (("attention", forward, 1), ("attention_grad", backward, 2)):
        kernel = kernels.find(op, "cuda", arrays, static)
        assert kernel is not None
        kernel(*arrays, **static)
        meter.reset()
        with capture() as graph:
            kernel(*arrays, **static)
        assert len(graph.nodes) == count
        assert (meter.host_to_device, meter.synchronizations) == (0, 0)
