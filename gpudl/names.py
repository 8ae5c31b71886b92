"""Default names, like Keras's: class names in snake case, numbered; and the public names of packages."""

from __future__ import annotations

from types import ModuleType
from typing import Any

_counts: dict[str, int] = {}


def snake_case(name: str) -> str:
    """Return a class name in Keras's snake case.

    Example:
        >>> snake_case("MaxPooling2D"), snake_case("CategoricalCrossentropy")
        ('max_pooling2d', 'categorical_crossentropy')
    """
    words: list[str] = []
    for at, letter in enumerate(name):
        before, after = name[at - 1 : at], name[at + 1 : at + 2]
        starts = letter.isupper() and at > 0 and (before.islower() or (after.islower() and before.isupper()))
        words.append(("_" if starts else "") + letter.lower())
    return "".join(words)


def auto_name(prefix: str) -> str:
    """Return ``prefix``, then ``prefix_1``, ``prefix_2`` and so on, as Keras names layers."""
    count = _counts.get(prefix, 0)
    _counts[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def get_uid(prefix: str = "") -> int:
    """Return the next number of `prefix`, from 1 on.

    Example:
        >>> get_uid("thing"), get_uid("thing")
        (1, 2)
    """
    _counts[prefix] = _counts.get(prefix, 0) + 1
    return _counts[prefix]


def clear_names() -> None:
    """Restart the numbering."""
    _counts.clear()


def export(namespace: dict[str, Any], *modules: ModuleType) -> None:
    """Add the public names of modules, which a package has imported, to those of the package."""
    added = (name for module in modules for name in module.__all__)
    namespace["__all__"] = list(dict.fromkeys([*namespace.get("__all__", ()), *added]))
