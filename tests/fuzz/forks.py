"""A random program that forks, to be run in a process of its own: ``python forks.py SEED``."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import sys
import threading
import warnings
from contextlib import nullcontext
from typing import Any

from thread_tools import workers

from fuzz.lives import Life, assert_same_lives, random_life
from fuzz.programs import ADVICE, Program

PATIENCE = 60.0  # seconds, after which a child hangs


def _in_child(life: Life, nested: bool) -> list[Any]:
    """Return what comes of a life in a forked process, or in one that that one forks."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(_in_child(life, False) if nested else life.run(), pipe)
        finally:
            os._exit(0)  # without what the parent does when it ends
    os.close(writing)
    said = b""
    with os.fdopen(reading, "rb") as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], PATIENCE)
            part = os.read(reading, 1 << 16) if ready else b""
            said += part
            if not part:
                break
    if not ready:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ready, f"the child hangs; it has sent {len(said)} bytes"
    assert status == 0, f"the child ended with {status}"
    assert said, "the child failed, as is told above"
    results: list[Any] = pickle.loads(said)
    return results


def _in_pool(lives: list[Life]) -> list[list[Any]]:
    """Return what comes of some lives in a pool of forked processes."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map_async(Life.run, lives).get(PATIENCE)


def _in_thread(call: Any) -> Any:
    """Return what `call` returns in a thread of its own."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def check(p: Program) -> None:
    """Fork before the first kernel or after some, beside threads or inside one, and compare with the parent."""
    lives = [random_life(p) for _ in range(p.integer(1, 3))]
    count, before = p.one_of((None, 2)), p.chance(0.6)
    # A thread that imports a module or compiles while another one forks leaves Python's own locks held in the child.
    busy, pooled = before and p.chance(0.5), p.chance(0.3)
    p.say(f"workers={count}, kernels before={before}, threads beside={busy}, pool={pooled}")
    with nullcontext() if count is None else workers(count):
        expected = [life.run() for life in lives] if before else []
        end = threading.Event()
        beside = threading.Thread(target=lambda: [life.run() for _ in iter(end.is_set, True) for life in lives])
        if busy:
            beside.start()
        try:
            if pooled:
                forked = _in_pool(lives)
            else:
                forked = []
                for life in lives:
                    nested, inside = p.chance(0.2), p.chance(0.2)
                    p.say(f"nested={nested}, forked inside a thread={inside}")
                    call = lambda life=life, nested=nested: _in_child(life, nested)  # noqa: E731
                    forked.append(_in_thread(call) if inside else call())
        finally:
            end.set()
            if busy:
                beside.join()
        expected = expected or [life.run() for life in lives]
        for number, (ours, parent) in enumerate(zip(forked, expected, strict=True)):
            assert_same_lives(ours, parent, f"life {number}")
        for life, parent in zip(lives, expected, strict=True):
            assert_same_lives(life.run(), parent, "the parent after the fork")


if __name__ == "__main__":
    for text in (*ADVICE, "This process .* is multi-threaded"):
        warnings.filterwarnings("ignore", text)
    program = Program(int(sys.argv[1]))
    try:
        check(program)
    except BaseException:
        print(*program.lines, sep="\n", file=sys.stderr)
        raise
