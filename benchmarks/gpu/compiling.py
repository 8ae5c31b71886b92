"""The kernels of the tutorials' networks, compiled before anything is measured, by several processes at once.

Each network is trained and evaluated once with kernels that do nothing, which tells what the launchers ask for on this
card. CuPy keeps what is compiled on disk, where later processes find it.

    python -m benchmarks.gpu.compiling SOURCES.json 3 8      # every 8th source from the 3rd on
    python -m benchmarks.gpu.compiling                       # the CPU's kernels, with which results are compared
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.children import command
from benchmarks.gpu.parts import Found, Options, Part, Section
from benchmarks.gpu.settings import gpudl_precision
from benchmarks.workloads.networks import BATCH_SIZES, batch, keras_model

PROCESSES = 8
Source = tuple[str, tuple[str, ...], str]
"""A text, its compiler's options, and the name of a kernel in it."""


class Nothing:
    """Stands in for a kernel: a launch computes nothing."""

    max_dynamic_shared_size_bytes = 2**30

    def __call__(self, *args: Any, **given: Any) -> None:
        """Accept a launch."""


@contextmanager
def noted() -> Iterator[dict[Source, None]]:
    """Let launchers get kernels that do nothing, and note what they ask for."""
    from gpudl.kernels.cuda import launch

    found: dict[Source, None] = {}
    before = launch.make

    def make(text: str, options: tuple[str, ...], name: str) -> Nothing:
        found[text, options, name] = None
        return Nothing()

    launch.forget()
    launch.make = make
    try:
        yield found
    finally:
        launch.make = before
        launch.forget()


def asked(precisions: Sequence[str] = ("highest", "high")) -> list[Source]:
    """Return what training and evaluating the networks compiles, whole batches and the smaller last ones."""
    import gpudl

    with noted() as found, warnings.catch_warnings(action="ignore"):  # what is not computed may be NaN
        for precision in precisions:
            gpudl_precision(gpudl, precision)
            for network, size in BATCH_SIZES.items():
                model = keras_model(gpudl, network)
                x, y = batch(network, 2 * size + 60_000 % size)
                model.fit(x, y, batch_size=size, epochs=2, verbose=0)
                model.evaluate(x[:48], y[:48], verbose=0)
    return list(found)


def compiled(sources: Sequence[Source], processes: int, seconds: float) -> dict[str, float]:
    """Compile sources in several processes; return the CPU's seconds of each, by kernel, the longest first."""
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sources.json"
        file.write_text(json.dumps(sources), encoding="utf-8")
        lines = [command("benchmarks.gpu.compiling", str(file), str(n), str(processes)) for n in range(processes)]
        started = [
            subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for line in lines
        ]
        try:
            said = [child.communicate(timeout=max(deadline - time.monotonic(), 0.1))[0] for child in started]
        finally:
            for child in started:
                child.kill()
    failed = [text for child, text in zip(started, said, strict=True) if child.returncode]
    if failed:
        raise RuntimeError(f"{len(failed)} of {processes} processes failed, the first with:\n{failed[0][-3000:]}")
    took: dict[str, float] = {}
    for text in said:
        for name, of_cpu in json.loads(text.splitlines()[-1]):
            took[name] = took.get(name, 0) + of_cpu
    return dict(sorted(took.items(), key=lambda item: -item[1]))


def networks(options: Options) -> Found:
    """Compile what the networks need."""
    if options.device != "cuda":
        yield "compiled", "nothing: the CPU's kernels are compiled when they are needed"
        return
    begin = time.perf_counter()
    sources = asked(options.pick(("highest", "high"), ("highest",), ("highest",)))
    yield "kernels", len(sources)
    yield "seconds to know which", time.perf_counter() - begin
    begin = time.perf_counter()
    took = compiled(sources[:: options.pick(1, 1, 20)], min(PROCESSES, os.cpu_count() or 1), options.seconds - 2)
    yield "seconds to compile", time.perf_counter() - begin
    yield "seconds of the CPU", sum(took.values())
    yield "seconds of each", took


def on_the_cpu() -> None:
    """Train each network for a step on the CPU: Numba keeps what it compiles on disk, too."""
    import gpudl

    with gpudl.backend.scope("numpy"):
        for network, size in BATCH_SIZES.items():
            keras_model(gpudl, network).fit(*batch(network, size), batch_size=size, verbose=0)


def main(arguments: Sequence[str]) -> None:
    """Compile a share of the sources of a file and print the seconds of each, or compile for the CPU."""
    if not arguments:
        on_the_cpu()
        return
    from gpudl.kernels.cuda import launch

    file, first, by = arguments
    took = []
    for text, options, name in json.loads(Path(file).read_text(encoding="utf-8"))[int(first) :: int(by)]:
        begin = time.process_time()
        launch.make(text, tuple(options), name)
        took.append((name, round(time.process_time() - begin, 3)))
    print(json.dumps(took))


SECTION = Section("the kernels of the networks, compiled side by side", 40, {"networks": Part(networks, 40)})

if __name__ == "__main__":
    main(sys.argv[1:])
