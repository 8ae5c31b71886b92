"""Dividing batches into epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gpudl import config
from gpudl.engine.plan.capture import STEPS_PER_LAUNCH
from gpudl.engine.state import warn_user
from gpudl.training.data.arrays import Data
from gpudl.training.data.sources import ArrayBatches, Batches, Portion
from gpudl.utils.seeds import random_state, set_random_state
from gpudl.utils.state_file import State

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
        self._began: State = {}  # the states of random generators and the source at the beginning of this pass
        self._in_pass = self._in_epoch = self._epochs = 0  # batches taken of this pass and epoch, and whole epochs
        self._resumed = False
        self._left: Portion | None = None
        self._runners: dict[int, R] = {}

    def next(self, most: int = 1) -> Iterator[list[Portion]]:
        """Yield the batches of the next epoch, `most` at a time; warn if the data end before the epoch does."""
        self._in_epoch = self.position
        if not self._resumed:
            self.source.tell("begin")
            if self._anew or self._portions is None:
                self._begin()
        self._resumed = False
        while self._most is None or self._in_epoch < self._most:
            wanted = most if self._most is None else min(most, self._most - self._in_epoch)
            taken = self._taken(wanted)
            if not taken and not self._in_epoch and self.source.again:
                self._begin()
                taken = self._taken(wanted)
            if not taken:
                break
            self._in_epoch += sum([times for _, times in taken])
            yield taken
        self.source.tell("end")
        self._epochs += 1
        if self._in_epoch < (1 if self._most is None else self.steps or 1):
            warn_user(self._ended_early(self._in_epoch))

    @property
    def position(self) -> int:
        """How many batches of the next epoch have been taken already, in a training that goes on."""
        return self._in_epoch if self._resumed else 0

    def get_state(self, whole: bool) -> State:
        """Return where in the data a training is; `whole` says that the present epoch has ended."""
        return {
            "began": self._began,
            "in_pass": None if self._portions is None else self._in_pass,
            "in_epoch": None if whole else self._in_epoch,
            "epochs": self._epochs,
            "steps": self.steps,
            "source": self.source.get_state(),
        }

    def set_state(self, state: State) -> None:
        """Go on where a training was; the random generators are left as they were at the beginning of a pass.

        Raises:
            ValueError: the epochs have other numbers of steps, and the training stopped in the midst of one.
        """
        inside = state["in_epoch"] is not None
        if inside and state["steps"] != self.steps:
            raise ValueError(
                f"the training that goes on was in the midst of an epoch of {state['steps']} steps, and now an epoch "
                f"has {self.steps}. Give fit the same data and batch_size."
            )
        self.source.pass_over(state["epochs"], inside)
        self._in_epoch, self._epochs, self._resumed = state["in_epoch"] or 0, state["epochs"], inside
        if state["in_pass"] is not None and (inside or not self._anew or not self.source.again):
            set_random_state(state["began"]["random"])
            self.source.set_state(state["began"]["source"])
            self._begin(state["in_pass"])
        self.source.set_state(state["source"])

    def at_once(self, together: int) -> int:
        """Return how many batches to take at a time where no callback looks at them: those of a stream one by one."""
        return max(together, STEPS_PER_LAUNCH) if isinstance(self.source, ArrayBatches) else 1

    def close(self) -> None:
        """End a pass early, whose further batches are not needed."""
        self._portions = self._left = None

    def _begin(self, skipped: int = 0) -> None:
        self._began = {"random": random_state(), "source": self.source.get_state()}
        # What can be gone through only once is not begun again: it goes on.
        before = 0 if self.source.again or self._portions is None else self._in_pass
        self._portions, self._left, self._in_pass = self.source.epoch(skipped), None, before + skipped

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
            self._in_pass += now
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
