"""Rewriting a record before it becomes a plan: the same values from fewer instructions.

The engine knows the graph, not the ops. Which instructions may be joined or exchanged is said by rules, which
`gpudl.ops` registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gpudl.backend import Backend
from gpudl.engine.op import Op
from gpudl.engine.plan.ir import Fused, Instruction, Slot, like

Rule = Callable[["Graph", "Instruction"], None]
_rules: list[tuple[str, Rule]] = []


def rewrites(op: str) -> Callable[[Rule], Rule]:
    """Register a rule that is tried on every instruction of `op`; rules are tried in the order of registration."""

    def enter(rule: Rule) -> Rule:
        _rules.append((op, rule))
        return rule

    return enter


class Graph:
    """The instructions of a step, and who makes and uses which value."""

    def __init__(self, on: Backend, steps: Sequence[Instruction], results: Iterable[Slot]) -> None:
        self.on = on
        self.steps = list(steps)
        self._results = {slot.root for slot in results}
        self._index()

    def _index(self) -> None:
        self._at = {id(step): number for number, step in enumerate(self.steps)}
        self._makers = {slot: step for step in self.steps for slot in step.outs}
        self._users: dict[Slot, list[Instruction]] = {}
        for step in self.steps:
            for slot in dict.fromkeys(s.value for s in step.ins):
                self._users.setdefault(slot, []).append(step)

    def maker(self, slot: Slot, *ops: str) -> Instruction | None:
        """Return the instruction that makes a value, if it is one of `ops`."""
        made = self._makers.get(slot.value)
        return made if made is not None and made.op.name in ops else None

    def users(self, slot: Slot) -> list[Instruction]:
        """Return the instructions that read a value."""
        return self._users.get(slot.value, [])

    def only_user(self, slot: Slot, *ops: str) -> Instruction | None:
        """Return the one instruction that reads a value, if it is one of `ops` and the value is not returned."""
        users = self.users(slot)
        return users[0] if len(users) == 1 and users[0].op.name in ops and not self.kept(slot) else None

    def applied(self, op: Op, ins: Sequence[Slot], static: dict[str, Any], old: Instruction) -> Instruction:
        """Return a new instruction with new outs, of the origin of `old`."""
        specs: Any = op.infer(*(slot.spec for slot in ins), **static)
        outs = tuple(map(Slot, specs if isinstance(specs, tuple) else (specs,)))
        return Instruction(op, outs, tuple(ins), static, old.origin)

    def replace(self, old: Sequence[Instruction], new: Sequence[Instruction], at: Instruction) -> None:
        """Put `new` where `at`, one of `old`, stands, and take out the others."""
        gone = set(map(id, old))
        where = self._at[id(at)]
        before = [step for step in self.steps[:where] if id(step) not in gone]
        after = [step for step in self.steps[where:] if id(step) not in gone]
        self.steps = [*before, *new, *after]
        self._index()

    def has_twin(self, step: Instruction) -> bool:
        """Tell whether a kernel of the backend stands in for the op's reference."""
        arrays = tuple(map(like, (*step.outs, *step.ins)))
        return self.on.twin(step.op.name, arrays, step.static) is not None

    def substitute(self, step: Instruction, other: Instruction, value: Slot) -> None:
        """Drop `step`, whose only value `other` computes too, as `value`, unless somebody reads it before that."""
        slot, at = step.outs[0], self._at[id(other)]
        if not self.kept(slot) and all(self._at[id(user)] > at for user in self.users(slot)):
            slot.same = value
            self.replace([step], [], step)

    def exchange(self, pairs: dict[Instruction, Instruction]) -> None:
        """Put another instruction in the place of each of some."""
        self.steps = [pairs.get(step, step) for step in self.steps]
        self._index()

    def kept(self, slot: Slot) -> bool:
        """Tell whether the step returns a value."""
        return slot.value in self._results

    def kernel(self, members: Sequence[Instruction], name: str) -> Instruction | None:
        """Return one instruction for `members` by the kernel `name`, or None where it does not take them."""
        made = {slot for step in members for slot in step.outs}
        between = {slot.value for step in members for slot in step.ins if slot.value in made}
        outs = tuple(slot for step in members for slot in step.outs if slot not in between)
        ins = tuple(slot for step in members for slot in step.ins if slot.value not in made)
        static = {"stages": tuple(step.static for step in members)}
        kernel = self.on.twin(name, tuple(map(like, (*outs, *ins))), static)
        if kernel is None:
            return None
        fused: Any = Fused(name, kernel, len(outs))
        return Instruction(fused, outs, ins, static, members[0].origin, tuple(members))

    def fuse(self, members: Sequence[Instruction], name: str) -> None:
        """Join `members`, in order, by the kernel `name`, if it takes them and nobody else needs what lies between."""
        joined = self.kernel(members, name)
        if joined is None:
            return
        inside = set(map(id, members))
        for slot in (slot for step in members for slot in step.outs if slot not in joined.outs):
            if self.kept(slot) or any(id(user) not in inside for user in self.users(slot)):
                return
        at = min((step for step in members if set(step.outs) & set(joined.outs)), key=lambda s: self._at[id(s)])
        if all(self._reaches(step, at, inside) for step in members):
            self.replace(members, [joined], at)

    def _reaches(self, step: Instruction, at: Instruction, inside: set[int]) -> bool:
        """Tell whether what `step` reads has the same value at `at`."""
        here, there = self._at[id(step)], self._at[id(at)]
        for slot in step.ins:
            made = self._makers.get(slot.value)
            if made is not None and id(made) not in inside and self._at[id(made)] >= there:
                return False
        memory = {slot.value.memory for slot in step.ins}
        span = self.steps[min(here, there) : max(here, there)]
        return not any(s.op.update and memory & {w.value.memory for w in s.ins[: s.op.writes]} for s in span)


def rewritten(on: Backend, steps: Sequence[Instruction], results: Iterable[Slot]) -> list[Instruction]:
    """Return the instructions after every rule has been tried on them."""
    graph = Graph(on, steps, results)
    for name, rule in _rules:
        for step in list(graph.steps):
            if step.op.name == name and id(step) in graph._at:
                rule(graph, step)
    return graph.steps
