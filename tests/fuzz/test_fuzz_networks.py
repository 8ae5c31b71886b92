"""Random networks: recorded, op by op, unfused, on two threads, bit for bit; by references nearly so."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from thread_tools import workers

from fuzz.programs import Program, assert_near, assert_same_bits, run
from fuzz.training import Training, random_training, state_of
from gpudl.engine.state import reference_only, unfused

MIXED = ("float32", "float32", "float32", "mixed_float16", "mixed_bfloat16")


def _course(training: Training, within: AbstractContextManager[Any], **compiled: Any) -> list[np.ndarray]:
    """Return everything that comes of a training: logs, predictions, weights, slots."""
    with within:
        model = training.model(**compiled)
        before = model.predict(training.x, batch_size=training.batch_size, verbose=0)
        logs = training.fit(model).history
        tested = model.evaluate(training.x, training.y, batch_size=training.batch_size, verbose=0)
        after = model.predict(training.x, batch_size=training.batch_size, verbose=0)
    return [before, np.array(list(logs.values())), np.array(tested), after, *state_of(model)]


def _agree_bit_for_bit(program: Program) -> None:
    training = random_training(program, dtypes=MIXED)
    recorded = _course(training, workers(1))
    ways: dict[str, list[np.ndarray]] = {
        "op by op": _course(training, workers(1), run_eagerly=True),
        "unfused": _course(training, unfused()),
        "on two threads": _course(training, workers(2)),
    }
    for way, course in ways.items():
        assert len(course) == len(recorded)
        for number, (other, expected) in enumerate(zip(course, recorded, strict=True)):
            assert_same_bits(other, expected, f"{way}: array {number}")


def _one_step(training: Training, within: AbstractContextManager[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the predictions, and the gradients of all weights as one step of gradient descent shows them."""
    training.optimizer = "SGD", {"learning_rate": 1.0}
    with within:
        model = training.model()
        predicted = model.predict(training.x, verbose=0)
        before = model.get_weights()
        model.train_on_batch(training.x, training.y)
    moved = [(a - b).reshape(-1) for a, b in zip(before, model.get_weights(), strict=True)]
    return predicted, np.concatenate(moved)


def _agree_with_references(program: Program) -> None:
    training = random_training(program, layers=3)
    ours, expected = _one_step(training, nullcontext()), _one_step(training, reference_only())
    for what, mine, exact in zip(("predictions", "gradients"), ours, expected, strict=True):
        assert_near(mine, exact, 1e-4, what)


def test_every_way_to_run_a_network_gives_the_same_bits() -> None:
    run(_agree_bit_for_bit, count=12)


def test_kernels_and_references_train_alike() -> None:
    run(_agree_with_references, count=12)
