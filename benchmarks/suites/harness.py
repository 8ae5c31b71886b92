"""From a table of ops and shapes to benchmarks that say how near each op comes to what this machine can do.

A benchmark measures the replay of a recorded step, with nothing fed in between: the inputs are variables. Bytes are
those of the inputs read and the outputs written, each once; operations are counted by the table, one for each
element of the first output where it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import gpudl
from benchmarks.peaks import Peaks

Shape = tuple[int, ...]
# What the enabled benchmarks measured, by name, for the table at the end.
measured: dict[str, dict[str, float]] = {}


@dataclass(frozen=True)
class Case:
    """A step over variables.

    Attributes:
        name: names it in the report.
        step: takes the variables and returns tensors, or None for an update.
        inputs: arrays, or shapes of float32 arrays of random numbers from (0, 1).
        flops: operations; 0 for one an element of the first output, or of the first input of an update.
        written: how many of the inputs are overwritten.
    """

    name: str
    step: Callable[..., Any]
    inputs: Sequence[Shape | np.ndarray]
    flops: int = 0
    written: int = 0

    def ready(self) -> tuple[Callable[[], Any], int, int]:
        """Record the step; return a call that replays it, its operations and its bytes."""
        random = np.random.default_rng(0)
        arrays = [random.random(v, np.float32) if isinstance(v, tuple) else v for v in self.inputs]
        variables = [gpudl.Variable(a, trainable=a.dtype.kind == "f") for a in arrays]
        call = partial(gpudl.traced(self.step).run, *variables)
        results = call()
        outs = [] if results is None else list(results) if isinstance(results, list | tuple) else [results]
        touched = [*variables, *variables[: self.written], *outs]
        return call, self.flops or (outs or variables)[0].size, sum(t.spec.nbytes for t in touched)


def op(name: str, *inputs: Shape | np.ndarray, flops: int = 0, **static: Any) -> Case:
    """Return a case of one op of the registry."""
    found = gpudl.ops.registry[name]
    sizes = ["x".join(map(str, i if isinstance(i, tuple) else i.shape)) for i in inputs]
    label = f"{name} {' '.join(size for size in sizes if size)}"
    options = " ".join(f"{key}={value}" for key, value in static.items() if isinstance(value, bool | str))
    return Case(f"{label} {options}".rstrip(), partial(found, **static), inputs, flops, found.writes)


def suite(cases: Iterable[Case]) -> Callable[..., None]:
    """Return a parametrized benchmark over the cases; name it ``test_...``."""

    def bench(case: Case, benchmark: Any, request: pytest.FixtureRequest) -> None:
        call, flops, nbytes = case.ready()
        benchmark(call)
        if benchmark.enabled:
            peaks: Peaks = request.getfixturevalue("peaks")
            seconds = benchmark.stats.stats.median
            rates = peaks.rates(flops, nbytes, seconds)
            benchmark.extra_info |= rates | {"flops": flops, "bytes": nbytes}
            measured[case.name] = {"seconds": seconds, **rates}

    table = pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])
    marked: Callable[..., None] = table(pytest.mark.benchmark(max_time=0.3, min_rounds=5)(bench))
    return marked
