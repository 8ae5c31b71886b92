"""The process in which CuPy compiles sources where there is no driver: see `nvrtc.py`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def compiler() -> tuple[str, Callable[[str, Sequence[str], str], str]]:
    """Return what compiles, and CuPy's own way from a source to machine code, which returns the compiler's log.

    Of CuPy two things ask the driver: which device is the current one, whose architecture is given here, and the last
    step, which loads what was compiled.
    """
    import cupy
    from cupy._core import core
    from cupy.cuda import compiler as its
    from cupy.cuda import function

    class Module(function.Module):
        """Loads nothing."""

        def load(self, binary: bytes) -> None:
            """Accept machine code."""
            assert binary.startswith(b"\x7fELF")

    its.function = type("function", (), {"Module": Module})
    its._get_arch_for_options_for_nvrtc = its._get_arch_for_options_for_nvrtc.__wrapped__

    def compile_one(text: str, options: Sequence[str], arch: str) -> str:
        log = io.StringIO()
        core.compile_with_cache(text, tuple(options), arch=arch, prepend_cupy_headers=False, log_stream=log)
        return log.getvalue().strip()

    return f"CuPy {cupy.__version__} with NVRTC {'.'.join(map(str, its._get_nvrtc_version()))}", compile_one


def main(arguments: Sequence[str], made: Any = None) -> None:
    """Compile a share of the sources of a file; write what became of each as it comes."""
    file, out, first, by, arch = arguments
    what, compile_one = made or compiler()
    with Path(out).open("w", encoding="utf-8") as lines:
        for text, options, name in json.loads(Path(file).read_text(encoding="utf-8"))[int(first) :: int(by)]:
            try:
                said = compile_one(text, options, arch)
            except Exception as error:
                said = str(error) or repr(error)
            lines.write(json.dumps({"name": name, "options": " ".join(options), "said": said, "by": what}) + "\n")
            lines.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
