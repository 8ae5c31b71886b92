"""The team of threads that run parallel loops.

A job is the entry point of a loop, its packed arguments, and the number of parts that its work is divided into. Every
thread has parts of its own, the same in each job, so that its share of the memory stays in its caches; it claims them
one by one, and then steals those that other threads have not begun. The calling thread is one of the team. At the end
it waits only for parts that have been begun: a thread that the operating system has suspended, because another program
is busy, or that could not be started, delays no other. Which thread does a part does not change its result.

One job runs at a time. A thread that calls with another one meanwhile runs it alone.

A thread without work spins for a while (see `PATIENCE`), and then sleeps. Threads are started by the first job that
needs them; a forked process starts a team of its own. They are native threads and run no Python code.
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

PATIENCE, HASTE = 400_000, 5_000
"""Nanoseconds for which a thread spins before it sleeps.

Waking it takes 50 to 200 microseconds on a virtual machine. But where another program needs the processor, a spinning
thread uses up its share of time, which it will lack when there is work: then it goes to sleep sooner.
"""

_KEPT_WAITING = 200_000  # nanoseconds between two reads of a spinning thread that show that it was suspended
_TWICE = 20_000_000  # nanoseconds within which that has to happen twice for another program to count as busy
_REMEMBERED = 500_000_000  # nanoseconds for which threads then go to sleep sooner

MOST = 1024
"""Maximal number of threads of a team."""

SHARES = 4
"""Parts of a job per thread: the unit in which others take over the work of a thread that is late or suspended."""

_LINE = 64  # bytes of a cache line, which no two threads should share
_BUSY, _NUMBER, _PENDING, _OPEN, _SLEEPING, _WAITING, _CROWDED, _ALIVE, _STARTED, _ENDING = range(0, 10 * _LINE, _LINE)
_DELAYED = _CROWDED + 8
_ENTRY, _PACKED, _PARTS = range(10 * _LINE, 10 * _LINE + 24, 8)
_START, _LOCK, _UNLOCK, _WAIT, _WAKE, _CLOCK = range(11 * _LINE, 11 * _LINE + 48, 8)
_MUTEX, _WORK, _DONE = range(12 * _LINE, 18 * _LINE, 2 * _LINE)
_THREADS = 18 * _LINE  # from here on a cache line per thread: its claims, the team, its index, the time
_LEFT, _COUNT = 0xFFFF, 16  # claims: mask of the parts left, and the shift of the number of threads


@threads.inner
def _native(team: int, function: int, a: int, b: int = 0) -> None:
    call4(load(team + function), a, b, 0xFFFFFFFF, 0)


@threads.inner
def _now(team: int, thread: int) -> int:
    """Return the time in nanoseconds."""
    time = team + _THREADS + thread * _LINE + 24
    _native(team, _CLOCK, time, 1)
    return int(load(time) * 1_000_000_000 + load(time + 8))


@threads.inner
def _delayed(team: int, time: int) -> None:
    """Record that another program had a processor until now; it counts as busy if that happened shortly before, too."""
    if time - load(team + _DELAYED) < _TWICE:
        store(team + _CROWDED, time + _REMEMBERED)
    store(team + _DELAYED, time)


@threads.inner
def _looked(team: int, thread: int, word: int, old: int) -> bool:
    """Spin until a word is no longer `old`; return whether that happened before the time to spin was over."""
    if load(word) != old:
        return True
    start = last = _now(team, thread)
    patience = HASTE if start < load(team + _CROWDED) else PATIENCE
    while load(word) == old:
        pause()
        time = _now(team, thread)
        if not 0 <= time - last < _KEPT_WAITING:
            _delayed(team, time)
            return bool(load(word) != old)
        if time - start > patience:
            return False
        last = time
    return True


@threads.inner
def _slept(team: int, condition: int, sleepers: int, word: int, old: int) -> None:
    """Sleep until a word is no longer `old`."""
    _native(team, _LOCK, team + _MUTEX)
    add(team + sleepers, 1)
    while load(word) == old:
        _native(team, _WAIT, team + condition, team + _MUTEX)
    add(team + sleepers, -1)
    _native(team, _UNLOCK, team + _MUTEX)


@threads.inner
def _woken(team: int, condition: int, sleepers: int) -> None:
    """Wake the sleeping threads; if the word is changed before this call, no thread is missed."""
    if load(team + sleepers):
        _native(team, _LOCK, team + _MUTEX)
        _native(team, _UNLOCK, team + _MUTEX)
        _native(team, _WAKE, team + condition)  # after the mutex is released, which they need


@threads.inner
def _work(team: int, thread: int) -> None:
    """Do parts of the current job until all have been begun."""
    started = load(team + _STARTED) + 1
    for step in range(started):
        owner = (thread + step) % started
        claims = team + _THREADS + owner * _LINE
        while True:
            claim = load(claims)
            left, count = claim & _LEFT, (claim >> _COUNT) & _LEFT
            if left == 0 or thread >= count:
                break
            if swap(claims, claim, claim - 1):  # the job cannot end before this part: its description stays valid
                parts = load(team + _PARTS)
                part = parts // count * (owner + 1) - left
                call4(load(team + _ENTRY), load(team + _PACKED), part, parts, thread)
                if add(team + _PENDING, -1) == 1:
                    store(team + _OPEN, 0)
                    _woken(team, _DONE, _WAITING)


def _serve(line):  # type: ignore[no-untyped-def]
    # The main function of a thread of the team: void serve(int64 line)
    team, thread = load(line + 8), load(line + 16)
    seen = -1
    while True:
        if not _looked(team, thread, team + _NUMBER, seen):
            _slept(team, _WORK, _SLEEPING, team + _NUMBER, seen)
        if load(team + _ENDING):
            add(team + _ALIVE, -1)
            return
        seen = load(team + _NUMBER)
        _work(team, thread)


def _together(job):  # type: ignore[no-untyped-def]
    # job: int64 team, entry, packed arguments, threads, parts (a multiple of threads)
    team, entry, packed, count, parts = load(job), load(job + 8), load(job + 16), load(job + 24), load(job + 32)
    if not swap(team + _BUSY, 0, 1):
        for part in range(parts):
            call4(entry, packed, part, parts, 0)
        return
    store(team + _ENTRY, entry)
    store(team + _PACKED, packed)
    store(team + _PARTS, parts)
    store(team + _PENDING, parts)
    store(team + _OPEN, 1)
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
        _native(team, _START, line)
    _woken(team, _WORK, _SLEEPING)
    begun = _now(team, 0)
    _work(team, 0)
    if load(team + _OPEN):
        idle = _now(team, 0)
        if not _looked(team, 0, team + _OPEN, 1):
            _slept(team, _DONE, _WAITING, team + _OPEN, 1)
        end = _now(team, 0)
        if end - idle > idle - begun + PATIENCE:  # longer than a part takes: another thread is suspended
            _delayed(team, end)
    store(team + _BUSY, 0)


together = kept(_together, **WITHOUT_WRAPPERS)


def shared(entry: int, packed: int, count: int) -> Callable[[], None]:
    """Return a call without arguments of void entry(packed, part, parts, thread) for each part, on `count` threads."""
    count = min(count, MOST)
    job = np.array([team().address, entry, packed, count, SHARES * count], np.int64)
    call: Any = partial(together, job.ctypes.data)
    call.kept = job
    return call  # type: ignore[no-any-return]


_FUNCTIONS = {  # to sleep, to wake, and to read the clock; all with this order of arguments
    "nt": (
        *("AcquireSRWLockExclusive", "ReleaseSRWLockExclusive"),
        *("SleepConditionVariableSRW", "WakeAllConditionVariable", "_timespec64_get"),
    ),
    "posix": (
        *("pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait", "pthread_cond_broadcast"),
        "timespec_get",
    ),
}


class _Team:
    """The memory that the threads of the team share, and their start and end."""

    def __init__(self) -> None:
        memory = np.zeros(_THREADS + (MOST + 1) * _LINE, np.uint8)
        begin = -memory.ctypes.data % _LINE
        self._words = memory[begin : begin + _THREADS + MOST * _LINE].view(np.int64)
        self.address = int(self._words.ctypes.data)
        library: Any = ctypes.WinDLL("kernel32") if os.name == "nt" else ctypes.CDLL(None)  # type: ignore[attr-defined]
        self._library = library
        places = (library, ctypes.CDLL("ucrtbase")) if os.name == "nt" else (library,)
        self._functions = [
            next(getattr(place, name) for place in places if hasattr(place, name)) for name in _FUNCTIONS[os.name]
        ]
        found = [ctypes.cast(function, ctypes.c_void_p).value for function in self._functions]
        self._serve = address(_serve, types.void(types.int64))
        self._start = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(self._started)
        start = ctypes.cast(self._start, ctypes.c_void_p).value
        self._fixed = [start, *found]
        self.begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.begin)
        atexit.register(self.end)

    def _word(self, offset: int) -> np.ndarray:
        return self._words[offset // 8 :]

    def begin(self) -> None:
        """Begin without threads: they are started when they are first needed."""
        self._words[:] = 0
        self._word(_START)[: len(self._fixed)] = self._fixed
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
        """Let the threads return, before their code is freed at interpreter exit."""
        latest = time.monotonic() + 1
        while self._word(_BUSY)[0] and time.monotonic() < latest:  # another thread of the program runs a job
            time.sleep(1e-4)
        self._word(_BUSY)[0] = self._word(_ENDING)[0] = 1  # later jobs run on the calling thread alone
        lock, unlock, _, wake, _ = self._functions
        lock(ctypes.c_void_p(self.address + _MUTEX))
        self._word(_NUMBER)[0] = -2
        wake(ctypes.c_void_p(self.address + _WORK))
        unlock(ctypes.c_void_p(self.address + _MUTEX))
        while self._word(_ALIVE)[0] and time.monotonic() < latest:
            time.sleep(1e-4)


@cache
def team() -> _Team:
    """Return the team of this process."""
    return _Team()
