"""What a section of the proof is made of: parts that yield what they find, each isolated from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Found = Iterator[tuple[str, Any]]
"""Pairs of a name and something that JSON can hold, each written down as soon as it is found."""
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What every part is told.

    Attributes:
        data: path of an mnist.npz, where there is one.
        size: ``"full"``, ``"quick"``, or ``"tiny"``, which measures nothing and shows that the programs run.
        device: ``"cuda"``, or ``"cpu"`` to try the programs where there is no card.
        seconds: how long the part may take.
    """

    data: str | None = None
    size: str = "full"
    device: str = "cuda"
    seconds: float = 60.0

    def pick(self, full: T, quick: T, tiny: T) -> T:
        """Return the value for this size."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.size]


@dataclass(frozen=True)
class Part:
    """A piece of a section that is run, and can fail, by itself.

    Attributes:
        run: yields what it finds.
        seconds: after so long it is stopped, and what it has found by then is kept.
    """

    run: Callable[[Options], Found]
    seconds: float = 60.0


@dataclass(frozen=True)
class Section:
    """Parts with a limit for all of them together, and a line that says what they are for."""

    about: str
    seconds: float
    parts: Mapping[str, Part]
