"""What a workload is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

UNITS = {"s": 1.0, "us": 1e6, "us/step": 1e6, "us/image": 1e6}


@dataclass(frozen=True)
class Settings:
    """What the command line says about the work.

    Attributes:
        data: path of an mnist.npz, for the workloads that read digits.
        images: how many of them a training pass takes.
        batch_size: images a step of the networks; None for that of the tutorial.
        width: how many times as many units and filters the networks have.
    """

    data: str | None = None
    images: int = 12800
    batch_size: int | None = None
    width: int = 1


@dataclass(frozen=True)
class Work:
    """One side's work, ready to be repeated.

    Attributes:
        call: does it once.
        steps: how many units of the workload, such as training steps, one call does.
        check: makes a number of what `call` returned; sides that do the same work get about the same number.
    """

    call: Callable[[], Any]
    steps: int = 1
    check: Callable[[Any], float] = float


@dataclass(frozen=True)
class Workload:
    """Work that several sides can do: by side, a function that prepares it."""

    name: str
    unit: str
    sides: Mapping[str, Callable[[Settings], Work]] = field(repr=False)
    reads_digits: bool = False
