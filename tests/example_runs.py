"""Run whole programs in a test: digits from a folder of their own, no windows, short trainings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from digit_files import real_or_synthetic

from gpudl import Model
from gpudl.engine.tree import map_leaves
from gpudl.utils import set_random_seed


@dataclass
class Limits:
    """What was cut short, and what would have been shown.

    Attributes:
        steps: steps of the only epoch of each training; None trains in full.
        fits: the options of each call of `fit`.
        shown: how often a window would have opened.
    """

    steps: int | None = 20
    fits: list[dict[str, Any]] = field(default_factory=list)
    shown: int = 0


def limited(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Limits:
    """Let programs find MNIST below `folder`, train a little, and open no windows; return the limits."""
    limits = Limits()
    fit = Model.fit

    def short(self: Any, x: Any, y: Any = None, **options: Any) -> Any:
        limits.fits.append(options)
        if limits.steps is None:
            return fit(self, x, y, **options)
        count = limits.steps * (options.get("batch_size") or 32)
        cut = map_leaves(lambda array: array[:count], (x,) if y is None else (x, y))
        return fit(self, *cut, **{**options, "epochs": 1})

    def show() -> None:
        limits.shown += 1

    monkeypatch.setattr(Model, "fit", short)
    real_or_synthetic(folder / "datasets" / "mnist.npz")
    monkeypatch.setenv("GPUDL_HOME", str(folder))
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    monkeypatch.setattr("matplotlib.pyplot.show", show)
    return limits


def run_source(source: str, name: str) -> dict[str, Any]:
    """Run a program and return its variables."""
    set_random_seed(1)  # so that a program learns in a test what it learnt in the one before
    variables: dict[str, Any] = {"__name__": "__main__", "__file__": name}
    exec(compile(source, name, "exec"), variables)
    return variables


def run_file(path: Path) -> dict[str, Any]:
    """Run the program in a file and return its variables."""
    return run_source(path.read_text("utf-8"), str(path))
