"""A checkout that is not installed, made importable: gpudl with the folder `kernels/` in its place.

``pip install --no-deps --no-build-isolation -e .`` does the same for good, where its build tools are at hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import ROOT


def installed() -> bool:
    """Tell whether a Python started elsewhere finds gpudl with its kernels."""
    look = "import importlib.util as u; raise SystemExit(u.find_spec('gpudl.kernels') is None)"
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run([sys.executable, "-P", "-c", look], cwd=elsewhere, capture_output=True, check=False)
    return done.returncode == 0


def copy(folder: Path, root: Path = Path(ROOT)) -> None:
    """Lay gpudl out in `folder` as an installed package lies."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "gpudl", folder / "gpudl", ignore=without)
    shutil.copytree(root / "kernels", folder / "gpudl/kernels", ignore=without)


@contextmanager
def importable() -> Iterator[dict[str, str]]:
    """Lend the variables of the environment with which Pythons find gpudl: none where it is installed."""
    if installed():
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        yield {"PYTHONPATH": os.pathsep.join(paths)}
