"""Dividing batches into epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gpudl import config
from gpudl.engine.plan.capture import STEPS_PER_LAUNCH
from gpudl.engine.state import warn_user
from gpudl.training.data.arrays import Data
from gpudl.training.data.sources import ArrayBatches, Batches, Portion

R = TypeVar("R")


class Epochs(Generic[R]):
    """The batches of each epoch.

    Args:
        source: the batches.
        steps: number of steps of an epoch. The next epoch continues where it ended, and restarts the data when they are
            used up; by default each epoch is one pass over the data.
        together: a multiple of this many steps is used, as far as there are batches.
        anew: whether each epoch begins at the first batch, if possible.
    """

    def __init__(self, source: Batches, steps: int | None, together: int = 1, anew: bool = False) -> None:
        self.source = source
        most = config.max_steps_per_epoch()
        if most is not None and most < (steps or source.steps or most + 1):
            warn_user(f"config.set_max_steps_per_epoch({most}) limits each pass over the data to that number of steps.")
            steps = most
        self.steps = steps if steps is not None else source.steps
        self._most = None if steps is None else -(-steps // together) * together
        self._anew = steps is None or (anew and source.again)
        self._portions: Iterator[Portion] | None = None
        self._left: Portion | None = None
        self._runners: dict[int, R] = {}

    def next(self, most: int = 1) -> Iterator[list[Portion]]:
        """Yield the batches of the next epoch, `most` at a time; warn if the data end before the epoch does."""
        count = 0
        self.source.tell("begin")
        if self._anew or self._portions is None:
            self._begin()
        while self._most is None or count < self._most:
            wanted = most if self._most is None else min(most, self._most - count)
            taken = self._taken(wanted)
            if not taken and not count and self.source.again:
                self._begin()
                taken = self._taken(wanted)
            if not taken:
                break
            count += sum([times for _, times in taken])
            yield taken
        self.source.tell("end")
        if count < (1 if self._most is None else self.steps or 1):
            warn_user(self._ended_early(count))

    def at_once(self, together: int) -> int:
        """Return how many batches to take at a time where no callback looks at them: those of a stream one by one."""
        return max(together, STEPS_PER_LAUNCH) if isinstance(self.source, ArrayBatches) else 1

    def close(self) -> None:
        """End a pass early, whose further batches are not needed."""
        self._portions = self._left = None

    def _begin(self) -> None:
        self._portions, self._left = self.source.epoch(), None

    def _taken(self, count: int) -> list[Portion]:
        """Return the next `count` batches of this pass, or as many as are left."""
        taken: list[Portion] = []
        while count:
            assert self._portions is not None
            portion = self._left or next(self._portions, None)
            if portion is None:
                break
            batch, times = portion
            now = min(times, count)
            self._left = (batch, times - now) if times > now else None
            count -= now
            taken.append((batch, now))
        return taken

    def _ended_early(self, count: int) -> str:
        said = f"the data ended after {count} of {self.steps or 'the next'} steps"
        if self.source.again:
            return (
                f"{said}, and the epoch with them: the next one begins at the first batch. Give no more steps than "
                "the data have batches, or a generator that goes on."
            )
        return (
            f"{said}: a generator can be gone through only once. Let it go on for steps_per_epoch * epochs batches, or "
            "pass something that can begin again."
        )

    def runner(self, batch: Data, make: Callable[[Data], R]) -> R:
        """Return `make(batch)`, the same object for batches with the same feeds."""
        if not isinstance(self.source, ArrayBatches):
            return make(batch)
        if id(batch) not in self._runners:
            self._runners[id(batch)] = make(batch)
        return self._runners[id(batch)]


def limited(epochs: int) -> int:
    """Return the number of epochs of a training, at most `config.max_epochs`, with a warning where that is fewer."""
    most = config.max_epochs()
    if most is None or most >= epochs:
        return epochs
    warn_user(f"config.set_max_epochs({most}) limits this training to that number of its {epochs} epochs.")
    return most
