"""The team of threads: every part once, by whoever comes; forks, several callers, and threads that are not there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.cpu.machine import prebound, thread_team
from thread_tools import workers

LAYERS = ("omp", "workqueue")  # of Numba: what the user takes for other code makes no difference
MODEL = """
import multiprocessing, os, sys, threading
import numpy as np
import gpudl
from gpudl.kernels.cpu.machine import thread_team
net = [gpudl.layers.Input((28, 28, 1)), gpudl.layers.Conv2D(8, 3), gpudl.layers.Flatten(), gpudl.layers.Dense(10)]
model = gpudl.Sequential(net)
model.compile("adam", "mse")
x = np.random.default_rng(0).random((512, 28, 28, 1)).astype("f")
expected = model.predict(x, verbose=0)
started = thread_team.team()._word(thread_team._STARTED)[0]
def same():
    return bool((model.predict(x, verbose=0) == expected).all())
def trained():
    return model.fit(x[:128], np.ones((128, 10), "f"), verbose=0, shuffle=False).history["loss"]
"""


def run(program: str, **environment: str) -> str:
    """Return what a Python prints that runs `program` after `MODEL`, with two threads."""
    two = {"NUMBA_NUM_THREADS": "2", "GPUDL_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", MODEL + program],
        env={**os.environ, **two, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,  # only so that a test that hangs ends
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def note(worker: Any, workers: Any, thread: Any, out: Any) -> None:
    out[worker, 0] += 1
    out[worker, 1] = thread
    out[worker, 2] = workers


noted = prebound.ParallelLoop(note)


def ran(count: int) -> np.ndarray:
    out = np.zeros((thread_team.SHARES * count + 1, 3), np.int64)
    with workers(count):
        noted(1, out)
    return out


@pytest.mark.parametrize("count", [2, 3, 7])
def test_each_part_is_done_once_by_a_thread_of_the_job(count: int) -> None:
    for _ in range(100):
        out = ran(count)
        parts = thread_team.SHARES * count
        assert (out[:parts, 0] == 1).all()
        assert (out[:parts, 2] == parts).all()
        assert (out[:parts, 1] < count).all()
        assert not out[parts:].any()


def test_a_smaller_job_after_a_larger_one_uses_no_more_threads_than_it_has() -> None:
    for count in (7, 2, 3, 7, 2) * 20:
        assert ran(count)[:, 1].max() < count


def test_threads_that_could_not_be_started_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = thread_team._Team()
    nothing = type(crew._start)(lambda *_: None)  # keeps its type of a function of C
    monkeypatch.setattr(thread_team, "team", lambda: crew)
    crew._word(thread_team._START)[0] = thread_team.ctypes.cast(nothing, thread_team.ctypes.c_void_p).value
    assert (ran(3)[:-1, 0] == 1).all()
    assert (ran(3)[:-1, 1] == 0).all()
    crew._word(thread_team._ALIVE)[0] = 0


def test_several_callers_at_once() -> None:
    wrong = []

    def call() -> None:
        for _ in range(200):
            out = np.zeros((thread_team.SHARES * 2 + 1, 3), np.int64)
            noted(1, out)
            if (out[:-1, 0] != 1).any():
                wrong.append(out)

    with workers(2):
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert wrong == []


def test_scratch_memory_belongs_to_a_thread() -> None:
    def fill(worker: Any, workers: Any, thread: Any, held: Any, out: Any) -> None:
        for k in range(held.shape[1]):
            held[thread, k] = worker
        for k in range(held.shape[1]):
            out[worker] += held[thread, k] != worker

    kernel, held = prebound.ParallelLoop(fill), np.zeros((3, 20_000), np.int64)
    for _ in range(20):
        out = np.zeros(3 * thread_team.SHARES, np.int64)
        with workers(3):
            kernel(1, held, out)
        assert not out.any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestFork:
    @pytest.mark.parametrize("layer", LAYERS)
    def test_a_pool_answers_as_its_parent(self, layer: str) -> None:
        # A pool's workers fork at once; each of them trains, and forks again.
        program = """
def work(_):
    first = same(), trained()
    child = os.fork()
    if child == 0:
        os._exit(0 if (model.predict(x, verbose=0) == model.predict(x, verbose=0)).all() else 1)
    return *first, os.waitpid(child, 0)[1]
with multiprocessing.get_context("fork").Pool(2) as pool:
    answers = pool.map(work, range(2), chunksize=1)
losses = trained()
print(started, [(one, loss == losses, code) for one, loss, code in answers], thread_team.team() is not None)
"""
        assert run(program, NUMBA_THREADING_LAYER=layer) == "1 [(True, True, 0), (True, True, 0)] True"

    def test_while_other_threads_compute(self) -> None:
        program = """
going = True
def busy():
    while going:
        model.predict(x, verbose=0)
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads: thread.start()
codes = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        # the threads of its parent are gone, whatever they were doing
        array = np.ones((600, 600), "f")
        total = float(gpudl.ops.matmul(array, array).numpy().sum())
        os._exit(0 if total == 600.0 ** 3 else 1)
    codes.append(os.waitpid(child, 0)[1])
going = False
for thread in threads: thread.join()
print(codes, same())
"""
        assert run(program) == "[0, 0, 0, 0] True"


@pytest.mark.parametrize("layer", LAYERS)
def test_predict_from_several_threads(layer: str) -> None:
    program = """
answers = []
threads = [threading.Thread(target=lambda: answers.extend(same() for _ in range(10))) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(answers == [True] * 60)
"""
    assert run(program, NUMBA_THREADING_LAYER=layer) == "True"


def test_threads_sleep_when_there_is_nothing_to_do_and_end_with_the_program() -> None:
    program = """
import time
crew = thread_team.team()
def until(word, value):  # there is no upper limit: a busy machine may need long
    while crew._word(word)[0] != value:
        time.sleep(0.01)
until(thread_team._SLEEPING, 1)
print(same())
until(thread_team._SLEEPING, 1)
crew.end()
print(crew._word(thread_team._BUSY)[0])
until(thread_team._ALIVE, 0)
print(same())
"""
    assert run(program).split() == ["True", "1", "True"]
