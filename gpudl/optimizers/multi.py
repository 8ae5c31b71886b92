"""Several optimizers, each for some of the variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Self

from numpy.typing import ArrayLike

from gpudl import custom_objects as users
from gpudl import ops
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable
from gpudl.optimizers.loss_scale import LossScaleOptimizer
from gpudl.optimizers.optimizer import OPTIMIZERS, Optimizer
from gpudl.registry import Config, serialize

__all__ = ["MultiOptimizer", "OptimizerMap"]


class OptimizerMap(MutableMapping[str, Optimizer]):
    """Optimizers by patterns of variable paths: a function from a variable to its optimizer, for `MultiOptimizer`.

    Args:
        default_optimizer: for variables whose path no pattern matches.
        optimizer_map: optimizers by regular expressions, which match a whole path.

    Raises:
        TypeError: what is no optimizer, or no dict.

    Example:
        >>> optimizers = OptimizerMap(gpudl.optimizers.Adam())
        >>> optimizers["head/.*"] = gpudl.optimizers.SGD()
        >>> type(optimizers["head/kernel"]).__name__, type(optimizers["stem/kernel"]).__name__
        ('SGD', 'Adam')
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(f"default_optimizer must be an optimizer such as Adam(), got {default_optimizer!r}.")
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(f"optimizer_map must be a dict of optimizers by patterns, got {optimizer_map!r}.")
        self.default_optimizer = default_optimizer
        self._by_pattern = dict(optimizer_map or {})

    def __getitem__(self, key: str) -> Optimizer:
        """Return the optimizer of a pattern, or of the path of a variable."""
        found = [key] if key in self._by_pattern else [p for p in self._by_pattern if re.fullmatch(p, key)]
        if len(found) > 1:
            raise ValueError(
                f"{key!r} matches several patterns, {' and '.join(map(repr, found))}. Make them exclude it."
            )
        return self._by_pattern[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        """Add an optimizer for a new pattern."""
        if not isinstance(key, str):
            raise ValueError(f"the key must be a pattern of variable paths, got {key!r}.")
        if key in self._by_pattern:
            raise ValueError(f"there is an optimizer for the pattern {key!r} already. Delete it first.")
        self._by_pattern[key] = _single(optimizer, key)

    def __delitem__(self, key: str) -> None:
        """Remove a pattern."""
        del self._by_pattern[key]

    def __len__(self) -> int:
        return len(self._by_pattern)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_pattern)

    def __call__(self, variable: Variable) -> Optimizer:
        """Return the optimizer of a variable."""
        return self[variable.path]

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        return {
            "default_optimizer": serialize(self.default_optimizer),
            "optimizer_map": {pattern: serialize(optimizer) for pattern, optimizer in self._by_pattern.items()},
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new map with new optimizers; `custom_objects` adds classes of the user's."""
        with users.custom_object_scope(custom_objects):
            return cls._of(config)

    @classmethod
    def _of(cls, config: Config) -> Self:
        made = {pattern: OPTIMIZERS.get(one) for pattern, one in config["optimizer_map"].items()}
        return cls(OPTIMIZERS.deserialize(config["default_optimizer"]), made)


class MultiOptimizer(Optimizer):
    """An optimizer that updates groups of variables with different optimizers.

    Args:
        optimizer_map: a function from a variable to its optimizer, such as an `OptimizerMap`.
        loss_scale_factor: multiply the loss by this before it is differentiated; each optimizer divides by it.
        name: a name for reports.

    Raises:
        ValueError: when it is built, a variable whose optimizer is none, or scales the loss or has several itself.

    Example:
        >>> a, b = gpudl.Variable([1.0], name="a"), gpudl.Variable([1.0], name="b")
        >>> both = OptimizerMap(gpudl.optimizers.SGD(0.5), {"a": gpudl.optimizers.SGD(0.25)})
        >>> MultiOptimizer(both).apply([[1.0], [1.0]], [a, b])
        >>> a.numpy(), b.numpy()
        (array([0.75], dtype=float32), array([0.5], dtype=float32))
    """

    def __init__(
        self,
        optimizer_map: Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizer_map = optimizer_map
        self.optimizers: list[Optimizer] = []
        if isinstance(optimizer_map, Mapping):
            for optimizer in optimizer_map.values():
                self._enter(optimizer)
        default = getattr(optimizer_map, "default_optimizer", None)
        if default is not None:
            self._enter(default)

    def _enter(self, optimizer: Optimizer) -> None:
        optimizer.loss_scale_factor = self.loss_scale_factor  # which a LossScaleOptimizer around this one resets
        if all(optimizer is not known for known in self.optimizers):
            self.optimizers.append(optimizer)

    @property
    def learning_rate(self) -> Tensor | float:
        """There is none: each of `optimizers` has its own."""
        raise AttributeError("a MultiOptimizer has no learning rate of its own: use those of its optimizers.")

    @learning_rate.setter
    def learning_rate(self, value: object) -> None:
        raise AttributeError("a MultiOptimizer has no learning rate of its own: assign to those of its optimizers.")

    @property
    def built(self) -> bool:
        """Whether `build` has been called."""
        return any(optimizer.built for optimizer in self.optimizers)

    @property
    def variables(self) -> list[Variable]:
        """The count of updates, an unused learning rate, and the variables of each optimizer."""
        return [*super().variables, *(v for optimizer in self.optimizers for v in optimizer.variables)]

    @property
    def _trainable_variables(self) -> list[Variable]:
        return [v for optimizer in self.optimizers for v in optimizer._trainable_variables]

    def state(self, variables: Sequence[Variable]) -> list[Tensor]:
        """Return all that `apply` changes."""
        parts = (optimizer.state(mine) for optimizer, mine in self._shared_out(variables))
        return [self._iterations, *(t for part in parts for t in part)]

    def _shared_out(self, variables: Iterable[Variable]) -> list[tuple[Optimizer, list[Variable]]]:
        """Return the variables of each optimizer that has some, with it."""
        shares: dict[int, tuple[Optimizer, list[Variable]]] = {}
        for v in variables:
            optimizer = _single(self.optimizer_map(v), v.path)
            self._enter(optimizer)
            shares.setdefault(id(optimizer), (optimizer, []))[1].append(v)
        return list(shares.values())

    def build(self, variables: Iterable[Variable]) -> None:
        """Build each optimizer with its variables."""
        for optimizer, mine in self._shared_out(variables):
            optimizer.build(mine)

    def prepare(self, variables: Sequence[Variable]) -> None:
        """Build each optimizer for those of its variables that it does not know."""
        for optimizer, mine in self._shared_out(variables):
            optimizer.prepare(mine)

    def _ready(self, given: Iterable[Variable] | None) -> list[Variable]:
        variables = self._trainable_variables if given is None else list(given)
        for optimizer, mine in self._shared_out(variables):
            optimizer._ready(mine)
        return variables

    def apply(self, grads: Iterable[ArrayLike | None], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Update the variables of each optimizer; see `Optimizer.apply`."""
        grads = list(grads)
        if not grads:
            return
        variables = self._ready(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(f"got {len(grads)} gradients for {len(variables)} variables: one each is needed.")
        of = {id(v): g for v, g in zip(variables, grads, strict=True)}
        for optimizer, mine in self._shared_out(variables):
            optimizer.apply([of[id(v)] for v in mine], mine)
        ops.increment_(self._iterations)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Put the moving averages of variables in their place, where their optimizer keeps such."""
        for optimizer, mine in self._shared_out(var_list):
            optimizer.finalize_variable_values(mine)

    def get_config(self) -> Config:
        """Return the constructor's arguments as plain data."""
        kept = {"loss_scale_factor": self.loss_scale_factor, "name": self.name}
        return {"optimizer_map": serialize(self.optimizer_map), **kept}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, object] | None = None) -> Self:
        """Return a new optimizer with the arguments of `config`; a function is looked up in `custom_objects`."""
        given = config["optimizer_map"]
        with users.custom_object_scope(custom_objects):
            if isinstance(given, dict):
                given = OptimizerMap.from_config(given["config"])
            elif isinstance(given, str):
                given = users.get_registered_object(given)
        return cls(**{**config, "optimizer_map": given})


def _single(optimizer: object, key: str) -> Optimizer:
    """Return `optimizer`; raise ValueError for what is no optimizer, or one that cannot be one of several."""
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, LossScaleOptimizer | MultiOptimizer):
        raise ValueError(
            f"the optimizer for {key!r} must be one that updates by itself, such as Adam(), got {optimizer!r}. Wrap "
            "the MultiOptimizer to scale the loss."
        )
    return optimizer
