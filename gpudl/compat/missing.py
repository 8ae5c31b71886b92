"""Names of Keras that a program uses and gpudl does not have."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator

_INTERNAL = ("importlib", __package__ or "gpudl.compat")

names: dict[str, str] = {}
"""The missing names that this process has accessed, each with the first place, as ``file:line``."""


def note(name: str) -> None:
    """Record that the running program has accessed `name`, which is missing."""
    names.setdefault(name, _place())


def _place() -> str:
    """Return the file and line of the caller outside the import system and this package."""
    frame = sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__", "")).startswith(_INTERNAL):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def report(found: dict[str, str]) -> str:
    """Return a list of the missing names in `found`, a line each; of a module and a name in it the latter only.

    Example:
        >>> print(report({"keras.layers.Foo": "program.py:3"}))
        Not in gpudl:
          keras.layers.Foo  program.py:3
    """
    names = [name for name in found if not any(other.startswith(f"{name}.") for other in found)]
    width = max(map(len, names), default=0)
    return "\n".join(["Not in gpudl:", *(f"  {name:<{width}}  {found[name]}" for name in names)])


def in_source(source: str, file: str, exists: Callable[[str], bool]) -> dict[str, str]:
    """Return the names of Keras that the text of a program mentions and that do not exist, with their places.

    Args:
        source: the text; only names that are imported, or reached by attributes of imported modules, are found.
        file: the name of the text in places.
        exists: whether a dotted name exists.

    Raises:
        SyntaxError: the text is not Python.

    Example:
        >>> in_source("from keras import layers\\nlayers.Dense(layers.Foo)", "a.py", lambda name: name[-3:] != "Foo")
        {'keras.layers.Foo': 'a.py:2'}
    """
    found: dict[str, str] = {}
    for name, line in _mentioned(ast.parse(source, file)):
        if not exists(name):
            found.setdefault(name, f"{file}:{line}")
    return found


def _mentioned(program: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the dotted names of Keras and TensorFlow in a program, with their lines."""
    meant: dict[str, str] = {}  # the dotted names of the program's variables
    nodes = [node for node in ast.walk(program) if isinstance(node, ast.stmt | ast.expr)]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_keras(alias.name):
                    yield alias.name, node.lineno
                    top = alias.name.partition(".")[0]
                    meant[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            if not node.level and node.module and _is_keras(node.module):
                yield node.module, node.lineno
                for alias in node.names:
                    if alias.name != "*":
                        meant[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                        yield f"{node.module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Attribute) and (chain := _chain(node)) and chain[0] in meant:
            yield ".".join([meant[chain[0]], *chain[1:]]), node.lineno


def _is_keras(module: str) -> bool:
    return module.partition(".")[0] in ("keras", "tensorflow")


def _chain(node: ast.expr) -> list[str]:
    """Return ``["a", "b", "c"]`` for the expression ``a.b.c``, and nothing for others."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        inner = _chain(node.value)
        return [*inner, node.attr] if inner else []
    return []
