"""Floats of 16 bits: every op in them, and the dtype rules around bfloat16, which NumPy knows from outside only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Contract
from contract_cases.check import assert_close, assert_same, dirty, tensors

import gpudl
from gpudl.engine.op import registry
from gpudl.engine.spec import is_floating, is_half, promote
from gpudl.ops.primitives.matmul import matmul

HALVES = ("float16", "bfloat16")
# Floats of these ops are not of the dtype under test, or they have none.
WHOLE = {"random_uniform", "random_normal", "draw_key", "advance_", "increment_"}
# The results of eig are complex. The number next to another depends on the dtype, and the oracle says it in float64.
APART = {"eig", "nextafter"}


def every_case() -> Iterator[Any]:
    for name, contract in CONTRACTS.items():
        for dtype in HALVES:
            if name not in WHOLE | APART:
                yield pytest.param(contract, dtype, id=f"{name}-{dtype}")


every_op = pytest.mark.parametrize(("contract", "dtype"), list(every_case()))


@every_op
def test_the_reference_agrees_with_the_oracle(contract: Contract, dtype: str) -> None:
    op = registry[contract.op]
    for sample in contract.samples:
        inputs, work = sample.cast(dtype), sample.cast(dtype)
        if op.alias:
            got: tuple[np.ndarray, ...] = (op.forward(np, *work, **sample.static),)
        else:
            outs = dirty(op.specs(tensors(work), sample.static))
            op.run(outs, work, sample.static)
            got = (*outs, *work[: op.writes])
        assert_close(got, contract, inputs, sample, dtype)
        assert_same(work[op.writes :], inputs[op.writes :])


@every_op
def test_replay_repeats_the_eager_step(contract: Contract, dtype: str) -> None:
    op = registry[contract.op]
    if op.update:
        return
    for sample in contract.samples[:3]:
        step = gpudl.traced(lambda *args, o=op, s=sample: o(*args, **s.static))
        step(*tensors(sample.cast(dtype)))
        next(iter(step.entries.values())).plan.poison()
        pairs = (
            result if isinstance(result, tuple) else (result,)
            for result in (step(*tensors(sample.cast(dtype))), op(*tensors(sample.cast(dtype)), **sample.static))
        )
        for got, wanted in zip(*pairs, strict=True):
            assert_same((got.data,), (wanted.data,))


def test_a_predicate_knows_floats_and_half_floats() -> None:
    every = [np.dtype(name) for name in ("float16", "bfloat16", "float32", "float64", "int32", "uint8", "bool")]
    assert [d.name for d in every if is_floating(d)] == ["float16", "bfloat16", "float32", "float64"]
    assert [d.name for d in every if is_half(d)] == ["float16", "bfloat16"]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("bfloat16", "bfloat16"), "bfloat16"),
        (("bfloat16", "int64"), "bfloat16"),
        (("bool", "bfloat16"), "bfloat16"),
        (("bfloat16", "float16"), "float32"),
        (("bfloat16", "float32"), "float32"),
        (("float64", "bfloat16"), "float64"),
        (("float16", "int32"), "float16"),
    ],
)
def test_dtypes_are_promoted(dtypes: tuple[str, ...], expected: str) -> None:
    assert promote(*map(np.dtype, dtypes)) == expected
    a, b = (gpudl.convert_to_tensor(np.ones(2), dtype=d) for d in dtypes)
    assert (a + b).dtype == expected


def test_tensors_of_bfloat16() -> None:
    x = gpudl.convert_to_tensor([1.0, 2.5, -3.0], dtype="bfloat16")
    assert x.dtype == "bfloat16"
    assert x.numpy().dtype == np.dtype("bfloat16")
    assert float(x[1]) == 2.5
    assert f"{x[1]:.2f}" == "2.50"
    assert (x * 0.1).dtype == (2 - x).dtype == gpudl.ops.sqrt(abs(x)).dtype == "bfloat16"
    assert gpudl.ops.cast(x, dtype="int32").numpy().tolist() == [1, 2, -3]
    assert gpudl.convert_to_tensor(x.numpy()).dtype == "bfloat16"
    assert gpudl.Variable(x).requires_grad
    v = gpudl.Variable(x)
    (g,) = gpudl.grad(gpudl.ops.sum(v * v), [v])
    assert g.dtype == "bfloat16"
    assert g.numpy().tolist() == [2.0, 5.0, -6.0]
    with pytest.raises(TypeError, match="expected numbers, got ndarray of dtype <U1"):
        gpudl.convert_to_tensor(np.array(["a"]), dtype="bfloat16")


@pytest.mark.parametrize("dtype", HALVES)
def test_long_sums_stay_right(dtype: str) -> None:
    ones = gpudl.convert_to_tensor(np.ones((4096, 2)), dtype=dtype)
    for total in (
        gpudl.ops.sum(ones, axis=0),
        gpudl.ops.sum_to(ones, shape=(2,)),
        matmul(ones, ones, transpose_a=True)[0],
    ):
        assert total.dtype == dtype
        assert total.numpy().tolist() == [4096, 4096]
    large = gpudl.convert_to_tensor(np.full(4096, 60000.0), dtype=dtype)
    assert float(gpudl.ops.mean(large)) == float(large[0]), "the sum would be infinite in float16"


@pytest.mark.parametrize("dtype", HALVES)
def test_what_is_too_large_becomes_infinite_in_silence(dtype: str) -> None:
    huge = gpudl.convert_to_tensor(np.array([1e30, 3e38, -1e39], np.float64))
    assert np.isinf(gpudl.ops.cast(huge * 1e2, dtype=dtype).numpy()[[1, 2]]).all()
    large = gpudl.convert_to_tensor([3e38 if dtype == "bfloat16" else 6e4], dtype=dtype)
    assert np.isinf((large + large).numpy()).all()


def test_floatx_may_be_bfloat16() -> None:
    gpudl.config.set_floatx("bfloat16")
    try:
        layer = gpudl.layers.Dense(2)
        assert layer(np.ones((1, 3))).dtype == layer.kernel.dtype == "bfloat16"
    finally:
        gpudl.config.set_floatx("float32")
    with pytest.raises(ValueError, match="floatx must be one of float16, bfloat16, float32, float64, got 'int8'"):
        gpudl.config.set_floatx("int8")


def test_the_next_16_bit_number_is_that_of_its_dtype() -> None:
    for dtype in HALVES:
        one = gpudl.ops.cast([1.0, -1.0], dtype)
        step = gpudl.ops.nextafter(one, gpudl.ops.cast([2.0, -2.0], dtype)) - one
        assert step.dtype == one.dtype
        np.testing.assert_array_equal(
            step.numpy().astype(float), np.array([1, -1]) * 2.0 ** (-10 if dtype == "float16" else -7)
        )
