"""Models: `Sequential`, and `Model`, from inputs and outputs or as a base class."""

from gpudl.layers.base.layer import LAYERS
from gpudl.models.cloning import clone_model
from gpudl.models.model import Model
from gpudl.models.sequential import Sequential
from gpudl.saving.model_file import load_model, model_from_json, save_model

LAYERS.known |= {"Functional": Model, "Model": Model, "Sequential": Sequential}

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
