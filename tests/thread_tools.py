"""What the tests of threads share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gpudl.kernels import team
from gpudl.kernels.cpu.machine import threads

COUNTS = (1, 2, 3, 7)


@contextmanager
def workers(count: int) -> Iterator[None]:
    """Let every kernel, whatever its size, divide its work among `count` workers: on as many threads as there are."""
    team.size()  # found out now: it is kept
    least, chosen = threads.PARALLEL_FROM, list(team._chosen)
    threads.PARALLEL_FROM, team._chosen[:] = 0, [count]
    try:
        yield
    finally:
        threads.PARALLEL_FROM, team._chosen[:] = least, chosen
