"""Every public op that Keras has too: its arguments, its defaults, its result dtypes and its values are Keras's.

gpudl has dtypes of 64 bits, which Keras on JAX has not by default: they are left out of the grid of dtypes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from array_calls import ARRAYS
from flow_calls import FLOW
from keras_peer import keras_or_skip, parity
from maths_calls import CALLS as MATHS
from maths_calls import COMPLEX, FLOATS_ONLY, OF_COMPLEX, OF_TWO_COMPLEX
from order_calls import ORDER
from window_calls import BLOCKS, WINDOWS

import gpudl
from gpudl import ops
from gpudl.engine.op import registry

INTEGERS = ("uint8", "uint16", "uint32", "int8", "int16", "int32")
FLOATS = ("float16", "bfloat16", "float32")
DTYPES = ("bool", *INTEGERS, *FLOATS)
SOME = ("bool", "uint8", "int8", "int32", *FLOATS)
FEW = ("int32", "bfloat16", "bool")  # where elements are moved but not changed; the last one for the first call only
RULES = ("add", "divide", "floor_divide", "power", "matmul", "maximum", "equal", "bitwise_and", "left_shift")
"""Ops of which each has another rule for its result's dtype."""

UNARY = (
    *("nonzero", "transpose"),
    *("all", "any", "argmax", "max", "mean", "min", "sum", "softmax", "log_softmax", "squeeze"),
    # An op of one array alone is compared by itself.
    *(
        name
        for name in ops.__all__
        if (it := registry.get(name)) and len(it.inputs) == 1 and not it.static and not it.update
    ),
)
BINARY = (
    *("add", "subtract", "multiply", "divide", "true_divide", "floor_divide", "mod", "power", "maximum", "minimum"),
    *("matmul", "logaddexp", "logical_and", "logical_or", "logical_xor"),
    *("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"),
)
Call = Callable[[Any, Any], Any]  # of the functions and the input
X = np.array([[3, 1, 2], [0, 7, 1]])

