"""Run a section in processes of its own, with a limit of time for each part, and keep whatever it finds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, Queue
from threading import Thread
from typing import Any

from benchmarks.children import command
from benchmarks.gpu.parts import Options, Part, Section

STARTING = 30.0  # seconds in which a process has imported what it needs
_LEAST = 3.0  # seconds below which nothing is started any more
Note = Callable[[dict[str, Any]], None]


class Worker:
    """A process that runs parts of a section, in a group of its own, so that what it starts can be ended with it."""

    def __init__(self, section: str, parts: Sequence[str], options: Options, variables: Mapping[str, str]) -> None:
        given = ["--size", options.size, "--device", options.device, "--seconds", str(options.seconds)]
        given += ["--data", options.data] if options.data else []
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed below)
        self._process = subprocess.Popen(
            command("benchmarks.gpu.worker", section, *parts, *given),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        self._lines: Queue[str] = Queue()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def line(self, seconds: float) -> dict[str, Any] | None:
        """Return the next line, or None when the process has ended; raises queue.Empty when time is over."""
        text = self._lines.get(timeout=max(seconds, 0.001))
        return json.loads(text) if text else None

    def last_words(self) -> str:
        """Return how the process ended, and the last lines of its errors."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._errors.seek(0)
        return f"exit status {self._process.poll()}\n{''.join(self._errors.readlines()[-12:])}"

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        _end(self._process)
        self._errors.close()


@contextmanager
def beside(module: str, variables: Mapping[str, str]) -> Iterator[None]:
    """Let a module run at the lowest priority during a ``with`` block, whatever becomes of it."""
    process = subprocess.Popen(
        ["nice", "-n", "19", *command(module)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **variables},
        start_new_session=True,
    )
    try:
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def run(
    name: str, section: Section, options: Options, note: Note, *, seconds: float, variables: Mapping[str, str]
) -> dict[str, Any]:
    """Run all parts of a section; return by part what was found, the seconds and the error, where there was one.

    Args:
        name: of the section.
        section: its parts.
        options: for the parts.
        note: is given every line as it comes.
        seconds: the most that all parts together may take.
        variables: more of the environment of its processes.
    """
    deadline = time.monotonic() + min(seconds, section.seconds)
    results: dict[str, Any] = {part: {"found": {}} for part in section.parts}
    waiting = list(section.parts)
    while waiting:
        left = deadline - time.monotonic()
        if left < _LEAST:
            for part in waiting:
                results[part]["error"] = "not run: the time for this section was over"
                note({"section": name, "part": part, "error": results[part]["error"]})
            break
        told = Options(options.data, options.size, options.device, left)
        with Worker(name, waiting, told, variables) as worker:
            _listen(worker, name, section.parts, waiting, deadline, results, note)
    return results


def _listen(
    worker: Worker,
    section: str,
    parts: Mapping[str, Part],
    waiting: list[str],
    deadline: float,
    results: dict[str, Any],
    note: Note,
) -> None:
    """Take down what a process finds, until it has done all that waits, or a part has failed."""
    extra = STARTING
    while waiting:
        part = waiting[0]
        until = min(time.monotonic() + parts[part].seconds + extra, deadline)
        extra = 0.0
        end: dict[str, Any] = {}
        while "seconds" not in end and "error" not in end:
            try:
                line = worker.line(until - time.monotonic())
            except Empty:
                end = {"part": part, "error": f"{worker.last_words()}\nstopped: its time was over"}
                break
            if line is None:
                end = {"part": part, "error": f"{worker.last_words()}\nits process ended"}
            elif "key" in line:
                results[part]["found"][line["key"]] = line["value"]
                note({"section": section, **line})
            else:
                end = line
        results[part] |= {key: value for key, value in end.items() if key != "part"}
        note({"section": section, **end})
        waiting.pop(0)
        if "error" in end:
            return
