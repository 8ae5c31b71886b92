"""Recording and replaying steps: one plan per combination of shapes, static arguments and device."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial, update_wrapper
from threading import get_ident
from typing import Any, TypeGuard

from gpudl import backend
from gpudl.backend import Array, Backend, OutOfMemoryError, Static
from gpudl.engine.convert import as_tensor
from gpudl.engine.plan import footprint, plan_cache
from gpudl.engine.plan.capture import Steps
from gpudl.engine.plan.entry import Entry, Feed, Leaf, ReadingFeed
from gpudl.engine.plan.interrupts import waiting
from gpudl.engine.plan.plan import Plan
from gpudl.engine.plan.record import Record, budget, draws, undraw
from gpudl.engine.plan.recorder import Recorder
from gpudl.engine.state import TracingError, frozen, layout_epoch, seen, state
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import flatten, map_leaves
from gpudl.engine.variable import Variable

Args = tuple[object, ...]


class Traced:
    """A function of tensors that is recorded on its first call and replayed on later ones.

    A new shape or dtype of an argument, a new value of a number or keyword argument, another backend or thread, a
    variable that was moved or frozen, and a layer that was added or removed each cause a new recording. Plans are kept
    as long as there is memory for them (`plan_cache`); copies and pickles have none, and record their own.

    Args:
        function: a function of tensors (nests of tuples, lists and dicts of them) and static keyword arguments that
            returns tensors or nests of them. It must not read a tensor's value on the host.

    Example:
        >>> square = gpudl.traced(lambda x: x * x)
        >>> square(np.float32([1, 2])).numpy(), square(np.float32([3, 4])).numpy()
        (array([1., 4.], dtype=float32), array([ 9., 16.], dtype=float32))
    """

    def __init__(self, function: Callable[..., object]) -> None:
        update_wrapper(self, function, updated=())  # an attribute of the function must not hide one of this object
        self.function = function
        self._has_warned = False  # about a step whose recordings all differ
        self.forget()

    def __reduce__(self) -> tuple[type[Traced], tuple[Callable[..., object]]]:
        return Traced, (self.function,)

    @property
    def entries(self) -> dict[Hashable, Entry]:
        """The plans of this thread, by the kind of call."""
        return self._kept.plans.entries

    def forget(self) -> None:
        """Drop all plans, also those of other threads."""
        self._kept = plan_cache.PlansOfThread()

    def __call__(self, *args: object, **static: object) -> Any:
        """Run the step, and return the results in newly allocated tensors."""
        live = self.run(*args, **static)
        if _inline():
            return live
        return map_leaves(lambda t: None if t is None else Tensor(t.data.copy()), live)

    def run(self, *args: object, **static: object) -> Any:
        """Run the step, and return the results in the plan's own buffers, which the next run overwrites.

        Inside another recorded step, or a tape, the function is called as part of that.
        """
        if _inline():
            return self.function(*args, **static)
        entry = self.prepare(*args, **static)
        entry.plan.replay()
        return entry.results

    def bound(self, *args: object, **static: object) -> Bound:
        """Return a call without arguments that does what `run` does with these arguments, for use in a loop."""
        return Bound(self, args, static)

    def prepare(self, *args: object, **static: object) -> Entry:
        """Return the plan for such arguments, with the input buffers filled; nothing is computed."""
        entry, feeds = self.found(args, static, _circumstances())
        for leaf, buffer in zip(feeds, entry.buffers, strict=True):
            _write(leaf, buffer)
        return entry

    def found(self, args: Args, static: Static, circumstances: Hashable) -> tuple[Entry, list[Tensor | Feed]]:
        """Return the plan under the current `circumstances`, and the arguments to be written to its buffers."""
        values, structure = flatten(args)
        leaves = list(map(_leaf, values))
        feeds = list(filter(_is_fed, leaves))
        options = tuple([(name, _frozen(value)) for name, value in static.items()])
        key = (structure, tuple(map(_signature, leaves)), options, circumstances)
        plans = self._kept.plans
        entry = plans.find(key)
        if entry is None:
            entry = self._record(backend.current(), args, leaves, static)
            plans.keep(key, entry)
        elif entry.is_doubtful():
            with budget.spent(unless=entry.seen[0] != seen[0][0]):
                entry = self._compared(key, entry, args, leaves, static)
        return entry, feeds

    def _compared(self, key: Hashable, entry: Entry, args: Args, leaves: list[Leaf], static: Static) -> Entry:
        """Record the step again, and return `entry`, or a new one where the records differ."""
        drawn = draws()
        again, _ = self._recorded(entry.plan.on, args, leaves, entry.buffers, static, lines=True)
        if entry.record.difference(again) is None:
            undraw(drawn)  # as if it had not been recorded again
            entry.confirmed(again)
            return entry
        plans = self._kept.plans
        plans.entries.pop(key, None)
        on = entry.plan.on
        del entry  # frees its memory before the next one allocates
        entry = self._record(on, args, leaves, static)
        plans.keep(key, entry)
        self._has_warned = self._has_warned or again.warn_unless_same(entry.record)
        return entry

    def _record(self, on: Backend, args: Args, leaves: list[Leaf], static: Static) -> Entry:
        try:
            return self._entry(on, args, leaves, static)
        except MemoryError as error:  # the tables of kernels are NumPy arrays
            said = str(error)
        if plan_cache.drop(on):  # try again without the other plans
            return self._record(on, args, leaves, static)
        # Only now is the memory of the failed attempt free again.
        specs = [leaf.spec for leaf in filter(_is_fed, leaves)]
        raise OutOfMemoryError(
            footprint.sentence(on, specs, lambda buffers: self._recorded(on, args, leaves, buffers, static)) or said
        )

    def _entry(self, on: Backend, args: Args, leaves: list[Leaf], static: Static) -> Entry:
        buffers = [on.empty(leaf.spec.shape, leaf.spec.dtype) for leaf in filter(_is_fed, leaves)]
        record, results = self._recorded(on, args, leaves, buffers, static)
        return Entry(Plan(on, record.instructions, record.results), record, leaves, buffers, results)

    def _recorded(
        self,
        on: Backend,
        args: Args,
        leaves: list[Leaf],
        buffers: list[Array],
        static: Static,
        lines: bool = False,
    ) -> tuple[Record, Any]:
        """Call the function with `buffers` in place of the fed leaves, and return the record and the results."""
        arrays = iter(buffers)
        values = iter([Tensor(next(arrays)) if _is_fed(leaf) else leaf for leaf in leaves])
        inputs = map_leaves(lambda _: next(values), args)
        recorder = state.recorder = Recorder(on, lines)
        recorder.fed = buffers
        try:
            results = self.function(*inputs, **static)
            return Record(recorder, buffers, map_leaves(_checked, results)), results
        finally:
            state.recorder = None
            recorder.release()


class Bound:
    """A `Traced` function with its arguments; each call runs steps of it on the current values of the feeds among them.

    Looking up a plan takes longer than a small step. So this is done once, and again when the plan may be stale: after
    a variable has been moved or something was changed, and on another backend.
    """

    __slots__ = ("_args", "_before", "_found_for", "_plan", "_results", "_static", "_steps", "_traced")

    def __init__(self, traced: Traced, args: Args, static: Static) -> None:
        self._traced = traced
        self._args = args
        self._static = static
        self._found_for: object = None

    def __call__(self, times: int = 1) -> Any:
        """Run `times` steps, and return the results of the last in the plan's own buffers, like `Traced.run`.

        Stop earlier when an interrupt is `waiting`.
        """
        moment = _moment()
        if self._found_for != moment and self._find(moment):
            times -= 1
        if self._steps is not None:
            self._steps.run(times)
            return self._results
        for _ in range(times):
            for call in self._before:
                call()
            self._plan.replay()
            if waiting:
                break
        return self._results

    def _find(self, moment: tuple[Hashable, ...]) -> bool:
        """Look up the plan, or record it, and return whether it is a new one, which has not been run yet.

        A change after `moment` is noticed at the next call.
        """
        entry, feeds = self._traced.found(self._args, self._static, moment[-1])
        if entry.plan is getattr(self, "_plan", None):
            self._found_for = moment
            return False
        writes = [
            leaf.bound(buffer) if _is_read(leaf) else partial(_write, leaf, buffer)
            for leaf, buffer in zip(feeds, entry.buffers, strict=True)
        ]
        cursors = {id(leaf.cursor): leaf.cursor for leaf in feeds if _is_read(leaf)}.values()
        self._before: list[Callable[[], None]] = [*writes, *[cursor.advance for cursor in cursors]]
        for call in self._before:
            call()
        entry.plan.run()
        self._plan, self._results = entry.plan, entry.results
        self._steps = None
        if entry.plan.on.captures and all(_is_read(leaf) and leaf.cursor.stays for leaf in feeds):
            self._steps = Steps(entry.plan.on, [*self._before, *entry.plan.calls], entry.plan.outcome)
        self._found_for = moment
        return True


def _moment() -> tuple[Hashable, ...]:
    """Return a key that changes whenever a plan that was looked up may have become stale."""
    return layout_epoch[0], seen[0], get_ident(), _circumstances()


def _circumstances() -> Hashable:
    """Return everything that a plan depends on beside the step, its arguments and the thread."""
    threads, deterministic = backend.get_num_threads(), backend.op_determinism_enabled()
    switches = state.kernels, state.fusion, backend.matmul_precision(), frozen[0]
    return backend.current(), *switches, threads, deterministic


def _inline() -> bool:
    return state.recorder is not None or state.open_tapes > 0


def traced(function: Callable[..., object]) -> Traced:
    """Return a `Traced` version of `function`, which is recorded once per kind of input and then replayed."""
    return Traced(function)


def _leaf(value: object) -> Leaf:
    """Return numbers, strings, variables and feeds unchanged, anything else as a tensor."""
    if value is None or isinstance(value, bool | int | float | str | Tensor):
        return value
    return value if _is_feed(value) else as_tensor(value)


def _is_feed(value: object) -> TypeGuard[Feed]:
    return hasattr(value, "write")


def _is_fed(leaf: Leaf) -> TypeGuard[Tensor | Feed]:
    return not isinstance(leaf, bool | int | float | str | Variable) and leaf is not None


def _is_read(leaf: Tensor | Feed) -> TypeGuard[ReadingFeed]:
    return getattr(leaf, "cursor", None) is not None


def _signature(leaf: Leaf) -> Hashable:
    if isinstance(leaf, Variable):
        return id(leaf)
    return leaf.spec if _is_fed(leaf) else _frozen(leaf)


def _frozen(value: object) -> Hashable:
    """Return a key of a value that is constant in a plan: 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if isinstance(value, tuple):
        return tuple(map(_frozen, value))
    return type(value), repr(value) if isinstance(value, float) else value


def _write(leaf: Tensor | Feed, buffer: Array) -> None:
    if isinstance(leaf, Tensor):
        buffer[...] = backend.of(buffer).asarray(leaf.array())
    else:
        leaf.write(buffer)


def _checked(result: object) -> Tensor | None:
    if not isinstance(result, Tensor | None):
        raise TracingError(
            f"a recorded step must return tensors, got {type(result).__name__}: replayed steps would return this "
            "same value. Return a tensor, or None."
        )
    return result
