"""Rewriting the instructions of a record before it becomes a plan, so that fewer compute the same values.

The engine knows records, not ops. `gpudl.ops` registers the rules by which instructions are fused or replaced.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence

from gpudl.backend import Backend, Static
from gpudl.engine.op import AnyOp
from gpudl.engine.plan.ir import Applied, Fused, Instruction, like
from gpudl.engine.value import Value

Rule = Callable[["Rewriter", Applied], None]
Place = tuple[int, ...]
"""The position of an instruction; a new one gets a position within that of the one it replaces, as 2.1 within 2."""
_rules: list[tuple[str, Rule]] = []


def rewrites(op: str) -> Callable[[Rule], Rule]:
    """Register a rule that is tried on every instruction of `op`; rules are tried in the order of registration."""

    def enter(rule: Rule) -> Rule:
        _rules.append((op, rule))
        return rule

    return enter


class Rewriter:
    """The instructions of a record while they are being rewritten, and the makers and users of each value.

    The cost of a change is proportional to the inputs and outs of the changed instructions, however long the record is.
    """

    def __init__(self, on: Backend, instructions: Iterable[Instruction], results: Iterable[Value]) -> None:
        self.on = on
        self._results = {value.root for value in results}
        self._places: dict[Instruction, Place] = {}
        self._makers: dict[Value, Instruction] = {}
        self._users: dict[Value, dict[Instruction, None]] = {}
        self._updates: dict[int, list[Place]] = {}  # the positions at which a piece of memory is written, in order
        for number, instruction in enumerate(instructions):
            self._enter(instruction, (number,))

    def _enter(self, instruction: Instruction, place: Place) -> None:
        self._places[instruction] = place
        self._makers.update(dict.fromkeys(instruction.outs, instruction))
        for value in instruction.ins:
            self._users.setdefault(value, {})[instruction] = None
        for value in instruction.targets:
            insort(self._updates.setdefault(value.memory, []), place)

    def _remove(self, instruction: Instruction) -> Place:
        for value in instruction.outs:
            if self._makers.get(value) is instruction:
                del self._makers[value]
        for value in instruction.ins:
            self._users[value].pop(instruction, None)
        place = self._places.pop(instruction)
        for value in instruction.targets:
            self._updates[value.memory].remove(place)
        return place

    @property
    def instructions(self) -> list[Instruction]:
        """The instructions in order."""
        return sorted(self._places, key=self._places.__getitem__)

    def __contains__(self, instruction: Instruction) -> bool:
        return instruction in self._places

    def maker(self, value: Value, *ops: str) -> Applied | None:
        """Return the instruction that computes a value, if it is one of `ops`."""
        made = self._makers.get(value)
        return made if isinstance(made, Applied) and made.name in ops else None

    def users(self, value: Value) -> list[Instruction]:
        """Return the instructions that read a value, in order."""
        return sorted(self._users.get(value, ()), key=self._places.__getitem__)

    def only_user(self, value: Value, *ops: str) -> Applied | None:
        """Return the only instruction that reads a value, if it is one of `ops` and the value is not returned."""
        users = self._users.get(value, {})
        if len(users) != 1 or self.kept(value):
            return None
        (user,) = users
        return user if isinstance(user, Applied) and user.name in ops else None

    def kept(self, value: Value) -> bool:
        """Return whether the step returns a value."""
        return value in self._results

    def updated(self, value: Value) -> bool:
        """Return whether the step writes to the memory of a value that exists before it."""
        return bool(self._updates.get(value.memory))

    def applied(self, op: AnyOp, ins: Sequence[Value], static: Static, old: Applied) -> Applied:
        """Return a new instruction with new outs and the origin of `old`."""
        specs = op.infer(*(value.spec for value in ins), **static)
        outs = specs if isinstance(specs, tuple) else (specs,)
        recording = old.ins[0].recording
        return Applied(op, tuple(Value(spec, recording) for spec in outs if spec), tuple(ins), static, old.origin)

    def replace(self, old: Sequence[Instruction], new: Sequence[Instruction], at: Instruction) -> None:
        """Replace the instructions `old` by `new`, at the position of `at`, which is one of `old`."""
        places = {instruction: self._remove(instruction) for instruction in old}
        for number, instruction in enumerate(new):
            self._enter(instruction, (*places[at], number))

    def exchange(self, pairs: dict[Applied, Applied]) -> None:
        """Replace each instruction by another, at its position."""
        places = [self._remove(instruction) for instruction in pairs]
        for instruction, place in zip(pairs.values(), places, strict=True):
            self._enter(instruction, place)

    def substitute(self, instruction: Instruction, other: Instruction, value: Value) -> None:
        """Drop `instruction`, whose only value `other` computes too, as `value`, unless it is read before `other`."""
        old, at = instruction.outs[0], self._places[other]
        users = self.users(old)
        if self.kept(old) or any(self._places[user] <= at for user in users):
            return
        self._remove(instruction)
        for user in users:
            place, changed = self._remove(user), user.reading({old: value})
            self._enter(changed, place)
            if changed.alias:
                self.rest(changed.outs[0], changed.ins[0])

    def rest(self, view: Value, base: Value) -> None:
        """Make a value, and with it all of its views, a view of `base`."""
        view.rest_on(base)
        for user in self.users(view):
            if user.alias:
                self.rest(user.outs[0], view)

    def kernel(self, members: Sequence[Applied], name: str) -> Fused | None:
        """Return the fused instruction of `members` by the kernel `name`, or None if no kernel supports them."""
        made = {value for instruction in members for value in instruction.outs}
        between = {value for instruction in members for value in instruction.ins if value in made}
        outs = tuple(value for instruction in members for value in instruction.outs if value not in between)
        ins = tuple(value for instruction in members for value in instruction.ins if value not in made)
        stages = tuple(instruction.static for instruction in members)
        kernel = self.on.kernel(name, tuple(map(like, (*outs, *ins))), {"stages": stages})
        return None if kernel is None else Fused(name, kernel, outs, ins, tuple(members))

    def fuse(self, members: Sequence[Applied], name: str) -> None:
        """Fuse `members`, in order, by the kernel `name`, if it supports them and intermediate values are unused."""
        joined = self.kernel(members, name)
        if joined is None:
            return
        inside = set(members)
        for value in (value for instruction in members for value in instruction.outs if value not in joined.outs):
            if self.kept(value) or not inside.issuperset(self._users.get(value, ())):
                return
        at = min(
            (instruction for instruction in members if set(instruction.outs) & set(joined.outs)),
            key=self._places.__getitem__,
        )
        if all(self._reaches(instruction, at, inside) for instruction in members):
            self.replace(members, [joined], at)

    def _reaches(self, instruction: Instruction, at: Instruction, inside: set[Applied]) -> bool:
        """Return whether the inputs of `instruction` still have the same values at the position of `at`."""
        here, there = self._places[instruction], self._places[at]
        for value in instruction.ins:
            made = self._makers.get(value)
            if made is not None and made not in inside and self._places[made] >= there:
                return False
        first, last = min(here, there), max(here, there)
        written = (self._updates.get(value.memory, []) for value in instruction.ins)
        return all(bisect_left(places, first) == bisect_left(places, last) for places in written)


def rewritten(on: Backend, instructions: Iterable[Instruction], results: Iterable[Value]) -> list[Instruction]:
    """Return the instructions after all rules have been tried on them."""
    rewriter = Rewriter(on, instructions, results)
    for name, rule in _rules:
        for instruction in rewriter.instructions:
            if instruction.name == name and isinstance(instruction, Applied) and instruction in rewriter:
                rule(rewriter, instruction)
    return rewriter.instructions
