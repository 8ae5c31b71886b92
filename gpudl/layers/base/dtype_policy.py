"""The dtypes in which a layer computes and stores its weights."""

from __future__ import annotations

import numpy as np

from gpudl import dtype_policies
from gpudl.dtype_policies import DtypeLike, DTypePolicy
from gpudl.engine.spec import as_dtype, is_floating
from gpudl.engine.state import state


class HasDtypePolicy:
    """The base of layers that implements their dtype policy."""

    def _begin_typing(self, dtype: DtypeLike, autocast: bool) -> None:
        self.dtype_policy = dtype_policies.get(dtype)
        self.autocast = autocast

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The dtypes of computation and weights; an assignment affects later calls, and weights created later."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, policy: DtypeLike) -> None:
        self._dtype_policy = dtype_policies.get(policy)
        self._computes_in = as_dtype(self._dtype_policy.compute_dtype)  # read in every call

    @property
    def compute_dtype(self) -> str:
        """The dtype of computation and outputs."""
        return self._dtype_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        return self._dtype_policy.variable_dtype

    @property
    def dtype(self) -> str:
        """The dtype of the weights; the same as `variable_dtype`."""
        return self.variable_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype that floats are cast to when they come in; another name of `compute_dtype`."""
        return self.compute_dtype

    def _seen_as(self) -> np.dtype | None:
        """Return the dtype that floating-point variables are cast to in `call`; None without mixed precision."""
        compute = self._computes_in
        if not self.autocast or not is_floating(compute):
            return None
        return None if state.autocast is None and self.compute_dtype == self.variable_dtype else compute
