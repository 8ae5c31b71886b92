"""What a package makes public, for the tests that ask whether each of it has a case."""

from __future__ import annotations

import inspect
from types import ModuleType


def classes(module: ModuleType, base: type) -> set[str]:
    """Return the names of the public classes derived from `base`, itself left out, each once."""
    items = [getattr(module, name) for name in module.__all__]
    return {item.__name__ for item in items if inspect.isclass(item) and issubclass(item, base) and item is not base}


def functions(module: ModuleType) -> set[str]:
    """Return the names of the public functions, each once."""
    return {item.__name__ for item in map(module.__dict__.get, module.__all__) if inspect.isfunction(item)}
