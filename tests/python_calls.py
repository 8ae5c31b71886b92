"""How many Python functions a run calls."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


def python_calls(run: Callable[[], Any], repeats: int = 5) -> int:
    """Return how many Python functions `run` calls: the least of several runs, none of them with garbage collection.

    Callbacks of the garbage collector and waits for another thread call functions too, in some runs and not in others.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return min(_counted(run) for _ in range(repeats))
    finally:
        if collecting:
            gc.enable()


def _counted(run: Callable[[], Any]) -> int:
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count
