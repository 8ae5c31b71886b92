"""Optimizers to test: cases, weights and gradients, and a problem that they solve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import ops, optimizers

F4 = np.float32
EPS = float(np.finfo(F4).eps)
STEPS = 30
SHAPES = {"kernel": (3, 4), "bias": (4,), "filter": (2, 2, 3)}
SLOTS = ("momentum", "velocity")

CASES = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.1, "clipnorm": 1.5}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5, "global_clipnorm": 2.0}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "rho": 0.8}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.9, "weight_decay": 0.02}),
    ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "clipvalue": 0.5}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    ("AdamW", {"learning_rate": 0.01}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.3, "amsgrad": True}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-3, "clipvalue": 0.5}),
    ("Adamax", {"learning_rate": 0.01}),
    ("Adamax", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.8, "epsilon": 1e-3, "weight_decay": 0.1}),
    ("Nadam", {"learning_rate": 0.01}),
    ("Nadam", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.8, "epsilon": 1e-3}),
    ("Lion", {"learning_rate": 0.01}),
    ("Lion", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.1}),
    ("Lamb", {"learning_rate": 0.01}),
    ("Lamb", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.8, "epsilon": 1e-3, "clipnorm": 1.0}),
    ("Ftrl", {"learning_rate": 0.1}),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.5, "l2_regularization_strength": 0.1}),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.25, "beta": 0.5}),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": 0.0, "l2_shrinkage_regularization_strength": 0.1}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.01}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.8, "warmup_steps": 7}),
    ("Adafactor", {"learning_rate": 0.01}),
    ("Adafactor", {"learning_rate": 0.5, "beta_2_decay": -0.5, "epsilon_2": 2.0, "clip_threshold": 0.5}),
    ("Muon", {"learning_rate": 0.01}),
    ("Muon", {"learning_rate": 0.01, "nesterov": False, "ns_steps": 2, "rms_rate": None, "adam_lr_ratio": 0.5}),
]
NAMES = [f"{kind}-{'-'.join(options) or 'plain'}" for kind, options in CASES]
each_case = pytest.mark.parametrize(("kind", "options"), CASES, ids=NAMES)


def make(kind: str, options: dict[str, Any]) -> optimizers.Optimizer:
    return getattr(optimizers, kind)(**options)


def first_values() -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.standard_normal(shape).astype(F4) for shape in SHAPES.values()]


def gradients_of(step: int) -> list[np.ndarray]:
    draw = np.random.default_rng(100 + step)
    return [draw.standard_normal(shape).astype(F4) for shape in SHAPES.values()]


def variables() -> list[gpudl.Variable]:
    return [gpudl.Variable(value, name=name) for name, value in zip(SHAPES, first_values(), strict=True)]


def values(of: list[Any]) -> list[np.ndarray]:
    return [np.asarray(v) for v in of]


def assert_same_bits(a: list[Any], b: list[Any]) -> None:
    for x, y in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype


class Problem:
    """Least squares with a bias, whose step is the same eagerly and recorded."""

    def __init__(self, optimizer: optimizers.Optimizer, recorded: bool) -> None:
        draw = np.random.default_rng(5)
        self.w = gpudl.Variable(draw.standard_normal((3, 2)).astype(F4), name="w")
        self.b = gpudl.Variable(np.zeros(2, F4), name="b")
        self.optimizer = optimizer
        optimizer.build([self.w, self.b])
        self.step: Any = gpudl.traced(self._step) if recorded else self._step

    def _loss(self, x: Any, y: Any) -> Any:
        return ops.mean(ops.square(x @ self.w + self.b - y))

    def _step(self, x: Any, y: Any) -> Any:
        loss = self._loss(x, y)
        grads = gpudl.grad(loss, [self.w, self.b])
        self.optimizer.apply(grads, [self.w, self.b])
        return loss

    def run(self, steps: int, start: int = 0) -> list[float]:
        losses = []
        for t in range(start, start + steps):
            draw = np.random.default_rng(t)
            x, y = (draw.standard_normal(shape).astype(F4) for shape in ((8, 3), (8, 2)))
            losses.append(float(self.step(gpudl.convert_to_tensor(x), gpudl.convert_to_tensor(y))))
        return losses

    def everything(self) -> list[Any]:
        return [self.w, self.b, *self.optimizer.variables]
