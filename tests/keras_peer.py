"""Keras as the other side of a comparison."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest

# What Keras computes here is small and computed once, so that compiling it quickly is all that matters.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0")


def imported() -> Any:
    """Return Keras on JAX; raise ImportError where it is not installed."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("KERAS_BACKEND", "jax")
        keras = importlib.import_module("keras")
    assert hasattr(keras, "src"), "imports of Keras give gpudl in this process: it would be compared with itself"
    return keras


def keras_or_skip() -> Any:
    """Return Keras on JAX, or skip the test where it is not installed."""
    try:
        return imported()
    except ModuleNotFoundError as error:
        return pytest.skip(f"this needs Keras: {error}")


def parity(test: Callable[..., Any]) -> Any:
    """Mark a test that compares with Keras, whose own way of making arrays NumPy 2 warns about."""
    of_keras = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    return pytest.mark.parity(of_keras(test))


def require_in_keras(module: Any, name: str) -> None:
    """Skip a test of what Keras has not: one's own has nothing to be compared with."""
    if not hasattr(module, name):
        pytest.skip(f"Keras has no {name}")
