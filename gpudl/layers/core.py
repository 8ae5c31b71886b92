"""The layers of every network: fully connected layers, activations, the input."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from math import prod
from typing import Self, Unpack

from gpudl import activations, config, ops
from gpudl.engine.calls import declare
from gpudl.engine.state import warn_user
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.layers._low_rank import LowRank
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.options import DenseOptions, DtypeLike, LayerOptions
from gpudl.registry import Config, Identifier
from gpudl.utils.checks import positive, sizes

__all__ = [
    "Activation",
    "Dense",
    "Input",
    "InputLayer",
]

_SAMPLES = "Samples are (batch, features): add the batch axis, e.g. x.reshape(1, -1)."


class Dense(LowRank, options=DenseOptions):
    """A fully connected layer: activation(x @ kernel + bias), along the last axis.

    Inputs (batch, ..., features) become (batch, ..., units).

    Args:
        units: size of the last axis of the outputs.
        activation: a name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: initial values of the kernel, (features, units).
        bias_initializer: initial values of the bias, (units,).
        kernel_regularizer: penalty of the kernel.
        bias_regularizer: penalty of the bias.
        activity_regularizer: penalty of the outputs.
        kernel_constraint: projection of the kernel after each update.
        bias_constraint: projection of the bias after each update.
        lora_rank: the rank of a trainable update of the kernel, which is frozen then; see `enable_lora`.
        lora_alpha: the update is multiplied by lora_alpha / lora_rank; by default the rank.
        **options: those of `Layer`.

    Raises:
        ValueError: `units` is not a positive integer.
        ShapeError: the inputs have no batch axis, or another number of features than the layer was built for.

    Example:
        >>> layer = gpudl.layers.Dense(10, activation="softmax")
        >>> layer(np.zeros((2, 784))).shape, layer.kernel.shape
        ((2, 10), (784, 10))
    """

    supports_masking = True

    def __init__(
        self, units: int, activation: Identifier = None, use_bias: bool = True, **options: Unpack[DenseOptions]
    ) -> None:
        super().__init__(**options)
        self.units = positive("Dense", units=units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.input_spec = InputSpec(min_ndim=2, hint=_SAMPLES)

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias for inputs of `input_shape`."""
        self.kernel = self._add("kernel", (input_shape[-1], self.units))
        self.bias = self._add("bias", (self.units,)) if self.use_bias else None
        features = self.kernel.shape[0]
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features}, hint=partial(_hint, features))
        self._add_update()

    def call(self, x: Tensor) -> Tensor:
        """Return the outputs for inputs (batch, ..., features)."""
        x = self._floating(x)
        if self.lora_enabled:
            y = self._updated(ops.matmul(x, self.kernel), ops.matmul(x, self._factors[0]))
            return activations.with_bias(y, self.bias, self.activation)
        if x.ndim == 2:
            return activations.with_bias(x @ self.kernel, self.bias, self.activation)
        y = ops.reshape(ops.reshape(x, (-1, x.shape[-1])) @ self.kernel, (*x.shape[:-1], self.units))
        return activations.with_bias(y, self.bias, self.activation)


def _hint(features: int, shape: Shape) -> str:
    """Return a hint for inputs of `shape`; not a method, so that a layer does not hold itself."""
    if prod(n or 1 for n in shape[1:]) == features:
        return "Add Flatten() before it."
    return f"Every input must have {features} features along its last axis, as in the first call."


