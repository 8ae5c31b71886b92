"""The base of every layer: weights, building on first use, tracking, errors that name the layer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Self

import numpy as np

from gpudl import regularizers
from gpudl.engine.spec import ShapeError, Spec, is_floating
from gpudl.engine.state import autocast, preparing, state, symbolic
from gpudl.engine.tensor import Tensor, as_tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.layers.base.build import all_or_nothing, apart
from gpudl.layers.base.config import HasConfig
from gpudl.layers.base.dtype_policy import HasDtypePolicy
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.options import DtypeLike, LayerOptions, defaults, looked_up, spelled_out
from gpudl.layers.base.weights import HasWeights
from gpudl.ops import cast
from gpudl.registry import Family, Identifier, auto_name, refuse_others, snake_case
from gpudl.utils.checks import sizes

# Arguments of Keras's layers that are understood at these values only.
_OFF = {
    **dict.fromkeys(("quantization_config", "lora_rank", "lora_alpha", "renorm_clipping")),
    **dict.fromkeys(("synchronized", "renorm", "rms_scaling"), False),
    "renorm_momentum": 0.99,
}
_BATCHES = (2, 3)  # an axis whose size follows the batch differs between two symbolic runs
_LAYER_NAMED = re.compile(r'\w+ "[^"]*"')
# The `training` of the call that is going on; None outside of all calls.
_enclosing: ContextVar[bool | None] = ContextVar("enclosing", default=None)


class Layer(HasWeights, HasDtypePolicy, HasConfig):
    """A callable with weights. Subclasses write `build` (once the input shape is known) and `call`.

    Args:
        name: a name; by default the class name in snake case, numbered.
        trainable: whether the weights want gradients.
        dtype: a dtype of weights and computation, or a policy of both, as for `dtype_policies.get`; by default
            `config.dtype_policy()`.
        autocast: whether floats that come in, and weights in use, are cast to the dtype of the computation.
        activity_regularizer: a regularizer of the outputs.
        input_shape: shape of one sample, for the first layer of a `Sequential`.
        input_dim: the same for samples with one axis.

    Example:
        >>> class Scale(gpudl.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        ...
        ...     def call(self, x):
        ...         return x * self.factor
        >>> Scale()(np.ones((2, 3))).shape
        (2, 3)
    """

    _unfinished = False  # whether build() is running
    _options: Mapping[str, Any] = {}  # what those of its family are called, with their defaults

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Know what becomes an attribute, before ``super().__init__()`` too."""
        made = super().__new__(cls, *args, **kwargs)
        made._begin_tracking()
        return made

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: DtypeLike = None,
        autocast: bool = True,
        activity_regularizer: Identifier = None,
        input_shape: Iterable[int | None] | None = None,
        input_dim: int | None = None,
        **others: Any,
    ) -> None:
        for option, default in self._options.items():
            setattr(self, option, looked_up(option, others.pop(option, default)))
        refuse_others(type(self), others, _OFF)
        self._trainable = trainable
        self._added_losses: list[Tensor] = []
        self.name = name if name is not None else auto_name(snake_case(type(self).__name__))
        self._begin_typing(dtype, autocast)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self.input_spec: InputSpec | None = None
        self.output_shape: Any = None
        kind = type(self).__name__
        if input_dim is not None:
            input_shape = sizes(kind, "input_dim", (input_dim,))
        self.batch_shape: Shape | None = None
        if input_shape is not None:
            self.batch_shape = (None, *sizes(kind, "input_shape", input_shape))
        self._takes_training = "training" in inspect.signature(self.call).parameters

    def __init_subclass__(cls, options: Any = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if options is not None:
            shared = defaults(options)
            cls._options = {
                name: default for name, default in shared.items() if name not in LayerOptions.__annotations__
            }
            cls.__init__ = spelled_out(cls.__init__, shared)  # type: ignore[method-assign]
        if "build" in vars(cls):
            cls.build = all_or_nothing(cls.build)  # type: ignore[method-assign]

    def build(self, input_shape: Shape) -> None:
        """Create the weights for inputs of `input_shape`, whose batch size is None."""
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs."""
        raise NotImplementedError(f"{type(self).__name__} has no call(): write one.")

    def __call__(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Build the layer if this is its first call, then return `call`'s result."""
        if "_takes_training" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}.__init__ must begin with super().__init__().")
        outermost = _enclosing.get() is None
        if outermost:
            self.clear_losses()
        training = bool(_enclosing.get() if training is None else training)
        before = _enclosing.set(training)
        outer, state.scope = state.scope, self.name
        try:
            outputs = self._called(args, kwargs | ({"training": training} if self._takes_training else {}))
            if self.activity_regularizer is not None:
                for leaf in flatten(outputs)[0]:
                    # Per sample, so that the strength does not depend on the batch size.
                    self.add_loss(self.activity_regularizer(leaf) / max(leaf.shape[0] if leaf.ndim else 1, 1))
        except RecursionError as error:
            if not outermost:
                raise
            raise RecursionError(
                f"{self._who()}: its layers are nested too deeply, or one of them contains itself. Put them side by "
                "side in one model, or raise Python's limit by sys.setrecursionlimit."
            ) from error
        finally:
            state.scope = outer  # first: Python looks for Ctrl-C after each call
            _enclosing.reset(before)
        return outputs

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._refuse_layers(args)
        args = tuple(map_leaves(self._converted, _array(arg)) for arg in args)
        if kwargs.keys() - {"training"}:
            kwargs = {name: map_leaves(self._converted_array, value) for name, value in kwargs.items()}
        shapes = map_leaves(_batch_free, args[0]) if args else ()
        if (
            self.input_spec is not None
            and not kwargs.keys() - {"training"}
            and not (args and isinstance(args[0], Tensor))
        ):
            raise ValueError(f"{self._who()} takes one array, got {_described(args)}.")
        self._check_shapes(shapes)
        try:
            if not self.built or self._unfinished:
                with preparing:
                    self._build_once(shapes)
            with autocast(self._seen_as()):
                return self.call(*args, **kwargs)
        except ShapeError as error:
            if _LAYER_NAMED.match(str(error)):  # by a layer inside, or by the check
                raise
            raise ShapeError(f"{self._who()}: {error}") from error

    def _refuse_layers(self, args: tuple[Any, ...]) -> None:
        for given in flatten(args)[0]:
            if isinstance(given, Layer):
                raise NotImplementedError(
                    f"{self._who()} was called on {given._who()}, a layer and no array: the functional API, in which "
                    "layers are called on Input() and Model takes inputs and outputs, is not there yet. Stack the "
                    "layers in a Sequential, or derive a class from Model and call them in its call()."
                )

    def _build_once(self, shapes: Any) -> None:
        if self.built:  # by another thread
            return
        with apart():
            self.build(shapes)
        self.built = True
        self._check_shapes(shapes)

    def _check_shapes(self, shapes: Any) -> None:
        if self.input_spec is not None and isinstance(shapes, tuple):
            self.input_spec.check(self._who(), shapes)

    def _converted(self, value: Any) -> Any:
        """Return arrays as tensors, floats in the dtype that the layer computes in."""
        if value is None or isinstance(value, str | bool):
            return value
        tensor = as_tensor(value)
        if self.autocast and is_floating(tensor.dtype) and tensor.dtype != self.compute_dtype:
            tensor = cast(tensor, dtype=self.compute_dtype)
        return tensor

    def _converted_array(self, value: Any) -> Any:
        """Return arrays as `_converted` does, and numbers and anything else as they are: options of `call`."""
        return self._converted(value) if hasattr(value, "__array__") else value

    def _floating(self, x: Tensor) -> Tensor:
        """Return integers and bools in the dtype that the layer computes in, floats as they are."""
        result: Tensor = x if is_floating(x.dtype) else cast(x, dtype=self.compute_dtype)
        return result

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the outputs for inputs of `input_shape`; None stands for any batch size."""
        return inferred_shape(self, input_shape, self.compute_dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


LAYERS: Family[Layer, None] = Family("layer", Layer, functions=False)


def inferred_shape(function: Any, input_shape: Shape, dtype: np.dtype) -> Any:
    """Return the output shapes of `function` for a symbolic input, with None where they follow the batch."""
    results = []
    with symbolic():
        for batch in _BATCHES:
            shape = tuple(batch if n is None else int(n) for n in input_shape)
            outputs = function(Tensor(None, Spec(shape, dtype)))
            results.append(map_leaves(lambda t: t.spec, outputs))
    first, second = (iter(flatten(r)[0]) for r in results)
    if None not in input_shape:
        return map_leaves(lambda s: s.shape, results[0])

    def merged(_: Any) -> Shape:
        pairs = zip(next(first).shape, next(second).shape, strict=True)
        return tuple(a if a == b else None for a, b in pairs)

    return map_leaves(merged, results[0])


def _array(value: Any) -> Any:
    """Return nested lists of numbers as one tensor, and anything else as it is."""
    numbers = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in flatten(value)[0])
    return as_tensor(value) if numbers and value else value


def _described(args: tuple[Any, ...]) -> str:
    """Return what was given in place of one array, in words."""
    if not args:
        return "nothing"
    given = args[0]
    if isinstance(given, list | tuple | dict):
        return f"a {type(given).__name__} of {len(given)}"
    return repr(given)


def _batch_free(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return None
    return (None, *value.shape[1:]) if value.ndim else ()
