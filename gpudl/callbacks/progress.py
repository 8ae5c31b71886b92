"""The progress line of a loop: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

import numpy as np

_BOLD, _GREEN, _WHITE, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", ""
_RESET = "\x1b[0m"
_MINUTE, _HOUR = 60, 3600
_SMALL = 1e-3


# Streams with a bar whose line is not ended yet: it has to be ended before anything else is printed.
_unfinished: list[TextIO] = []


def put(stream: TextIO | None, text: str) -> None:
    """Write and flush `text`. Characters that the stream cannot encode become question marks.

    If the stream is closed, also at its other end as after ``| head``, or does not exist, as in a windowed program,
    nothing is written: training continues without its progress line.

    Example:
        >>> stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        >>> put(stream, "Größe: 3")
        >>> stream.buffer.getvalue()
        b'Gr??e: 3'
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with suppress(BrokenPipeError):
        if stream is not None and not getattr(stream, "closed", False):
            stream.write(text if _can_write(stream, text) else text.encode(encoding, "replace").decode(encoding))
            stream.flush()


def end_line() -> None:
    """End the line of a bar that was left in the middle, by an interrupt or to print something else."""
    while _unfinished:
        put(_unfinished.pop(), "\n")


def say(text: str) -> None:
    """Print a line, below the bar if one is being drawn."""
    end_line()
    put(sys.stdout, f"{text}\n")


def is_live(stream: TextIO | None) -> bool:
    """Return whether a line on `stream` can be redrawn: on a terminal and in a notebook, not in a log."""
    if _is_notebook(stream):
        return True
    # A replacement of sys.stdout may have only write() and flush().
    isatty = getattr(stream, "isatty", None)
    open_ = not getattr(stream, "closed", False)
    return open_ and isatty is not None and isatty() and os.environ.get("TERM") != "dumb"


def _is_notebook(stream: TextIO | None) -> bool:
    return type(stream).__module__.startswith("ipykernel")


class ProgressLine:
    """The progress line of a loop: steps, time, metrics; in the layout of Keras 3.

    On a terminal the line is redrawn while the loop runs, at most every `interval` seconds, and the logs
    are read only then. Elsewhere it is printed once, at the end, without control characters.

    Args:
        target: the number of steps, None if it is unknown.
        verbose: 0 nothing, 1 the bar, 2 one line without a bar at the end.
        unit_name: the name of a step.
        width: length of the bar in characters.
        interval: seconds between two redraws.
        stream: where to write; ``sys.stdout`` at the time of the call.
        clock: returns seconds.

    Example:
        >>> ticks = iter([0.0, 0.1, 0.2])
        >>> line = ProgressLine(2, verbose=2, clock=lambda: next(ticks))
        >>> line.update(1, {"loss": 0.75})
        >>> line.finish(2, {"loss": 0.5})
        2/2 - 0s - 100ms/step - loss: 0.5000
    """

    def __init__(
        self,
        target: int | None,
        verbose: int = 1,
        unit_name: str = "step",
        width: int = 20,
        interval: float = 0.1,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.target = target
        self.verbose = verbose
        self.unit_name = unit_name
        self.width = width
        self.interval = interval
        # A windowed program may have no stdout at all.
        self.stream: TextIO = stream or sys.stdout or io.StringIO()
        self.clock = clock
        self.live = verbose == 1 and is_live(self.stream)
        self._colours = self.live and "NO_COLOR" not in os.environ
        self._glyph = "━" if _can_write(self.stream, "━") else "="
        self._start = clock()
        self._first_step_end: float | None = None
        self._drawn_at = -float("inf")
        self._drawn_width = 0

    def update(self, current: int, logs: Mapping[str, object] | None = None) -> None:
        """Set the number of finished steps to `current`, and redraw the line if it is due."""
        now = self.clock()
        if current == 1:
            self._first_step_end = now
        if self.live and now - self._drawn_at >= self.interval:
            self._drawn_at = now
            self._draw(self._clipped(self._bar(current, logs, now)))
            if self.stream not in _unfinished:
                _unfinished.append(self.stream)

    def finish(self, current: int, logs: Mapping[str, object] | None = None) -> None:
        """Print the last state of the line after `current` steps, and end it."""
        now = self.clock()
        if self.target is None:
            self.target = current
        if self.verbose == 1:
            self._draw(self._bar(current, logs, now, last=True))
            put(self.stream, "\n")
        elif self.verbose and self.target:
            took = f"{now - self._start:.0f}s - {self._time_per_step(current, now)}"
            put(self.stream, f"{self._count(current)} - {took}{_metrics(logs)}\n")
        if self.stream in _unfinished:
            _unfinished.remove(self.stream)

    def _bar(
        self, current: int, logs: Mapping[str, object] | None, now: float, last: bool = False
    ) -> list[tuple[str, str]]:
        """Return the line as pieces of text, each with its style."""
        if self.target:
            done = int(self.width * current / self.target)
            count = [(self._count(current), _BOLD), (" ", _PLAIN), (self._glyph * done, _GREEN)]
            count.append((self._glyph * (self.width - done), _WHITE))
        else:
            count = [(f"{current:7d}/Unknown", _PLAIN)]
        if self.target and not last:
            shown = _remaining(self._seconds_per_step(current, now) * (self.target - current))
        else:
            shown = f"{now - self._start:.0f}s"
        tail = f" {self._time_per_step(current, now)}{_metrics(logs)}"
        return [*count, (" ", _PLAIN), (shown, _BOLD), (tail, _PLAIN)]

    def _draw(self, pieces: list[tuple[str, str]]) -> None:
        width = sum(len(text) for text, _ in pieces)
        start = "\r" if self._drawn_width else ""
        blanks = " " * (self._drawn_width - width)
        put(self.stream, start + "".join(self._styled(text, style) for text, style in pieces) + blanks)
        self._drawn_width = width

    def _clipped(self, pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return as much as fits on the terminal: a line that wraps could not be redrawn."""
        if _is_notebook(self.stream):
            return pieces
        left = shutil.get_terminal_size().columns - 1
        clipped = []
        for text, style in pieces:
            clipped.append((text[:left], style))
            left -= len(clipped[-1][0])
        return clipped

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if style and text and self._colours else text

    def _count(self, current: int) -> str:
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _seconds_per_step(self, current: int, now: float) -> float:
        """Return the mean time of a step, if possible without the first one, which is slower."""
        if current > 1 and self._first_step_end is not None:
            return (now - self._first_step_end) / (current - 1)
        return (now - self._start) / current if current else 0.0

    def _time_per_step(self, current: int, now: float) -> str:
        seconds = self._seconds_per_step(current, now)
        for unit, scale in (("s", 1.0), ("ms", 1e-3)):
            if seconds >= scale or not seconds:
                return f"{seconds / scale:.0f}{unit}/{self.unit_name}"
        return f"{seconds * 1e6:.0f}us/{self.unit_name}"


def _can_write(stream: TextIO, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _remaining(seconds: float) -> str:
    whole = int(seconds)
    if seconds > _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"
    if seconds > _MINUTE:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"
    return f"{whole}s"


def _metrics(logs: Mapping[str, object] | None) -> str:
    return "".join(f" - {name}: {_number(value)}" for name, value in (logs or {}).items())


def _number(value: Any) -> str:
    try:
        number = float(np.mean(value))
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.4f}" if abs(number) > _SMALL else f"{number:.4e}"
