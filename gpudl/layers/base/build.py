"""Building a layer: for real, whole, and by one thread only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from gpudl.engine.state import autocast, preparing, state


def all_or_nothing(build: Callable[..., None]) -> Callable[..., None]:
    """Return `build`, which leaves a layer either built, also when called by hand, or as it was."""

    @wraps(build)
    def built_whole(self: Any, *args: Any, **kwargs: Any) -> None:
        with preparing:
            before, own, outer = self.built, list(self._own), self._unfinished
            self._unfinished = True  # though a build() of the base class says that it is built
            try:
                build(self, *args, **kwargs)
                self.built = True
            except BaseException:
                self.built, self._own[:] = before, own
                raise
            finally:
                self._unfinished = outer

    return built_whole


@contextmanager
def apart() -> Iterator[None]:
    """Compute for real and unrecorded inside a ``with`` block, whatever step or question of shapes is going on."""
    before = state.symbolic, state.recorder, state.building
    state.symbolic, state.recorder, state.building = False, None, True
    try:
        with autocast(None):
            yield
    finally:
        state.symbolic, state.recorder, state.building = before