CALLS: dict[str, list[Call]] = {
    **ARRAYS,
    **FLOW,
    **ORDER,
    **BLOCKS,
    **WINDOWS,
    "argmax": [lambda o, x: o.argmax(x, -1), lambda o, x: o.argmax(x, 0, True), lambda o, x: o.argmax(x, None, True)],
    "sum": [lambda o, x: o.sum(x, 0), lambda o, x: o.sum(x, [0, 1], True), lambda o, x: o.sum(x, axis=(-1,))],
    "mean": [lambda o, x: o.mean(x, 0), lambda o, x: o.mean(x, -1, True)],
    "max": [lambda o, x: o.max(x, 0), lambda o, x: o.max(x, -1, True, 5)],
    "min": [lambda o, x: o.min(x, 0), lambda o, x: o.min(x, -1, initial=1)],
    "any": [lambda o, x: o.any(x, 0), lambda o, x: o.any(x, 1, True)],
    "all": [lambda o, x: o.all(x, 0), lambda o, x: o.all(x, -1, True)],
    "broadcast_to": [lambda o, x: o.broadcast_to(x, (2, 2, 3)), lambda o, x: o.broadcast_to(x, [1, 2, 3])],
    "cast": [lambda o, x: o.cast(x, "int32"), lambda o, x: o.cast(x, "float16"), lambda o, x: o.cast(x, "bool")],
    "clip": [
        *(lambda o, x: o.clip(x, 1, 2), lambda o, x: o.clip(x, 0.5, 2.5)),
        lambda o, x: o.clip(x, o.zeros_like(x), o.ones_like(x)),
    ],
    "concatenate": [lambda o, x: o.concatenate([x, x]), lambda o, x: o.concatenate((x, o.cast(x, "float16")), -1)],
    "stack": [lambda o, x: o.stack([x, x]), lambda o, x: o.stack([x, x], axis=-1)],
    "expand_dims": [lambda o, x: o.expand_dims(x, 1), lambda o, x: o.expand_dims(x, (0, -1))],
    "squeeze": [lambda o, x: o.squeeze(o.reshape(x, (2, 1, 3, 1)), -1)],
    "matmul": [lambda o, x: o.matmul(x, x[0]), lambda o, x: o.matmul(x[:, 0], x), lambda o, x: o.matmul(x[0], x[1])],
    "one_hot": [
        *(lambda o, x: o.one_hot(x, 8), lambda o, x: o.one_hot(x, 4, 0, "int32")),
        *(lambda o, x: o.one_hot(x, 9, axis=1), lambda o, x: o.one_hot(x, 3, dtype="bool")),
    ],
    "ones_like": [lambda o, x: o.ones_like(x, "int8")],
    "zeros_like": [lambda o, x: o.zeros_like(x, dtype="float16")],
    "reshape": [lambda o, x: o.reshape(x, -1), lambda o, x: o.reshape(x, 6), lambda o, x: o.reshape(x, [3, -1])],
    "scan": [
        lambda o, x: o.scan(lambda carry, row: (carry + row, carry * row), x[0], x),
        lambda o, x: o.scan(lambda carry, row: (carry * row[0], row[1]), x[1], (x, x + 1), reverse=True),
        lambda o, x: o.scan(lambda carry, row: (carry + carry, carry), x, length=3, unroll=2),
        lambda o, x: o.scan(lambda carry, row: (row, carry), x[0], x[:0]),
        lambda o, x: o.scan(lambda carry, row: [carry, row], x[0], x, 2, True, unroll=True),
    ],
    "ctc_loss": [
        lambda o, x: o.ctc_loss([[1, 2]], o.cast(o.stack([x]), "float32"), np.array([1]), np.array([2]), 0),
        lambda o, x: o.ctc_loss([[1, 1], [0, 0]], o.cast(o.stack([x, x]), "float32"), [1, 0], [2, 1], mask_index=2),
    ],
    "divide_no_nan": [lambda o, x: o.divide_no_nan(x, x[::-1]), lambda o, x: o.divide_no_nan(x, 0.0)],
    "logsumexp": [
        *(lambda o, x: o.logsumexp(x), lambda o, x: o.logsumexp(x, 0), lambda o, x: o.logsumexp(x, (0, 1), True)),
    ],
    "segment_sum": [
        lambda o, x: o.segment_sum(o.cast(x, "float32"), np.array([1, 1], "int32"), 3),
        lambda o, x: o.segment_sum(o.cast(x[0], "float32"), np.array([-1, 0, 5], "int32"), num_segments=2),
    ],
    "softmax": [lambda o, x: o.softmax(x, 0), lambda o, x: o.softmax(x, (0, 1))],
    "sparsemax": [lambda o, x: o.sparsemax(x[:1])],  # of several rows Keras's is not the definition's
    "log_softmax": [lambda o, x: o.log_softmax(x, 0), lambda o, x: o.log_softmax(x, axis=-2)],
    "take": [
        *(lambda o, x: o.take(x, np.array([4, 0])), lambda o, x: o.take(x, [[1, 0]], axis=0)),
        *(lambda o, x: o.take(x, np.array([2, 0], "uint8"), -1), lambda o, x: o.take(x, 1, axis=1)),
    ],
    "transpose": [lambda o, x: o.transpose(x, (0, 1)), lambda o, x: o.transpose(o.reshape(x, (1, 2, 3)), [0, -1, 1])],
    "where": [
        *(lambda o, x: o.where(x, 1, 0), lambda o, x: o.where(x, x, 2.0), lambda o, x: o.where(x > 1, 1.5, 2)),
        lambda o, x: o.where(x)[1],
    ],
    **{name: [lambda o, x, n=name: getattr(o, n)(x + 1, x[::-1] + 1)] for name in BINARY if name != "matmul"},
    **MATHS,
}


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def array(x: np.ndarray, dtype: str) -> np.ndarray:
    return x.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def tensors(keras: Any, x: np.ndarray, dtype: str) -> tuple[Any, gpudl.Tensor]:
    return keras.ops.convert_to_tensor(array(x, dtype), dtype), gpudl.convert_to_tensor(array(x, dtype))


