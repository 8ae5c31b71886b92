"""What Keras 1 and 2 called by other names: each still works, with one DeprecationWarning that has the name of today.

Layers and models do not know of it: `install`, which ``import gpudl`` calls, wraps their constructors and methods.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

from gpudl import layers
from gpudl.engine.tree import Nest
from gpudl.models import Model

P = ParamSpec("P")
R = TypeVar("R")

_OF_LAYERS = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "init": "kernel_initializer",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "subsample": "strides",
}
_OF_METHODS = {"max_q_size": "max_queue_size", "nb_epoch": "epochs", "nb_worker": "workers"}
_OF_GENERATORS = {**_OF_METHODS, "nb_val_samples": "validation_steps", "samples_per_epoch": "steps_per_epoch"}
_VALUES = {"dim_ordering": {"tf": "channels_last", "th": "channels_first"}}


def install() -> None:
    """Let layers and models take the old names; does nothing the second time."""
    for cls in map(vars(layers).get, layers.__all__):
        if isinstance(cls, type) and issubclass(cls, layers.Layer):
            _wrap(cls, "__init__", _OF_LAYERS)
    for method in ("fit", "evaluate", "predict"):
        _wrap(Model, method, _OF_METHODS)
    for function in (fit_generator, evaluate_generator, predict_generator, predict_classes, predict_proba):
        setattr(Model, function.__name__, function)
    setattr(layers, "Convolution2D", convolution2d)  # noqa: B010 (the module does not know of it)


def _wrap(cls: type, method: str, renamed: Mapping[str, str]) -> None:
    found = vars(cls).get(method) or getattr(cls, method)
    if not hasattr(found, "takes_old_names"):
        setattr(cls, method, accepting(found, renamed))


def accepting(function: Callable[P, R], renamed: Mapping[str, str]) -> Callable[P, R]:
    """Return `function`, which takes arguments by old names too, unless they are its own.

    Example:
        >>> def area(width, height=1):
        ...     return width * height
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     accepting(area, {"breadth": "width"})(breadth=3)
        3
        >>> said[0].message
        DeprecationWarning('area: breadth is the old name of width.')
    """
    own = inspect.signature(function).parameters
    here = {old: new for old, new in renamed.items() if old not in own and new in own}

    @wraps(function)
    def taking_old_names(*args: P.args, **kwargs: P.kwargs) -> R:
        for old in [name for name in kwargs if name in here]:
            value = kwargs.pop(old)
            who = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
            warnings.warn(f"{who}: {old} is the old name of {here[old]}.", DeprecationWarning, stacklevel=2)
            kwargs[here[old]] = _VALUES.get(old, {}).get(str(value), value)
        return function(*args, **kwargs)

    taking_old_names.takes_old_names = True  # type: ignore[attr-defined]
    return taking_old_names


def fit_generator(self: Model, generator: object, *args: object, **kwargs: object) -> object:
    """Train on a generator: `Model.fit`, in whose order of arguments ``steps_per_epoch`` came first."""
    order = ("steps_per_epoch", "epochs", "verbose", "callbacks", "validation_data")
    return _generator_method("fit", self.fit, generator, order, args, kwargs)


def evaluate_generator(self: Model, generator: object, *args: object, **kwargs: object) -> object:
    """Evaluate on a generator: `Model.evaluate`."""
    return _generator_method("evaluate", self.evaluate, generator, ("steps", "callbacks"), args, kwargs)


def predict_generator(self: Model, generator: object, *args: object, **kwargs: object) -> object:
    """Predict on a generator: `Model.predict`."""
    return _generator_method("predict", self.predict, generator, ("steps", "callbacks"), args, kwargs)


def _generator_method(
    name: str,
    method: Callable[..., object],
    generator: object,
    order: tuple[str, ...],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    """Call the method that took the place of ``Model.{name}_generator``, whose arguments had another order."""
    warnings.warn(f"Model.{name}_generator is the old name of {name}.", DeprecationWarning, stacklevel=3)
    given = {**dict(zip(order, args, strict=False)), **kwargs}
    return method(generator, **{_OF_GENERATORS.get(key, key): value for key, value in given.items()})


def predict_classes(self: Model, x: Nest[np.ndarray], batch_size: int | None = None, verbose: int = 0) -> np.ndarray:
    """Return the class of each sample: the largest output, or for a single one whether it is above 0.5."""
    warnings.warn(
        "Model.predict_classes is gone from Keras: use predict(x).argmax(axis=-1), or predict(x) > 0.5 for one output.",
        DeprecationWarning,
        stacklevel=2,
    )
    scores = np.asarray(self.predict(x, batch_size=batch_size, verbose=verbose))
    return scores.argmax(axis=-1) if scores.shape[-1] > 1 else (scores > 0.5).astype("int32")


def predict_proba(self: Model, x: Nest[np.ndarray], batch_size: int | None = None, verbose: int = 0) -> np.ndarray:
    """Return the outputs: `Model.predict`."""
    warnings.warn("Model.predict_proba is the old name of predict.", DeprecationWarning, stacklevel=2)
    return np.asarray(self.predict(x, batch_size=batch_size, verbose=verbose))


def convolution2d(
    nb_filter: int, nb_row: int | tuple[int, int], nb_col: object = None, *args: object, **kwargs: object
) -> layers.Conv2D:
    """Return a `Conv2D` as Keras 1 made it, where the sizes of a kernel were two numbers."""
    warnings.warn(
        "Convolution2D is the old name of Conv2D, which takes the sizes of the kernel in a tuple.",
        DeprecationWarning,
        stacklevel=2,
    )
    if isinstance(nb_row, int) and isinstance(nb_col, int):
        return layers.Conv2D(nb_filter, (nb_row, nb_col), *args, **kwargs)  # type: ignore[arg-type]
    given = () if nb_col is None else (nb_col,)
    return layers.Conv2D(nb_filter, nb_row, *given, *args, **kwargs)  # type: ignore[arg-type]
