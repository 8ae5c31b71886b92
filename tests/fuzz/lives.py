"""A random life of a random model: what somebody does with it, and everything that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fuzz.programs import Program, assert_same_bits
from fuzz.training import Training, random_training, state_of

ACTIONS = ("fit", "predict", "evaluate", "batch")


@dataclass
class Life:
    """A training, what is done with its model, and whether op by op."""

    training: Training
    actions: list[str]
    eager: bool

    def run(self) -> list[np.ndarray]:
        """Make the model, do all that, and return what comes of it."""
        training = self.training
        model = training.model(run_eagerly=self.eager)
        results: list[Any] = []
        for action in self.actions:
            if action == "fit":
                history = training.fit(model).history
                results += [np.array(history[name]) for name in sorted(history)]
            elif action == "predict":
                results.append(model.predict(training.x, batch_size=training.batch_size, verbose=0))
            elif action == "evaluate":
                results.append(np.array(model.evaluate(training.x, training.y, verbose=0)))
            else:
                results.append(np.array(model.train_on_batch(training.x, training.y)))
        return [*results, *state_of(model)]


def random_life(p: Program) -> Life:
    """Return a random life of a small random model."""
    training = random_training(p, layers=3)
    life = Life(training, [p.one_of(ACTIONS) for _ in range(p.integer(1, 4))], p.chance(0.2))
    p.say(f"  {life.actions}, eager={life.eager}")
    return life


def assert_same_lives(ours: list[np.ndarray], expected: list[np.ndarray], what: str) -> None:
    """Assert that the same came of two lives, bit for bit."""
    assert len(ours) == len(expected)
    for position, (a, b) in enumerate(zip(ours, expected, strict=True)):
        assert_same_bits(a, b, f"{what}, array {position}")
