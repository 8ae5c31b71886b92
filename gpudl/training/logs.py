"""Results of metrics as what users get."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Logs = dict[str, Any]


def numbers(results: dict[str, Any]) -> Logs:
    """Return metrics by sorted names, as Python numbers; one with axes becomes an array."""
    return {name: np.asarray(v) if getattr(v, "ndim", 0) else float(v) for name, v in sorted(results.items())}


def values(logs: Logs, names: Iterable[str]) -> Any:
    """Return the values of `logs`, those of `names` first and the others by name; a single one by itself.

    Example:
        >>> values({"a": 1.0, "b": 2.0, "loss": 3.0}, ["loss", "b"])
        [3.0, 2.0, 1.0]
    """
    order = dict.fromkeys([*(name for name in names if name in logs), *sorted(logs)])
    found = [logs[name] for name in order]
    return found[0] if len(found) == 1 else found
