"""Dtype policies: the dtype in which a layer computes, and the dtype of its variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from gpudl.argument_errors import unknown
from gpudl.engine.convert import as_tensor
from gpudl.engine.default_float import floatx
from gpudl.engine.spec import TEXT, as_dtype, is_floating
from gpudl.engine.tensor import Tensor, faces
from gpudl.registry import named_like
from gpudl.registry import serialize as _serialize

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "dtype_policy", "get", "serialize", "set_dtype_policy"]

DtypeLike: TypeAlias = "str | type | np.dtype | DTypePolicy | Mapping[str, object] | None"
"""An argument of `get`: a dtype or a policy, itself, by name or as a config, or None."""
_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool", "string"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
_NAMES = dict.fromkeys((*_MIXED, *_DTYPES))


class DTypePolicy:
    """A pair of dtypes, by name: a dtype's name for both, or ``"mixed_float16"`` or ``"mixed_bfloat16"``.

    In mixed precision layers compute in 16 bits and keep their variables in float32, so that small updates are not
    rounded away. float16 has a narrow range and needs loss scaling, which `Model.compile` sets up.

    Source: Micikevicius et al., "Mixed precision training", ICLR 2018.

    Args:
        name: the name; by default that of the global policy.

    Raises:
        TypeError: a name that is no text.
        ValueError: an unknown name; the message suggests the most similar one.

    Example:
        >>> policy = gpudl.DTypePolicy("mixed_float16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('float16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        name = dtype_policy().name if name is None else name
        if not isinstance(name, str):
            raise TypeError(f"the name of a dtype policy is text such as 'mixed_float16', got {name!r}.")
        if name not in _NAMES:
            raise unknown("dtype policy", name, _NAMES)
        self._name = name

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype of a layer's computation and outputs."""
        return _MIXED.get(self._name, self._name)

    @property
    def variable_dtype(self) -> str:
        """The dtype of a layer's variables."""
        return "float32" if self._name in _MIXED else self._name

    def convert_input(self, x: object, autocast: bool, dtype: str) -> object:
        """Return an array or a tensor as a tensor, floats in `dtype` if `autocast`; anything else unchanged."""
        if not hasattr(x, "__array__") and not hasattr(x, "array"):
            return x
        tensor = x if isinstance(x, Tensor) else as_tensor(x)
        casts = autocast and is_floating(tensor.dtype) and tensor.dtype != as_dtype(dtype)
        return faces["cast"](tensor, dtype=as_dtype(dtype)) if casts else tensor

    def get_config(self) -> dict[str, object]:
        """Return the name, as plain data."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: Mapping[str, str | None]) -> DTypePolicy:
        """Return the policy of a name."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


class FloatDTypePolicy(DTypePolicy):
    """A policy of floats, the name of `DTypePolicy` where others are quantized."""


_chosen: list[DTypePolicy] = []


def dtype_policy() -> DTypePolicy:
    """Return the global policy, the default of layers: `config.floatx` until it is set.

    Example:
        >>> gpudl.config.dtype_policy()
        <DTypePolicy "float32">
    """
    return _chosen[0] if _chosen else DTypePolicy(floatx())


def set_dtype_policy(policy: DTypePolicy | str | None) -> None:
    """Set the global policy, for layers that are created from now on; None resets it to `config.floatx`.

    Raises:
        ValueError: an unknown name, or something that is neither a name nor a policy.
    """
    if not isinstance(policy, DTypePolicy | str | None):
        raise ValueError(f"a dtype policy is a name such as 'mixed_float16' or a DTypePolicy, got {policy!r}.")
    _chosen[:] = [] if policy is None else [get(policy)]


def get(identifier: DtypeLike) -> DTypePolicy:
    """Return the policy of `identifier`.

    Args:
        identifier: a name, a policy (returned unchanged), a dtype, a dict with ``class_name`` and ``config``, or None
            for the global policy.

    Raises:
        ValueError: an unknown name, with the most similar one, or something that is not a dtype.

    Example:
        >>> get("mixed_bfloat16"), get(np.float64)
        (<DTypePolicy "mixed_bfloat16">, <DTypePolicy "float64">)
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    try:
        kind = np.dtype(identifier)
        return DTypePolicy("string" if kind == TEXT else kind.name)
    except (TypeError, ValueError):
        raise ValueError(
            f"dtype must be a dtype, its name, or a dtype policy such as 'mixed_float16', got {identifier!r}."
        ) from None


serialize = named_like(_serialize, {"value": "dtype_policy"})


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, object] | None = None) -> DTypePolicy:
    """Return the policy described by a dict that `serialize` made; `custom_objects` has no effect."""
    if config.get("class_name") != "DTypePolicy":
        raise ValueError(f"expected the config of a DTypePolicy, got {config!r}.")
    return DTypePolicy.from_config(config["config"])
