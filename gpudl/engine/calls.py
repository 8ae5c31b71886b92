"""Records of calls on symbols, the nodes of a functional model."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary, WeakMethod, ref

import numpy as np

from gpudl.engine.spec import Shape, ShapeError, Spec
from gpudl.engine.state import gradients, state, symbolic
from gpudl.engine.symbol import KerasTensor, Pair, any_symbol, symbols
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.names import auto_name, export

P = ParamSpec("P")
R = TypeVar("R")

_NAMES = {"getitem": "get_item"}  # Keras's
_calls: WeakKeyDictionary[object, list[ref[Call]]] = WeakKeyDictionary()
_offers: WeakKeyDictionary[object, WeakMethod[Callable[[], object]]] = WeakKeyDictionary()


class Operation:
    """A public op, or a function of several ops, as one node of a graph of calls."""

    __slots__ = ("__weakref__", "function", "name", "output_shape")
    built, trainable = True, True
    weights = ()

    def __init__(self, function: Any, name: str | None = None) -> None:
        self.function = function
        self.name = auto_name(self.function_name) if name is None else name
        self.output_shape: Any = None

    @property
    def function_name(self) -> str:
        """The name of the function in `gpudl.ops`, as Keras has it."""
        own: str = getattr(self.function, "__name__", None) or self.function.name
        return _NAMES.get(own, own)

    @property
    def kind(self) -> str:
        """Its type in reports, the name of Keras's class."""
        words = self.name.rstrip("0123456789").rstrip("_").split("_")
        return "".join(word.capitalize() for word in words)

    def count_params(self) -> int:
        """Return 0: an op has no weights."""
        return 0

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Compute the function, or on symbols remember the call; reports attribute this to the operation's name."""
        if any_symbol(args) or (kwargs and any_symbol(kwargs.values())):
            return remember(self, args, kwargs)
        outer, state.scope = state.scope, self.name
        try:
            return self.function(*args, **kwargs)
        finally:
            state.scope = outer

    def __repr__(self) -> str:
        return f"<Operation name={self.name}>"


def kind_of(operation: object) -> str:
    """Return the type of a layer or an `Operation` in reports; that of a model of inputs and outputs is Keras's."""
    if isinstance(operation, Operation):
        return operation.kind
    name = type(operation).__name__
    return "Functional" if name == "Model" and getattr(operation, "_graph", None) is not None else name


