"""A stack of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from gpudl.engine.calls import offer_calls
from gpudl.engine.enclosing import inside
from gpudl.engine.state import preparing
from gpudl.engine.symbol import KerasTensor, open_shape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest
from gpudl.layers import InputLayer, deserialize
from gpudl.layers.base.derived import derived
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.masks import keeping_mask, with_masks
from gpudl.layers.preprocessing.host import array_of
from gpudl.models.chain import Chain, require_known, require_shape
from gpudl.models.functional import CallGraph
from gpudl.models.model import Model
from gpudl.names import auto_name
from gpudl.ops import cast, reshape
from gpudl.registry import Config, serialize


class Sequential(Model):
    """A model in which the input of each layer is the result of the one before.

    Args:
        layers: the initial layers. If the first has an ``input_shape``, or is an `Input`, the weights are created
            immediately, else at the first call.
        trainable: whether the weights are updated in training.
        name: a name, ``sequential`` by default, numbered.

    Example:
        >>> model = gpudl.Sequential([gpudl.layers.Dense(2, input_shape=(3,)), gpudl.layers.ReLU()])
        >>> model.count_params()
        8
    """

    def __init__(self, layers: Iterable[object] | None = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(name=name, trainable=trainable)
        self._stack: list[Layer] = []
        self._input: InputLayer | None = None
        self._declared = False  # whether there is an explicit Input, and not only a shape
        for layer in layers or ():
            self.add(layer, rebuild=False)
        self._count_as_functional()

    def add(self, layer: object, rebuild: bool = True) -> None:
        """Add a layer on top of the stack; existing weights are kept.

        Raises:
            ValueError: it is not a layer, its name is taken, or it is this model itself.
            ShapeError: the layer does not fit the one below; then the stack is unchanged.
        """
        if isinstance(layer, KerasTensor) and layer.call is not None and isinstance(layer.call.operation, InputLayer):
            layer = layer.call.operation  # of an Input()
        if not isinstance(layer, Layer):
            raise ValueError(
                f"only layers can be added to a Sequential, got {layer!r} of type {type(layer).__name__}. "
                "Wrap a function in a Layer with a call()."
            )
        if any(inner is self for inner in layer._flattened()):
            raise ValueError(
                f"{self._who()} cannot be a layer of itself. Add a copy of it, copy.deepcopy(model), or another model."
            )
        if isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise ValueError("an Input can only come first in a Sequential.")
            self._take_input(layer)
            self._declared = True
            return
        if any(layer.name == other.name and layer is not other for other in self._stack):
            raise ValueError(f"the model has a layer called {layer.name!r} already: names must differ.")
        entry = self._input
        if not self._stack and entry is None and layer.batch_shape is not None:
            entry = InputLayer(batch_shape=layer.batch_shape, dtype=layer.compute_dtype)
        if entry is not None:
            with inside(self, self.name):  # whose name is in the paths of the weights
                self._known_chain(entry).follow([*self._stack, layer])
            self._take_input(entry)
            self.output_shape = getattr(layer, "output_shape", None)  # which a Sequential without layers has not
            self.built = True
        self._stack = [*self._stack, layer]
        self._offer()
        if rebuild:
            self._count_as_functional()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the topmost layer and return it."""
        if not self._stack:
            raise ValueError("there is no layer to take off.")
        layer = self._stack[-1]
        self._stack = self._stack[:-1]
        self.built = self.built and bool(self._stack)
        self.output_shape = getattr(self._stack[-1], "output_shape", None) if self._stack else None
        self._count_as_functional()
        return layer

    def _count_as_functional(self) -> None:
        """Take a name: Keras makes a functional model of what is built, so the next one has a higher number there."""
        if self.built:
            auto_name("functional")

    def _take_input(self, layer: InputLayer) -> None:
        self._input, self.batch_shape = layer, layer.batch_shape

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the `Input`."""
        self._offer()
        return list(self._stack)

    def saved_layers(self) -> list[Layer]:
        """Return the layers, which files have by their numbers."""
        return self.layers

    def _offer(self) -> None:
        """Create symbols when the `input` or `output` of a layer is first read."""
        for layer in self._stack:
            offer_calls(layer, self._symbols_if_known)

    @property
    def input_shape(self) -> Any:
        """The shape of a batch of inputs, with None for the batch size; AttributeError before it is known."""
        return require_known(self._who(), "input_shape", self.batch_shape)

    @property
    def output_shape(self) -> Any:
        """The shape of the outputs, with None for the batch size; AttributeError before it is known."""
        return require_known(self._who(), "output_shape", super().output_shape)

    @output_shape.setter
    def output_shape(self, shape: Any) -> None:
        self._output_shape, self._inputs_seen = shape, None

    def build(self, input_shape: Any = None) -> None:
        """Create the weights of every layer for inputs of `input_shape`, or of a nest of shapes."""
        self._require_layers()
        if any(isinstance(size, Iterable) for size in input_shape or ()):
            super().build(input_shape)
        elif self._input is None:
            entry = InputLayer(batch_shape=tuple(input_shape), dtype=self._stack[0].compute_dtype)
            self._known_chain(entry).follow(self._stack)
            self.output_shape = getattr(self._stack[-1], "output_shape", None)
            self._take_input(entry)
            auto_name("functional")
        elif input_shape is not None and self.batch_shape is not None:
            require_shape(self._who(), self.batch_shape, input_shape, 0)
        self.built = True

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Return the result of the topmost layer."""
        if isinstance(inputs, list | tuple) and len(inputs) == 1:
            (inputs,) = inputs
        if mask is not None:
            inputs = with_masks(inputs, mask)
        if self._on_host() and (graph := self._host_graph()) is not None:
            return graph(inputs, self._who())
        if not isinstance(inputs, Tensor):
            return self._call_on_nest(inputs, training)
        if self._input is None:
            with preparing:
                if self._input is None:
                    return self._build_by_call(inputs, training)
        return self._through(self._fitted(inputs), training)

    def _on_host(self) -> bool:
        return any(getattr(layer, "on_host", False) for layer in self._stack)

    def _host_graph(self, inputs: object = None) -> CallGraph | None:
        if self._input is None and inputs is not None:
            array = array_of(inputs, self._who())
            dtype = "string" if array.dtype.kind in "OSU" else array.dtype
            self._take_input(InputLayer(batch_shape=(None, *array.shape[1:]), dtype=dtype))
        if self._input is None:
            return None
        chain = self._known_chain(self._input)
        symbols = chain.follow(self._stack)
        chain.graph = chain.graph or CallGraph(symbols[0], symbols[-1])
        self.built = True
        return chain.graph

    def _through(self, value: Nest[Tensor], training: bool) -> Nest[Tensor]:
        for layer in self._stack:
            value = layer(value, training=training)
        return value

    def _call_on_nest(self, inputs: Nest[Tensor], training: bool) -> Nest[Tensor]:
        """Return what the topmost layer returns; the lowest one takes a nest of arrays."""
        self._require_layers()
        if self._input is not None:
            raise ValueError(
                f"{self._who()} takes one array, got a {type(inputs).__name__} of {len(inputs)}. np.stack makes one "
                "array of a list of samples; for several inputs derive from Model."
            )
        return self._through(inputs, training)

    def _build_by_call(self, inputs: Tensor, training: bool) -> object:
        """Build the layers as they are called, and accept inputs of this shape from now on."""
        self._require_layers()
        entry = InputLayer(batch_shape=(None, *open_shape(inputs.shape[1:])), dtype=self._stack[0].compute_dtype)
        value: Any = inputs
        for layer in self._stack:
            if isinstance(value, Tensor):
                layer._note_inputs(value)
            value = layer(value, training=training)
        self._note_inputs(inputs)
        self._take_input(entry)
        self._count_as_functional()
        return value

    def _require_layers(self) -> None:
        if not self._stack:
            raise ValueError(f'Sequential "{self.name}" has no layers: add some before it is built or called.')

    def _typed(self, tensor: Tensor) -> Tensor:
        """Return a tensor unchanged: it is cast to the dtype of an `Input` that was given, and then by each layer."""
        return tensor

    def _masks_inside(self) -> bool:
        return True

    def _require_open(self) -> None:
        """Accept the inputs of the first call from then on."""

    def _fitted(self, inputs: Tensor) -> Tensor:
        """Return the inputs in the shape of the `Input`; scalar samples may lack their axis of size 1.

        They are cast to the dtype of an explicit `Input`. Without one, integers stay integers until a layer needs
        floats, since those of an embedding may be too large for the floats that the layers compute in.
        """
        assert self._input is not None
        given = inputs
        shape, dtype = self._input.batch_shape, self._input.dtype if self._declared else inputs.dtype
        if inputs.ndim == len(shape) - 1 and shape[-1] == 1:
            inputs = reshape(inputs, (*inputs.shape, 1))
        require_shape(self._who(), shape, inputs.shape, 1)
        return keeping_mask(given, inputs if inputs.dtype == dtype else cast(inputs, dtype=dtype))

    @derived
    def input(self) -> Any:
        """The symbol for the inputs, if their shape is known; a `Model` can be made from it and a layer's `output`."""
        return self._symbols()[0]

    @derived
    def output(self) -> Any:
        """The symbols for the result of the topmost layer, if the shape of the inputs is known."""
        return self._symbols()[-1]

    def _symbols(self) -> list[Nest[KerasTensor]]:
        """Return symbols for the inputs and for the result of each layer; they are created at the first access."""
        return require_known(self._who(), "symbols for its inputs and outputs", self._symbols_if_known() or None)

    def _symbols_if_known(self) -> list[Nest[KerasTensor]]:
        if self._input is None or not self._stack:
            return []
        return self._known_chain(self._input).follow(self._stack)

    def _known_chain(self, entry: InputLayer) -> Chain:
        known: Chain | None = vars(self).get("_chain")
        if known is None or known.entry is not entry:
            known = Chain(entry)
            object.__setattr__(self, "_chain", known)  # without marking steps as changed
        return known

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in super().__getstate__().items() if name != "_chain"}

    def get_config(self) -> Config:
        """Return the name and the layers, with the `Input` or the shape that it was built for, as plain data."""
        entry, shape = (self._input, None) if self._declared else (None, self.batch_shape)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in (entry, *self._stack) if layer is not None],
            "build_input_shape": shape,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new model, with new weights, of the layers in `config`.

        Args:
            config: a result of `get_config`.
            custom_objects: the classes of your own layers by name.
        """
        made: dict[str, Layer] = {}
        for layer in config["layers"]:  # a layer that is in the stack twice is created once
            made[repr(layer)] = made.get(repr(layer)) or deserialize(layer, custom_objects)
        layers = [made[repr(layer)] for layer in config["layers"]]
        model = cls(layers, trainable=config.get("trainable", True), name=config.get("name"))
        if config.get("build_input_shape") is not None:
            model.build(config["build_input_shape"])
        return model
