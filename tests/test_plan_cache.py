"""Which plans are kept for the next call, and which go."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import backend
from gpudl.engine import convert
from gpudl.engine.plan import plan_cache
from gpudl.engine.plan.trace import Traced


def ones(size: int) -> np.ndarray:
    return np.ones(size, np.float32)


def counted() -> tuple[Traced, list[int]]:
    """Return a recorded function, and the sizes that it has been recorded for."""
    recorded: list[int] = []

    def step(x: gpudl.Tensor) -> gpudl.Tensor:
        recorded.append(x.size)
        return gpudl.ops.exp(x * 2) * x

    return gpudl.traced(step), recorded


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that leaves plans so many bytes in all, and start without any."""
    on = backend.get("numpy")
    plan_cache.drop(on)

    def leave(nbytes: int) -> None:
        def free() -> int:
            taken = sum(entry.nbytes for _, _, entry in plan_cache._kept(on))
            return int(nbytes / plan_cache.SHARE) - taken

        monkeypatch.setattr(on, "free_bytes", free)

    return leave


def test_small_plans_are_kept_however_many() -> None:
    step, recorded = counted()
    for _ in range(3):
        for size in range(1, 200):
            np.testing.assert_array_equal(step(ones(size)).numpy(), np.full(size, np.exp(np.float32(2))))
    assert recorded == list(range(1, 200))


def test_the_least_recently_used_plan_goes_first(room: Callable[[int], None]) -> None:
    step, recorded = counted()
    large = 1 << 20  # a plan takes some 8 MiB of buffers
    for size in (large, large + 1, large + 2):
        step(ones(size))
    each = next(iter(step.entries.values())).nbytes
    assert each > 2 * 4 * large
    room(3 * each + (1 << 16))
    step(ones(large))
    step(ones(large + 3))
    assert [entry.buffers[0].size for entry in step.entries.values()] == [large, large + 2, large + 3]
    step(ones(large))
    assert recorded == [large, large + 1, large + 2, large + 3]


def test_plans_of_all_functions_share_the_memory(room: Callable[[int], None]) -> None:
    first, second = counted()[0], counted()[0]
    first(ones(1 << 20))
    room(next(iter(first.entries.values())).nbytes + 1000)
    second(ones(1 << 20))
    assert (len(first.entries), len(second.entries)) == (0, 1)


def test_a_plan_larger_than_the_share_is_kept_by_itself(room: Callable[[int], None]) -> None:
    step, recorded = counted()
    room(1000)
    for _ in range(3):
        step(ones(5000))
    assert recorded == [5000]


def test_a_step_that_finds_no_room_gets_that_of_plans_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    step, other = counted()[0], counted()[0]
    other(ones(3))
    record = step._entry
    refused: list[Any] = []

    def full_once(*args: Any) -> Any:
        if not refused:
            refused.append(len(other.entries))
            raise backend.OutOfMemoryError("full.")
        return record(*args)

    monkeypatch.setattr(step, "_entry", full_once)
    np.testing.assert_array_equal(step(ones(1)).numpy(), [np.exp(np.float32(2))])
    assert (refused, len(other.entries)) == ([1], 0)


def test_plans_of_a_thread_go_when_it_ends() -> None:
    step, recorded = counted()
    arenas: list[Any] = []

    def work() -> None:
        step(ones(3))
        (entry,) = step.entries.values()
        arenas.append(weakref.ref(entry))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(30)
    gc.collect()
    assert recorded == [3, 3]
    assert [arena() for arena in arenas] == [None, None]
    assert step.entries == {}


def test_numbers_that_differ_each_time_do_not_fill_the_memory() -> None:
    x, most = gpudl.convert_to_tensor([1.0]), convert._constant.cache_info().maxsize
    assert most is not None
    for number in range(most + 100):
        x * (0.5 + number)
    assert convert._constant.cache_info().currsize == most


def test_free_memory_is_counted_within_the_limit_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:     2048 kB\n"}
    monkeypatch.setattr("gpudl.backend.numpy_backend._read", lambda path: files.get(path, ""))
    on = backend.get("numpy")
    assert on.free_bytes() == 2048 * 1024
    files |= {"/sys/fs/cgroup/memory.max": "max\n", "/sys/fs/cgroup/memory.current": "5\n"}
    assert on.free_bytes() == 2048 * 1024
    files |= {"/sys/fs/cgroup/memory.max": "1005\n"}
    assert on.free_bytes() == 1000
    files.clear()
    assert on.free_bytes() == 4 << 30


def test_scratch_memory_of_kernels_lies_in_the_arena_for_a_while() -> None:
    a, b = np.zeros((1200, 1024), np.float32), np.ones((1024, 16), np.float32)
    one = gpudl.traced(gpudl.ops.matmul)
    three = gpudl.traced(lambda a, b: sum((gpudl.ops.matmul(a * factor, b) for factor in (2.0, 3.0)), a @ b))
    with backend.scope("numpy"):
        one(a, b)
        three(a, b)
    small, large = (next(iter(step.entries.values())).plan for step in (one, three))
    lists = small.arena.nbytes
    assert lists > 0.6 * a.nbytes, "the lists of the steps that are not all zeros"
    assert large.arena.nbytes < lists + 2 * a.nbytes, "each product has these where the last one had its own"
