"""The config of a functional model in Keras's form: its layers, each with the arguments of its calls."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np

from gpudl.descriptions import Config, described
from gpudl.engine.calls import Operation
from gpudl.engine.tree import map_leaves
from gpudl.layers import InputLayer
from gpudl.models.functional import CallGraph
from gpudl.models.steps import Place, Step
from gpudl.saving.keras_operations import OWN_MODULE, keras_operations
from gpudl.saving.objects import serialize_keras_object

SYMBOL = "__keras_tensor__"
"""The ``class_name`` of a reference to the result of a call."""


def graph_config(graph: CallGraph) -> Config:
    """Return the layers with their calls, the inputs and the outputs of a functional model, as plain data."""
    calls: dict[str, list[int]] = {}
    for number, step in enumerate(graph.steps):
        calls.setdefault(step.operation.name, []).append(number)

    def history(place: Place) -> list[object]:
        name = graph.steps[place.step].operation.name
        return [name, calls[name].index(place.step), place.position]

    def plain(leaf: object) -> object:
        if not isinstance(leaf, Place):
            return serialize_keras_object(leaf)
        symbol = graph.symbol(leaf)
        own = {"shape": symbol.shape, "dtype": symbol.dtype.name, "keras_history": history(leaf)}
        return {"class_name": SYMBOL, "config": own}

    def layer_config(operation: Any) -> Config:
        steps = [graph.steps[number] for number in calls[operation.name]]
        own = _operation(steps[0]) if isinstance(operation, Operation) else described(operation, operation.get_config())
        nodes = [dict(zip(("args", "kwargs"), _call_arguments(step), strict=True)) for step in steps]
        inbound = [] if isinstance(operation, InputLayer) else [map_leaves(plain, node) for node in nodes]
        return {**own, "name": operation.name, "inbound_nodes": inbound}

    return {
        "layers": [layer_config(operation) for operation in graph.operations],
        "input_layers": map_leaves(history, graph.input_places),
        "output_layers": map_leaves(history, graph.output_nest),
    }


def _operation(step: Step) -> Config:
    """Return the config of an op, for which Keras's files have the name of a class, and some of its arguments."""
    name = step.operation.function_name
    config = {"name": step.operation.name, **map_leaves(serialize_keras_object, _options(step))}
    known = keras_operations().get(name)
    module, kind = (OWN_MODULE, name) if known is None else (known.module, known.class_name)
    return {"module": module, "class_name": kind, "config": config, "registered_name": kind}


def _options(step: Step) -> dict[str, object]:
    """Return the arguments of a call that Keras's class of the op is made with."""
    known = keras_operations().get(step.operation.function_name)
    if known is None:
        return {}
    given = signature(step.operation.function).bind(*step.args, **step.kwargs)
    given.apply_defaults()
    return {name: given.arguments[name] for name in known.options if name in given.arguments}


def _call_arguments(step: Step) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return the arguments of a call without those of `_options`."""
    if isinstance(step.operation, Operation) and step.operation.function_name == "get_item":
        x, key = step.args  # in JSON a tuple becomes a list, so that a list must be something else
        return (x, np.asarray(key) if isinstance(key, list) else key), {}
    if not isinstance(step.operation, Operation) or not (options := _options(step)):
        return step.args, step.kwargs
    taken = signature(step.operation.function)
    args: list[object] = []
    kwargs: dict[str, object] = {}
    for name, value in taken.bind(*step.args, **step.kwargs).arguments.items():
        if taken.parameters[name].kind is taken.parameters[name].VAR_POSITIONAL:
            args += value
        elif name not in options:
            kwargs[name] = value
    return (*list(kwargs.values())[:1], *args), dict(list(kwargs.items())[1:])
