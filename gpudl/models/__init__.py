"""Models: `Sequential`, and `Model` to derive from."""

from gpudl.models.sequential import Sequential
from gpudl.models.model import Model

__all__ = ["Model", "Sequential"]
