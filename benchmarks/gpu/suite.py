"""The test-suite on the card, and the tests that are for a card only."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.children import ROOT
from benchmarks.gpu.lines import counts, failures, run
from benchmarks.gpu.parts import Found, Options, Part, Section

# Files whose tests are about what a user of any device sees; longest first, so that they begin first.
FILES = (
    *("losses", "layers", "norm", "fit", "data", "summary", "metrics", "activations", "optimizers"),
    *("user_errors", "sequential", "initializers", "progress", "regularizers", "numerical", "grad", "trace"),
    *("callbacks", "layers_training", "layer_base", "layers_errors", "custom"),
)
PROCESSES = 8
_AT_THE_END = 4.0  # seconds that are left to read what the processes wrote


def shared_out(files: Sequence[str], processes: int) -> list[list[str]]:
    """Deal files out to processes, one after the other."""
    return [group for number in range(processes) if (group := list(files[number::processes]))]


def whole(options: Options) -> Found:
    """Run the tests of the layers and the models on CuPy."""
    files = [f"tests/test_{name}.py" for name in options.pick(FILES, FILES[5:], FILES[-1:])]
    backend = "cupy" if options.device == "cuda" else "numpy"
    groups = [[*group, "-m", "not host"] for group in shared_out(files, PROCESSES)]
    yield from tested(groups, options, {"GPUDL_TEST_BACKEND": backend})


def on_card(files: Sequence[str], processes: int, options: Options) -> Found:
    """Run tests for a card only, shared out to processes test by test."""
    given = {"GPUDL_TEST_DATA": str(Path(options.data).resolve())} if options.data else {}
    paths = [f"tests/gpu/test_{name}.py" for name in files]
    groups = [[*paths, "--share", f"{number}/{processes}"] for number in range(processes)]
    yield from tested(groups, options, given)


def tested(groups: Sequence[Sequence[str]], options: Options, variables: dict[str, str]) -> Found:
    """Run groups of tests; yield the counts, the failures, and what tests recorded."""
    known: tuple[Any, ...] = ()
    with tempfile.TemporaryDirectory() as folder:
        for lines in run(groups, Path(folder), options.seconds - _AT_THE_END, variables):
            if known != (known := (counts(lines), failures(lines))):
                yield "counts", known[0]
                yield "failures", known[1]
    yield "reasons of skips", sorted({line["said"] for line in lines if line["outcome"] == "skipped"})
    yield "slowest", sorted(((line["seconds"], line["test"]) for line in lines), reverse=True)[:10]
    recorded = {line["test"].partition("::")[2]: line["recorded"] for line in lines if "recorded" in line}
    if recorded:
        yield "recorded", recorded
    count, wrong = known
    if wrong or not count["passed"]:
        raise AssertionError(f"{len(wrong)} tests failed or could not run, {count['passed']} passed in {ROOT}")


TESTS = Section("the test-suite on CuPy", 80, {"layers and models": Part(whole, 80)})
AGREE = Section(
    "20 steps beside the CPU's, and the same bits however they are run",
    70,
    {"trainings": Part(partial(on_card, ["training"], 2), 70)},
)
TILES = Section(
    "every tile of products on tensor cores and without, beside float64",
    50,
    {"tiles": Part(partial(on_card, ["tiles"], PROCESSES), 50)},
)
OPS = Section(
    "every op and kernel beside its oracle", 70, {"ops": Part(partial(on_card, ["ops", "kernels"], PROCESSES), 70)}
)
