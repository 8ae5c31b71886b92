"""The process in which the parts of a section run, one after the other, until one fails.

A fault on a GPU, such as an access out of bounds, makes every later call of the process fail too. So the process ends
with the first error, and `benchmarks.gpu.runner` starts another one for the parts that are left.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.children import answers
from benchmarks.gpu.parts import Options, Part
from benchmarks.gpu.sections import SECTIONS


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="benchmarks.gpu.worker")
    made.add_argument("section", choices=SECTIONS)
    made.add_argument("parts", nargs="+")
    made.add_argument("--data")
    made.add_argument("--size", default="full")
    made.add_argument("--device", default="cuda")
    made.add_argument("--seconds", type=float, default=60.0)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; write a line for each thing found, and one at the end of each part."""
    given = parser().parse_args(arguments)
    options = Options(given.data, given.size, given.device, given.seconds)
    pipe = answers()
    for name in given.parts:
        part: Part = SECTIONS[given.section].parts[name]
        begin = time.perf_counter()
        end: dict[str, object] = {"part": name}
        try:
            for key, value in part.run(replace(options, seconds=min(part.seconds, given.seconds))):
                pipe.write(json.dumps({"part": name, "key": key, "value": value}, default=str) + "\n")
        except Exception:
            end["error"] = traceback.format_exc()
        end["seconds"] = round(time.perf_counter() - begin, 3)
        pipe.write(json.dumps(end) + "\n")
        if "error" in end:
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
