"""How a function or class of gpudl is called otherwise than Keras's: arguments, defaults, methods."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from inspect import Parameter, Signature

VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
SIMPLE = (bool, int, float, str, tuple, list, dict, type(None))
# Methods that Keras has for its own use: of quantization, and of the JAX backend.
INNER = {"quantized_build", "quantized_call", "quantize", "symbolic_call", "rematerialized_call", "enable_lora"}
INNER |= {
    "get_quantization_layer_structure",
    "jax_state_sync",
    "compute_loss_and_updates",
    "get_state_tree",
    "set_state_tree",
}


def signature_difference(theirs: object, ours: object) -> str:
    """Return in words how `ours` takes less than `theirs`, or nothing: "without a, b; c=1 instead of 2".

    Example:
        >>> signature_difference(lambda a, b=1, c=2: 0, lambda a, c=3: 0)
        'without b; c=3 instead of 2'
    """
    wanted, given = signature(theirs), signature(ours)
    if wanted is None or given is None:
        return ""
    kinds = {p.kind for p in given.parameters.values()}
    free = Parameter.VAR_POSITIONAL in kinds and Parameter.VAR_KEYWORD in kinds
    names = [p for p in wanted.parameters.values() if p.kind not in VARIADIC]
    return "" if free else "; ".join(_differences(names, _taken(given, ours)))


def signature(item: object) -> Signature | None:
    """Return the signature of what can be called, of a class that of its constructor; None for anything else."""
    if not callable(item):
        return None
    try:
        return inspect.signature(item)
    except (TypeError, ValueError):
        return None


def _taken(given: Signature, item: object) -> dict[str, Parameter]:
    """Return the arguments by name, with those of ``**options: Unpack[Options]`` behind the others."""
    found = {name: p for name, p in given.parameters.items() if p.kind not in VARIADIC}
    for parameter in given.parameters.values():
        if parameter.kind is Parameter.VAR_KEYWORD:
            function = item.__init__ if isinstance(item, type) else inspect.unwrap(item)  # type: ignore[misc, arg-type]
            options = str(parameter.annotation).removeprefix("Unpack[").removesuffix("]")
            scopes = (getattr(function, "__globals__", {}), vars(sys.modules[getattr(item, "__module__", "builtins")]))
            declared = next((scope[options] for scope in scopes if options in scope), None)
            for name in getattr(declared, "__annotations__", ()):
                found.setdefault(name, Parameter(name, Parameter.KEYWORD_ONLY, default=...))
    return found


def _differences(wanted: list[Parameter], taken: dict[str, Parameter]) -> Iterator[str]:
    missing = [p.name for p in wanted if p.name not in taken]
    first = next(iter(taken), "")
    if missing and wanted[0].name == missing[0] and first and first not in {p.name for p in wanted}:
        yield f"{missing.pop(0)} is called {first}"
    if missing:
        yield f"without {', '.join(missing)}"
    both = [p for p in wanted if p.name in taken and p.kind in POSITIONAL]
    placed = [p.name for p in both if taken[p.name].kind in POSITIONAL]
    if placed != [name for name in taken if name in placed]:
        yield f"in the order {', '.join(name for name in taken if name in placed)}"
    if named := [p.name for p in both if p.name not in placed]:
        yield f"{named[0]} by keyword only" if len(named) == 1 else f"{named[0]} to {named[-1]} by keyword only"
    for p in wanted:
        if p.name in taken and p.default is not Parameter.empty and taken[p.name].default is not ...:
            mine = taken[p.name].default
            if mine is Parameter.empty:
                yield f"{p.name} must be given"
            elif plain(mine) != plain(p.default):
                yield f"{p.name}={plain(mine)!r} instead of {plain(p.default)!r}"


def plain(default: object) -> object:
    """Return a default as what can be compared and printed: a function by its name, what makes a new object as None."""
    if repr(default) == "<factory>":
        return None
    return default if isinstance(default, SIMPLE) else getattr(default, "__name__", type(default).__name__)


def methods_that_differ(theirs: type, ours: type, public: set[type]) -> str:
    """Return in words which public methods of a class of Keras `ours` has not, or calls otherwise.

    What another public class hands down is said of that class only.
    """
    absent, otherwise = [], []
    for name, member in sorted(_own(theirs, public).items()):
        if not hasattr(ours, name):
            absent.append(name)
        elif callable(member) and (how := signature_difference(member, getattr(ours, name, None))):
            otherwise.append(f"{name}(): {how}")
    return "; ".join([*([f"no {', '.join(absent)}"] if absent else []), *otherwise])


def _own(cls: type, public: set[type]) -> dict[str, object]:
    """Return the public methods that a class has itself or from classes that are not public."""
    found: dict[str, object] = {}
    handed_down = {name for base in cls.__mro__[1:] if base in public for name in dir(base)}
    for base in cls.__mro__:
        if base is cls or (base not in public and base.__module__.startswith("keras.")):
            found |= {name: getattr(cls, name) for name in vars(base)}
    kept = {n: m for n, m in found.items() if not n.startswith("_") and n not in INNER | handed_down}
    return {name: method for name, method in kept.items() if inspect.isroutine(method)}
