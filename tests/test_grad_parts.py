"""Gradients of slices and rows of one tensor: laid into one array, whatever their number."""

from __future__ import annotations

import tracemalloc
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from gradient_tools import gradient
from replay_tools import assert_same_bits, names_in, plan_of
from strict_cupy import installed

import gpudl
from gpudl import Tensor, Variable, convert_to_tensor, grad, ops, traced
from gpudl.engine.op import registry
from gpudl.engine.plan.ir import FusedElementwise

KINDS = ("slice_grad", "take_grad", "add")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weighed(parts: list[Tensor]) -> Tensor:
    """Return a scalar with another gradient at each element of the parts."""
    terms = [ops.sum(part * convert_to_tensor(noise(*part.shape, seed=i))) for i, part in enumerate(parts)]
    return sum(terms[1:], terms[0])


def by_hand(shape: tuple[int, ...], keys: list[Any]) -> np.ndarray:
    """Return the gradient of `weighed` of the parts at `keys`."""
    total = np.zeros(shape, np.float64)
    for i, key in enumerate(keys):
        np.add.at(total, key, noise(*total[key].shape, seed=i))
    return total


ROWS = np.array([1, 3, 1, -1])
PARTS: dict[str, tuple[list[Any], dict[str, int]]] = {
    "steps of time": ([np.s_[:, t] for t in range(5)], {"slice_grad": 1}),
    "gates": ([np.s_[..., 2 * i : 2 * i + 2] for i in range(3)], {"slice_grad": 1}),
    "with gaps": ([np.s_[0, ::2], np.s_[3, 1:3, None], np.s_[2]], {"slice_grad": 1}),
    "backwards": ([np.s_[::-1, 1:3], np.s_[1, ::-2]], {"slice_grad": 1}),
    "beside the whole": ([np.s_[1], np.s_[...], np.s_[:, 2]], {"slice_grad": 2}),  # 150 elements wait for no more
    "windows that overlap": ([np.s_[:, t : t + 3] for t in range(3)], {"slice_grad": 2}),
    "rows": ([ROWS, ROWS[1:], np.array([[0, 2]])], {"take_grad": 1}),
    "rows and slices": ([np.s_[1:], np.array([1, 2])], {"slice_grad": 1, "take_grad": 1, "add": 1}),
}
every_kind = pytest.mark.parametrize("name", PARTS)


def step_of(name: str, x: Tensor) -> Any:
    keys = PARTS[name][0]
    return lambda: grad(weighed([x[key] for key in keys]), [x])[0]


@every_kind
def test_parts_are_laid_into_one_array(name: str, applied: list[str]) -> None:
    keys, expected = PARTS[name]
    x = Variable(noise(4, 5, 6))
    loss = weighed([x[key] for key in keys])
    applied.clear()
    np.testing.assert_allclose(gradient(loss, x), by_hand(x.shape, keys), rtol=1e-5, atol=1e-6)
    assert {kind: applied.count(kind) for kind in KINDS if kind in applied} == expected


@every_kind
@pytest.mark.parametrize("backend", [nullcontext, installed], ids=["numpy", "double"])
@pytest.mark.host
def test_replay_has_the_bits_of_the_eager_step(name: str, backend: Any) -> None:
    with backend() as double, gpudl.backend.scope("numpy" if double is None else "cupy"):
        x = Variable(noise(4, 5, 6))
        recorded, eager = traced(step_of(name, x)), step_of(name, x)()
        for _ in range(2):
            assert_same_bits(recorded(), eager)
            plan_of(recorded).poison()


