"""Tests for a machine with a GPU: skipped where there is none, in gpudl's own words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpudl import backend


@pytest.fixture(autouse=True)
def _on_the_gpu(_on_its_backend: None) -> Iterator[None]:
    reason = backend.why_not_cupy()
    if reason is not None:
        pytest.skip(reason)
    with backend.scope("cupy"):
        yield
