"""What a layer holds: weights, layers, random generators and metrics, found as they become attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from gpudl import constraints, initializers, regularizers
from gpudl.engine.spec import ShapeError, is_floating
from gpudl.engine.state import restructured, state, toggled
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.layers.base.containers import HOLDING, Holder, members, same, tracked
from gpudl.metrics import Metric
from gpudl.random import SeedGenerator
from gpudl.registry import Identifier

_NOTHING = object()
_KNOWN = ("_own", "_children", "_generators", "_metrics")
_NOT_ATTRIBUTES = {*_KNOWN, "_arguments", "_added_losses", "_outputs"}


class HasWeights(Holder):
    """The base of layers that knows what they hold, themselves and in attributes, lists and dicts."""

    name: str
    variable_dtype: np.dtype
    built = False
    _trainable = True
    _unread = frozenset({*_NOT_ATTRIBUTES, "built", "_output_shape", "_inputs_seen", "_trainable", "_unfinished"})
    _added_losses: list[Tensor]

    def _begin_tracking(self) -> None:
        self._own: list[Variable]
        self._children: list[Any]
        self._generators: list[SeedGenerator]
        self._metrics: list[Metric]
        for name in _KNOWN:
            object.__setattr__(self, name, [])

    def _who(self) -> str:
        return f'{type(self).__name__} "{self.name}"'

    def __setattr__(self, name: str, value: Any) -> None:
        there = vars(self).get(name, _NOTHING)
        if there is value:
            return
        if not isinstance(value, HOLDING) and not isinstance(there, HOLDING):
            super().__setattr__(name, value)
            return
        before = members(there)
        value = value if name.startswith("__") else tracked(value)
        super().__setattr__(name, value)
        self._exchanged(before, members(value))

    def __delattr__(self, name: str) -> None:
        before = members(vars(self).get(name))
        super().__delattr__(name)
        self._exchanged(before, [])

    def _exchanged(self, before: list[Any], after: list[Any]) -> None:
        """Follow a change of an attribute: steps that were recorded with what it held are recorded anew."""
        if same(before, after):
            return
        if before or self.built:
            restructured()
        held = self._synchronized()
        gone = {id(item) for item in before} - held
        self._own[:] = [v for v in self._own if id(v) not in gone]
        for item in after:
            self._track(item)

    def _track(self, item: Any) -> None:
        for kind, known in (
            (Variable, self._own),
            (HasWeights, self._children),
            (SeedGenerator, self._generators),
            (Metric, self._metrics),
        ):
            if isinstance(item, kind) and not any(item is other for other in known):
                known.append(item)  # type: ignore[arg-type]

    def _synchronized(self) -> set[int]:
        """Find what came into lists and dicts and what left the attributes; return the identities of all that is held.

        Weights stay until their attribute is given another value: they need not be in one.
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
                if not _NOT_ATTRIBUTES.issuperset(lists):  # which change unseen
                    layer._synchronized()
                yield layer
                stack = layer._children + stack

    @property
    def weights(self) -> list[Variable]:
        """All weights, those of each layer with the trainable ones first."""
        return [v for layer in self._flattened() for v in sorted(layer._own, key=lambda v: not v.wanted)]

    @property
    def variables(self) -> list[Variable]:
        """All weights, and the states of random generators and metrics."""
        return [
            *self.weights,
            *(g.state for layer in self._flattened() for g in layer._generators),
            *(v for layer in self._flattened() for m in layer._metrics for v in m.variables),
        ]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that want gradients; none of a layer that is frozen, whatever the layers inside it say."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that want none."""
        return [v for v in self.weights if not (v.trainable and self._trainable)]

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether the weights want gradients; setting it reaches every layer inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flattened():
            if layer._trainable != bool(value):
                toggled(layer)  # it may compute otherwise when frozen: steps are recorded for either
            layer._trainable = bool(value)
            for variable in layer._own:
                variable.trainable = bool(value) and variable.wanted

    def add_weight(
        self,
        shape: Iterable[int | None] | None = None,
        initializer: Identifier = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        regularizer: Identifier = None,
        constraint: Identifier = None,
        name: str | None = None,
        autocast: bool = True,
    ) -> Variable:
        """Create a weight of `shape`; the initializer is ``"glorot_uniform"``, or zeros for one axis or none, and
        for integers.

        In mixed precision `call` sees it in the dtype that the layer computes in, unless `autocast` is false.

        Raises:
            ShapeError: a size that is not known.
        """
        shape = () if shape is None else tuple(shape)
        if None in shape:
            raise ShapeError(
                f"weight {name or 'variable'!r} cannot have shape {shape}: the inputs must have a known size along "
                "that axis."
            )
        kind = np.dtype(dtype) if dtype is not None else self.variable_dtype
        default = "glorot_uniform" if len(shape) > 1 and is_floating(kind) else "zeros"
        values = initializers.get(default if initializer is None else initializer)(shape, dtype=kind)
        variable = Variable(values, trainable=trainable and self._trainable, name=name or "variable")
        variable.path = f"{self.name}/{variable.name}"
        variable.wanted = trainable
        variable.autocast = autocast
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._own.append(variable)
        return variable

    def _add(self, name: str, shape: Iterable[int | None], trainable: bool = True, autocast: bool = True) -> Variable:
        """Create the weight that options such as ``kernel_initializer`` are for, `name` being ``"kernel"``."""
        initializer, regularizer, constraint = (
            getattr(self, f"{name}_{kind}", None) for kind in ("initializer", "regularizer", "constraint")
        )
        return self.add_weight(shape, initializer, None, trainable, regularizer, constraint, name, autocast)

    def add_loss(self, loss: Tensor) -> None:
        """Add a scalar tensor to what training minimises; it counts for this call of the model."""
        self._added_losses.append(loss)

    @property
    def losses(self) -> list[Tensor]:
        """The regularization losses of the weights, and what the last call added."""
        found = [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]
        added = (loss for layer in self._flattened() for loss in layer._added_losses)
        # Without a value a loss is left over from asking for shapes, or from a recorded step.
        return [*found, *(loss for loss in added if state.symbolic or loss.is_computed)]

    def clear_losses(self) -> None:
        """Forget the losses that calls have added."""
        for layer in self._flattened():
            layer._added_losses.clear()

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all weights as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all weights from arrays in the order of `get_weights`.

        Raises:
            ValueError: another number of arrays, another shape, no numbers; then no weight has changed.
        """
        variables = self.weights
        if len(weights) != len(variables):
            unbuilt = "" if self.built else " It is not built yet: call it on a batch first, or build() it."
            raise ValueError(f"{self._who()} has {len(variables)} weights, got {len(weights)} arrays.{unbuilt}")
        arrays = [np.asarray(w, dtype=v.dtype) for w, v in zip(weights, variables, strict=True)]
        for variable, array in zip(variables, arrays, strict=True):
            if array.shape != variable.shape:
                raise ValueError(
                    f"{self._who()}: weight {variable.name!r} has shape {variable.shape}, got {array.shape}."
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """Return the number of weights; raises ValueError for a layer that is not built."""
        if not self.built:
            raise ValueError(f"{self._who()} has no weights yet: it is built on its first call, or by build().")
        return sum(v.size for v in self.weights)
