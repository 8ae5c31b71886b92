"""gpudl: deep learning with the face of Keras, on NumPy and Numba or on CuPy and CUDA C++."""

try:
    from gpudl.kernels import registry as _registry  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("gpudl.kernels", "gpudl.kernels.registry"):
        raise
    raise ImportError(
        "gpudl was imported from a checkout that is not installed: run `pip install -e .` in it once "
        "(the folder kernels/ becomes gpudl.kernels only then)."
    ) from None

from gpudl import backend, config, ops
from gpudl.engine.grad import GradientTape, grad
from gpudl.engine.spec import ShapeError, Spec
from gpudl.engine.state import TracingError
from gpudl.engine.tensor import Tensor, Variable
from gpudl.engine.tensor import as_tensor as convert_to_tensor
from gpudl.engine.trace import traced

__version__ = "0.1.0"
