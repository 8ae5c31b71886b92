"""gpudl: deep learning with the API of Keras, on NumPy and Numba or on CuPy and CUDA C++.

Example:
    >>> from gpudl import Sequential, layers
    >>> model = Sequential([layers.Dense(1, input_shape=(3,))])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0)
    >>> len(history.history["loss"])
    2
"""

try:
    from gpudl.kernels import registry as _registry  # noqa: F401 (checks only whether it exists)
except ModuleNotFoundError as error:
    if error.name not in ("gpudl.kernels", "gpudl.kernels.registry"):
        raise
    raise ImportError(
        "gpudl was imported from a checkout that is not installed: run `pip install -e .` in it once "
        "(the folder kernels/ becomes gpudl.kernels only then)."
    ) from None

from gpudl import (
    activations,
    applications,
    backend,
    callbacks,
    config,
    constraints,
    datasets,
    dtype_policies,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    ops,
    optimizers,
    preprocessing,
    random,
    regularizers,
    saving,
    tree,
    utils,
)
from gpudl.backend import OutOfMemoryError, device
from gpudl.compat import old_spellings as _old_spellings
from gpudl.compat.aliases import load_ipython_extension, unload_ipython_extension
from gpudl.dtype_policies import DTypePolicy, FloatDTypePolicy
from gpudl.engine.convert import convert_to_tensor
from gpudl.engine.enclosing import name_scope
from gpudl.engine.grad import GradientTape, grad
from gpudl.engine.plan.trace import traced
from gpudl.engine.spec import ShapeError, Spec
from gpudl.engine.state import TracingError
from gpudl.engine.stateless import StatelessScope, SymbolicScope
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.initializers import Initializer
from gpudl.layers import Input, InputSpec, Layer
from gpudl.layers.preprocessing.feature_space import FeatureSpace
from gpudl.losses import Loss
from gpudl.metrics import Metric
from gpudl.models import Model, Sequential
from gpudl.optimizers import Optimizer
from gpudl.regularizers import Regularizer

_old_spellings.install()
utils.FeatureSpace = FeatureSpace
utils.deserialize_keras_object = saving.deserialize_keras_object
utils.serialize_keras_object = saving.serialize_keras_object

__version__ = "0.1.0"


def version() -> str:
    """Return the version of gpudl."""
    return __version__


__all__ = [
    "DTypePolicy",
    "FloatDTypePolicy",
    "GradientTape",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "OutOfMemoryError",
    "Regularizer",
    "Sequential",
    "ShapeError",
    "Spec",
    "StatelessScope",
    "SymbolicScope",
    "Tensor",
    "TracingError",
    "Variable",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "convert_to_tensor",
    "datasets",
    "device",
    "dtype_policies",
    "grad",
    "initializers",
    "layers",
    "load_ipython_extension",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "name_scope",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "traced",
    "tree",
    "unload_ipython_extension",
    "utils",
    "version",
]
