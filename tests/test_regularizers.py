"""Regularizers and constraints: values by hand, gradients, replay, Keras, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import constraints, regularizers

F4 = np.float32
EPS = float(np.finfo(F4).eps)
W = np.array([[1.0, -2.0, 0.0], [-4.0, 0.5, 8.0]], F4)
L1_OF_W, L2_OF_W = 15.5, 85.25

REGULARIZERS: list[tuple[str, dict[str, float], float]] = [
    ("L1", {}, 0.01 * L1_OF_W),
    ("L1", {"l1": 0.5}, 0.5 * L1_OF_W),
    ("L2", {}, 0.01 * L2_OF_W),
    ("L2", {"l2": 2.0}, 2 * L2_OF_W),
    ("L1L2", {}, 0.0),
    ("L1L2", {"l1": 0.5}, 0.5 * L1_OF_W),
    ("L1L2", {"l2": 0.25}, 0.25 * L2_OF_W),
    ("L1L2", {"l1": 0.5, "l2": 0.25}, 0.5 * L1_OF_W + 0.25 * L2_OF_W),
]
CONSTRAINTS: list[tuple[str, dict[str, Any]]] = [
    ("NonNeg", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 3.0, "axis": 1}),
    ("MaxNorm", {"axis": [0, 1]}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 2.5, "max_value": 5.0, "rate": 0.25, "axis": 0}),
]
each_regularizer = pytest.mark.parametrize(("name", "options", "value"), REGULARIZERS)
each_constraint = pytest.mark.parametrize(("name", "options"), CONSTRAINTS)


@each_regularizer
def test_penalties(name: str, options: dict[str, float], value: float) -> None:
    penalty = getattr(regularizers, name)(**options)(W)
    assert penalty.shape == ()
    assert penalty.dtype == F4
    np.testing.assert_allclose(float(penalty), value, rtol=4 * EPS)


def test_penalties_keep_the_dtype() -> None:
    for dtype in (np.float16, np.float64):
        for make in (regularizers.L1(), regularizers.L2(), regularizers.L1L2(), regularizers.L1L2(0.1, 0.1)):
            assert make(gpudl.Variable(W.astype(dtype))).dtype == dtype


def test_gradients() -> None:
    w = gpudl.Variable(W)
    penalty = regularizers.L1L2(l1=0.5, l2=0.25)(w)
    (g,) = gpudl.grad(penalty, [w])
    assert g is not None
    np.testing.assert_allclose(g.numpy(), 0.5 * np.sign(W) + 0.5 * W, rtol=4 * EPS)


@each_regularizer
def test_penalties_replay(name: str, options: dict[str, float], value: float) -> None:
    step = gpudl.traced(getattr(regularizers, name)(**options))
    for scale in (1, 2, 3):
        eager = getattr(regularizers, name)(**options)(scale * W)
        assert float(step(scale * W)) == float(eager)


def projected(name: str, options: dict[str, Any], w: np.ndarray) -> np.ndarray:
    """The definitions, in float64, vector by vector."""
    w = w.astype(np.float64)
    if name == "NonNeg":
        return np.where(w > 0, w, 0)
    axis = options.get("axis", 0)
    if axis == [0, 1]:
        return projected(name, {**options, "axis": 0}, w.reshape(-1, 1)).reshape(w.shape)
    low, high = options.get("min_value", 0), options.get("max_value", 2 if name == "MaxNorm" else 1)
    rate = options.get("rate", 1)
    columns = []
    for vector in w.T if axis == 0 else w:
        norm = float(np.sqrt(sum(x * x for x in vector)))
        wanted = 1.0 if name == "UnitNorm" else rate * min(max(norm, low), high) + (1 - rate) * norm
        columns.append(vector * wanted / (norm + 1e-7))
    return np.array(columns).T if axis == 0 else np.array(columns)


@each_constraint
def test_projections(name: str, options: dict[str, Any]) -> None:
    result = getattr(constraints, name)(**options)(gpudl.Variable(W))
    assert result.dtype == F4
    np.testing.assert_allclose(result.numpy(), projected(name, options, W), rtol=8 * EPS)


@each_constraint
def test_projections_of_zero_are_zero(name: str, options: dict[str, Any]) -> None:
    np.testing.assert_array_equal(getattr(constraints, name)(**options)(np.zeros((2, 3), F4)).numpy(), 0)


@pytest.mark.parametrize("family", [regularizers, constraints])
def test_config_and_names(family: Any) -> None:
    rows = [(r[0], r[1]) for r in REGULARIZERS] if family is regularizers else CONSTRAINTS
    for name, options in rows:
        made = getattr(family, name)(**options)
        assert {**made.get_config(), **options} == made.get_config()
        assert type(made).from_config(made.get_config()).get_config() == made.get_config()
        again = family.get({"class_name": name, "config": made.get_config()})
        np.testing.assert_array_equal(again(W).numpy(), made(W).numpy())
        assert type(family.get(name)) is type(made)
    assert family.get(None) is None
    assert family.get(abs) is abs


def test_snake_case_names() -> None:
    assert isinstance(regularizers.get("l1_l2"), regularizers.L1L2)
    assert isinstance(regularizers.l2(0.5), regularizers.L2)
    assert regularizers.l1_l2(l1=0.5).get_config() == {"l1": 0.5, "l2": 0.0}
    assert isinstance(constraints.get("min_max_norm"), constraints.MinMaxNorm)
    assert isinstance(constraints.max_norm(3), constraints.MaxNorm)


def test_none_is_the_default_weight() -> None:
    assert regularizers.L2(None).l2 == 0.01
    assert regularizers.L1L2(None, 0.5).get_config() == {"l1": 0.0, "l2": 0.5}


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: regularizers.L1(-1.0), ValueError, "l1 must be a number of at least 0, got -1.0"),
        (lambda: regularizers.L2(float("nan")), ValueError, "l2 must be a number of at least 0, got nan"),
        (lambda: regularizers.L1L2(l2="x"), ValueError, "l2 must be a number of at least 0, got 'x'"),  # type: ignore[arg-type]
        (lambda: regularizers.get("l3"), ValueError, "Unknown regularizer: 'l3'"),
        (lambda: constraints.get("max_nrm"), ValueError, "Unknown constraint: 'max_nrm'.* mean 'max_norm'"),
        (lambda: regularizers.Regularizer()(W), NotImplementedError, "Regularizer needs a __call__"),
        (lambda: constraints.Constraint()(W), NotImplementedError, "Constraint needs a __call__"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


@parity
@each_regularizer
def test_keras_gives_the_same_penalty(keras: Any, name: str, options: dict[str, float], value: float) -> None:
    ours, theirs = getattr(regularizers, name)(**options), getattr(keras.regularizers, name)(**options)
    w = keras.ops.convert_to_tensor(W)
    np.testing.assert_allclose(float(ours(W)), float(theirs(w)), rtol=8 * EPS)
    assert ours.get_config() == pytest.approx(theirs.get_config(), rel=EPS)  # Keras keeps l1 in float32


@parity
@each_constraint
def test_keras_gives_the_same_projection(keras: Any, name: str, options: dict[str, Any]) -> None:
    ours, theirs = getattr(constraints, name)(**options), getattr(keras.constraints, name)(**options)
    w = keras.ops.convert_to_tensor(W)
    np.testing.assert_allclose(ours(W).numpy(), np.asarray(theirs(w)), rtol=16 * EPS)
    assert ours.get_config() == theirs.get_config()


def test_orthogonal_rows_and_columns_cost_nothing() -> None:
    w = np.array([[3.0, 4.0, 0.0], [-4.0, 3.0, 0.0]], F4)
    assert float(regularizers.OrthogonalRegularizer(0.5)(w)) < EPS
    # The columns are at the angles of (3, -4), (4, 3) and a column of zeros, which has none.
    assert float(regularizers.OrthogonalRegularizer(0.5, mode="columns")(w)) < EPS
    cosine = 1 / np.sqrt(2)
    bent = regularizers.OrthogonalRegularizer(0.5)([[1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(float(bent), 0.5 * cosine, rtol=4 * EPS)
    for call, text in (
        (lambda: regularizers.OrthogonalRegularizer(mode="all"), "mode must be 'rows' or 'columns', got 'all'"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones(3)), r"needs a matrix, got shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
