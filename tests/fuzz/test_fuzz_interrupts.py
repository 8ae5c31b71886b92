"""Ctrl-C at a random moment: the model is as it was after some whole number of steps, and nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import numpy as np

import gpudl
from fuzz.programs import Program, assert_same_bits, run
from fuzz.training import Training, random_training, state_of
from gpudl.engine.state import state


class Interrupt:
    """Counts the moments at which Python looks for signals while a call runs, and does at one what Ctrl-C would do.

    It looks where a Python function begins, and after each call of a function that is not written in Python.

    Args:
        at: the number of the moment; 0 for never.
    """

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.seen = 0
        self.in_steps: list[int] = []  # moments in the middle of a replayed step
        self.where = ""

    def __call__(self, call: Callable[[], Any]) -> None:
        before = sys.getprofile()
        sys.setprofile(self._look)
        try:
            call()
        finally:
            sys.setprofile(before)

    def _look(self, frame: FrameType, event: str, arg: Any) -> None:
        if event not in ("call", "c_return") or _leaves_a_block(frame):
            return
        self.seen += 1
        if any(_replays(f) for f in (frame, frame.f_back, frame.f_back and frame.f_back.f_back)):
            self.in_steps.append(self.seen)
        if self.seen == self.at:
            sys.setprofile(None)
            self.where = f"{frame.f_code.co_qualname} in line {frame.f_lineno} of {frame.f_code.co_filename}"
            handler = signal.getsignal(signal.SIGINT)
            assert callable(handler)
            handler(signal.SIGINT, frame)


def _replays(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_qualname in ("Plan.run", "Plan.replay", "Bound.__call__")


def _leaves_a_block(frame: FrameType) -> bool:
    """Tell whether a ``with`` block is being entered or left, which no program can guard against Ctrl-C."""
    return frame.f_code.co_filename.endswith("contextlib.py") or frame.f_code.co_name in ("__enter__", "__exit__")


def _left_open() -> tuple[Any, ...]:
    """Return what must be the same after an interrupt: threads, open files, what the engine is doing."""
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return threading.active_count(), files, dict(vars(state))


def _after_each_step(training: Training) -> list[list[np.ndarray]]:
    """Return all that training changes, before the first step and after each one."""
    model = training.model()
    model.optimizer.build(model.trainable_weights)
    states = [state_of(model)]
    seen = gpudl.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: states.append(state_of(model)))
    training.fit(model, callbacks=[seen])
    return states


def _step_of(model: gpudl.Sequential, states: list[list[np.ndarray]]) -> int:
    """Return after which step the model is."""
    now = state_of(model)
    if len(now) < len(states[0]):  # the optimizer has no slots yet
        now += states[0][len(now) :]
    names = [w.path for w in model.weights] + [v.path for v in model.optimizer.variables]
    alike = [[_same(a, b) for a, b in zip(now, states[k], strict=True)] for k in range(len(states))]
    for k, each in enumerate(alike):
        if all(each):
            return k
    steps = {name: [k for k, each in enumerate(alike) if each[i]] for i, name in enumerate(names)}
    raise AssertionError(f"the model is after no whole number of steps, but each part is after one of {steps}")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind not in "biu")


def _copy(training: Training, state: list[np.ndarray]) -> gpudl.Sequential:
    """Return a new model in a state that another one is in."""
    model = training.model()
    model.optimizer.build(model.trainable_weights)
    weights = len(model.get_weights())
    model.set_weights(state[:weights])
    for variable, value in zip(model.optimizer.variables, state[weights:], strict=True):
        variable.assign(value)
    return model


def _check(p: Program) -> None:
    training = random_training(p, layers=3, dropout=False)
    states = _after_each_step(training)
    model = training.model()
    started = p.chance(0.5)
    if started:  # the plans are there
        training.fit(model)
        states = [state_of(model)]
        copy = _copy(training, states[0])
        seen = gpudl.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: states.append(state_of(copy)))
        training.fit(copy, callbacks=[seen])
    calls: dict[str, Callable[[gpudl.Sequential], Any]] = {
        "fit": training.fit,
        "train_on_batch": lambda m: m.train_on_batch(
            training.x[: training.batch_size], training.y[: training.batch_size]
        ),
        "predict": lambda m: m.predict(training.x, batch_size=training.batch_size, verbose=0),
        "evaluate": lambda m: m.evaluate(training.x, training.y, batch_size=training.batch_size, verbose=0),
    }
    name = p.one_of(("fit", "fit", "fit", *calls))
    whole = Interrupt()
    other = _copy(training, states[0])
    if started:
        for warm in calls.values():
            warm(other)
        other.set_weights(states[0][: len(other.get_weights())])
    whole(lambda: calls[name](other))
    interrupt = Interrupt(p.one_of(whole.in_steps) if p.chance(0.5) else p.integer(1, whole.seen))
    before, interrupted = _left_open(), [model]
    p.say(f"{name}, started={started}, at moment {interrupt.at} of {whole.seen}")
    with suppress(KeyboardInterrupt):  # one in a generator that is thrown away is swallowed by Python
        interrupt(lambda: calls[name](interrupted[0]))
    p.say(interrupt.where)
    assert _left_open() == before, f"something is left behind: {_left_open()}, before {before}"
    step = _step_of(model, states)
    assert step == 0 or name in ("fit", "train_on_batch"), "the weights have changed"
    copy = _copy(training, states[step])
    for action in (p.one_of(list(calls.values())), calls["fit"], calls["predict"]):
        mine, expected = action(model), action(copy)
        if isinstance(mine, np.ndarray):
            assert_same_bits(mine, expected, "predictions afterwards")
    for number, (mine, expected) in enumerate(zip(state_of(model), state_of(copy), strict=True)):
        assert_same_bits(mine, expected, f"array {number} after more training")
    gone = weakref.ref(model)
    interrupted.clear()
    del model, mine, expected
    gc.collect()
    assert gone() is None, "the model is kept"


def test_an_interrupt_leaves_a_whole_number_of_steps() -> None:
    run(_check, count=12)
