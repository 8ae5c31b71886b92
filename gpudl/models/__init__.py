"""Models: `Sequential`, and `Model`, made of inputs and outputs or to derive from."""

from gpudl.models.sequential import Sequential
from gpudl.models.subclassing import Model

__all__ = ["Model", "Sequential"]
