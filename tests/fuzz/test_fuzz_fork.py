"""Random programs that fork: the child computes what the parent does, and nothing hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.programs import Program, run

FOLDER = Path(__file__).parent


def _check(p: Program) -> None:
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parent)}
    command = [sys.executable, str(FOLDER / "forks.py"), str(p.seed)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_children_compute_what_their_parents_do() -> None:
    run(_check, count=3)
