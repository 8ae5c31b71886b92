"""What every record of a measurement holds: when, on what and with what it was made."""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("gpudl", "numpy", "numba")


def circumstances(*peers: str) -> dict[str, Any]:
    """Return when, on what and with what this is measured; of `peers` those that are installed."""
    import gpudl

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": gpudl.backend.current().describe(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **_versions(*PACKAGES, *peers)},
    }


def write(record: dict[str, Any], path: str | None) -> None:
    """Write a record as JSON; without a path do nothing."""
    if path is not None:
        Path(path).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        # TensorFlow without a GPU is installed under a name of its own.
        for name in (package, f"{package}-cpu"):
            with suppress(metadata.PackageNotFoundError):
                found[package] = metadata.version(name)
    return found


def _cpu() -> str:
    """Return the name of the processor, which Linux tells in a file only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
