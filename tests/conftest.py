"""Shared fixtures: every test starts on the CPU, and leaves no recorder or tape behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpudl import backend
from gpudl.engine.state import state


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
