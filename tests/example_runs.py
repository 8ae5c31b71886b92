"""Run whole programs in a test: real data from a folder of their own, no windows, short trainings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEPS = 20


@dataclass
class Limits:
    """What was cut short, and what would have been shown.

    Attributes:
        steps: steps of the only epoch of each training; None trains in full.
        fits: the arguments of each call of `fit`.
        shown: how often a window would have opened.
    """

    steps: int | None = STEPS
    fits: list[dict[str, Any]] = field(default_factory=list)
    shown: int = 0

    def fit(self, original: Any, model: Any, x: Any, y: Any, **options: Any) -> Any:
        """Train as `original` would, on the first samples and for one epoch only."""
        self.fits.append(options)
        if self.steps is None:
            return original(model, x, y, **options)
        count = self.steps * (options.get("batch_size") or 32)
        return original(model, x[:count], y[:count], **{**options, "epochs": 1})

    def show(self) -> None:
        """Open no window."""
        self.shown += 1


def run_source(source: str, name: str) -> dict[str, Any]:
    """Run a program and return its variables."""
    variables: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), variables)  # noqa: S102 (a program of this repository)
    return variables


def run_file(path: Path) -> dict[str, Any]:
    """Run the program in a file and return its variables."""
    return run_source(path.read_text("utf-8"), str(path))