@every_kind
def test_parts_are_differentiated_again(name: str) -> None:
    keys = PARTS[name][0]
    x = Variable(noise(4, 5, 6))

    def slopes() -> Tensor | None:
        return grad(weighed([ops.square(x[key]) for key in keys]), [x], create_graph=True)[0]

    first = slopes()
    assert first is not None
    np.testing.assert_allclose(first.numpy(), 2 * by_hand(x.shape, keys) * x.numpy(), rtol=1e-5, atol=1e-5)
    expected = 2 * by_hand(x.shape, keys)
    np.testing.assert_allclose(gradient(ops.sum(first), x), expected, rtol=1e-5, atol=1e-5)
    both = traced(lambda: grad(ops.sum(slopes()), [x])[0])
    assert_same_bits(both(), grad(ops.sum(first), [x])[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_parts_have_the_dtype_of_the_whole(dtype: str) -> None:
    x = Variable(np.arange(6.0).reshape(2, 3), dtype=dtype)
    y = ops.cast(x[:, 0], "float32") * ops.cast(x[:, 1], "float32") + ops.cast(
        ops.take(x, [0, 1], axis=0)[:, 2], "float32"
    )
    (g,) = grad(ops.sum(y), [x])
    assert g is not None
    assert g.dtype == x.dtype
    assert g.numpy().astype(float).tolist() == [[1, 0, 1], [4, 3, 1]]


def test_what_covers_all_of_an_array_needs_no_zeros() -> None:
    g = [convert_to_tensor(noise(4)) for _ in range(3)]
    out, arrays = np.full((4, 3), np.nan, np.float32), tuple(t.numpy() for t in g)
    keys = tuple(((None, None, None), i) for i in (2, 0, 1))
    writes: list[Any] = []

    class Watched(np.ndarray):
        def __setitem__(self, key: Any, value: Any) -> None:
            writes.append(key)
            super().__setitem__(key, value)

    with gpudl.engine.state.reference_only():
        registry["slice_grad"].run((out.view(Watched),), arrays, {"keys": keys, "shape": (4, 3)})
    assert len(writes) == 3
    np.testing.assert_array_equal(out, np.stack([arrays[1], arrays[2], arrays[0]], axis=1))


def recurrent(x: Tensor, w: Tensor, u: Tensor) -> Tensor:
    h = ops.tanh(x[:, 0] @ w)
    hs = [h]
    for t in range(1, x.shape[1]):
        h = ops.tanh(x[:, t] @ w + h @ u)
        hs.append(h)
    return ops.stack(hs, axis=1)


@pytest.mark.host
def test_what_a_loop_over_time_writes_grows_with_its_length() -> None:
    w, u = Variable(noise(8, 8)), Variable(noise(8, 8, seed=1))

    def written(steps: int) -> int:
        x = Variable(noise(2, steps, 8))
        step = traced(lambda: grad(recurrent(recurrent(x, w, u), u, w), [x, w, u]))
        step()
        assert names_in(step).count("slice_grad") == 2
        return sum(
            slot.spec.nbytes
            for each in plan_of(step).instructions
            for slot in each.outs
            if not isinstance(each, FusedElementwise)
        )

    assert written(48) < 2.2 * written(24)


@pytest.mark.host
def test_what_waits_is_no_more_than_the_tensor_itself() -> None:
    """Of many parts that are nearly all of a tensor few are kept: the memory does not grow with their number."""

    def peak(parts: int) -> int:
        x = Variable(noise(100, 100))
        terms = [weighed([x[i % 2 :]]) for i in range(parts)]  # part after part, also on the way back
        loss = sum(terms[1:], terms[0])
        tracemalloc.start()
        grad(loss, [x])
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(32) < 1.5 * peak(8)


def test_a_table_that_rows_are_taken_from_many_times_is_written_once(applied: list[str]) -> None:
    table, ids = Variable(noise(1000, 4)), np.arange(12).reshape(3, 4)
    loss = weighed([ops.take(table, ids[:, t], axis=0) for t in range(4)])
    applied.clear()
    np.testing.assert_allclose(gradient(loss, table), by_hand(table.shape, [ids[:, t] for t in range(4)]), rtol=1e-6)
    assert applied.count("take_grad") == 1
    assert "add" not in applied