class Call:
    """One call of a layer or an `Operation` on symbols.

    A symbol holds the call that returned it, and a call its arguments, and with them the calls before; a layer has only
    weak references to its calls. So there is no reference cycle.

    Attributes:
        operation: the layer or `Operation` that was called.
        args, kwargs: the arguments, copies of the nests that were passed.
        results: the returned nest, with a `Pair` in place of each tensor.
        masks: the masks of the results, symbols too, by position.
        index: number of earlier calls of the operation.
    """

    __slots__ = ("__weakref__", "_made", "args", "index", "kwargs", "masks", "operation", "results")

    def __init__(self, operation: Any, args: tuple[object, ...], kwargs: dict[str, object], results: Any) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.results = results
        self.masks: dict[int, Tensor] = {}
        self._made: dict[int, ref[KerasTensor]] = {}
        known = _calls.setdefault(operation, [])
        self.index = len(known)
        known.append(ref(self))

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbols among the arguments."""
        return symbols((self.args, self.kwargs))

    @property
    def outputs(self) -> Any:
        """The returned nest, with a symbol in place of each tensor."""
        places = iter(range(len(flatten(self.results)[0])))
        return map_leaves(lambda leaf: self._symbol(leaf, next(places)), self.results)

    def _symbol(self, leaf: object, position: int) -> object:
        if not isinstance(leaf, Pair):
            return leaf
        known = self._made.get(position)
        symbol = None if known is None else known()
        if symbol is None:
            symbol = KerasTensor.returned(leaf, self, position)
            symbol.mask = self.masks.get(position)
            self._made[position] = ref(symbol)
        return symbol


def calls_of(operation: object) -> list[Call]:
    """Return the calls of a layer on symbols that are alive: a symbol holds them, directly or through later calls."""
    found = _known_calls(operation)
    if not found and (offer := _offers.get(operation)) is not None and (make := offer()) is not None:
        make()
        found = _known_calls(operation)
    return found


def _known_calls(operation: object) -> list[Call]:
    return [call for known in _calls.get(operation, ()) if (call := known()) is not None]


def offer_calls(operation: object, make: Callable[[], object]) -> None:
    """Have `make`, a method, call a layer on symbols when `calls_of` finds no calls of it."""
    _offers[operation] = WeakMethod(make)


def declare(operation: object, symbol: KerasTensor) -> KerasTensor:
    """Make `symbol` an input: the result of a call of `operation` without arguments; return it."""
    symbol.call = call = Call(operation, (), {}, symbol.pair)
    call._made[0] = ref(symbol)
    return symbol


def remember(
    operation: Callable[..., R],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    infer: Callable[[tuple[object, ...], dict[str, object]], object] | None = None,
) -> R:
    """Record a call with symbols among its arguments, and return symbols for its results.

    Args:
        operation: a layer, or an op or a function of ops, which becomes an `Operation`.
        args, kwargs: its arguments; later changes of nests and NumPy arrays among them have no effect.
        infer: returns the results for them, with a `Pair` in place of each tensor; `inferred` if None.

    Raises:
        ShapeError: the operation does not support these shapes.
    """
    args, kwargs = map_leaves(_kept, tuple(args)), {name: map_leaves(_kept, value) for name, value in kwargs.items()}
    results = inferred(operation, args, kwargs) if infer is None else infer(args, kwargs)
    made = operation if hasattr(operation, "output_shape") else Operation(operation)
    made.output_shape = map_leaves(lambda leaf: leaf.shape if isinstance(leaf, Pair) else leaf, results)
    returned: R = Call(made, args, kwargs, results).outputs
    return returned


def _kept(leaf: object) -> object:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def inferred(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, Any]) -> Any:
    """Return the result of `function` for symbols, with a `Pair` in place of each tensor.

    The function is called twice, with two different sets of sizes in place of the unknown ones; sizes of the results
    that differ are unknown. So no op has to support unknown sizes.
    """
    leaves: list[Any] = flatten((args, kwargs))[0]
    pairs = [leaf.pair for leaf in leaves if type(leaf) is KerasTensor]
    try:
        return _asked(function, args, kwargs, pairs)
    except ShapeError:
        fixed = [leaf.shape for leaf in leaves if hasattr(leaf, "dtype") and type(leaf) is not KerasTensor]
        agreed = _agreed(pairs, fixed)
        if agreed == pairs:
            raise
        try:
            return _asked(function, args, kwargs, agreed)
        except ShapeError:
            pass
        raise


def _asked(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, Any], pairs: list[Pair]) -> Any:
    results = []
    with symbolic(), gradients(False):
        for tensors in zip(*(pair.tensors() for pair in pairs), strict=True):
            given = iter(tensors)
            filled = map_leaves(lambda v: next(given) if type(v) is KerasTensor else v, (args, kwargs))  # noqa: B023
            results.append(function(*filled[0], **filled[1]))
    others = iter(flatten(results[1])[0])
    return map_leaves(lambda leaf: _paired(leaf, next(others)), results[0])


def _paired(first: Any, second: Any) -> object:
    if not isinstance(first, Tensor):
        return first
    specs = (Spec(tuple(map(int, t.shape)), t.dtype) for t in (first, second))
    return Pair(*specs)


def _agreed(pairs: list[Pair], fixed: list[Shape]) -> list[Pair]:
    """Return `pairs` with unknown sizes set to the sizes of other pairs along the same axis, counted from the last.

    Known sizes, also those of the `fixed` shapes, take precedence over unknown ones.
    """
    shapes = [pair.sizes for pair in pairs]
    for axis in range(1, max(map(len, shapes)) + 1):
        there = [sizes for sizes in shapes if len(sizes) >= axis]
        known = {sizes[-axis] for sizes in there if sizes[-axis][0] == sizes[-axis][1] != 1}
        known |= {(shape[-axis],) * 2 for shape in fixed if len(shape) >= axis and shape[-axis] != 1}
        unknown = [sizes for sizes in there if sizes[-axis][0] != sizes[-axis][1]]
        chosen = known.pop() if len(known) == 1 else unknown[0][-axis] if unknown else None
        for sizes in unknown:
            sizes[-axis] = chosen  # type: ignore[assignment]
    return [
        Pair(*(pair.first.with_shape(tuple(size[at] for size in sizes)) for at in (0, 1)))
        for pair, sizes in zip(pairs, shapes, strict=True)
    ]


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of ops, so that a call on symbols is recorded as one operation."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if any_symbol(args) or (kwargs and any_symbol(kwargs.values())):
            return remember(function, args, kwargs)
        return function(*args, **kwargs)

    return called


_direct: set[object] = set()


def takes_symbols(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function that does with symbols what it does with tensors, so that its calls are not recorded.

    For functions that say something of a tensor, such as its shape, and those that call functions of the user.
    """
    _direct.add(function)
    return function


def publish(namespace: dict[str, Any], *modules: ModuleType) -> None:
    """Export the public names of modules from a package, and have a call of a function on symbols recorded as one.

    A module of the same name as a function is hidden by it.
    """
    export(namespace, *modules)
    made: dict[FunctionType, Any] = {}  # one for a function that has two names
    for module in modules:
        for name in module.__all__:
            function = namespace[name] = getattr(module, name)
            if isinstance(function, FunctionType) and function not in _direct and not hasattr(function, "__wrapped__"):
                namespace[name] = published = made.setdefault(function, public(function))
                published.__module__ = namespace["__name__"]  # where unpickling finds it
