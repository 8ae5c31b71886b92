"""The threads that share the work of a kernel.

A job is the entry of a kernel, its packed arguments, and the number of parts that its work is divided into. Every thread
has parts of its own, the same in each kernel, so that its share of the memory stays near to it; it claims them one by
one, and then those that other threads have not begun. The thread that calls is one of them. At the end it waits only for
parts that have been begun: a thread that the operating system lets wait, because another program is busy, or that could
not be started, delays nobody. Which thread does a part changes no bit of it.

One job runs at a time. A thread that brings another one meanwhile does it alone.

A thread without work looks for some for a while (see `PATIENCE`), and then sleeps. Threads are started by the first job
that wants them, also in a process that was forked: there the team begins anew.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from numba import types

from . import threads
from .atomics import add, call4, load, pause, store, swap
from .cache import address, kept
from .threads import WITHOUT_WRAPPERS

PATIENCE = 400e-6
"""Seconds in which a thread looks for new work, so that a step's next kernel starts at once, before it sleeps.

Waking it takes 50 to 200 microseconds on a virtual machine.
"""

MOST = 1024
"""Threads that a team can have."""

_LINE = 64  # bytes that processors do not share
_BUSY, _NUMBER, _PENDING, _SLEEPING, _WAITING, _ALIVE, _STARTED, _ENDING = range(0, 8 * _LINE, _LINE)
_ENTRY, _PACKED, _PARTS = range(8 * _LINE, 8 * _LINE + 24, 8)
_SERVE, _CREATE, _LOCK, _UNLOCK, _WAIT, _WAKE, _SPINS = range(9 * _LINE, 9 * _LINE + 56, 8)
_MUTEX, _WORK, _DONE = range(10 * _LINE, 16 * _LINE, 2 * _LINE)
_THREADS = 16 * _LINE  # from here on a line for each thread: its claims, the team, its number
_LEFT, _COUNT = 0xFFFF, 16  # of claims: the parts that are left, the bits by which the number of threads is shifted


@threads.inner
def _work(team: Any, thread: Any) -> None:
    """Do parts of the current job until none is left that nobody has begun."""
    started = load(team + _STARTED) + 1
    for step in range(started):
        owner = (thread + step) % started
        claims = team + _THREADS + owner * _LINE
        while True:
            claim = load(claims)
            left = claim & _LEFT
            if left == 0 or thread >= (claim >> _COUNT) & _LEFT:
                break
            if swap(claims, claim, claim - 1):  # the job, which cannot end before this part has, is what it says
                parts = load(team + _PARTS)
                part = parts // ((claim >> _COUNT) & _LEFT) * (owner + 1) - left
                call4(load(team + _ENTRY), load(team + _PACKED), part, parts, thread)
                if add(team + _PENDING, -1) == 1 and load(team + _WAITING):
                    call4(load(team + _LOCK), team + _MUTEX, 0, 0, 0)
                    call4(load(team + _WAKE), team + _DONE, 0, 0, 0)
                    call4(load(team + _UNLOCK), team + _MUTEX, 0, 0, 0)


def _serve(line):  # type: ignore[no-untyped-def]
    # What a thread of the team runs: void serve(int64 line)
    team, thread = load(line + 8), load(line + 16)
    seen = -1
    while True:
        spins = load(team + _SPINS)
        while load(team + _NUMBER) == seen and spins > 0:
            spins -= 1
            pause()
        if load(team + _NUMBER) == seen:
            call4(load(team + _LOCK), team + _MUTEX, 0, 0, 0)
            add(team + _SLEEPING, 1)
            while load(team + _NUMBER) == seen:
                call4(load(team + _WAIT), team + _WORK, team + _MUTEX, 0xFFFFFFFF, 0)
            add(team + _SLEEPING, -1)
            call4(load(team + _UNLOCK), team + _MUTEX, 0, 0, 0)
        if load(team + _ENDING):
            add(team + _ALIVE, -1)
            return
        seen = load(team + _NUMBER)
        _work(team, thread)


def _together(job):  # type: ignore[no-untyped-def]
    # job: int64 team, entry, packed arguments, threads, parts (a multiple)
    team, entry, packed, count, parts = load(job), load(job + 8), load(job + 16), load(job + 24), load(job + 32)
    if not swap(team + _BUSY, 0, 1):
        for part in range(parts):
            call4(entry, packed, part, parts, 0)
        return
    store(team + _ENTRY, entry)
    store(team + _PACKED, packed)
    store(team + _PARTS, parts)
    store(team + _PENDING, parts)
    number = (load(team + _NUMBER) + 1) & 0x3FFFFFFF
    for thread in range(count):
        claims = (number << 32) | (count << _COUNT) | (parts // count)
        store(team + _THREADS + thread * _LINE, claims)
    store(team + _NUMBER, number)
    while load(team + _STARTED) + 1 < count:
        thread = add(team + _STARTED, 1) + 1
        add(team + _ALIVE, 1)
        line = team + _THREADS + thread * _LINE
        store(line + 8, team)
        store(line + 16, thread)
        call4(load(team + _CREATE), line, 0, 0, 0)
    if load(team + _SLEEPING):
        call4(load(team + _LOCK), team + _MUTEX, 0, 0, 0)
        call4(load(team + _WAKE), team + _WORK, 0, 0, 0)
        call4(load(team + _UNLOCK), team + _MUTEX, 0, 0, 0)
    _work(team, 0)
    spins = load(team + _SPINS)
    while load(team + _PENDING) and spins > 0:
        spins -= 1
        pause()
    if load(team + _PENDING):
        call4(load(team + _LOCK), team + _MUTEX, 0, 0, 0)
        store(team + _WAITING, 1)
        while load(team + _PENDING):
            call4(load(team + _WAIT), team + _DONE, team + _MUTEX, 0xFFFFFFFF, 0)
        store(team + _WAITING, 0)
        call4(load(team + _UNLOCK), team + _MUTEX, 0, 0, 0)
    store(team + _BUSY, 0)


together = kept(_together, **WITHOUT_WRAPPERS)


def shared(entry: int, packed: int, count: int, parts: int) -> Callable[[], None]:
    """Return a call without arguments of `entry` for each of `parts`, a multiple of `count`, by `count` threads."""
    job = np.array([team().address, entry, packed, count, parts], np.int64)
    call: Any = partial(together, job.ctypes.data)
    call.kept = job
    return call  # type: ignore[no-any-return]


def _spin(word, count):  # type: ignore[no-untyped-def]
    while load(word) == 0 and count > 0:
        count -= 1
        pause()


_spin = kept(_spin, **WITHOUT_WRAPPERS)

_FUNCTIONS = {  # by which a thread sleeps, and is woken
    "nt": (
        "AcquireSRWLockExclusive",
        "ReleaseSRWLockExclusive",
        "SleepConditionVariableSRW",
        "WakeAllConditionVariable",
    ),
    "posix": ("pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait", "pthread_cond_broadcast"),
}


class _Team:
    """The memory that threads of the team share, and how they are started and ended."""

    def __init__(self) -> None:
        memory = np.zeros(_THREADS + (MOST + 1) * _LINE, np.uint8)
        begin = -memory.ctypes.data % _LINE
        self._words = memory[begin : begin + _THREADS + MOST * _LINE].view(np.int64)
        self.address = int(self._words.ctypes.data)
        library: Any = ctypes.WinDLL("kernel32") if os.name == "nt" else ctypes.CDLL(None)  # type: ignore[attr-defined]
        self._library = library
        self._functions = [getattr(library, name) for name in _FUNCTIONS[os.name]]
        found = [ctypes.cast(function, ctypes.c_void_p).value for function in self._functions]
        self._serve = address(_serve, types.void(types.int64))
        self._start = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(self._started)
        start = ctypes.cast(self._start, ctypes.c_void_p).value
        self._fixed = [self._serve, start, *found, _patient()]
        self.begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.begin)
        atexit.register(self.end)

    def _word(self, offset: int) -> Any:
        return self._words[offset // 8 :]

    def begin(self) -> None:
        """Have no threads: they are started when they are wanted."""
        self._words[:] = 0
        self._word(_SERVE)[: len(self._fixed)] = self._fixed
        if os.name == "posix":
            self._library.pthread_mutex_init(ctypes.c_void_p(self.address + _MUTEX), None)
            for condition in (_WORK, _DONE):
                self._library.pthread_cond_init(ctypes.c_void_p(self.address + condition), None)

    def _started(self, line: int, *others: int) -> None:
        if os.name == "nt":
            self._library.CreateThread(None, 0, ctypes.c_void_p(self._serve), ctypes.c_void_p(line), 0, None)
        else:
            name = ctypes.c_void_p(line + 24)
            self._library.pthread_create(name, None, ctypes.c_void_p(self._serve), ctypes.c_void_p(line))

    def end(self) -> None:
        """Let the threads return, before the code that they run goes with the interpreter."""
        latest = time.monotonic() + 1
        while self._word(_BUSY)[0] and time.monotonic() < latest:  # another thread of the program runs a kernel
            time.sleep(1e-4)
        self._word(_BUSY)[0] = self._word(_ENDING)[0] = 1  # whoever comes now works alone
        lock, unlock, _, wake = self._functions
        lock(ctypes.c_void_p(self.address + _MUTEX))
        self._word(_NUMBER)[0] = -2
        wake(ctypes.c_void_p(self.address + _WORK))
        unlock(ctypes.c_void_p(self.address + _MUTEX))
        while self._word(_ALIVE)[0] and time.monotonic() < latest:
            time.sleep(1e-4)


def _patient() -> int:
    """Return how often a thread looks for work until `PATIENCE` is over."""
    zero, count = np.zeros(1, np.int64), 1000
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        _spin(zero.ctypes.data, count)
        taken.append(time.perf_counter() - start)
    return int(PATIENCE / min(taken[1:]) * count)


@cache
def team() -> _Team:
    """Return the team of this process."""
    return _Team()
