"""Building a layer: eagerly, completely or not at all, and by one thread only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from gpudl.engine.state import autocast, preparing, state


def all_or_nothing(build: Callable[..., None]) -> Callable[..., None]:
    """Decorate `build` so that, also when called directly, it leaves a layer either built or unchanged."""

    @wraps(build)
    def built_whole(self: Any, *args: Any, **kwargs: Any) -> None:
        with preparing:
            before, own, outer = self.built, list(self._own), self._unfinished
            self._unfinished = True  # even if a build() of the base class marks it as built
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
    """Compute eagerly inside a ``with`` block, even while a step is being recorded or shapes are inferred."""
    before = state.symbolic, state.recorder, state.building
    state.symbolic, state.recorder, state.building = False, None, True
    try:
        with autocast(None):
            yield
    finally:
        state.symbolic, state.recorder, state.building = before
