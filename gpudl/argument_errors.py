"""Errors for arguments that there are not, with the most similar that there are."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Return the error for a `name` that is not in `known`, with the most similar one that is."""
    # Of the two spellings of a name the one with underscores, unless it is split wrongly, as in rm_sprop.
    known = list(known)
    spelled = {other.replace("_", ""): other for other in known if "_" in other and min(map(len, other.split("_"))) > 2}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f" Known: {', '.join(sorted({spelled.get(other, other) for other in known}))}."
    if near:
        hint = f" Did you mean {spelled.get(near[0], near[0])!r}?"
    return ValueError(f"Unknown {kind}: {name!r}.{hint}")


def unknown_argument(cls: type, name: str) -> ValueError:
    """Return the error for an argument that neither `cls` nor its bases accept, with the most similar one that they do.

    Example:
        >>> print(unknown_argument(gpudl.layers.Dense, "activaton"))
        Dense has no argument 'activaton'. Did you mean 'activation'?
    """
    taken = [
        parameter.name
        for base in cls.__mro__
        if "__init__" in vars(base) and base is not object
        for parameter in list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return no_argument(cls.__name__, name, list(dict.fromkeys(taken)))


def no_argument(who: str, name: str, taken: list[str]) -> ValueError:
    """Return the error for an argument that is not among those `taken`, with the nearest that is."""
    near = difflib.get_close_matches(name.lower(), taken, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(taken) or 'none of this kind'}."
    return ValueError(f"{who} has no argument {name!r}. {hint}")


def refuse_others(cls: type, others: Mapping[str, object], off: Mapping[str, object]) -> None:
    """Raise ValueError for arguments that no constructor accepts, unless they have the values that `off` lists."""
    for name, value in others.items():
        if name not in off:
            raise unknown_argument(cls, name)
        if value != off[name]:
            raise ValueError(f"{cls.__name__}({name}={value!r}) is not supported yet. Leave {name} out.")


def unregistered(name: str, module: str = "") -> ValueError:
    """Return the error for a class or function that is neither gpudl's nor registered."""
    where = f" of {module}" if module else ""
    return ValueError(
        f"{name!r}{where} is neither gpudl's nor registered. Pass custom_objects={{{name!r}: {name.split('>')[-1]}}}, "
        "or decorate it with @saving.register_keras_serializable() in your program."
    )
