"""Compile what the launchers ask CuPy for with NVRTC, by CuPy's own code and options; no GPU is needed.

    python -m cuda_cpu.nvrtc --python cuda/bin/python      # in the folder `tests`

The other Python has cupy-cuda13x, NumPy and CUDA's compiler and headers (nvidia-cuda-nvrtc, nvidia-cuda-runtime).
The sources are those of every call of the op contract's cases, of the tutorials' networks, and every tile with every
dtype, for the card that CuPy's double pretends to be. Kernels of one file are compiled together, which takes less time
than one by one. What does not fit into the time is named: the kernels of files come first, those that are written for
runs of elementwise ops last.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path

from gpudl.kernels import registry
from gpudl.kernels.cuda import launch

from cuda_cpu import kinds

ARCHITECTURE = 90
PROCESSES = 2
COMPILER = Path(__file__).with_name("cupy_compiler.py")
TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS.parent))  # at the end: the gpudl that is installed comes before that of the checkout
Source = tuple[str, tuple[str, ...]]
"""A text, and the options of its compiler."""


def sources() -> dict[Source, str]:
    """Return every source with the name of a kernel in it, the most important first."""
    from cuda_kernels import Placed
    from strict_cupy import installed
    from test_cuda_kernel_cases import calls

    from benchmarks.gpu.compiling import asked, noted

    with installed():
        from gpudl import backend

        with backend.scope("cupy"):
            wanted = asked()
        with noted() as found:
            for kernel in chain.from_iterable(registry.registered("cuda").values()):
                for static, outs, inputs in calls(kernel):
                    kernel.run(*(Placed(a).array for a in (*outs, *inputs)), **static)
    together: dict[Source, str] = {}
    for text, options, name in [*wanted, *tiles(), *found]:
        together.setdefault((text, tuple(each for each in options if not each.startswith("-DGPUDL_ONLY"))), name)
    return dict(sorted(together.items(), key=lambda item: item[1].startswith("run_")))


def tiles() -> list[tuple[str, tuple[str, ...], str]]:
    """Return the sources of all tiles that the architecture can have."""
    made = [kind for kind in kinds.tile_variants() if ARCHITECTURE in kinds.architectures(kind)]
    return [(launch.source(file), ("--std=c++17", *macros), file.removesuffix(".cu")) for file, *macros in made]


def compiled(wanted: dict[Source, str], python: Sequence[str], seconds: float) -> list[dict[str, str]]:
    """Compile sources in several processes; return what became of each that was tried in time.

    Raises:
        RuntimeError: a process ended early; the text is what it said.
    """
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sources.json"
        file.write_text(json.dumps([(*source, name) for source, name in wanted.items()]), encoding="utf-8")
        outs = [Path(folder) / f"{number}.jsonl" for number in range(PROCESSES)]
        environment = {**os.environ, "CUPY_CACHE_DIR": f"{folder}/cache"}
        with ExitStack() as children:
            started = []
            for number, out in enumerate(outs):
                command = [*python, str(file), str(out), str(number), str(PROCESSES), str(ARCHITECTURE)]
                pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
                child = subprocess.Popen(command, env=environment, text=True, **pipes)
                started.append(children.enter_context(child))
                children.callback(child.kill)
            for child in started:
                with suppress(subprocess.TimeoutExpired):
                    said = child.communicate(timeout=max(deadline - time.monotonic(), 0.1))[1]
                if child.returncode:
                    raise RuntimeError(f"a process ended with exit status {child.returncode}:\n{said[-3000:]}")
        texts = [out.read_text(encoding="utf-8").rpartition("\n")[0] for out in outs if out.exists()]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile, and say what became of it; the exit status is 1 where a source was refused or warned of."""
    made = argparse.ArgumentParser(prog="cuda_cpu.nvrtc")
    made.add_argument("--python", required=True, metavar="FILE", help="a Python that has CuPy and CUDA's compiler")
    made.add_argument("--minutes", type=float, default=3.0, help="the most that it takes (default 3)")
    given = made.parse_args(arguments)
    begin = time.monotonic()
    wanted = sources()
    done = compiled(wanted, (given.python, str(COMPILER)), 60 * given.minutes - (time.monotonic() - begin))
    wrong = [each for each in done if each["said"]]
    for each in wrong:
        print(f"{each['name']} {each['options']}\n{each['said']}\n")
    tried = Counter(each["name"] for each in done)
    left = Counter(wanted.values()) - tried
    by = done[0]["by"] if done else "nothing"
    print(
        f"{len(done)} of {len(wanted)} sources compiled for sm_{ARCHITECTURE} by {by} in "
        f"{time.monotonic() - begin:.0f} s, {len(wrong)} of them refused or warned of."
    )
    if left:
        print(f"not compiled in time: {', '.join(f'{name} ({count})' for name, count in sorted(left.items()))}")
    return 1 if wrong or not done else 0


if __name__ == "__main__":
    raise SystemExit(main())
