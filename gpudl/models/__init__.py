"""Models: `Sequential`, and `Model`, made of inputs and outputs or to derive from."""

from gpudl.models.cloning import clone_model
from gpudl.models.model import Model
from gpudl.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model"]
