"""Activations against formulas in float64, finite differences, and Keras."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip
from public_names import functions

import gpudl
from gpudl import activations

X = np.concatenate([np.linspace(-8.0, 8.0, 65) + 0.013, [-40.0, 40.0]])


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


SCALE, ALPHA = 1.05070098735548049342, 1.67326324235437728482
FORMULAS: dict[str, tuple[dict[str, Any], Callable[[float], float]]] = {
    "linear": ({}, lambda x: x),
    "relu": ({}, lambda x: x if x > 0 else 0.0),
    "relu, slope": ({"negative_slope": 0.3}, lambda x: x if x > 0 else 0.3 * x),
    "relu, limit": ({"max_value": 4.0}, lambda x: min(max(x, 0.0), 4.0)),
    "relu, threshold": ({"threshold": 1.5}, lambda x: x if x > 1.5 else 0.0),
    "relu, all": (
        {"negative_slope": 0.2, "max_value": 5.0, "threshold": 1.0},
        lambda x: min(x, 5.0) if x > 1.0 else 0.2 * (x - 1.0),
    ),
    "leaky_relu": ({}, lambda x: x if x > 0 else 0.2 * x),
    "relu6": ({}, lambda x: min(max(x, 0.0), 6.0)),
    "sigmoid": ({}, _sigmoid),
    "tanh": ({}, math.tanh),
    "softplus": ({}, lambda x: x if x > 35 else math.log1p(math.exp(x))),
    "softsign": ({}, lambda x: x / (1 + abs(x))),
    "elu": ({"alpha": 0.7}, lambda x: x if x > 0 else 0.7 * math.expm1(x)),
    "selu": ({}, lambda x: SCALE * (x if x > 0 else ALPHA * math.expm1(x))),
    "silu": ({}, lambda x: x * _sigmoid(x)),
    "swish": ({}, lambda x: x * _sigmoid(x)),
    "gelu": ({}, lambda x: x * _phi(x)),
    "gelu, approximate": (
        {"approximate": True},
        lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "exponential": ({}, math.exp),
    "hard_sigmoid": ({}, lambda x: min(max(x / 6 + 0.5, 0.0), 1.0)),
    "hard_silu": ({}, lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0)),
    "hard_swish": ({}, lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0)),
    "mish": ({}, lambda x: x * math.tanh(x if x > 35 else math.log1p(math.exp(x)))),
    "celu": ({"alpha": 0.7}, lambda x: x if x > 0 else 0.7 * math.expm1(x / 0.7)),
    "log_sigmoid": ({}, lambda x: min(x, 0) - math.log1p(math.exp(-abs(x)))),
    "squareplus": ({"b": 2.5}, lambda x: 0.5 * (x + math.sqrt(x * x + 2.5))),
    "hard_tanh": ({}, lambda x: min(max(x, -1.0), 1.0)),
    "hard_shrink": ({"threshold": 0.7}, lambda x: x if abs(x) > 0.7 else 0.0),
    "soft_shrink": ({"threshold": 0.7}, lambda x: math.copysign(max(abs(x) - 0.7, 0.0), x)),
    "tanh_shrink": ({}, lambda x: x - math.tanh(x)),
    "threshold": ({"threshold": 0.7, "default_value": -2.0}, lambda x: x if x > 0.7 else -2.0),
    "sparse_plus": ({}, lambda x: max(x, 0.0) if abs(x) >= 1 else (x + 1) ** 2 / 4),
    "sparse_sigmoid": ({}, lambda x: min(max((x + 1) / 2, 0.0), 1.0)),
}


def _case(name: str) -> tuple[str, dict[str, Any], Callable[[float], float]]:
    return name.split(",")[0], *FORMULAS[name]


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


@pytest.mark.parametrize("case", FORMULAS)
def test_value_in_float64_and_float32(case: str) -> None:
    name, options, formula = _case(case)
    expected = np.array([formula(x) for x in X])
    for dtype, tolerance in (("float64", 4e-15), ("float32", 2e-6)):
        y = activations.get(name)(X.astype(dtype), **options)
        assert y.dtype == dtype
        # Measured against the size of the input too: x * P(X <= x) subtracts what nearly cancels.
        scale = np.abs(expected) + np.minimum(np.abs(X), 1.0)
        assert np.max(np.abs(y.numpy() - expected) / scale) < tolerance


@pytest.mark.parametrize("case", FORMULAS)
def test_gradient_is_the_slope(case: str) -> None:
    name, options, formula = _case(case)
    x = gpudl.Variable(X)
    (slope,) = gpudl.grad(gpudl.ops.sum(activations.get(name)(x, **options)), [x])
    h = 1e-6
    expected = np.array([(formula(v + h) - formula(v - h)) / (2 * h) for v in X])
    assert slope.numpy() == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("case", FORMULAS)
def test_traced_equals_eager(case: str) -> None:
    name, options, _ = _case(case)
    function = activations.get(name)
    x = X.astype(np.float32)
    traced = gpudl.traced(lambda t: function(t, **options))
    traced(x[::-1].copy())
    assert np.array_equal(traced(x).numpy(), function(x, **options).numpy())


@pytest.mark.parity
@pytest.mark.parametrize("case", FORMULAS)
def test_value_and_gradient_are_keras(keras: Any, case: str) -> None:
    import jax

    name, options, _ = _case(case)
    theirs = keras.activations.get(name)
    x = X[:-2].astype(np.float32)  # the last two are there for overflow
    expected, slope = np.asarray(theirs(x, **options)), jax.grad(lambda v: theirs(v, **options).sum())(x)
    variable = gpudl.Variable(x)
    y = activations.get(name)(variable, **options)
    assert y.numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    (got,) = gpudl.grad(gpudl.ops.sum(y), [variable])
    assert got.numpy() == pytest.approx(np.asarray(slope), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("axis", [-1, 0, 1, 2, -3])
def test_softmax_and_log_softmax_along_any_axis(axis: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5)) * 3
    e = np.exp(x)
    expected = e / e.sum(axis=axis, keepdims=True)
    assert activations.softmax(x, axis=axis).numpy() == pytest.approx(expected, rel=1e-13)
    assert activations.log_softmax(x, axis=axis).numpy() == pytest.approx(np.log(expected), rel=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax_gradient_is_keras(keras: Any, axis: int) -> None:
    import jax

    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(3, 4, 5)).astype("f"), rng.normal(size=(3, 4, 5)).astype("f")
    for name in ("softmax", "log_softmax"):
        theirs, ours = getattr(keras.activations, name), getattr(activations, name)
        expected = jax.grad(lambda v, f=theirs: (f(v, axis=axis) * w).sum())(x)
        variable = gpudl.Variable(x)
        (got,) = gpudl.grad(gpudl.ops.sum(ours(variable, axis=axis) * w), [variable])
        assert got.numpy() == pytest.approx(np.asarray(expected), rel=1e-4, abs=1e-6)


def test_softmax_and_sigmoid_remember_their_input() -> None:
    x = gpudl.convert_to_tensor([[1.0, 2.0], [3.0, 4.0]])
    assert activations.sigmoid(x).logits is x
    assert activations.softmax(x).logits is x
    assert activations.softmax(x, axis=1).logits is x
    assert activations.softmax(x, axis=0).logits is None
    assert activations.log_softmax(x).logits is None
    assert activations.tanh(x).logits is None


def test_softmax_over_one_class_warns() -> None:
    with pytest.warns(UserWarning, match="always returns 1, because that axis has size 1. Use sigmoid"):
        activations.softmax([[1.0], [2.0]])


def test_softmax_axis_out_of_range() -> None:
    with pytest.raises(gpudl.ShapeError, match="axis 2 is out of range for an array with 2 axes"):
        activations.softmax([[1.0, 2.0]], axis=2)


@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "sigmoid", "softmax", "gelu"])
def test_with_bias_is_the_activation_of_the_sum(name: str) -> None:
    rng = np.random.default_rng(2)
    x, bias = gpudl.Variable(rng.normal(size=(3, 2, 4))), gpudl.Variable(rng.normal(size=4))
    function = activations.get(name)
    fused, plain = activations.with_bias(x, bias, function), function(x + bias)
    assert fused.numpy() == pytest.approx(plain.numpy(), rel=1e-14, abs=1e-14)
    w = rng.normal(size=(3, 2, 4))
    got = gpudl.grad(gpudl.ops.sum(fused * w), [x, bias])
    expected = gpudl.grad(gpudl.ops.sum(plain * w), [x, bias])
    for a, b in zip(got, expected, strict=True):
        assert a.numpy() == pytest.approx(b.numpy(), rel=1e-12, abs=1e-12)
    assert (fused.logits is not None) == (name in ("sigmoid", "softmax"))
    assert activations.with_bias(x, None, function).numpy() == pytest.approx(function(x).numpy())


def test_with_bias_takes_any_callable_and_checks_the_bias() -> None:
    x = gpudl.convert_to_tensor([[1.0, -2.0]])
    doubled = activations.with_bias(x, gpudl.convert_to_tensor([1.0, 1.0]), lambda t: t * 2)
    assert doubled.numpy().tolist() == [[4.0, -2.0]]
    with pytest.raises(gpudl.ShapeError, match=r"one element per channel, \[2\]"):
        activations.with_bias(x, gpudl.convert_to_tensor([1.0, 1.0, 1.0]), activations.relu)


def test_integers_become_float32() -> None:
    for name in ("relu6", "sigmoid", "softmax", "gelu", "elu", "softplus", "hard_silu"):
        y = activations.get(name)(np.array([1, 2, 3]))
        assert name == "relu6" or y.dtype == np.float32
        assert y.shape == (3,)


def test_get_serialize_deserialize() -> None:
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get(activations.relu) is activations.relu
    for name in ("relu", "hard_silu", "log_softmax", "exponential"):
        assert activations.serialize(activations.get(name)) == name
        assert activations.deserialize(name) is activations.get(name)

    def own(x: Any) -> Any:
        return x

    assert activations.get(own) is own
    assert activations.deserialize("own", custom_objects={"own": own}) is own
    with pytest.raises(ValueError, match=r"Unknown activation: 'rleu'\. Did you mean 'relu'"):
        activations.get("rleu")
    with pytest.raises(ValueError, match="is a name, an object of its class, a function or a config dict, got 3"):
        activations.get(3)


def test_erf_is_exact_to_rounding_and_passes_nan_and_infinity() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-300, 0.9, 500), [0.46875, np.inf, -np.inf]])
    expected = np.array([math.erf(v) for v in x])
    got = gpudl.ops.erf(x).numpy()
    assert np.all(np.abs(got - expected) <= 1e-15 * np.abs(expected))
    assert math.isnan(gpudl.ops.erf(np.array(np.nan)).item())
    half = gpudl.ops.erf(np.array([-5.0, 0.25, 5.0], np.float16))
    assert half.dtype == np.float16
    assert half.numpy() == pytest.approx(np.array([-1.0, math.erf(0.25), 1.0]), abs=5e-4)
    assert gpudl.ops.erf(np.array([1])).dtype == np.float32


def test_every_activation_has_a_case() -> None:
    assert functions(activations) - {"softmax", "log_softmax", "sparsemax", "glu", "serialize"} <= FORMULAS.keys()


@pytest.mark.parametrize("axis", [-1, 0, 1, -3])
def test_sparsemax_along_any_axis_is_the_nearest_point_of_the_simplex(axis: int) -> None:
    x = np.random.default_rng(1).standard_normal((3, 4, 5))
    y = activations.sparsemax(x, axis).numpy().astype(np.float64)
    np.testing.assert_allclose(y.sum(axis=axis), 1, rtol=1e-6)
    assert ((y >= 0).all(), (y == 0).any()) == (True, True)
    # What is not 0 lies one level below x, and x nowhere else reaches above that level.
    level = np.where(y > 0, x - y, -np.inf).max(axis=axis, keepdims=True)
    np.testing.assert_allclose(np.maximum(x - level, 0), y, atol=1e-6)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_glu_is_one_half_times_the_sigmoid_of_the_other(axis: int) -> None:
    x = np.random.default_rng(1).standard_normal((2, 4, 6)).astype(np.float32)
    value, gate = np.split(x, 2, axis)
    np.testing.assert_allclose(activations.glu(x, axis).numpy(), value / (1 + np.exp(-gate)), rtol=1e-5)
    with pytest.raises(gpudl.ShapeError, match=r"glu needs two halves along axis 1, got shape \(2, 3\)"):
        activations.glu(np.ones((2, 3)), 1)
