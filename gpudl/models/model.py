"""A model: a layer with training and reports."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Self

from gpudl.custom_objects import custom_object_scope
from gpudl.engine.symbol import KerasTensor, OpenShape
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest
from gpudl.layers.base.build_shapes import inferred_shape
from gpudl.layers.base.derived import derived
from gpudl.layers.base.layer import Layer
from gpudl.layers.base.masks import with_masks
from gpudl.models.exported import Exported
from gpudl.models.functional import CallGraph
from gpudl.models.given_inputs import sorted_leaves
from gpudl.models.graph_config import graph_config
from gpudl.models.graph_from_config import graph_from
from gpudl.names import auto_name
from gpudl.registry import Config
from gpudl.saving import load_weights, save_model, save_weights, serialize_keras_object
from gpudl.training.data.mapped import Prepare


class Model(Exported):
    """A layer with a training loop, from inputs and outputs, or as a subclass with `__init__` and `call`.

    ``Model(inputs, outputs)`` makes the calls of layers and functions of `gpudl.ops` that lead from the inputs to the
    outputs; either may be a nest of symbols. A subclass creates its layers in `__init__`, and calls them in `call`.

    `train_step`, `test_step`, `predict_step`, `compute_loss` and `compute_metrics` may be overridden; what they
    compute with tensors is still recorded once and replayed.

    Args:
        inputs: a symbol that `Input` returns, or a nest of them.
        outputs: the symbols that were computed from them, one or a nest.
        name: a name; by default ``functional`` or the class name in snake case, numbered.
        **kwargs: those of `Layer`.

    Raises:
        ValueError: an input or output is not a symbol, or the outputs need an input that is not given.

    Example:
        >>> x = gpudl.Input((2,))
        >>> hidden = gpudl.layers.Dense(4, activation="relu")(x)
        >>> gpudl.Model(x, gpudl.layers.Dense(1)(hidden) + 1).predict(np.ones((3, 2)), verbose=0).shape
        (3, 1)
        >>> class TwoLayers(gpudl.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = gpudl.layers.Dense(4, activation="relu")
        ...         self.out = gpudl.layers.Dense(1)
        ...
        ...     def call(self, x):
        ...         return self.out(self.hidden(x))
        >>> TwoLayers().predict(np.ones((3, 2)), verbose=0).shape
        (3, 1)
    """

    def __init__(
        self, inputs: object = None, outputs: object = None, name: str | None = None, **kwargs: object
    ) -> None:
        self._graph: CallGraph | None = None
        if inputs is None and outputs is None:
            super().__init__(name=name, **kwargs)
            return
        if inputs is None or outputs is None:
            raise ValueError(
                f"{type(self).__name__} got {'outputs' if inputs is None else 'inputs'} alone: it takes symbols for "
                "inputs and outputs, such as Input() and what layers return for it, or neither and has a call()."
            )
        graph = CallGraph(inputs, outputs)
        functional = auto_name("functional") if type(self) is Model and name is None else name
        super().__init__(name=functional, **kwargs)
        self._graph = graph
        self._calls = tuple(graph.layers)
        self.built = True
        self.batch_shape = self.input_shape if isinstance(self.input, KerasTensor) else None

    @property
    def path(self) -> str | None:
        """The names of the layers around the model, and its own; None before it is built."""
        known: str | None = vars(self).get("_path")
        return known or (self.name if self.built else None)

    @path.setter
    def path(self, path: str | None) -> None:
        vars(self)["_path"] = path

    @derived
    def input(self) -> Any:
        """The input symbols of a functional model, in their nest; else the symbols the model was called on."""
        return self._graph.inputs if self._graph is not None else super().input

    @derived
    def output(self) -> Any:
        """The symbols for the outputs of a functional model, in their nest; else the symbols that a call returned."""
        return self._graph.outputs if self._graph is not None else super().output

    @derived
    def inputs(self) -> list[KerasTensor]:
        """The list of the input symbols."""
        return list(sorted_leaves(self.input))

    @derived
    def outputs(self) -> list[KerasTensor]:
        """The list of the output symbols."""
        return list(sorted_leaves(self.output))

    @derived
    def input_names(self) -> list[str]:
        """The names of the inputs of a functional model, in the order of `inputs`."""
        return self._known_graph("input_names").input_names

    @derived
    def output_names(self) -> list[str]:
        """The names of the layers and ops that return the outputs of a functional model, in the order of `outputs`."""
        return self._known_graph("output_names").output_names

    @property
    def _keras_path(self) -> tuple[str, str] | None:
        """The module and the class that Keras has for a model of inputs and outputs."""
        own = type(self) is not Model or self._graph is None
        return None if own else ("keras.src.models.functional", "Functional")

    def _known_graph(self, wanted: str) -> CallGraph:
        if self._graph is None:
            raise AttributeError(f"{self._who()} has no {wanted}: it is no functional model, Model(inputs, outputs).")
        return self._graph

    @property
    def input_shape(self) -> Any:
        """The shape of the input with None for unknown sizes, or a list of those of `inputs`."""
        return _shapes(self.inputs)

    @property
    def output_shape(self) -> Any:
        """The shape of the output with None for unknown sizes, or a list of those of `outputs`.

        For a model that is not functional it is a nest as `call` returns it.
        """
        return super().output_shape if self._graph is None else _shapes(self.outputs)

    @output_shape.setter
    def output_shape(self, shape: Any) -> None:
        self._output_shape, self._inputs_seen = shape, None

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside; those of a functional model from the inputs to the outputs."""
        return list(self._children) if self._graph is None else self._graph.layers

    def get_config(self) -> Config:
        """Return the name, the layers and their calls, or the arguments of the class's own constructor."""
        if self._graph is None or type(self).__init__ is not Model.__init__:
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **graph_config(self._graph)}

    def get_build_config(self) -> Config | None:
        """Return the shape of the inputs; None where the config has it, or before the model is built."""
        if self._graph is not None:
            return None
        known = self.built and self.batch_shape is not None
        return super().get_build_config() or ({"input_shape": self.batch_shape} if known else None)

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new model, with new weights.

        Args:
            config: a result of `get_config`, of gpudl's or of Keras's.
            custom_objects: the user's classes and functions by name.

        Raises:
            ValueError: a class that is not known, or a call of a result that is not in the config.
        """
        with custom_object_scope(custom_objects):
            if cls.__init__ is not Model.__init__ or "input_layers" not in config:
                return super().from_config(config)
            inputs, outputs = graph_from(config)
            return cls(inputs, outputs, name=config.get("name"), trainable=config.get("trainable", True))

    def saved_layers(self) -> list[Layer] | None:
        """Return the layers that files have by their numbers; None where they have the names of attributes."""
        return None if self._graph is None else self.layers

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True, zipped: bool | None = None) -> None:
        """Write the model, its weights and how it was compiled to a ``.keras`` file: `saving.save_model`."""
        save_model(self, filepath, overwrite, zipped)

    def to_json(self, **kwargs: Any) -> str:
        """Return the layers as JSON for `models.model_from_json`; the options are those of `json.dumps`."""
        return json.dumps(serialize_keras_object(self), **kwargs)

    def save_weights(
        self, filepath: str | os.PathLike[str], overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Write the weights, and the optimizer's state, to one or several ``.weights.h5``: `saving.save_weights`."""
        save_weights(self, filepath, overwrite, max_shard_size)

    def load_weights(
        self, filepath: str | os.PathLike[str], skip_mismatch: bool = False, by_name: bool = False
    ) -> None:
        """Set the weights, and the optimizer's state, from a file: `saving.load_weights`."""
        load_weights(self, filepath, skip_mismatch, by_name)

    @derived
    def operations(self) -> list[object]:
        """The layers of a functional model, and the plain ops between them."""
        return list(self.layers) if self._graph is None else list(self._graph.operations)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; implemented by subclasses that are not functional models."""
        if self._graph is None:
            return super().call(*args, **kwargs)
        inputs, *more = args or (kwargs.pop("inputs", None),)
        if more:
            raise ValueError(f"{self._who()} takes one nest of inputs, got {len(args)} arguments. Put them in a list.")
        if kwargs.get("mask") is not None:
            inputs = with_masks(inputs, kwargs["mask"])
        return self._graph(inputs, self._who())

    def _has_call(self) -> bool:
        return self._graph is not None or type(self).call is not Model.call

    def _typed(self, tensor: Tensor) -> Tensor:
        """Return a tensor unchanged where the model is functional, which casts it to the dtype of its input."""
        return super()._typed(tensor) if self._graph is None else tensor

    def _masks_inside(self) -> bool:
        return self._graph is not None

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or by index; a negative index counts from the last one.

        Raises:
            ValueError: no layer has the name, the index is out of range, or both or neither are given.

        Example:
            >>> model = gpudl.Sequential([gpudl.layers.Dense(1, name="line")])
            >>> model.get_layer("line") is model.get_layer(index=0)
            True
        """
        layers = self.layers
        if (index is None) == (name is None):
            raise ValueError(f"get_layer takes either the name of a layer or its index, got {name!r} and {index!r}.")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self._who()} has no layer at index {index}: it only has {len(layers)} layers.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(f"No such layer: {name}. The layers are {', '.join(la.name for la in layers)}.")

    def _on_host(self) -> bool:
        """Return whether layers at the beginning work on the host, on the data before a step."""
        return self._graph is not None and self._graph.host is not None

    def _host_graph(self, inputs: object = None) -> CallGraph | None:
        """Return the graph of a model that begins on the host, for which `inputs` are data."""
        return self._graph

    def _preparation(self) -> Prepare | None:
        return self._prepare if self._on_host() else None

    def _prepare(self, inputs: object) -> object:
        """Return what a step takes for data: the results of the layers that work on the host."""
        graph = self._host_graph(inputs)
        if graph is None or graph.host is None or graph.host.has_prepared(inputs):
            return inputs
        return graph.prepared(inputs, self._who())

    def _called(self, args: tuple[object, ...], kwargs: dict[str, Any]) -> Any:
        if args and self._on_host():
            args = (self._prepare(args[0]), *args[1:])
        before, self.built = self.built, True  # the layers inside build themselves as `call` reaches them
        try:
            return super()._called(args, kwargs)
        except BaseException:
            self.built = before
            raise

    def build(self, input_shape: Nest[OpenShape]) -> None:
        """Create the weights of every layer, by shape inference of `call`.

        Args:
            input_shape: shape of a batch; None means any batch size.
        """
        self.output_shape = inferred_shape(self, input_shape, self.dtype)


def _shapes(found: list[KerasTensor]) -> object:
    """Return the shape of an only symbol, or a list of shapes."""
    shapes = [symbol.shape for symbol in found]
    return shapes[0] if len(shapes) == 1 else shapes
