"""A wrapper that divides the weights of a layer by their largest singular value."""

from __future__ import annotations

from typing import Unpack

from gpudl import config, ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.initializers import TruncatedNormal
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import LayerOptions
from gpudl.layers.wrapping import Wrapper
from gpudl.utils.checks import positive

__all__ = [
    "SpectralNormalization",
]


class SpectralNormalization(Wrapper):
    """Divide the kernel of a layer by its largest singular value, before each call in training.

    The singular value is estimated by power iteration; a vector is kept from call to call.

    Source: Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018.

    Args:
        layer: a layer with a ``kernel``, or with ``embeddings``.
        power_iterations: the number of steps of power iteration in each call.
        **options: those of `Layer`.

    Raises:
        ValueError: `power_iterations` is no positive integer, or the layer has no such weight.

    Example:
        >>> layer = gpudl.layers.SpectralNormalization(gpudl.layers.Dense(3), power_iterations=20)
        >>> y = layer(np.ones((2, 4)), training=True)
        >>> bool(np.linalg.norm(layer.layer.kernel.numpy(), 2) < 1.1)
        True
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(layer, **options)
        self.power_iterations = positive("SpectralNormalization", power_iterations=power_iterations)

    def build(self, input_shape: Shape) -> None:
        """Build the layer inside, and create the vector of the power iteration."""
        super().build(input_shape)
        self.input_spec = InputSpec(shape=(None, *input_shape[1:]))
        kernel = next(
            (w for w in (getattr(self.layer, n, None) for n in ("kernel", "embeddings")) if w is not None), None
        )
        if not isinstance(kernel, Variable):
            raise ValueError(
                f"{self._who()} needs a layer with a kernel or with embeddings, and {type(self.layer).__name__} has "
                "neither."
            )
        self.kernel = kernel
        self.vector_u = self.add_weight(
            (1, kernel.shape[-1]), TruncatedNormal(stddev=0.02), trainable=False, name="vector_u"
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Return what the layer does; in training divide its kernel first."""
        if training:
            self.normalized_weights()
        outputs: Tensor = self.layer(inputs)
        return outputs

    def normalized_weights(self) -> None:
        """Divide the kernel by the estimate of its largest singular value, and keep the vector."""
        weights, u = ops.reshape(self.kernel, (-1, self.kernel.shape[-1])), self.vector_u * 1.0
        for _ in range(self.power_iterations):
            v = _unit(ops.matmul(u, ops.transpose(weights)))
            u = _unit(ops.matmul(v, weights))
        sigma = ops.matmul(ops.matmul(v, weights), ops.transpose(u))
        self.vector_u.assign(u)
        self.kernel.assign(ops.reshape(weights / sigma, self.kernel.shape))


def _unit(x: Tensor) -> Tensor:
    unit: Tensor = x / ops.sqrt(ops.maximum(ops.sum(ops.square(x)), config.epsilon() ** 2))
    return unit
