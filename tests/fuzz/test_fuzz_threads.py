"""Several Python threads that build, train and use random models at once: the same results as one after another."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from thread_tools import workers

import gpudl
from fuzz.lives import assert_same_lives, random_life
from fuzz.programs import Program, assert_same_bits, run
from fuzz.training import random_training


def _at_once(p: Program, calls: list[Callable[[], Any]]) -> list[Any]:
    """Return the results of calls that begin together, each in a thread of its own, and take turns often."""
    results: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def work(number: int) -> None:
        gate.wait(30)
        try:
            results[number] = calls[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(calls))]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(p.one_of((usual, 1e-4, 1e-5)))
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive(), "a thread hangs"
    finally:
        sys.setswitchinterval(usual)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def _models_of_their_own(p: Program) -> None:
    lives = [random_life(p) for _ in range(p.integer(2, 4))]
    count = p.one_of((None, 2))
    p.say(f"workers: {count}")
    with nullcontext() if count is None else workers(count):
        expected = [life.run() for life in lives]
        together = _at_once(p, [life.run for life in lives])
    for number, (ours, alone) in enumerate(zip(together, expected, strict=True)):
        assert_same_lives(ours, alone, f"model {number}")


def _one_model(p: Program) -> None:
    """Several threads call one model, which perhaps has no weights before."""
    training = random_training(p, layers=3)
    built = p.chance(0.5)
    model = training.model()
    if not built:
        model = gpudl.Sequential([part.make(gpudl.layers) for part in training.stack.parts])
    calls: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda x: model.predict(x, batch_size=4, verbose=0),
        lambda x: model(x).numpy(),
    ]
    call, rows = p.one_of(calls), [p.integer(1, len(training.x)) for _ in range(p.integer(2, 5))]
    p.say(f"built={built}, call {calls.index(call)} on {rows} rows")
    together = _at_once(p, [lambda n=n: call(training.x[:n]) for n in rows])
    for layer, weights in zip(model.layers, training.weights, strict=True):
        assert len(layer.weights) == len(weights), f"{layer.name} has been built twice"
        layer.set_weights(weights if built else layer.get_weights())
    for n, result in zip(rows, together, strict=True):
        assert_same_bits(result, call(training.x[:n]), f"{n} rows, and the same ones later")


def test_threads_with_models_of_their_own() -> None:
    run(_models_of_their_own, count=6)


def test_threads_with_one_model() -> None:
    run(_one_model, count=10)
