"""What a tensor is while a step is recorded: a value in the record, and nothing outside of it."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from replay_tools import assert_same_bits, names_in, plan_of, tensor

import gpudl
from gpudl import Tensor, TracingError, Variable, losses, ops, traced
from gpudl.engine.plan.ir import Applied
from gpudl.engine.plan.plan import Plan
from gpudl.engine.plan.recorder import Recorder
from gpudl.engine.state import state, unfused


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def through_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def kept_from_a_step() -> Tensor:
    kept: list[Tensor] = []
    traced(lambda x: kept.append(x * 3))(tensor(1, 2))
    return kept[0]


@pytest.mark.parametrize("same", [lambda t: t, copy.copy, copy.deepcopy, through_pickle])
def test_what_outlives_its_step_says_so_also_as_a_copy(same: Callable[[Tensor], Tensor]) -> None:
    t = same(kept_from_a_step())
    assert repr(t) == "<Tensor shape=(2,) dtype=float32>"
    assert not t.is_computed
    for use in (t.numpy, lambda: t + 1, lambda: traced(lambda x: x + t)(tensor(1)), lambda: Variable(t)):
        with pytest.raises(TracingError, match="Return it from the step instead of keeping it"):
            use()


def test_the_gradient_of_what_outlives_its_step_is_an_error() -> None:
    v, kept = Variable([1.0, 2.0]), []
    traced(lambda: kept.append(ops.sum(v * v)))()
    with pytest.raises(TracingError, match="Return it from the step instead of keeping it"):
        gpudl.grad(kept[0], [v])


def test_a_variable_made_of_what_is_computed_in_a_step_is_an_error() -> None:
    step = traced(lambda x: Variable(x * 2) + 1)
    with pytest.raises(TracingError, match=rf"^{__file__}:\d+: a tensor's value was read on the host"):
        step(tensor(1))
    assert step.entries == {}


def test_tensors_that_share_an_array_are_one_value() -> None:
    a = tensor(1, 2)
    b = Tensor(a.data)
    step = traced(lambda: ops.exp(a) + ops.exp(b))
    with unfused():
        assert_same_bits(step(), ops.exp(a) + ops.exp(a))
        assert names_in(step) == ["exp", "add"]


def test_views_of_what_is_computed_once() -> None:
    def step(x: Any) -> Any:
        first, second = x * 2, x * 2
        flat = ops.reshape(ops.reshape(second, (3, 2)), (6,))
        return ops.reshape(first, (6,)) + 1, ops.exp(flat), ops.reshape(second, (1, 6)), second

    recorded, x = traced(step), gpudl.convert_to_tensor(noise(2, 3))
    for got, expected in zip(recorded(x), step(x), strict=True):
        assert_same_bits(got, expected)
    assert names_in(recorded).count("multiply") == 1
    plan_of(recorded).poison()
    for got, expected in zip(recorded(x), step(x), strict=True):
        assert_same_bits(got, expected)


def test_views_of_a_softmax_that_a_loss_computes_too() -> None:
    def step(x: Any, y: Any) -> Any:
        loss = losses.CategoricalCrossentropy(from_logits=True)(y, x)
        views = ops.reshape(ops.reshape(ops.softmax(x), (2, 3, 2)), (12,))
        return loss, ops.exp(views), ops.square(views)

    recorded = traced(step)
    args = [gpudl.convert_to_tensor(a) for a in (noise(4, 3), np.eye(3, dtype=np.float32)[[0, 2, 1, 1]])]
    for _ in range(2):
        for got, expected in zip(recorded(*args), step(*args), strict=True):
            assert_same_bits(got, expected)
        plan_of(recorded).poison()


def test_planning_leaves_the_record_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    on = gpudl.backend.current()
    x, y = (gpudl.convert_to_tensor(a) for a in (noise(4, 3), np.eye(3, dtype=np.float32)[[0, 2, 1, 1]]))
    recorder = Recorder(on)
    monkeypatch.setattr(state, "recorder", recorder)
    loss = losses.CategoricalCrossentropy(from_logits=True)(y, x * 2)
    results = loss, ops.exp(ops.reshape(ops.softmax(x * 2), (12,)))
    monkeypatch.undo()
    before = [(step.op, step.outs, step.ins, step.static) for step in recorder.instructions]
    plans = [Plan(on, recorder.instructions, list(map(recorder.value, results))) for _ in range(2)]
    assert [(step.op, step.outs, step.ins, step.static) for step in recorder.instructions] == before
    assert len(plans[0].instructions) < len(before)
    for plan in plans:
        plan.replay()
    for one, other in zip(plans[0].returned, plans[1].returned, strict=True):
        assert_same_bits(Tensor(one), Tensor(other))


@pytest.mark.host
def test_a_kernel_is_chosen_once_for_each_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    model = gpudl.Sequential(
        [
            gpudl.layers.Conv2D(3, 2, activation="relu", input_shape=(6, 6, 1)),
            gpudl.layers.MaxPooling2D(2),
            gpudl.layers.Flatten(),
            gpudl.layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    on, asked = gpudl.backend.current(), Counter[str]()
    kernel = type(on).kernel

    def counted(self: Any, op: str, arrays: Any, static: Any) -> Any:
        asked[op] += 1
        return kernel(self, op, arrays, static)

    with unfused():
        model.train_on_batch(noise(8, 6, 6, 1), np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 2])  # builds
        model._train.forget()
        monkeypatch.setattr(type(on), "kernel", counted)
        entry = model._train.prepare((noise(8, 6, 6, 1), np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 2], None))
    called = [step for step in entry.plan.instructions if not step.alias]
    assert all(isinstance(step, Applied) for step in called)
    assert asked == Counter(step.name for step in called)
