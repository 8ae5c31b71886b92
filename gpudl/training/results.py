"""Results of steps for users: metrics as numbers, outputs of batches concatenated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, map_leaves

Logs = dict[str, Any]
"""Values of metrics by name: numbers, or arrays for metrics that have axes."""
Values = Any
"""What `evaluate` returns: one value, a list of values, or a dict of them by name."""
Predictions = Any
"""What `predict` returns: an array, or the nest of them that the model returns."""


def values(logs: Logs, names: Iterable[str]) -> Values:
    """Return the values of `logs`, those of `names` first and the others by name; a single one by itself.

    Example:
        >>> values({"a": 1.0, "b": 2.0, "loss": 3.0}, ["loss", "b"])
        [3.0, 2.0, 1.0]
    """
    order = dict.fromkeys([*(name for name in names if name in logs), *sorted(logs)])
    found = [logs[name] for name in order]
    return found[0] if len(found) == 1 else found


def joined(parts: list[list[np.ndarray]], outputs: Nest[Tensor]) -> Predictions:
    """Return the outputs of several batches, each a list of arrays, as one nest of arrays such as `outputs`."""
    columns = iter([np.concatenate(column) for column in zip(*parts, strict=True)])
    return map_leaves(lambda _: next(columns), outputs)
