"""`ops.scan` in models: its records are compared as those of other ops, and on symbols it is one call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from replay_tools import plan_of
from scan_tools import UNITS, array, bits, loop

import gpudl
from gpudl import Input, Model, ops
from gpudl.engine.state import changed

X = array(12, 6, 5)
Y = X[:, 0, :UNITS]


class Own(gpudl.layers.Layer):
    """A recurrent layer whose loop reads an attribute, a list, and what a function returns."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 0.5
        self.factors = [0.25]
        self.drawn: Any = lambda: 1.0

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], UNITS), initializer="glorot_uniform")

    def cell(self, carry: Any, row: Any) -> Any:
        h, c = carry
        c = ops.tanh(ops.matmul(row, self.kernel) + self.factor * h + np.full(UNITS, self.factors[0], np.float32))
        h = ops.scan(lambda sums, x: (sums + x * self.factors[0], None), h * 0.5, ops.stack([c, h]))[0]
        return (h, c), h * self.drawn()

    def call(self, x: Any) -> Any:
        start = ops.zeros_like(ops.matmul(x[:, 0], self.kernel))
        (h, _), ys = ops.scan(self.cell, (start, start), ops.transpose(x, (1, 0, 2)))
        return h + ops.sum(ys, axis=0)


def fitted() -> tuple[gpudl.Model, Own]:
    gpudl.utils.set_random_seed(1)
    own = Own()
    model = gpudl.Sequential([Input((6, 5)), own])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    return model, own


def test_a_fit_of_several_epochs_makes_one_plan_and_warns_of_nothing() -> None:
    model, _ = fitted()
    before = plan_of(model._train)
    for _ in range(3):
        changed()
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    assert plan_of(model._train) is before


def set_factor(own: Own) -> None:
    own.factor = 0.75


def set_in_a_list(own: Own) -> None:
    own.factors[0] = 0.75


def set_zero(own: Own) -> None:
    own.factor = -0.0


@pytest.mark.parametrize("change", [set_factor, set_in_a_list, set_zero])
def test_what_the_body_reads_may_change_between_passes(change: Any) -> None:
    model, own = fitted()
    before = plan_of(model._train)
    expected = model.predict(X, verbose=0)
    change(own)
    model.fit(X, Y, batch_size=4, verbose=0)
    assert plan_of(model._train) is not before
    found = model.predict(X, verbose=0)
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, model(X).numpy(), rtol=1e-6)


STEP = np.arange(6, dtype=np.float32).reshape(3, 2)


def replanned(*bodies: Any, **options: Any) -> bool:
    """Tell whether a step that loops with one body after the other is planned again."""
    remaining = iter([*bodies, bodies[-1]])
    step = gpudl.traced(lambda x: ops.scan(next(remaining), x[0], x, **options))
    step(STEP)
    before = plan_of(step)
    changed()
    step(STEP)
    return plan_of(step) is not before


BODIES: dict[str, Any] = {
    "an op": lambda a, x: (a - x, x * 2),
    "a constant": lambda a, x: (a + x, x * 3),
    "its sign": lambda a, x: (a + x, x * 2 + -0.0 * a),
    "an array": lambda a, x: (a + x * np.float32([1, 2]), x * 2),
    "what is handed on": lambda a, x: (x * 2, a + x),
    "a result": lambda a, x: (a + x, a + x),
    "one more result": lambda a, x: (a + x, (x * 2, x)),
    "one more op": lambda a, x: (a + x + a, x * 2),
    "the order of inputs": lambda a, x: (x + a, x * 2),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_differ(name: str) -> None:
    def body(a: Any, x: Any) -> Any:
        return a + x, x * 2

    assert replanned(body, BODIES[name])
    assert replanned(BODIES[name], body)
    assert not replanned(BODIES[name], BODIES[name])


def test_loops_of_other_lengths_and_directions() -> None:
    def body(a: Any, _: Any) -> Any:
        return a * 2 + 1, a

    options: dict[str, Any] = {}
    step = gpudl.traced(lambda x: ops.scan(body, x, **options))
    for change in ({"length": 2}, {"length": 3}, {"reverse": True}):
        options.update(change)
        changed()
        assert bits(step(STEP)) == bits(ops.scan(body, STEP, **options))


def test_chance_in_the_body_is_named() -> None:
    model, own = fitted()
    own.drawn = lambda: np.random.normal(size=UNITS).astype("float32")
    line = Own.cell.__code__.co_firstlineno + 4
    text = rf"test_scan_models\.py:{line}: this step differs each time .* 'multiply' with other"
    with pytest.warns(UserWarning, match=text) as seen:
        model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    assert len(seen) == 1


def cell(carry: Any, row: Any) -> Any:
    h, c = carry
    c = ops.tanh(row * 0.5 + c)
    return (0.5 * h + c, c), {"h": h, "both": ops.concatenate([h, c], axis=-1)}


def functional(run: Any, length: int | None) -> Model:
    gpudl.utils.set_random_seed(1)
    x = Input((length, 5))
    rows = ops.transpose(gpudl.layers.Dense(UNITS)(x), (1, 0, 2))
    start = ops.zeros_like(rows[0])
    (h, _), ys = run(cell, (start, start), rows)
    assert (h.shape, ys["both"].shape) == ((None, UNITS), (length, None, 2 * UNITS))
    model = Model(x, gpudl.layers.Dense(UNITS)(ops.concatenate([h, ops.max(ys["both"], axis=0)], axis=-1)))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("length", [6, None])
def test_on_symbols_it_is_one_call_of_a_model(length: int | None) -> None:
    model = functional(ops.scan, length)
    names = [operation.name for operation in model.operations]
    assert [name for name in names if name.startswith("scan")] == ["scan"]
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    for count in (1, 3, 12):
        assert model.predict(X[:count], verbose=0).shape == (count, UNITS)
        np.testing.assert_allclose(model.predict(X[:count], verbose=0), model(X[:count]).numpy(), rtol=1e-5, atol=1e-6)
    if length is None:
        np.testing.assert_allclose(model.predict(X[:, :3], verbose=0), model(X[:, :3]).numpy(), rtol=1e-5, atol=1e-6)
    else:
        written_out = functional(loop, length)
        written_out.fit(X, Y, batch_size=5, epochs=2, verbose=0)
        for one, other in zip(model.get_weights(), written_out.get_weights(), strict=True):
            assert one.tobytes() == other.tobytes()


def test_symbols_of_a_loop_without_rows_and_over_the_batch() -> None:
    x = Input((3,))
    total, _ = ops.scan(lambda a, row: (a + row, None), np.zeros(3, np.float32), x)
    twice, ys = ops.scan(lambda a, _: (a * 2, a), x, length=2)
    assert (total.shape, twice.shape, ys.shape) == ((3,), (None, 3), (2, None, 3))
    model = Model(x, [twice, ys])
    rows = X[:5, 0, :3]
    found = [t.numpy() for t in model(rows)]
    np.testing.assert_array_equal(found[0], 4 * rows)
    np.testing.assert_array_equal(found[1], [rows, 2 * rows])
