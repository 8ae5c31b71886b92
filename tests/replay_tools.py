"""What the tests of recording and replaying share."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl import Tensor, convert_to_tensor
from gpudl.engine.plan import ir
from gpudl.engine.plan.plan import Plan
from gpudl.engine.plan.trace import Traced


def tensor(*values: float) -> Tensor:
    return convert_to_tensor(np.array(values, np.float32))


def address(array: Any) -> int:
    """Where an array begins, in the memory of the host or of a GPU."""
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)


def plan_of(step: Traced) -> Plan:
    (entry,) = step.entries.values()
    return entry.plan


def names_in(step: Traced) -> list[str]:
    """The ops of a plan, in order; those that became one instruction by their own names."""
    return [part.name for step in plan_of(step).instructions for part in ir.members(step)]


def assert_same_bits(one: Any, other: Any) -> None:
    assert one.dtype == other.dtype
    assert one.numpy().tobytes() == other.numpy().tobytes()
