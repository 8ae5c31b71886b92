"""What losses and metrics share: a name, the dtype of computation, and how they wrap a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Self

from gpudl import config, dtype_policies
from gpudl.argument_errors import no_argument
from gpudl.dtype_policies import DtypeLike
from gpudl.engine.tensor import Tensor
from gpudl.names import auto_name, snake_case
from gpudl.registry import Config, Configurable, Family
from gpudl.utils.options import defaults, spelled_out

Function = Callable[..., Any]
"""``fn(y_true, y_pred, **options)``, of a user too, which may return anything that stands for a tensor."""


class Measure(Configurable):
    """The base of losses and metrics.

    A subclass that says ``options=``, a class of options, takes these after the arguments of its own. All its objects
    are called by ``name=``, or by its own name in snake case; with ``numbered=True`` further ones get a number too.
    """

    name: str
    _dtype: str  # the same, as Keras's own metrics call it and many that are written after them

    def __init_subclass__(
        cls, options: type | None = None, name: str | None = None, numbered: bool = False, **kwargs: object
    ) -> None:
        super().__init_subclass__(**kwargs)
        if options is not None:
            shared = {**defaults(options), "name": None if numbered else name or snake_case(cls.__name__)}
            cls.__init__ = spelled_out(cls.__init__, shared, others=False)  # type: ignore[method-assign]

    def _begin(self, name: str | None, dtype: DtypeLike) -> None:
        self.name = name or auto_name(snake_case(type(self).__name__))
        self._dtype = dtype_policies.get(config.floatx() if dtype is None else dtype).compute_dtype

    @property
    def dtype(self) -> str:
        """The dtype of the results."""
        return self._dtype


class OfFunction(Measure):
    """The base of those that wrap a function of targets and predictions.

    Attributes:
        fn: the function. Its other arguments beside targets and predictions are attributes too.

    Raises:
        ValueError: an option that the function does not take.
    """

    FUNCTIONS: ClassVar[Family[Any, None]]
    """What `fn` is looked up in when it stands in a config."""

    fn: Function

    def _made_of(self, fn: Function, options: dict[str, object]) -> None:
        taken = _options_of(fn)
        for name in options:
            if taken is not None and name not in taken:
                raise no_argument(getattr(fn, "__name__", type(fn).__name__), name, taken)
        self.fn = fn
        self._options = tuple(options)
        for name, value in options.items():
            setattr(self, name, value)

    def _values(self, y_true: object, y_pred: object) -> Tensor:
        values: Tensor = self.fn(y_true, y_pred, **{name: getattr(self, name) for name in self._options})
        return values

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a new object with the arguments of `config`, its function found by name."""
        return super().from_config({**config, "fn": cls.FUNCTIONS.get(config["fn"])} if "fn" in config else config)


def _options_of(fn: Function) -> list[str] | None:
    """Return the arguments of a function beside targets and predictions; None if it takes any, or they are unknown."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # compiled
        return None
    return None if any(p.kind is p.VAR_KEYWORD for p in parameters) else [p.name for p in parameters[2:]]
