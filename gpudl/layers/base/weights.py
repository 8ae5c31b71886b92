"""Tracking of a layer's weights, layers, random generators and metrics, as they are set as attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from gpudl import constraints, initializers, regularizers
from gpudl.engine.enclosing import computes, path_of
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import restructured, state, toggled
from gpudl.engine.variable import Variable
from gpudl.layers.base.containers import HOLDING, Holder, members, same, tracked
from gpudl.layers.base.stored import HasStoredWeights
from gpudl.metrics import Metric
from gpudl.random import SeedGenerator
from gpudl.registry import Identifier
from gpudl.utils.checks import sizes

T = TypeVar("T")
_NOTHING = object()
_KNOWN = ("_own", "_children", "_generators", "_metrics")
_NOT_ATTRIBUTES = {*_KNOWN, "_arguments", "_added_losses", "_build_shapes", "_outputs"}


class HasWeights(Holder, HasStoredWeights):
    """The base of layers that tracks their weights and layers, in attributes, lists and dicts."""

    path: str | None = None
    variable_dtype: str
    built = False
    _unfinished = False  # whether build() is running
    _trainable = True
    _unread = frozenset(
        {*_NOT_ATTRIBUTES, "built", "path", "_output_shape", "_inputs_seen", "_trainable", "_unfinished"}
    )

    def _begin_tracking(self) -> None:
        self._own: list[Variable]
        self._children: list[Any]
        self._generators: list[SeedGenerator]
        self._metrics: list[Metric]
        for name in _KNOWN:
            object.__setattr__(self, name, [])

    def __setattr__(self, name: str, value: object) -> None:
        there = vars(self).get(name, _NOTHING)
        if there is value:
            return
        if not isinstance(value, HOLDING) and not isinstance(there, HOLDING):
            super().__setattr__(name, value)
            return
        before = members(there)
        value = value if name.startswith("__") else tracked(value)
        if not all(map(self._knows, members(value))):
            self._require_open()
        super().__setattr__(name, value)
        self._exchanged(before, members(value))

    def __delattr__(self, name: str) -> None:
        before = members(vars(self).get(name))
        super().__delattr__(name)
        self._exchanged(before, [])

    def _exchanged(self, before: list[object], after: list[object]) -> None:
        """Follow a change of an attribute: steps that depend on its old value are recorded again."""
        if same(before, after):
            return
        if before or self.built:
            restructured()
        held = self._synchronized()
        gone = {id(item) for item in before} - held
        self._own[:] = [v for v in self._own if id(v) not in gone]
        for item in after:
            self._track(item)

    def _knows(self, item: object) -> bool:
        known = (self._own, self._children, self._generators, self._metrics)
        return any(item is other for items in known for other in items)

    def _track(self, item: object) -> None:
        if self._knows(item):
            return
        if isinstance(item, Variable):
            self._own.append(item)
        elif isinstance(item, HasWeights):
            self._children.append(item)
        elif isinstance(item, SeedGenerator):
            self._generators.append(item)
        elif isinstance(item, Metric):
            self._metrics.append(item)

    def _synchronized(self) -> set[int]:
        """Find objects that were added to lists and dicts or removed from attributes; return the identities of all.

        Weights are kept until another value is assigned to their attribute: they need not be in one.
        """
        held: set[int] = set()
        listed = []
        for name, value in list(vars(self).items()):
            if isinstance(value, HOLDING) and name not in _NOT_ATTRIBUTES:
                items = members(value)
                held.update(map(id, items))
                listed += items if isinstance(value, list | dict) else []
        found: tuple[list[Any], ...] = (self._children, self._generators, self._metrics)
        for known in found:
            known[:] = [item for item in known if id(item) in held]
        for item in listed:
            self._track(item)
        return held

    def _flattened(self) -> Iterator[Self]:
        """Yield this layer and every layer inside it, each once."""
        seen: set[int] = set()
        stack: list[Any] = [self]
        while stack:
            layer = stack.pop(0)
            if id(layer) not in seen:
                seen.add(id(layer))
                lists = [name for name, value in list(vars(layer).items()) if isinstance(value, list | dict)]
                if not _NOT_ATTRIBUTES.issuperset(lists):  # whose changes are not reported
                    layer._synchronized()
                yield layer
                stack = layer._children + stack

    @property
    def weights(self) -> list[Variable]:
        """All weights, those of each layer with the trainable ones first."""
        return unique(v for layer in self._flattened() for v in layer._stored())

    @property
    def variables(self) -> list[Variable]:
        """All weights, and the states of random generators, layer by layer; those of metrics are not among them."""
        return unique(
            v for layer in self._flattened() for v in (*layer._stored(), *(g.state for g in layer._generators))
        )

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that are updated in training; none if the layer is frozen, whatever the layers inside it are."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that are not updated in training."""
        return [v for v in self.weights if not (v.trainable and self._trainable)]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that are updated in training."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The weights that are not updated in training, and the states of random generators."""
        return [v for v in self.variables if not v.trainable]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of this layer and of the layers inside."""
        return unique(m for layer in self._flattened() for m in layer._metrics)

    @property
    def metrics_variables(self) -> list[Variable]:
        """The variables of `metrics`."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def trainable(self) -> bool:
        """Whether the weights are updated in training; setting it also sets it for every layer inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flattened():
            if layer._trainable != bool(value):
                toggled(layer)  # it may compute otherwise when frozen: steps are recorded for either state state
            layer._trainable = bool(value)
            for variable in layer._own:
                variable.trainable = bool(value) and variable.wanted

    def add_weight(
        self,
        shape: Iterable[int | None] | None = None,
        initializer: Identifier = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Identifier = None,
        constraint: Identifier = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Create a weight of `shape`; the initializer is ``"glorot_uniform"``, or zeros with fewer than two axes,
        and for integers.

        In mixed precision `call` sees it cast to the dtype of computation, unless `autocast` is false.

        Raises:
            ShapeError: a size is unknown.
        """
        if isinstance(shape, str):
            raise ValueError(f"the name of a weight is given by keyword: add_weight(shape=..., name={shape!r}).")
        if overwrite_with_gradient:
            raise NotImplementedError(
                "add_weight(overwrite_with_gradient=True) is not supported: optimizers treat each gradient as one."
            )
        self._require_open()
        sizes_ = () if shape is None else sizes("add_weight", "shape", shape)
        if None in sizes_:
            raise ShapeError(
                f"weight {name or 'variable'!r} cannot have shape {sizes_}: the inputs must have a known size along "
                "that axis."
            )
        kind = np.dtype(dtype) if dtype is not None else np.dtype(self.variable_dtype)
        need, most = prod(n or 0 for n in sizes_) * kind.itemsize, state.largest_weight
        if most is not None and need > most:
            raise ValueError(
                f"weight {name or 'variable'!r} of shape {sizes_} needs {need:,} bytes, more than the file of the "
                f"model can have, {most:,}."
            )
        default = "glorot_uniform" if is_floating(kind) else "zeros"
        variable = Variable(
            initializers.get(default if initializer is None else initializer),
            [n or 0 for n in sizes_],
            kind,
            trainable=bool(trainable) and self._trainable,
            autocast=autocast,
            aggregation=aggregation,
            name=name,
        )
        variable.path = f"{path_of(self, self.name)}/{variable.name}"
        variable.wanted = bool(trainable)
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._own.append(variable)
        return variable

    def add_variable(
        self,
        shape: Iterable[int | None],
        initializer: Identifier,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Identifier = None,
        constraint: Identifier = None,
        name: str | None = None,
    ) -> Variable:
        """Create a weight; another name of `add_weight`."""
        return self.add_weight(
            shape, initializer, dtype, trainable, autocast, regularizer=regularizer, constraint=constraint, name=name
        )

    def _add(
        self,
        name: str,
        shape: Iterable[int | None],
        trainable: bool = True,
        autocast: bool = True,
        prefix: str | None = None,
        **given: Identifier,
    ) -> Variable:
        """Create the weight `name`, such as ``"kernel"``, with its options, such as ``kernel_initializer``.

        Their prefix is the name by default; those that are `given`, such as ``initializer``, take precedence.
        """
        kinds = ("initializer", "regularizer", "constraint")
        said: dict[str, Any] = {kind: getattr(self, f"{prefix or name}_{kind}", None) for kind in kinds} | given
        return self.add_weight(shape, trainable=trainable, autocast=autocast, name=name, **said)

    def _require_open(self) -> None:
        """Raise ValueError while the layer's own `call` runs."""
        if computes(self) and self.built and not self._unfinished:
            raise ValueError(
                f"{self._who()}: you cannot add new elements of state (variables or layers) to a layer while it "
                "computes: each call would make another. Make them in __init__() or in build()."
            )


def unique(items: Iterable[T]) -> list[T]:
    """Return each of the objects once, in the order in which they come."""
    return list({id(item): item for item in items}.values())