def same(keras: Any, call: Call, theirs: Any, ours: Any, what: str) -> bool:
    """Compare a call of Keras with ours, if Keras takes what it is given; tell whether it does."""
    try:
        expected = call(keras.ops, theirs)
    except (TypeError, ValueError, NotImplementedError, DeprecationWarning):
        return False
    with np.errstate(divide="ignore", invalid="ignore"):  # a GPU, and JAX, say nothing of a logarithm of 0
        got = call(ops, ours)
    for one, other in zip(*(r if isinstance(r, tuple | list) else (r,) for r in (got, expected)), strict=True):
        host = np.asarray(other)
        assert (what, str(one.dtype), one.shape) == (what, str(host.dtype), host.shape)
        rounding = (
            8 * float(ml_dtypes.finfo(host.dtype).eps) if one.dtype.name in FLOATS or host.dtype.kind == "c" else 0
        )
        wide = [
            a.astype(np.result_type(np.float64, a.dtype) if a.dtype.kind == "c" else np.float64)
            for a in (one.numpy(), host)
        ]
        np.testing.assert_allclose(*wide, rtol=rounding, atol=rounding, err_msg=what)
    return True


def shared() -> Iterator[str]:
    """Yield the public names that Keras has too."""
    return (name for name in ops.__all__ if name not in OWN and not inspect.ismodule(getattr(ops, name)))


OWN = {
    *("Op", "registry", "getitem", "cast_like", "sum_to", "pack", "all_finite", "dropout", "draw_key", "conv2d"),
    *("batch_norm", "layer_norm", "scale_shift", "bias_activation", "activation_grad", "avg_pool", "take_batch"),
    *("random_integers", "random_normal", "random_uniform"),
    *("im2col", "col2im", "conv2d_input_grad", "conv2d_weight_grad", "depthwise_conv2d_input_grad"),
    "depthwise_conv2d_weight_grad",
    *("max_pool_grad", "max_pool_pick", "depthwise_conv2d", "sigmoid_cross_entropy", "softmax_cross_entropy"),
    *("sparse_softmax_cross_entropy", *(name for name in ops.__all__ if name.endswith("_"))),
}
"""What Keras has not, or under another name."""


def test_every_public_op_is_compared() -> None:
    assert not OWN & CALLS.keys()
    wanted, compared = {*shared()}, {*UNARY, *CALLS} - OWN
    assert compared == wanted, f"of {sorted(wanted - compared)} say in CALLS how they are called, or in OWN"


@parity
def test_what_is_not_compared_is_not_in_keras(keras: Any) -> None:
    assert not [name for name in OWN if hasattr(keras.ops, name)]


@parity
@pytest.mark.parametrize("name", list(shared()))
def test_arguments_and_defaults(name: str, keras: Any) -> None:
    def arguments(function: Any) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    assert arguments(getattr(ops, name)) == arguments(getattr(keras.ops, name))


@parity
@pytest.mark.parametrize("name", list(shared()))
def test_values_and_dtypes(name: str, keras: Any) -> None:
    alone = name in UNARY and name not in MATHS
    calls = [*CALLS.get(name, ()), *([lambda o, x: getattr(o, name)(x)] if alone else ())]
    # Keras subtracts the maximum of small integers in their own dtype, so that they wrap.
    dtypes = (
        FLOATS
        if name in FLOATS_ONLY or name.endswith(("conv", "conv_transpose", "_pool", "softmax", "sparsemax"))
        else SOME
    )
    dtypes = FEW if name in {*ARRAYS, *FLOW, *ORDER, *BLOCKS} else dtypes
    for number, call in enumerate(calls):
        given = dtypes[:-1] if dtypes is FEW and number else dtypes
        given = ("float32",) if name in MATHS and number else given  # arguments do not matter for dtypes
        taken = [same(keras, call, *tensors(keras, X, dtype), f"{name} {number} of {dtype}") for dtype in given]
        assert any(taken)


