"""The base of every layer: weights, building on first use, tracking, errors that name the layer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Self

import numpy as np

from gpudl import regularizers
from gpudl.argument_errors import refuse_others
from gpudl.engine.calls import inferred
from gpudl.engine.convert import as_tensor
from gpudl.engine.enclosing import Frame, Scope, innermost
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import autocast, preparing, state
from gpudl.engine.symbol import KerasTensor, any_symbol
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.layers.base.build import HasBuildConfig, all_or_nothing, apart
from gpudl.layers.base.build_shapes import build_arguments, open_batch, with_batch
from gpudl.layers.base.config import HasConfig
from gpudl.layers.base.dtype_policy import HasDtypePolicy
from gpudl.layers.base.input_spec import Shape, Specs, check_inputs
from gpudl.layers.base.masks import HasMasks, keeping_mask, said_or_carried
from gpudl.layers.base.options import DtypeLike, LayerOptions, looked_up
from gpudl.layers.base.stateless import HasStatelessCall
from gpudl.layers.base.symbols import HasSymbols
from gpudl.names import auto_name, snake_case
from gpudl.ops import cast
from gpudl.registry import Family, Identifier
from gpudl.utils.checks import sizes
from gpudl.utils.options import defaults, spelled_out

# Arguments of Keras's layers that are supported with these values only.
_OFF = {
    "quantization_config": None,
    "rms_scaling": False,
}
_LAYER_NAMED = re.compile(r'\w+ "[^"]*"')


class Layer(HasMasks, HasSymbols, HasBuildConfig, HasStatelessCall, HasDtypePolicy, HasConfig):
    """A callable with weights. Subclasses implement `build` (called when the input shape is known) and `call`.

    Args:
        name: a name; by default the class name in snake case, numbered.
        trainable: whether the weights are updated in training.
        dtype: a dtype of weights and computation, or a policy of both, as for `dtype_policies.get`; by default
            `config.dtype_policy()`.
        autocast: whether floating-point inputs and weights are cast to the dtype of computation.
        activity_regularizer: a regularizer of the outputs.
        input_shape: shape of one sample, for the first layer of a `Sequential`.
        input_dim: size of one sample with one axis, instead of `input_shape`.

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

    _options: Mapping[str, object] = {}  # the options of its family, with their defaults
    _complete_with: Callable[..., None] | None = None  # the build() that leaves a new layer nothing to do

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Begin to track attributes, even before ``super().__init__()``."""
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
        **others: object,
    ) -> None:
        for option, default in self._options.items():
            setattr(self, option, looked_up(option, others.pop(option, default)))
        refuse_others(type(self), others, _OFF)
        self._trainable = trainable
        self._added_losses: list[Tensor] = []
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(f"the name of a layer is text without a slash, got {name!r}.")
        self.name = name if name is not None else auto_name(snake_case(type(self).__name__))
        self._begin_typing(dtype, autocast)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = type(self).build is type(self)._complete_with
        self.input_spec: Specs = None
        self.output_shape = None
        kind = type(self).__name__
        if input_dim is not None:
            input_shape = sizes(kind, "input_dim", (input_dim,))
        self.batch_shape: Shape | None = None
        if input_shape is not None:
            self.batch_shape = (None, *sizes(kind, "input_shape", input_shape))
        taken = inspect.signature(self.call).parameters
        self._takes_training = "training" in taken
        self._training_default = _default_of(taken.get("training"))
        self._begin_masking(taken)

    def __init_subclass__(cls, options: type | None = None, complete: bool = False, **kwargs: object) -> None:
        """Prepare a subclass: `options` of its constructor; `complete` if it is built once it is made, as in Keras."""
        super().__init_subclass__(**kwargs)
        if options is not None:
            shared = defaults(options)
            cls._options = {
                name: default for name, default in shared.items() if name not in LayerOptions.__annotations__
            }
            cls.__init__ = spelled_out(cls.__init__, shared)  # type: ignore[method-assign]
        if "build" in vars(cls):
            cls.build = all_or_nothing(cls.build)  # type: ignore[method-assign]
        if complete:
            cls._complete_with = cls.build

    @all_or_nothing
    def build(self, input_shape: Shape) -> None:
        """Create the weights for inputs of `input_shape`, whose batch size is None."""

    def _needs_build(self) -> bool:
        """Return whether `build`, or the first call, creates weights."""
        return type(self).build is not Layer.build or bool(self._children)

    def _keeps_batch(self) -> bool:
        """Return whether all batches must have the size of the first, which `build` then gets too."""
        return False

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs."""
        raise NotImplementedError(f"{type(self).__name__} must implement call().")

    def __call__(self, *args: object, training: bool | None = None, **kwargs: object) -> Any:
        """Build the layer if this is its first call, then return `call`'s result.

        Called with symbols, such as an `Input`, it returns symbols, from which a `Model` can be made. Masks of the
        inputs that `call` accepts, as ``mask`` or ``query_mask``, are passed to it.
        """
        if "_training_default" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}.__init__ must begin with super().__init__().")
        if self._mask_arguments:
            kwargs = self._with_masks(args, kwargs)
        if any_symbol(args) or (kwargs and any_symbol(kwargs.values())):
            first = first_of(args, kwargs)
            outputs = self._remembered(args, kwargs if training is None else kwargs | {"training": training})
            self._mask_outputs(first, said_or_carried(first, kwargs), outputs)
            return outputs
        outer = innermost.get()
        if outer is None or isinstance(outer.layer, Scope):
            self.clear_losses()
        if outer is not None and training is None:
            training = outer.training
        if training is None:
            training = self._training_default
        if training is not None and self._takes_training:
            kwargs["training"] = bool(training)
        before = innermost.set(Frame(self, self.name, training, outer))
        scope, state.scope = state.scope, self.name
        try:
            outputs = self._called(args, kwargs)
            if self.activity_regularizer is not None:
                for leaf in flatten(outputs)[0]:
                    # Divided by the batch size, so that the strength does not depend on it.
                    self.add_loss(self.activity_regularizer(leaf) / max(leaf.shape[0] if leaf.ndim else 1, 1))
        except RecursionError as error:
            if outer is not None:
                raise
            raise RecursionError(
                f"{self._who()}: its layers are nested too deeply, or one of them contains itself. Use one model "
                "with all of them, or raise Python's limit by sys.setrecursionlimit."
            ) from error
        finally:
            state.scope = scope  # first, since Python checks for Ctrl-C after each call
            innermost.reset(before)
        return outputs

    def _called(self, args: tuple[object, ...], kwargs: dict[str, Any]) -> Any:
        args = tuple(map_leaves(self._converted, _array(arg)) for arg in args)
        if kwargs.keys() - {"training"}:
            kwargs = {name: map_leaves(self._converted_array, value) for name, value in kwargs.items()}
        first = first_of(args, kwargs)
        masks = said_or_carried(first, kwargs)
        self._check(first)
        try:
            if not self.built or self._unfinished:
                with preparing:
                    self._build_once(first, args, kwargs)
            with autocast(self._seen_as()):
                outputs = self.call(*args, **kwargs)
        except ShapeError as error:
            if _LAYER_NAMED.match(str(error)):  # by a layer inside, or by the check
                raise
            raise ShapeError(f"{self._who()}: {error}") from error
        self._mask_outputs(first, masks, outputs)
        return outputs

    def _build_once(self, first: Nest[Tensor], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        if self.built:  # by another thread
            return
        if getattr(self.call, "__func__", None) is Layer.call:
            self.call()  # says that it is missing, which shapes for `build` would hide
        shape_of = with_batch if self._keeps_batch() else open_batch
        given = build_arguments(self._who(), self.build, self.call, args, kwargs, shape_of)
        with apart():
            self.build(**given)
        self.built = True
        self._check(first)

    def _build_for_symbols(self, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        if type(self).build is Layer.build and self._children:  # which the call builds
            inferred(self, args, kwargs)
        else:
            args, kwargs = map_leaves(_stand_in, args), map_leaves(_stand_in, kwargs)
            with preparing:
                self._build_once(first_of(args, kwargs), args, kwargs)

    def _check(self, inputs: Nest[Tensor]) -> None:
        if self.input_spec is not None:
            check_inputs(self._who(), self.input_spec, inputs)

    def _converted(self, value: object) -> Tensor | None:
        """Return arrays as tensors, with floats cast to the dtype of computation."""
        if value is None:
            return None
        if isinstance(value, Layer):
            raise TypeError(
                f"{self._who()} was called on {value._who()}, which is a layer, not an array. Call that layer on "
                "Input() or on data first, and this one on the result."
            )
        if isinstance(value, str | bool | int | float) and not isinstance(value, np.generic):
            raise ValueError(
                f"{self._who()}: Only input tensors may be passed as positional arguments, got {value!r} of type "
                f"{type(value).__name__}. Give it by keyword, as one of the options of call()."
            )
        tensor = as_tensor(value)
        return keeping_mask(tensor, self._typed(tensor))

    def _typed(self, tensor: Tensor) -> Tensor:
        """Return floats in the dtype that the layer computes in, and anything else unchanged."""
        if self.autocast and tensor.dtype != self._computes_in and is_floating(tensor.dtype):
            return cast(tensor, dtype=self._computes_in)
        return tensor

    def _converted_array(self, value: object) -> object:
        """Return arrays converted by `_converted`, and anything else, such as options of `call`, unchanged."""
        return self._converted(value) if hasattr(value, "__array__") else value

    def _floating(self, x: Tensor) -> Tensor:
        """Return integers and bools cast to the dtype of computation, floats unchanged."""
        return x if is_floating(x.dtype) else cast(x, dtype=self._computes_in)

    def quantize(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise NotImplementedError: gpudl computes with floats of 16, 32 and 64 bits."""
        raise NotImplementedError(
            f"{self._who()}: quantize() is not supported. dtype='mixed_bfloat16' computes in 16 bits."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


LAYERS: Family[Layer, None] = Family("layer", Layer, functions=False)


def _stand_in(value: object) -> object:
    """Return a tensor without values for a symbol, and anything else unchanged."""
    return value.pair.tensors()[0] if isinstance(value, KerasTensor) else value


def _array(value: object) -> object:
    """Return nested lists of numbers as one tensor, and anything else unchanged."""
    numbers = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in flatten(value)[0])
    return as_tensor(value) if numbers and value else value


def first_of(args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
    """Return the first argument of a call, the one that masks, shapes and specs are about."""
    return (
        args[0] if args else next((value for name, value in kwargs.items() if name not in ("mask", "training")), None)
    )


def _default_of(parameter: inspect.Parameter | None) -> bool | None:
    """Return what `call` takes for ``training`` by itself; False where it must be given something."""
    if parameter is None:
        return None
    default: bool | None = False if parameter.default is parameter.empty else parameter.default
    return default
