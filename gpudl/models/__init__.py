"""Models: `Sequential`, and `Model` to derive from."""

from gpudl.models.model import Model
from gpudl.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