@parity
@pytest.mark.parametrize("name", RULES)
def test_dtypes_of_two(name: str, keras: Any) -> None:
    function = getattr(ops, name)
    taken = 0
    for left, right in combinations_with_replacement(DTYPES, 2):
        if {left, right} & {"uint32"} and {left, right} & {"int8", "int16", "int32"}:
            continue  # int64, which Keras on JAX has not
        (x, ours), (y, others) = (tensors(keras, np.array([3, 5]), d) for d in (left, right))
        try:
            expected = np.asarray(getattr(keras.ops, name)(x, y))
        except (TypeError, ValueError):
            continue
        got = function(ours, others)
        assert (left, right, got.dtype) == (left, right, expected.dtype)
        np.testing.assert_allclose(got.numpy().astype(float), expected.astype(float), rtol=0.02)
        taken += 1
    assert taken >= len(INTEGERS)


@parity
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("other", [True, 2, 2.0, np.float64(2), np.ones(2)], ids=repr)
def test_dtypes_with_what_is_no_tensor(name: str, other: Any, keras: Any) -> None:
    for dtype in SOME:
        x, ours = tensors(keras, np.array([3, 5]), dtype)
        for turned in (False, True):

            def call(o: Any, t: Any, turned: bool = turned) -> Any:
                return getattr(o, name)(*((other, t) if turned else (t, other)))

            same(keras, call, x, ours, f"{name} of {dtype} and {other!r}, {turned}")


@parity
def test_complex_numbers(keras: Any) -> None:
    found, wanted = [], []
    for o, results in ((ops, found), (keras.ops, wanted)):
        z = o.convert_to_tensor(COMPLEX)
        results += [getattr(o, name)(z) for name in OF_COMPLEX]
        results += [getattr(o, name)(z, z[::-1]) for name in OF_TWO_COMPLEX]
        results += [z * 2, z + 1.5, o.abs(z * o.conj(z)), o.real(o.matmul(z[:, None], z[None]))]
    for name, one, other in zip((*OF_COMPLEX, *OF_TWO_COMPLEX, *range(4)), found, wanted, strict=True):
        assert (name, str(one.dtype), one.shape) == (name, str(other.dtype), other.shape)
        np.testing.assert_allclose(one.numpy(), other, rtol=2e-6, atol=1e-6, err_msg=str(name))


def test_complex_numbers_in_a_recorded_step() -> None:
    def size(x: Any) -> Any:
        z = ops.view_as_complex(x)
        return ops.sum(ops.square(ops.abs(z)) + ops.imag(ops.conj(z)) * ops.real(z))

    def step(x: Any) -> Any:
        z = ops.view_as_complex(x)
        with gpudl.GradientTape() as tape:
            tape.watch(x)
            loss = size(x)
        return ops.abs(z * ops.conj(z) / (z + 2.0)) + ops.imag(ops.exp(z)), tape.gradient(loss, x)

    x = np.array([[1.0, 2.0], [3.0, -4.0]], "float32")
    z = x[:, 0] + 1j * x[:, 1]
    for run in (step, gpudl.traced(step)):
        y, slope = run(gpudl.convert_to_tensor(x))
        np.testing.assert_allclose(y.numpy(), abs(z * z.conj() / (z + 2)) + np.exp(z).imag, rtol=1e-5)
        np.testing.assert_allclose(slope.numpy(), 2 * x - x[:, ::-1], rtol=1e-5)


@parity
def test_long_sums_of_small_integers(keras: Any) -> None:
    for dtype in INTEGERS:
        x = np.full(1000, min(200, np.iinfo(dtype).max), dtype)
        for call in (lambda o, t: o.sum(t), lambda o, t: o.mean(t), lambda o, t: o.mean(t, 0, True)):
            assert same(keras, call, *tensors(keras, x, dtype), dtype)
    assert ops.sum(np.full(1000, 200, np.uint8)).item() == 200_000
    assert ops.mean(np.full(1000, 200, np.uint8)).item() == 200
