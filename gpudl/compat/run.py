"""Run a Keras program on gpudl, unchanged."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from gpudl.compat import aliases, missing


def run(program: str, arguments: Sequence[str] = ()) -> int:
    """Run a Python program whose imports of Keras give gpudl, and return its exit status.

    Names that the program used and gpudl does not have are listed on stderr at its end; if it failed, together with all
    missing names in its source.

    Args:
        program: path of the file.
        arguments: the arguments in ``sys.argv`` after the program's name.

    Raises:
        ValueError: there is no such file.
    """
    path = _checked(program)
    aliases.install()
    before = dict(missing.names)
    sys.argv, sys.path[0] = [program, *arguments], str(path.absolute().parent)
    status, failed = 0, False
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        status = _status(end)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # any failure of the program is printed as Python would
        traceback.print_exception(error.with_traceback(_inside(error.__traceback__, program)))
        status, failed = 1, True
    found = {name: place for name, place in missing.names.items() if name not in before}
    if failed:
        found = {**mentioned(program), **found}
    if found:
        print(missing.report(found), file=sys.stderr)
    return status


def check(program: str) -> int:
    """Print the names of Keras that a program mentions and gpudl does not have; return 1 if there are any.

    Raises:
        ValueError: there is no such file, or it is not Python.
    """
    _checked(program)
    found = mentioned(program)
    print(missing.report(found) if found else f"All names of Keras that {program} mentions are in gpudl.")
    return 1 if found else 0


def mentioned(program: str) -> dict[str, str]:
    """Return the missing names that the text of a program mentions, with their places."""
    try:
        return missing.in_source(Path(program).read_text(encoding="utf-8"), program, aliases.exists)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{program} is not a Python program: {error}.") from error


def _checked(program: str) -> Path:
    path = Path(program)
    if not path.is_file():
        raise ValueError(f"there is no program {program}. Give the path of a Python file.")
    return path


def _status(end: SystemExit) -> int:
    """Return the exit status of a program that has called `sys.exit`."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def _inside(trace: TracebackType | None, program: str) -> TracebackType | None:
    """Return the part of a traceback that begins in the program; None where it never ran."""
    while trace is not None and trace.tb_frame.f_code.co_filename != program:
        trace = trace.tb_next
    return trace
