"""The dtypes in which a layer computes and stores its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpudl import dtype_policies
from gpudl.dtype_policies import DtypeLike, DTypePolicy
from gpudl.engine.spec import is_floating
from gpudl.engine.state import state


class HasDtypePolicy:
    """The base of layers that implements their dtype policy."""

    def _begin_typing(self, dtype: DtypeLike, autocast: bool) -> None:
        self._dtype_policy = dtype_policies.get(dtype)
        self.autocast = autocast

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The dtypes of computation and weights; an assignment affects later calls, and weights created later."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        self._dtype_policy = dtype_policies.get(policy)

    @property
    def compute_dtype(self) -> np.dtype:
        """The dtype of computation and outputs."""
        return np.dtype(self._dtype_policy.compute_dtype)

    @property
    def variable_dtype(self) -> np.dtype:
        """The dtype of the weights."""
        return np.dtype(self._dtype_policy.variable_dtype)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the weights; the same as `variable_dtype`."""
        return self.variable_dtype

    def _seen_as(self) -> np.dtype | None:
        """Return the dtype that floating-point variables are cast to in `call`; None without mixed precision."""
        compute = self.compute_dtype
        if not self.autocast or not is_floating(compute):
            return None
        return None if state.autocast is None and compute == self.variable_dtype else compute
