"""A functional model from its config in Keras's form, also in that of Keras 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeGuard

from gpudl import ops
from gpudl.engine.calls import Operation, declare
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tree import Nest, flatten
from gpudl.layers import InputLayer
from gpudl.models.graph_config import SYMBOL
from gpudl.registry import Config
from gpudl.saving.keras_operations import OWN_MODULE, by_class
from gpudl.saving.objects import deserialize_keras_object


class _Call(NamedTuple):
    """A call in a config: of which layer, its number among the calls of that layer, what is called, and with what."""

    layer: str
    number: int
    operation: Callable[..., Nest[KerasTensor]]
    arguments: Config

    def needs(self) -> list[tuple[str, int]]:
        """Return the calls whose results are arguments."""
        return [(name, index) for name, index, _ in _histories(self.arguments)]


Results = dict[tuple[str, int], list[KerasTensor]]
"""The results of each call, by the name of the layer and the number of the call."""


def graph_from(config: Config) -> tuple[Nest[KerasTensor], Nest[KerasTensor]]:
    """Return the inputs and the outputs of the model of a config, with new layers.

    Raises:
        ValueError: a call needs a result that no call in the config returns.
    """
    results: Results = {}
    waiting: list[_Call] = []
    for layer in config["layers"]:
        name = layer.get("name") or layer["config"]["name"]
        if layer["class_name"] == "InputLayer":
            results[name, 0] = [_input(layer["config"])]
            continue
        operation = _operation(layer)
        waiting += [_Call(name, i, operation, _as_arguments(node)) for i, node in enumerate(layer["inbound_nodes"])]
    while waiting:
        ready = [call for call in waiting if all(need in results for need in call.needs())]
        if not ready:
            call = waiting[0]
            name, index = next(need for need in call.needs() if need not in results)
            raise ValueError(
                f"the config calls {call.layer!r} with a result of call {index} of {name!r}, which it does not have."
            )
        for call in ready:
            args, kwargs = _filled(call.arguments["args"], results), _filled(call.arguments["kwargs"], results)
            results[call.layer, call.number] = flatten(call.operation(*args, **kwargs))[0]
        waiting = [call for call in waiting if (call.layer, call.number) not in results]
    return _symbols(config["input_layers"], results), _symbols(config["output_layers"], results)


def _input(config: Config) -> KerasTensor:
    entry = InputLayer.from_config(dict(config))
    return declare(entry, KerasTensor(entry.batch_shape, entry.dtype, sparse=entry.sparse, name=entry.name))


def _operation(layer: Config) -> Any:
    """Return a new layer, or an op with the arguments that Keras's class is made with."""
    module, kind = str(layer.get("module")), str(layer["class_name"])
    known = by_class().get((module, kind))
    function = kind if module == OWN_MODULE else None if known is None else known.function
    if function is None:
        return deserialize_keras_object(layer)
    if function == "get_item":
        return partial(_indexed, Operation(ops.getitem, name=layer["config"].get("name")))
    if function not in ops.__all__:
        raise ValueError(f"the config has the op {module}.{kind}, which gpudl.ops has not.")
    options = {name: deserialize_keras_object(value) for name, value in layer["config"].items() if name != "name"}
    return partial(Operation(getattr(ops, function), name=layer["config"].get("name")), **options)


def _indexed(operation: Operation, x: KerasTensor, key: object) -> Nest[KerasTensor]:
    found: Nest[KerasTensor] = operation(x, tuple(key) if isinstance(key, list) else key)
    return found


def _as_arguments(node: Any) -> Config:
    """Return the arguments of a call as Keras 3 writes them, also where Keras 2 did: a list of its inputs."""
    if isinstance(node, dict):
        return node
    inputs = [_reference(entry) for entry in node]
    return {"args": inputs if len(inputs) == 1 else [inputs], "kwargs": node[0][3] if len(node[0]) > 3 else {}}


def _reference(history: Sequence[object]) -> Config:
    return {"class_name": SYMBOL, "config": {"keras_history": history[:3]}}


def _is_reference(nest: object) -> TypeGuard[Config]:
    return isinstance(nest, dict) and nest.get("class_name") == SYMBOL


def _histories(nest: object) -> Iterator[tuple[str, int, int]]:
    if _is_reference(nest):
        name, index, position = nest["config"]["keras_history"]
        yield str(name), int(index), int(position)
    elif isinstance(nest, dict | list | tuple):
        for child in nest.values() if isinstance(nest, dict) else nest:
            yield from _histories(child)


def _filled(nest: Any, results: Results) -> Any:
    """Return arguments, with the symbols that references stand for."""
    if _is_reference(nest):
        ((name, index, position),) = _histories(nest)
        return results[name, index][position]
    if isinstance(nest, list | tuple):
        return type(nest)(_filled(child, results) for child in nest)
    if isinstance(nest, dict) and "class_name" not in nest:
        return {key: _filled(child, results) for key, child in nest.items()}
    return deserialize_keras_object(nest)


def _symbols(nest: Any, results: Results) -> Any:
    """Return the symbols of a nest of histories ``[name, call, position]``."""
    if isinstance(nest, dict):
        return {key: _symbols(child, results) for key, child in nest.items()}
    if len(nest) == 3 and isinstance(nest[0], str) and isinstance(nest[1], int):
        if (nest[0], nest[1]) not in results:
            raise ValueError(f"the config has {nest[0]!r} among its inputs or outputs, but not among its layers.")
        return results[nest[0], nest[1]][nest[2]]
    children = [_symbols(child, results) for child in nest]
    return tuple(children) if isinstance(nest, tuple) else children
