"""The base of every layer: weights, building on first use, tracking, errors that name the layer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Self

import numpy as np

from gpudl import regularizers
from gpudl.engine.calls import Call, calls_of, remember
from gpudl.engine.convert import as_tensor
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import autocast, preparing, state
from gpudl.engine.symbol import any_symbol
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.layers.base.build import all_or_nothing, apart
from gpudl.layers.base.build_shapes import build_arguments, inferred_shape, open_batch
from gpudl.layers.base.config import HasConfig
from gpudl.layers.base.derived import derived
from gpudl.layers.base.dtype_policy import HasDtypePolicy
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.options import DtypeLike, LayerOptions, looked_up
from gpudl.layers.base.weights import HasWeights
from gpudl.names import auto_name, snake_case
from gpudl.ops import cast
from gpudl.registry import Family, Identifier, refuse_others
from gpudl.utils.checks import sizes
from gpudl.utils.options import defaults, spelled_out

# Arguments of Keras's layers that are understood at these values only.
_OFF = {
    **dict.fromkeys(("quantization_config", "lora_rank", "lora_alpha", "renorm_clipping")),
    **dict.fromkeys(("synchronized", "renorm", "rms_scaling"), False),
    "renorm_momentum": 0.99,
}
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
    _output_shape: Any = None
    _inputs_seen: tuple[Any, np.dtype] | None = None
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
        self.output_shape = None
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
        """Build the layer if this is its first call, then return `call`'s result.

        Called with symbols, such as an `Input`, it returns symbols, of which a `Model` can be made.
        """
        if "_takes_training" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}.__init__ must begin with super().__init__().")
        if any_symbol(args) or (kwargs and any_symbol(kwargs.values())):
            return remember(self, args, kwargs if training is None else kwargs | {"training": training})
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
        args = tuple(map_leaves(self._converted, _array(arg)) for arg in args)
        if kwargs.keys() - {"training"}:
            kwargs = {name: map_leaves(self._converted_array, value) for name, value in kwargs.items()}
        shapes = map_leaves(open_batch, args[0]) if args else ()
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
                    self._build_once(shapes, args, kwargs)
            with autocast(self._seen_as()):
                return self.call(*args, **kwargs)
        except ShapeError as error:
            if _LAYER_NAMED.match(str(error)):  # by a layer inside, or by the check
                raise
            raise ShapeError(f"{self._who()}: {error}") from error

    def _build_once(self, shapes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.built:  # by another thread
            return
        given = build_arguments(self._who(), self.build, self.call, args, kwargs)
        with apart():
            self.build(**given)
        self.built = True
        self._check_shapes(shapes)

    def _check_shapes(self, shapes: Any) -> None:
        if self.input_spec is not None and isinstance(shapes, tuple):
            self.input_spec.check(self._who(), shapes)

    def _converted(self, value: Any) -> Any:
        """Return arrays as tensors, floats in the dtype that the layer computes in."""
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, Layer):
            raise TypeError(
                f"{self._who()} was called on {value._who()}, a layer and no array. Call that layer on Input() or on "
                "data first, and this one on what it returns."
            )
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

    @property
    def output_shape(self) -> Any:
        """The shape of the outputs, with None for the batch size; None before it is known."""
        if self._output_shape is None and self._inputs_seen is not None:
            outer = _enclosing.set(bool(_enclosing.get()))  # no call of its own: the losses of the last one stay
            try:
                self._output_shape = inferred_shape(self, *self._inputs_seen)
            finally:
                _enclosing.reset(outer)
        return self._output_shape

    @output_shape.setter
    def output_shape(self, shape: Any) -> None:
        self._output_shape, self._inputs_seen = shape, None

    def _note_inputs(self, inputs: Tensor) -> None:
        """Note what the layer is called with, from which `output_shape` follows when somebody asks for it."""
        self._output_shape, self._inputs_seen = None, (open_batch(inputs), inputs.dtype)

    @derived
    def input(self) -> Any:
        """The symbol, or the symbols in a list, that the layer took in its first call on symbols."""
        found = self._first_call("input").inputs
        return found[0] if len(found) == 1 else found

    @derived
    def output(self) -> Any:
        """The symbols that the layer returned to its first call on symbols."""
        return self._first_call("output").outputs

    def _first_call(self, wanted: str) -> Call:
        calls = calls_of(self)
        if not calls:
            raise AttributeError(
                f"{self._who()} has no {wanted}: it was not called on symbols. Call it on Input(shape), or on what "
                "layers return for that."
            )
        return calls[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the outputs for inputs of `input_shape`; None stands for any batch size."""
        return inferred_shape(self, input_shape, self.compute_dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


LAYERS: Family[Layer, None] = Family("layer", Layer, functions=False)


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
