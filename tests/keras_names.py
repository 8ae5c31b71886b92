"""The public names of Keras beside gpudl's: what is the same, what differs, what is absent; as `docs/keras.md`.

``python tests/keras_names.py --write`` writes the page anew. It needs Keras, as its test does; readers do not.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from textwrap import wrap
from types import ModuleType

from keras_peer import imported
from keras_reasons import ABSENT, BEHAVIOUR
from keras_signatures import methods_that_differ, signature_difference

PAGE = Path(__file__).resolve().parents[1] / "docs" / "keras.md"
PLACES = {"backend": "compat.keras_backend"}  # what imports of Keras give there
HOW = "python tests/keras_names.py --write"


@dataclass
class Compared:
    """The names of one module of Keras: the same, different and how, absent and why."""

    same: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many names Keras has here."""
        return len(self.same) + len(self.different) + sum(map(len, self.absent.values()))


def public_modules(module: ModuleType, path: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the path of each public module of Keras below `module`, and its public names."""
    members = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    yield path, {name: members[name] for name in sorted(members) if not inspect.ismodule(members[name])}
    for name, value in sorted(members.items()):
        if inspect.ismodule(value) and value.__name__ == f"{module.__name__}.{name}" and name != "src":
            yield from public_modules(value, f"{path}.{name}".lstrip("."))


def compare(keras: ModuleType) -> dict[str, Compared]:
    """Return the comparison of each public module of Keras that holds names, by its path."""
    modules = dict(public_modules(keras))
    classes = {value for names in modules.values() for value in names.values() if isinstance(value, type)}
    found: dict[str, Compared] = {}
    for path, names in modules.items():
        above = modules.get(path.rpartition(".")[0], {}) if path else {}
        for name, theirs in names.items():
            compared = found.setdefault(path, Compared())
            ours = our(path, name)
            if ours is None:
                repeats = above.get(name) is theirs
                why = repeated(path, name) if repeats else reason(f"{path}.{name}".lstrip("."))
                compared.absent.setdefault(why, []).append(name)
                continue
            how = [signature_difference(theirs, ours), BEHAVIOUR.get(f"{path}.{name}".lstrip("."), "")]
            if isinstance(theirs, type) and isinstance(ours, type):
                how.append(methods_that_differ(theirs, ours, classes))
            if said := "; ".join(filter(None, how)):
                compared.different[name] = said
            else:
                compared.same.append(name)
    return found


def our(path: str, name: str) -> object | None:
    """Return gpudl's object of a name of Keras, or None; a module of gpudl's own is no such object."""
    try:
        module = importlib.import_module(f"gpudl.{PLACES.get(path, path)}".rstrip("."))
    except ModuleNotFoundError:
        return None
    found: object = getattr(module, name, None)
    return None if inspect.ismodule(found) else found


def repeated(path: str, name: str) -> str:
    """Return why a name is absent that Keras has in the module above too."""
    above = path.rpartition(".")[0]
    return f"only in {title(above)}" if our(above, name) is not None else f"absent from {title(above)} too"


def reason(name: str) -> str:
    """Return why a name is absent; raise LookupError if the table does not say it."""
    for why, patterns in ABSENT.items():
        if any(fnmatch(name, pattern) for pattern in patterns.split()):
            return why
    raise LookupError(f"keras.{name} is not in gpudl: say why in ABSENT, in tests/keras_reasons.py.")


def page(found: dict[str, Compared], version: str) -> str:
    """Return the text of `docs/keras.md`."""
    total, same = sum(c.count for c in found.values()), sum(len(c.same) for c in found.values())
    different = sum(len(c.different) for c in found.values())
    lines = ["# Keras's names in gpudl"]
    for said in (
        f"Keras {version} has {total} public names, counting a name once for each module that it is in. Of these "
        f"**{same}** are the same in gpudl, **{different}** differ, and {total - same - different} are absent.",
        "*The same* means: every argument that Keras takes is taken, under its name, in its place and with its "
        "default, and so is every public method that a class has of its own. gpudl may take more. What the functions "
        "compute is compared with Keras by the tests that are marked `parity`. The names of keras.backend are in "
        "`gpudl/compat/keras_backend.py`, which a program's imports of Keras give (`gpudl run`).",
        f"`{HOW}` writes this page from the two packages, and `tests/test_keras_names.py` fails if it is out of date.",
    ):
        lines += ["", *wrap(said, 120)]
    lines += ["", "| module | names | same | differ | absent |", "|---|---:|---:|---:|---:|"]
    there = {path: c for path, c in found.items() if c.same or c.different}
    for path, c in there.items():
        row = (title(path), c.count, len(c.same), len(c.different), c.count - len(c.same) - len(c.different))
        lines.append(f"| {' | '.join(map(str, row))} |")
    for path, c in there.items():
        lines += ["", f"## {title(path)}", *of_module(c)]
    lines += ["", "## Modules that are absent", "", "| module | why | names |", "|---|---|---|"]
    for path, c in found.items():
        if path not in there:
            lines += [f"| {title(path)} | {why} | {', '.join(names)} |" for why, names in c.absent.items()]
    return "\n".join(lines) + "\n"


def title(path: str) -> str:
    """Return the name of a module of Keras."""
    return f"keras.{path}".rstrip(".")


def of_module(compared: Compared) -> Iterator[str]:
    """Yield the lines on one module."""
    if compared.same:
        yield from ("", f"**Same:** {', '.join(compared.same)}.")
    if compared.different:
        yield from ("", "| differs | how |", "|---|---|")
        yield from (f"| {name} | {how} |" for name, how in compared.different.items())
    for why in sorted(compared.absent):
        yield from ("", f"**Absent** ({why}): {', '.join(compared.absent[why])}.")


def unused_reasons(found: dict[str, Compared]) -> set[str]:
    """Return what the tables say about names that are not absent, or not in gpudl."""
    names = {f"{path}.{n}".lstrip(".") for path, c in found.items() for ns in c.absent.values() for n in ns}
    there = {f"{path}.{n}".lstrip(".") for path, c in found.items() for n in c.different}
    patterns = {pattern for said in ABSENT.values() for pattern in said.split()}
    return {p for p in patterns if not any(fnmatch(name, p) for name in names)} | (BEHAVIOUR.keys() - there)


def written() -> tuple[dict[str, Compared], str]:
    """Return the comparison with the Keras that is installed, and the page that it gives."""
    keras = imported()
    found = compare(keras)
    return found, page(found, ".".join(keras.__version__.split(".")[:2]))


if __name__ == "__main__":
    compared, text = written()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(text, "utf-8")
        if unused := unused_reasons(compared):
            print("Said in tests/keras_reasons.py of names that gpudl has by now:", *sorted(unused))
    else:
        print(text, end="")