class Activation(Layer, complete=True):
    """Apply an activation function.

    Args:
        activation: a name or function.
        **kwargs: those of `Layer`.

    Example:
        >>> gpudl.layers.Activation("relu")(np.array([[-1.0, 2.0]])).numpy()
        array([[0., 2.]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, activation: Identifier, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, x: Tensor) -> Tensor:
        """Return activation(x)."""
        return self.activation(x)


_OLDER = {"batch_input_shape": "batch_shape"}


class InputLayer(Layer):
    """The first layer of a model, which specifies the inputs and returns them.

    Args:
        shape: shape of one sample.
        batch_size: size of a batch, if it is fixed.
        dtype: dtype of the inputs, by default `config.floatx()`; ``"string"`` for text, which layers on the host take.
        sparse: accepted; sparse matrices become dense batch by batch.
        ragged: not supported.
        batch_shape: shape of a batch, instead of `shape` and `batch_size`; None means any size.
        input_tensor: a symbol, whose shape and dtype are taken where none are given.
        optional: whether a model may be called with None for these inputs.
        name: a name; ``input_layer`` by default, numbered.
        input_shape: the old name of `shape`.

    Raises:
        ValueError: neither or both of `shape` and `batch_shape` are given, or an argument is not supported.

    Example:
        >>> gpudl.layers.InputLayer((28, 28, 1)).batch_shape
        (None, 28, 28, 1)
    """

    def __init__(
        self,
        shape: Iterable[int | None] | None = None,
        batch_size: int | None = None,
        dtype: DtypeLike = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Iterable[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        *,
        input_shape: Iterable[int | None] | None = None,
    ) -> None:
        if input_shape is not None:
            warn_user("InputLayer: input_shape is the old name of shape. Write shape.")
            shape = input_shape
        if ragged:
            raise ValueError(
                "Input(ragged=True) is not supported: every batch of an input is one array. Leave it out, and pad "
                "sequences to one length."
            )
        if input_tensor is not None:
            batch_shape = input_tensor.shape if shape is None and batch_shape is None else batch_shape
            dtype = input_tensor.dtype if dtype is None else dtype
        super().__init__(name=name, dtype=config.floatx() if dtype is None else dtype)
        if (shape is None) == (batch_shape is None) or (batch_size is not None and batch_shape is not None):
            raise ValueError(
                "Input needs either shape, the shape of one sample such as (784,), with or without batch_size, or "
                f"batch_shape; got shape={shape!r}, batch_size={batch_size!r}, batch_shape={batch_shape!r}."
            )
        if shape is not None:
            self.batch_shape: Shape = (batch_size, *sizes("Input", "shape", shape))
        else:
            self.batch_shape = sizes("Input", "batch_shape", batch_shape)
        self.sparse, self.optional = bool(sparse), bool(optional)
        self.output_shape = self.batch_shape
        self.built = True
        fixed = {axis: n for axis, n in enumerate(self.batch_shape) if axis and n is not None}
        self.input_spec = InputSpec(
            ndim=len(self.batch_shape), axes=fixed, hint=f"The inputs are {self.batch_shape}: reshape the data."
        )

    def call(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def get_config(self) -> Config:
        """Return shape of a batch, dtype, name, and whether it is sparse or optional."""
        kind = {"sparse": self.sparse, "ragged": False, "name": self.name, "optional": self.optional}
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, **kind}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a new layer, also from the config of Keras 2, where the shape has another name."""
        return super().from_config({_OLDER.get(name, name): value for name, value in config.items()})


def Input(  # noqa: N802 (Keras's name)
    shape: Iterable[int | None] | None = None,
    batch_size: int | None = None,
    dtype: DtypeLike = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Iterable[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """Return a symbolic tensor, a placeholder for inputs, to call layers on and to make a `Model` from.

    It can also be the first item of a `Sequential`.

    Args:
        shape: shape of one sample; None means any size.
        batch_size: size of a batch, if it is fixed.
        dtype: dtype of the inputs, by default `config.floatx()`; ``"string"`` for text, which layers on the host take.
        sparse: accepted; sparse matrices become dense batch by batch.
        ragged: not supported.
        batch_shape: shape of a batch, instead of `shape` and `batch_size`.
        name: a name for the input and its layer; ``input_layer`` by default, numbered.
        tensor: a symbolic tensor, which is returned unchanged.
        optional: whether a model may be called with None for these inputs.

    Raises:
        ValueError: neither or both of `shape` and `batch_shape` are given, or an argument is not supported.

    Example:
        >>> x = gpudl.Input((784,), name="pixels")
        >>> x
        <KerasTensor shape=(None, 784), dtype=float32, sparse=False, ragged=False, name=pixels>
        >>> gpudl.Model(x, gpudl.layers.Dense(10)(x)).predict(np.ones((2, 784)), verbose=0).shape
        (2, 10)
    """
    if tensor is not None:
        if not isinstance(tensor, KerasTensor):
            raise ValueError(
                f"Input(tensor=...) needs a symbolic tensor, got {type(tensor).__name__}. Pass a shape to Input, and "
                "the data to the model."
            )
        return tensor
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, optional=optional, name=name)
    return declare(layer, KerasTensor(layer.batch_shape, layer.dtype, sparse=bool(sparse), name=name))
