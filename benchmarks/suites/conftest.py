"""The machine's peaks, once a run, and the table of how near the ops come to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import peaks as machine
from benchmarks.suites.harness import measured


@pytest.fixture(scope="session")
def peaks() -> machine.Peaks:
    """Return the peaks of this machine."""
    return machine.measure()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Take the files ``bench_*.py`` for tests, in this folder only."""
    return pytest.Module.from_parent(parent, path=file_path) if file_path.match("bench_*.py") else None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the benchmarks measured as a table."""
    if not measured:
        return
    terminalreporter.section("share of this machine's peak")
    width = max(map(len, measured))
    terminalreporter.line(f"{'':{width}} {'us':>9} {'GFLOP/s':>9} {'GB/s':>7} {'share':>6}")
    for name, row in measured.items():
        rates = f"{row['gflops']:9.1f} {row['gbytes']:7.1f} {row['share']:6.0%}"
        terminalreporter.line(f"{name:{width}} {row['seconds'] * 1e6:9.1f} {rates}")
