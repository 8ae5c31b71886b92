"""Shared fixtures: every test starts on its backend, and leaves no recorder or tape behind.

The backend is NumPy, unless the environment variable ``GPUDL_TEST_BACKEND`` says ``cupy``, for a machine with a GPU, or
``double``, for the strict double of CuPy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import strict_cupy

from gpudl import backend
from gpudl.engine.state import state

# A Python that a test starts takes the package that is installed, not the folder that it is started in.
os.environ["PYTHONSAFEPATH"] = "1"
BACKEND = os.environ.get("GPUDL_TEST_BACKEND", "numpy")


@pytest.fixture(autouse=True)
def _on_its_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    doubled = strict_cupy.is_installed()
    with ExitStack() as stack:
        if BACKEND == "double":
            stack.enter_context(strict_cupy.installed())
        if "gpu" not in request.keywords:
            stack.enter_context(backend.scope("numpy" if BACKEND == "numpy" else "cupy"))
        yield
    assert strict_cupy.is_installed() == doubled, "the test leaves the double of CuPy behind"
    assert state.recorder is None
    assert state.open_tapes == 0
    assert state.gradients
    assert state.twins
