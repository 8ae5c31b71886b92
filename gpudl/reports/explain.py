"""The reports of `Model.explain` and `Model.profile`: the instructions of a step's plan, and their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from gpudl.backend import Array
from gpudl.engine.plan import ir
from gpudl.engine.plan.entry import Entry
from gpudl.engine.plan.ir import Instruction
from gpudl.engine.plan.plan import Plan
from gpudl.engine.plan.trace import Traced
from gpudl.engine.spec import Spec
from gpudl.engine.state import LayoutError
from gpudl.reports.tables import PrintFn, empty_table, plain, scaled, show
from gpudl.training.data.arrays import Data, require_counts
from gpudl.training.data.sources import batches
from gpudl.training.one_batch import Trainer

if TYPE_CHECKING:
    from rich.table import Table

# The method that records each step, for error messages.
_METHODS = {"train": "fit", "test": "evaluate", "predict": "predict"}
_KERNELS = {"cpu": "numba", "cuda": "cuda"}


@dataclass(frozen=True)
class Row:
    """One instruction of a plan.

    Attributes:
        op: the op, or the fused ops with plus signs between them.
        layer: where it comes from: a layer, its gradient, "loss", "metrics" or "optimizer".
        outs: shapes and dtypes of the arrays that it writes: its results, and the variables that it updates.
        bytes: bytes that it reads and writes.
        flops: number of arithmetic operations.
        kernel: "numba" or "cuda" for a kernel, "numpy" or "cupy" for the reference, "view" for no computation.
        seconds: the median time of one run; 0 if it was not measured.
    """

    op: str
    layer: str
    outs: str
    bytes: int
    flops: int
    kernel: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Total:
    """The sum of the rows with one name."""

    name: str
    calls: int
    bytes: int
    flops: int
    seconds: float


@dataclass(frozen=True)
class Profile:
    """The profile of a step.

    Attributes:
        rows: the instructions in execution order, with their times.
    """

    rows: list[Row]

    @property
    def seconds(self) -> float:
        """The time of all instructions together."""
        return sum(row.seconds for row in self.rows)

    def by_layer(self) -> list[Total]:
        """Return the totals of each layer, forward and gradient apart, the slowest first."""
        return self._totals(lambda row: row.layer)

    def by_op(self) -> list[Total]:
        """Return the totals of each op, or fused ops, the slowest first."""
        return self._totals(lambda row: row.op)

    def _totals(self, name: Callable[[Row], str]) -> list[Total]:
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(name(row), []).append(row)
        return sorted((_total(key, rows) for key, rows in groups.items()), key=lambda total: -total.seconds)


def _total(name: str, rows: Sequence[Row]) -> Total:
    return Total(name, len(rows), sum(r.bytes for r in rows), sum(r.flops for r in rows), sum(r.seconds for r in rows))


def explain(model: Trainer, x: Data, y: Data, step: str, batch_size: int, print_fn: PrintFn | None) -> None:
    """Print the plan of a step of `model`; `Model.explain` has the arguments and errors."""
    entry = _planned(model, x, y, step, batch_size)
    plan = entry.plan
    rows = _rows(plan, step)
    table = empty_table("#", "op", "where from", "outs", "bytes", "FLOPs", "by")
    for number, row in enumerate(rows, start=1):
        table.add_row(
            str(number), *map(plain, (row.op, row.layer, row.outs)), scaled(row.bytes), scaled(row.flops), row.kernel
        )
    inputs = ", ".join(_spec(Spec(a.shape, a.dtype)) for a in entry.buffers)
    weights = sum(v.spec.nbytes for v in model.weights)
    lines = (
        f"{len(entry.record.instructions)} instructions recorded, {len(rows)} left, {len(plan.calls)} of them compute.",
        f"Arena {scaled(plan.arena.nbytes)}B for values that would need {scaled(plan.unpacked)}B without overlap; "
        f"weights {scaled(weights)}B.",
        f"{scaled(sum(row.flops for row in rows))} FLOPs and {scaled(sum(row.bytes for row in rows))}B a step.",
        *_launched(plan),
    )
    show(print_fn, f"The {step} step of {model.name!r} for {inputs}", table, *lines)


def _launched(plan: Plan) -> tuple[str, ...]:
    """Return how the step is launched, if there is a choice."""
    if not plan.on.captures:
        return ()
    if plan.outcome.captured:
        return ("Launched as one CUDA graph.",)
    if plan.outcome.reason is not None:
        return (f"Launched kernel by kernel, not as a CUDA graph: {plan.outcome.reason}",)
    return ("Launched kernel by kernel the first time, as one CUDA graph after that.",)


def profile(
    model: Trainer, x: Data, y: Data = None, batch_size: int = 32, repeats: int = 20, print_fn: PrintFn | None = None
) -> Profile:
    """Measure and print each instruction of a training step; `Model.profile` has the arguments and errors."""
    require_counts(1, optional=False, repeats=repeats)
    plan = _planned(model, x, y, "train", batch_size).plan
    rows = [row for row in _rows(plan, "train") if row.kernel != "view"]
    with _restored(_written(plan)):
        times = _times(plan, repeats)
    measured = Profile([replace(row, seconds=seconds) for row, seconds in zip(rows, times, strict=True)])
    parts: list[Table | str] = []
    for by, totals in (("layer", measured.by_layer()), ("op", measured.by_op())):
        table = empty_table(by, "calls", "us", "share", "GFLOP/s", "GB/s", left=1)
        for total in totals:
            table.add_row(plain(total.name), str(total.calls), *_rates(total, measured.seconds))
        parts.append(table)
    step = _total("step", measured.rows)
    us, _, gflops, gbytes = _rates(step, step.seconds)
    parts.append(f"{step.calls} instructions in {us} us a step: {gflops} GFLOP/s, {gbytes} GB/s.")
    show(print_fn, f"A train step of {model.name!r}, medians of {repeats}", *parts)
    return measured


def _planned(model: Trainer, x: Data, y: Data, step: str, batch_size: int) -> Entry:
    """Return the plan of a step: recorded for the first batch of the data, or the last one there is."""
    if step not in _METHODS:
        raise ValueError(f'step must be "train", "test" or "predict", got {step!r}.')
    if model.run_eagerly:
        raise ValueError(
            f"the model {model.name!r} was compiled with run_eagerly=True: its steps are computed op by op and have no "
            "plan. Compile it without run_eagerly."
        )
    traced: Traced = getattr(model, f"_{step}")
    if x is None:
        if not traced.entries:
            raise ValueError(
                f"no {step} step of the model {model.name!r} has been recorded yet: pass data, explain(x, y), or call "
                f"{_METHODS[step]}() first."
            )
        return next(reversed(traced.entries.values()))
    source = batches(x, y, batch_size=batch_size)
    data = source.first()
    if step == "predict":
        return traced.prepare(data)
    model._require_compiled("explain or profile")
    model._try_first(source, training=step == "train")
    if step == "train":
        model._build_optimizer()
    try:
        return traced.prepare(data)
    except LayoutError as error:
        raise ValueError(
            f"the train_step of the model {model.name!r} uses optimizers that are not built yet. Train one step first, "
            "with train_on_batch."
        ) from error


def _rows(plan: Plan, step: str) -> list[Row]:
    rows = []
    for instruction in plan.instructions:
        kernel = "view" if instruction.alias else _kernel(plan, instruction)
        parts = list(ir.members(instruction))
        rows.append(
            Row(
                op=_repeated(instruction.times, " + ".join(part.op.name for part in parts)),
                layer=" + ".join(dict.fromkeys(part.origin or f"{step}_step" for part in parts)),
                outs=", ".join(_spec(value.spec) for value in instruction.written),
                bytes=ir.nbytes(instruction),
                flops=ir.flops(instruction),
                kernel=kernel,
            )
        )
    return rows


def _repeated(times: int, ops: str) -> str:
    return ops if times == 1 else f"{times} times ({ops})"


def _kernel(plan: Plan, instruction: Instruction) -> str:
    return _KERNELS[plan.on.device] if instruction.is_kernel(plan.on) else plan.on.name


def _written(plan: Plan) -> list[Array]:
    """Return the variables that a step changes."""
    arrays = (value.root.external for step in plan.instructions for value in step.written)
    return list({id(array): array for array in arrays if array is not None}.values())


@contextmanager
def _restored(arrays: list[Array]) -> Iterator[None]:
    """Restore the current contents of `arrays` after a ``with`` block."""
    before = [array.copy() for array in arrays]
    try:
        yield
    finally:
        for array, old in zip(arrays, before, strict=True):
            array[...] = old


def _times(plan: Plan, repeats: int) -> list[float]:
    """Return the median time in seconds of each call, run in the order of a step."""
    plan.replay()  # to warm up caches and threads
    seconds: list[list[float]] = [[] for _ in plan.calls]
    for _ in range(repeats):
        plan.on.synchronize()
        for call, taken in zip(plan.calls, seconds, strict=True):
            begin = perf_counter()
            call()
            plan.on.synchronize()
            taken.append(perf_counter() - begin)
    return [float(np.median(taken)) for taken in seconds]


def _rates(total: Total, whole: float) -> tuple[str, str, str, str]:
    """Return the time in microseconds, the fraction of the `whole`, and rates, as text."""
    seconds = max(total.seconds, 1e-12)  # a clock may be too coarse to see a call
    return (
        f"{1e6 * total.seconds:,.1f}",
        f"{100 * total.seconds / max(whole, seconds):.1f} %",
        f"{1e-9 * total.flops / seconds:,.1f}",
        f"{1e-9 * total.bytes / seconds:,.1f}",
    )


def _spec(spec: Spec) -> str:
    return f"{spec.shape} {spec.dtype}"
