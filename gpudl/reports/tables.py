"""Tables of reports, as text for a terminal, a file or a function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from gpudl.callbacks.progress import put

PrintFn = Callable[[str], object]

_WIDE = 160  # characters of a table that is written to a file or passed to a function
_DIGITS = 999.5  # the largest number that is shown with three digits


def scaled(number: float) -> str:
    """Return a number with three digits and the prefix of a power of 1000, ready for a unit."""
    for prefix in ("", "k", "M", "G"):
        if number < _DIGITS:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:,.0f} T"


def plain(value: str) -> Any:
    """Return `value` as a cell, in which brackets are no markup."""
    from rich.text import Text

    return Text(value)


def empty_table(*header: str, left: int = 4) -> Any:
    """Return an empty table; all columns but the first ones, and a last one of text, are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(header):
        table.add_column(name, justify="left" if at < left or name == "by" else "right", overflow="fold")
    return table


def show(print_fn: PrintFn | None, title: str, *parts: object) -> None:
    """Print a title and the parts of a report, tables and lines, or pass them to `print_fn` as one text."""
    from rich.console import Console

    console = Console(highlight=False)
    if print_fn is not None:
        console = Console(highlight=False, force_terminal=False, color_system=None)
    if print_fn is not None or not console.is_terminal:
        console.width = max(console.width, _WIDE)
    with console.capture() as captured:
        for part in (title, *parts):
            console.print(plain(part) if isinstance(part, str) else part)
    (print_fn or _printed)(captured.get())


def _printed(text: str) -> None:
    put(sys.stdout, text)
