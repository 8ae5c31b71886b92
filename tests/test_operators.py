"""Python's operators on tensors, and what NumPy does with tensors, beside NumPy's own arrays."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import Tensor, TracingError, Variable, ops, traced

COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod)
BITWISE = (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift)

FLOATS = np.array([[1.5, -2.0, 3.0], [-4.5, 0.5, 6.0]], np.float32)
WHOLE = np.array([[7, -7, 5], [-5, 0, 6]], np.int32)
DIVISORS = np.array([[2, 2, -3], [-2, 4, 5]], np.int32)


def host(x: Any) -> np.ndarray:
    assert isinstance(x, Tensor)
    return x.numpy()


def recorded(function: Callable[..., Any], *arrays: Any) -> np.ndarray:
    step = traced(function)
    step(*arrays)
    return host(step(*arrays))


@pytest.mark.parametrize("of", [*COMPARISONS, *ARITHMETIC], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "int8", "float16", "float64"])
def test_between_tensors_arrays_and_numbers(of: Callable[[Any, Any], Any], dtype: str) -> None:
    a, b = WHOLE.astype(dtype), DIVISORS.astype(dtype)
    x, y = gpudl.convert_to_tensor(a), gpudl.convert_to_tensor(b)
    expected = of(a, b)
    for got in (of(x, y), of(x, b), of(a, y), of(Variable(a), y)):
        np.testing.assert_array_equal(host(got), expected, strict=True)
    np.testing.assert_array_equal(recorded(of, x, y), expected, strict=True)
    np.testing.assert_array_equal(host(of(x, 3)), of(a, 3), strict=True)
    np.testing.assert_array_equal(host(of(3, y)), of(3, b), strict=True)


@pytest.mark.parametrize("of", BITWISE, ids=lambda f: f.__name__)
def test_bits(of: Callable[[Any, Any], Any]) -> None:
    a, b = np.abs(WHOLE), np.abs(DIVISORS)
    x = gpudl.convert_to_tensor(a)
    np.testing.assert_array_equal(host(of(x, gpudl.convert_to_tensor(b))), of(a, b), strict=True)
    np.testing.assert_array_equal(host(of(x, 2)), of(a, 2), strict=True)
    np.testing.assert_array_equal(host(of(2, x)), of(2, a), strict=True)
    with pytest.raises(gpudl.ShapeError, match=r"^[a-z_]+.*: bitwise operations need bools or integers"):
        of(x, gpudl.convert_to_tensor(FLOATS))


def test_masks_are_joined() -> None:
    x = gpudl.convert_to_tensor(FLOATS)
    inside = (x > -3) & (x < 3)
    np.testing.assert_array_equal(host(inside), (FLOATS > -3) & (FLOATS < 3), strict=True)
    np.testing.assert_array_equal(host(~inside | (x == 0.5)), ~((FLOATS > -3) & (FLOATS < 3)) | (FLOATS == 0.5))
    np.testing.assert_array_equal(recorded(lambda t: ~((t > -3) ^ (t != 3)), FLOATS), ~((FLOATS > -3) ^ (FLOATS != 3)))


def test_nan_equals_nothing() -> None:
    x = gpudl.convert_to_tensor([np.nan, 1.0])
    assert host(x == x).tolist() == [False, True]
    assert host(x != x).tolist() == [True, False]
    assert recorded(lambda t: t != t, x).tolist() == [True, False]


@pytest.mark.parametrize("other", [None, "a", object()], ids=["None", "text", "an object"])
def test_what_is_no_number_is_not_equal(other: object) -> None:
    x = gpudl.convert_to_tensor([1.0, 2.0])
    assert (x == other) is False
    assert (x != other) is True


def test_lists_are_compared_element_by_element() -> None:
    assert host(gpudl.convert_to_tensor([1.0, 2.0]) == [1, 3]).tolist() == [True, False]


def test_a_tensor_is_a_key_by_its_identity() -> None:
    x, same = Variable([1.0, 2.0]), Variable([1.0, 2.0])
    names = {x: "x", same: "same"}
    assert (names[x], names[same]) == ("x", "same")
    assert len({x, same, x}) == 2


def test_several_elements_are_neither_true_nor_false() -> None:
    x = gpudl.convert_to_tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"^a tensor of shape \(2,\) has no truth value. Use gpudl.ops.any or"):
        bool(x == x)
    assert bool(gpudl.convert_to_tensor([[1.0]]) == 1)
    assert gpudl.optimizers.SGD().iterations == 0


def test_the_other_operators() -> None:
    x = gpudl.convert_to_tensor(FLOATS)
    assert (+x) is x
    np.testing.assert_array_equal(host(abs(-x)), np.abs(FLOATS))
    quotient, rest = divmod(x, 2)
    np.testing.assert_array_equal(host(quotient * 2 + rest), FLOATS)
    np.testing.assert_array_equal(host(divmod(7, gpudl.convert_to_tensor(DIVISORS))[1]), 7 % DIVISORS)
    np.testing.assert_array_equal(host(x @ np.ones(3, np.float32)), FLOATS @ np.ones(3, np.float32))
    np.testing.assert_array_equal(host(np.ones(2, np.float32) @ x), np.ones(2, np.float32) @ FLOATS)
    with pytest.raises(gpudl.ShapeError, match="bools have no sign"):
        operator.neg(x > 0)
    with pytest.raises(gpudl.ShapeError, match="bools cannot be subtracted"):
        operator.sub(x > 0, x > 0)


def test_integers_divided_by_zero_are_zero_as_in_numpy() -> None:
    x = gpudl.convert_to_tensor(WHOLE)
    with np.errstate(divide="ignore", invalid="ignore"):
        assert not host(x // 0).any()
        assert not host(x % 0).any()
        np.testing.assert_array_equal(host(x * 1.0 // 0), WHOLE * 1.0 // 0)


def test_slopes_of_quotients_and_remainders() -> None:
    x, y = Variable([5.5, -5.5]), Variable([2.0, 2.0])
    assert gpudl.grad(ops.sum(x // y + x * 0), [x])[0].numpy().tolist() == [0, 0]
    gx, gy = gpudl.grad(ops.sum(x % y), [x, y])
    assert gx.numpy().tolist() == [1, 1]
    assert gy.numpy().tolist() == [-2, 3]


def test_numpy_takes_tensors_for_arrays() -> None:
    v = Variable(FLOATS)
    for of in (np.square, np.exp, np.mean, np.sum, lambda x: np.clip(x, 0, 1), lambda x: np.maximum(x, 0), np.argmax):
        got = of(v)  # type: ignore[operator]
        assert not isinstance(got, Tensor)
        np.testing.assert_array_equal(got, of(FLOATS))  # type: ignore[operator]
    assert isinstance(np.ones(3) * v, Tensor)
    assert isinstance(np.float64(2) * v, Tensor)
    with pytest.raises(TracingError, match="a tensor's value was read on the host"):
        traced(np.exp)(FLOATS)


MASK = FLOATS > 1
KEYS: dict[str, Any] = {
    "an array": np.array([1, 0, -1]),
    "a list": [1, -2],
    "an empty list": [],
    "two axes of numbers": np.array([[0, 1], [1, 1]]),
    "unsigned": np.array([1, 1], np.uint8),
    "the second axis": (slice(None), np.array([2, 0])),
    "the last axis": (..., [-1, 1, 1]),
    "a mask": MASK,
    "a mask of rows": np.array([True, False]),
    "a mask of columns": (slice(None), np.array([True, False, True])),
    "both axes": ([1, 0], [-1, 2]),
    "broadcast": (np.array([[0], [1]]), np.array([2, 0])),
    "a number and an array": (1, [0, 2]),
    "an array and a slice": ([1, 0, 1], slice(None, None, -1)),
    "a new axis between": ([0, 1], None, slice(1, None)),
    "a new axis before": (None, [1], [2]),
    "a mask of nothing": np.zeros((2, 3), bool),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_means_what_it_means_to_numpy(name: str) -> None:
    key, x = KEYS[name], gpudl.convert_to_tensor(FLOATS)
    np.testing.assert_array_equal(host(x[key]), FLOATS[key], strict=True)
    np.testing.assert_array_equal(recorded(lambda t: t[key], FLOATS), FLOATS[key], strict=True)


def test_arrays_that_do_not_stand_side_by_side_come_first() -> None:
    x = np.arange(60).reshape(3, 4, 5)
    t = gpudl.convert_to_tensor(x)
    for key in (
        ([0, 2], slice(None), [1, 1]),
        (slice(None), [0, 2], [1, 1]),
        (1, slice(1, 3), [0, 4]),
        (slice(None), [[1], [2]], 3),
        (x[:, :, 0] > 20, [1]),
        ([[0, 1], [2, 2]], ..., None),
    ):
        np.testing.assert_array_equal(host(t[key]), x[key], strict=True)


def test_a_key_of_tensors() -> None:
    x = gpudl.convert_to_tensor(FLOATS)
    row, column = gpudl.convert_to_tensor([1, 0]), gpudl.convert_to_tensor(np.array([2, 1]))
    np.testing.assert_array_equal(host(x[row]), FLOATS[[1, 0]])
    np.testing.assert_array_equal(host(x[row, column]), FLOATS[[1, 0], [2, 1]])
    np.testing.assert_array_equal(host(x[row, -column]), FLOATS[[1, 0], [-2, -1]])
    np.testing.assert_array_equal(host(x[row[0]]), FLOATS[1])
    np.testing.assert_array_equal(host(x[x > 1]), FLOATS[MASK])
    np.testing.assert_array_equal(recorded(lambda t, i, j: t[i, j], x, row, column), FLOATS[[1, 0], [2, 1]])


def test_the_gradient_goes_where_elements_came_from() -> None:
    v = Variable(FLOATS)
    for key in (MASK, ([0, 1, 1], [0, 2, 2]), (slice(None), [2, 2]), v > 1):
        (slope,) = gpudl.grad(ops.sum(v[key] * 2.0), [v])
        expected = np.zeros_like(FLOATS)
        np.add.at(expected, host(key) if isinstance(key, Tensor) else key, 2)
        np.testing.assert_array_equal(host(slope), expected)


def test_a_mask_inside_a_recorded_step_says_what_to_do() -> None:
    with pytest.raises(TracingError, match=r"test_operators.py:\d+: how many elements a mask selects .*ops.where"):
        traced(lambda t: t[t > 1])(FLOATS)
    with pytest.raises(TracingError, match="a mask selects"):
        traced(lambda t: ops.nonzero(t)[0])(FLOATS)


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        ([2], IndexError, "^index 2 is out of range for an axis of size 2: indices go from -2 to 1, "),
        (([0], [-4]), IndexError, "^index -4 is out of range for an axis of size 3: indices go from -3 to 2, "),
        ((0, 0, [0]), gpudl.ShapeError, r"^3 axes were indexed, but the tensor has 2: \(2, 3\).$"),
        (np.ones(3, bool), gpudl.ShapeError, r"^a mask of shape \(3,\) does not fit axes of \(2,\).$"),
        (0.5, TypeError, "^a tensor is indexed by integers, .* got float of float64.$"),
        (True, TypeError, "^a tensor is indexed by integers, .* got bool of bool.$"),
        ("a", TypeError, "^a tensor is indexed by integers, .* got str of <U1.$"),
    ],
)
def test_a_key_that_does_not_fit_says_so(key: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gpudl.convert_to_tensor(FLOATS)[key]


def test_float64_of_numpy_does_not_widen() -> None:
    x = gpudl.convert_to_tensor([1.0, 2.0])
    assert (x + np.ones(2)).dtype == np.float32
    assert (np.ones(2) * x).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float32
    assert ops.maximum(x, np.zeros(2)).dtype == np.float32
    assert (x @ np.ones(2)).dtype == np.float32
    assert (gpudl.convert_to_tensor(np.ones(2)) + np.ones(2)).dtype == np.float64
    assert (x + gpudl.convert_to_tensor(np.ones(2))).dtype == np.float64
    assert (gpudl.convert_to_tensor([1, 2]) * np.ones(2)).dtype == np.float32


def test_lists_of_integers_are_int32_where_they_fit() -> None:
    assert gpudl.convert_to_tensor([1, 2]).dtype == np.int32
    assert gpudl.convert_to_tensor([1, 2**31]).dtype == np.int64
    assert gpudl.convert_to_tensor([]).dtype == np.float32


def test_the_value_of_a_variable_stays() -> None:
    v = Variable([1.0, 2.0])
    before = v.value
    v.assign([3.0, 4.0])
    assert (before.numpy().tolist(), v.value.numpy().tolist()) == ([1, 2], [3, 4])
    assert not isinstance(v.value, Variable)


def test_a_variable_is_made_as_keras_makes_it() -> None:
    assert Variable(0.0, dtype="float16").dtype == np.float16
    assert Variable(2.5, dtype="int32").numpy() == 2
    assert Variable("zeros", (2,)).numpy().tolist() == [0, 0]
    ones = Variable(gpudl.initializers.Ones(), shape=(2,), dtype="float64", trainable=False, name="ones")
    assert (ones.dtype, ones.trainable, ones.name, ones.shape) == (np.float64, False, "ones", (2,))
    assert Variable(lambda shape, dtype: np.full(shape, 7, dtype), (1,), "int32").numpy().tolist() == [7]
    assert not Variable(1.0, autocast=False).autocast
    with pytest.raises(ValueError, match=r"^a variable with an initializer needs a shape, got 'zeros' alone\.$"):
        Variable("zeros")
    with pytest.raises(ValueError, match="nope"):
        Variable("nope", (2,))
