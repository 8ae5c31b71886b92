"""Cloning models: the same layers with new weights, or with layers from a function."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TypeVar

from gpudl.engine.calls import Operation
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tree import Nest, flatten
from gpudl.layers import Input, InputLayer
from gpudl.layers.base.layer import Layer
from gpudl.models.given_inputs import sorted_leaves
from gpudl.models.model import Model
from gpudl.models.sequential import Sequential

M = TypeVar("M", bound=Model)
CloneFunction = Callable[[Layer], Layer]
CallFunction = Callable[..., Nest[KerasTensor]]


def clone_model(
    model: Layer,
    input_tensors: Nest[KerasTensor] | None = None,
    clone_function: CloneFunction | None = None,
    call_function: CallFunction | None = None,
    recursive: bool = False,
) -> Layer:
    """Return a model with layers of the same kinds and names as those of `model`, and with weights of its own.

    Its weights are initialized again; ``set_weights(model.get_weights())`` makes them the same. If the model is
    compiled the new one is compiled alike, with an optimizer, losses and metrics of its own.

    Args:
        model: a functional model or a `Sequential`; without further arguments any layer that its config makes again.
        input_tensors: the inputs of the new model, in the structure of ``model.input``; by default new ones.
        clone_function: makes a layer of each layer that is no input; by default ``from_config(get_config())``.
        call_function: ``call_function(layer, *args, **kwargs)`` calls each new layer and op on symbols, and may do
            more with them; for functional models.
        recursive: whether layers of models inside the model are given to `clone_function` too, in place of these
            models.

    Raises:
        ValueError: `clone_function` or `input_tensors` for a model that is neither functional nor a `Sequential`,
            `call_function` for another than a functional one, or `input_tensors` in another structure.

    Example:
        >>> model = gpudl.Sequential([gpudl.Input((3,)), gpudl.layers.Dense(2, name="line")])
        >>> clone = gpudl.models.clone_model(model)
        >>> clone.get_layer("line") is model.get_layer("line"), clone.get_layer("line").units
        (False, 2)
    """
    if call_function is not None and not _is_functional(model):
        raise ValueError(f"call_function is for functional models only, got {model._who()}: leave it out.")
    if not isinstance(model, Model) or not _is_made_of_layers(model):
        if clone_function is not None or input_tensors is not None or recursive:
            raise ValueError(
                "clone_function, input_tensors and recursive are for functional models and Sequential, got "
                f"{model._who()}: a model of an own class is made by its config alone."
            )
        return type(model).from_config(model.get_config())
    if input_tensors is not None and flatten(input_tensors)[1] != flatten(model.input)[1]:
        raise ValueError(
            f"input_tensors must have the same structure as model.input, {model.input!r}, got {input_tensors!r}."
        )

    def cloned(layer: Layer) -> Layer:
        if recursive and _is_made_of_layers(layer):
            given = None if isinstance(layer, Sequential) else call_function
            return clone_model(layer, clone_function=clone_function, call_function=given, recursive=True)
        if clone_function is not None:
            return clone_function(layer)
        if _is_made_of_layers(layer):
            return clone_model(layer)
        return type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        clone: Model = _sequential(model, cloned, input_tensors)
    else:
        clone = _functional(model, cloned, input_tensors, call_function)
    if model._compiled is not None and type(clone).compile is Model.compile:
        optimizer = model.optimizer
        alike = optimizer and type(optimizer).from_config(optimizer.get_config())
        clone.compile(**deepcopy({**model._compiled.arguments, "optimizer": alike}))
    return clone


def _is_functional(layer: Layer) -> bool:
    return isinstance(layer, Model) and layer._graph is not None


def _is_made_of_layers(layer: Layer) -> bool:
    return isinstance(layer, Sequential) or _is_functional(layer)


def _class_of(model: Model, general: type[M]) -> type[M]:
    """Return the class of a model where it is made as those of the `general` one are, else that."""
    own = type(model)
    return own if issubclass(own, general) and own.__init__ is general.__init__ else general


def _functional(
    model: Model,
    cloned: CloneFunction,
    inputs: Nest[KerasTensor] | None,
    call_function: CallFunction | None,
) -> Model:
    graph = model._known_graph("inputs")
    if inputs is None:
        inputs = graph.inputs_like(lambda symbol, name: Input(batch_shape=symbol.shape, dtype=symbol.dtype, name=name))

    def exchanged(operation: Layer | Operation) -> Layer | Operation:
        if isinstance(operation, Operation):
            return Operation(operation.function, name=operation.name)
        return cloned(operation)

    outputs = graph.called_with(list(sorted_leaves(inputs)), exchanged, call_function or _called)
    return _class_of(model, Model)(inputs, outputs, name=model.name)


def _called(operation: Callable[..., Nest[KerasTensor]], *args: object, **kwargs: object) -> Nest[KerasTensor]:
    return operation(*args, **kwargs)


def _sequential(model: Sequential, cloned: CloneFunction, inputs: Nest[KerasTensor] | None) -> Sequential:
    made: dict[int, Layer] = {}
    for layer in model.layers:  # one that stands in the stack twice is made once
        made[id(layer)] = made.get(id(layer)) or cloned(layer)
    stack = [made[id(layer)] for layer in model.layers]
    entry: KerasTensor | InputLayer | None = next(iter(sorted_leaves(inputs)), None) if inputs is not None else None
    if entry is None and model._declared and model._input is not None:
        entry = InputLayer.from_config(model._input.get_config())
    clone = _class_of(model, Sequential)([*([] if entry is None else [entry]), *stack], name=model.name)
    if model.batch_shape is not None and not clone.built:
        clone.build(model.batch_shape)
    return clone
