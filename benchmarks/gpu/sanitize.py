"""compute-sanitizer over every kernel on small shapes: accesses out of bounds, and races in shared memory."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

from benchmarks.children import ROOT, command
from benchmarks.gpu.parts import Found, Options, Part, Section

TESTS = "tests/gpu/test_kernels.py"


def found() -> str | None:
    """Return the path of compute-sanitizer, or None."""
    places = [
        shutil.which("compute-sanitizer"),
        *sorted(map(str, Path("/usr/local").glob("cuda*/bin/compute-sanitizer"))),
    ]
    return next((place for place in places if place), None)


def checked(tool: str, options: Options) -> Found:
    """Run the tests of the kernels under a tool of compute-sanitizer; raise AssertionError with what it found."""
    program = found()
    yield "compute-sanitizer", program or "not on this machine"
    if program is None:
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tests = command("benchmarks.gpu.lines", f"{folder}/lines.jsonl", TESTS, "-k", "float32")
        line = [program, "--tool", tool, "--error-exitcode", "99", "--print-limit", "20", *tests]
        try:
            done = subprocess.run(
                line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=options.seconds - 3
            )
            status, said = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            status, said = None, (late.stdout or b"").decode(errors="replace")
    yield "exit status", status
    reports = [text for text in said.splitlines() if text.startswith("=========")]
    yield "said", reports[:80]
    if status != 0:
        raise AssertionError(
            "stopped: its time was over" if status is None else "\n".join(reports[:20]) or said[-2000:]
        )


SECTION = Section(
    "compute-sanitizer over the kernels",
    80,
    {tool: Part(partial(checked, tool), 40) for tool in ("memcheck", "racecheck")},
)
