"""Shared fixtures: every test starts on the CPU, and leaves no recorder or tape behind."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gpudl import backend
from gpudl.engine.state import state

# A Python that a test starts takes the package that is installed, not the folder that it is started in.
os.environ["PYTHONSAFEPATH"] = "1"


@pytest.fixture(autouse=True)
def _on_the_cpu(request: pytest.FixtureRequest) -> Iterator[None]:
    if "gpu" in request.keywords:
        yield
        return
    with backend.scope("numpy"):
        yield
    assert state.recorder is None
    assert state.open_tapes == 0
    assert state.gradients
    assert state.twins
