"""Layers that wrap a function, another layer, or nothing; and the masking of time steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self, Unpack

from gpudl import custom_objects as users
from gpudl import ops
from gpudl.engine.symbol import OpenShape
from gpudl.engine.tensor import Tensor, TensorLike
from gpudl.engine.tree import Nest
from gpudl.layers.base.input_spec import Shape
from gpudl.layers.base.layer import LAYERS, Layer
from gpudl.layers.base.masks import Masks
from gpudl.layers.base.options import LayerOptions
from gpudl.registry import Config, serialize
from gpudl.utils.checks import require_number

__all__ = [
    "Identity",
    "Lambda",
    "Masking",
    "Wrapper",
]


class Identity(Layer, complete=True):
    """Return the inputs, an array or a nest of them, unchanged.

    Args:
        **options: those of `Layer`.

    Example:
        >>> gpudl.layers.Identity()(np.array([[1.0, 2.0]])).numpy()
        array([[1., 2.]], dtype=float32)
    """

    supports_masking = True

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)

    def call(self, inputs: Nest[Tensor]) -> Nest[Tensor]:
        """Return the inputs."""
        return inputs


class Masking(Layer, complete=True):
    """Mask the time steps in which all elements are `mask_value`.

    Inputs are (batch, steps, features). The steps that are left out become 0, and the mask of the outputs, (batch,
    steps), is false there: layers that know masks, losses and metrics do not count them.

    Args:
        mask_value: the value.
        **options: those of `Layer`.

    Example:
        >>> y = gpudl.layers.Masking(-1.0)(np.array([[[1.0, -1.0], [-1.0, -1.0]]]))
        >>> y.numpy(), y.mask.numpy()
        (array([[[ 1., -1.],
                [ 0.,  0.]]], dtype=float32), array([[ True, False]]))
    """

    def __init__(self, mask_value: float = 0.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        if mask_value == mask_value:  # NaN, which equals nothing, masks nothing
            require_number("Masking", mask_value=mask_value)
        self.mask_value = mask_value

    def compute_mask(self, inputs: TensorLike, previous_mask: Masks = None) -> Tensor:
        """Return which steps have an element other than `mask_value`, (batch, steps)."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the inputs, with 0 in the masked steps."""
        counted = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(counted, inputs, 0)


Shaped = Callable[..., OpenShape] | OpenShape | None


class Lambda(Layer):
    """Apply a function to the inputs.

    A config has the name of the function if it is registered with `saving.register_keras_serializable`, else the
    function itself.

    Args:
        function: a function of the inputs, and, if it has parameters of these names, of ``mask`` and ``training``.
        output_shape: the result of `compute_output_shape`: the shape of a sample, or a function of the shape of a
            batch; by default it is inferred from the function.
        mask: the mask of the outputs, or a function of the inputs and their mask; by default there is none.
        arguments: further arguments of the function, by name.
        **options: those of `Layer`.

    Raises:
        TypeError: the function is not callable.

    Example:
        >>> scaled = gpudl.layers.Lambda(lambda x, by: x * by, arguments={"by": 3.0})
        >>> scaled(np.array([[1.0, 2.0]])).numpy()
        array([[3., 6.]], dtype=float32)
    """

    def __init__(
        self,
        function: Callable[..., object],
        output_shape: Shaped = None,
        mask: Masks | Callable[[object, Masks], Masks] = None,
        arguments: Mapping[str, object] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if not callable(function):
            raise TypeError(f"Lambda takes a function of the inputs, got {function!r}.")
        self.arguments = dict(arguments or {})
        self.function = function
        self.mask = mask
        self.supports_masking = mask is not None
        self._shape = output_shape
        taken = inspect.signature(function).parameters
        self._asks = tuple(name for name in ("mask", "training") if name in taken and name not in self.arguments)

    def compute_output_shape(self, *shapes: Nest[OpenShape], **named: Nest[OpenShape]) -> Any:
        """Return the shape of the outputs for inputs of these shapes; None means any size."""
        if callable(self._shape):
            return self._shape(*shapes, **named)
        if self._shape is None:
            return super().compute_output_shape(*shapes, **named)
        batch = shapes[0][0] if shapes and isinstance(shapes[0], tuple | list) else None
        return (batch, *self._shape)

    def compute_mask(self, inputs: object, previous_mask: Masks = None) -> Masks:
        """Return the mask of the outputs."""
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def call(self, inputs: Any, mask: Masks = None, training: bool | None = None) -> Any:
        """Return the result of the function."""
        given = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: given[name] for name in self._asks})

    def get_config(self) -> Config:
        """Return the constructor's arguments, with registered functions by name, others unchanged."""
        own = {"function": self.function, "output_shape": self._shape, "mask": self.mask, "arguments": self.arguments}
        return {**super().get_config(), **{name: _named(value) for name, value in own.items()}}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a new layer; functions that are named must be registered."""
        made = {name: _found(config.get(name)) for name in ("function", "mask")}
        shape = config.get("output_shape")
        made["output_shape"] = tuple(shape) if isinstance(shape, list) else _found(shape)
        return super().from_config({**config, **made})


def _named(value: object) -> object:
    """Return the name of a registered function, and anything else unchanged."""
    return next((name for name, item in users.known().items() if item is value), value)


def _found(value: object) -> object:
    """Return the function of a name, and anything else unchanged."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value["config"]
    if isinstance(value, dict | list):
        raise ValueError(
            "Lambda: the config has the code of a lambda, which is not run. Name the function in your program, "
            "register it with saving.register_keras_serializable, and save the model again."
        )
    if not isinstance(value, str):
        return value
    found = users.get_registered_object(value)
    if found is None:
        raise ValueError(
            f"Lambda: there is no function called {value!r}. Register it with saving.register_keras_serializable, or "
            "name it in a saving.custom_object_scope."
        )
    return found


class Wrapper(Layer):
    """The base of layers that wrap another one, which they hold, build, and have in their config.

    A subclass implements `call`.

    Args:
        layer: the wrapped layer.
        **options: those of `Layer`.

    Raises:
        ValueError: something that is not a layer.

    Example:
        >>> class Twice(gpudl.layers.Wrapper):
        ...     def call(self, x):
        ...         return 2 * self.layer(x)
        >>> Twice(gpudl.layers.Identity())(np.array([[1.0]])).numpy()
        array([[2.]], dtype=float32)
    """

    def __init__(self, layer: Layer, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        if not isinstance(layer, Layer):
            raise ValueError(f"{type(self).__name__} wraps a layer, got {layer!r}. Give it one, such as Dense(8).")
        self.layer = layer

    def build(self, input_shape: Shape) -> None:
        """Build the layer inside for inputs of `input_shape`."""
        if not self.layer.built:
            self.layer.build(input_shape)

    def get_config(self) -> Config:
        """Return the constructor's arguments, with the config of the layer inside."""
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new layer with a new wrapped layer."""
        return super().from_config({**config, "layer": LAYERS.deserialize(config["layer"], custom_objects)})
