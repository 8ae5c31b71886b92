"""How many threads the kernels on the CPU may use, and whether that may change a bit of a result.

Both are known before Numba is: asking and choosing loads nothing.
"""

from __future__ import annotations

import os
from functools import cache
from math import ceil
from pathlib import Path

_QUOTAS = (  # of a container: a file with quota and period, or one file for each
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
_chosen: list[int] = []
_deterministic = [False]


@cache
def most() -> int:
    """Return how many threads there can be: one for each processor that this process may run on.

    It is Numba's own limit, which the environment variable ``NUMBA_NUM_THREADS`` overrides.
    """
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdigit():
        return max(1, int(given))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1


def size() -> int:
    """Return how many threads the kernels use: what was chosen, or one for each processor's worth of time.

    Raises:
        ValueError: the environment variable ``GPUDL_NUM_THREADS``, which is read once, is no such number.
    """
    if not _chosen:
        given = os.environ.get("GPUDL_NUM_THREADS")
        if given is None:
            _chosen.append(min(most(), quota() or most()))
        else:
            choose(int(given) if given.isdigit() else given, "GPUDL_NUM_THREADS")
    return _chosen[0]


def choose(count: object, asked_by: str) -> None:
    """Let kernels use `count` threads from now on; raises ValueError, naming `asked_by`, if there cannot be as many."""
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most():
        raise ValueError(
            f"{asked_by} expected an integer from 1 to {most()}, the processors that this process may run on, got "
            f"{count!r}."
        )
    _chosen[:] = [count]


def quota() -> int | None:
    """Return for how many processors' worth of time a container pays, rounded up; None where there is no limit."""
    for paths in _QUOTAS:
        try:
            words = [word for path in paths for word in Path(path).read_text().split()]
            limit, period = map(int, words)
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if limit > 0 and period > 0:
            return ceil(limit / period)
    return None


def require_determinism() -> None:
    """Compute everything, from now on, so that the number of threads does not change a bit."""
    _deterministic[0] = True


def deterministic() -> bool:
    """Return whether that is required."""
    return _deterministic[0]
