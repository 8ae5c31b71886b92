"""Assembling programs for the interpreter: operands, instructions, and register allocation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ... import team
from . import threads
from .interpreter import CODES, HEADER, INSTRUCTION, OPERAND, bound

BLOCK = 1024
"""Elements of a register: eight registers of float32 then fill a first-level cache of 32 KiB."""

_DTYPES = {"f": np.float32, "d": np.float64, "l": np.int64, "i": np.int32, "B": np.uint8}
_KINDS = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()} | {np.dtype(bool): "B"}
_MOVED_AS = {"f": "i", "d": "l", "l": "l", "i": "i", "B": "B"}
_LIGHT = 4  # instructions that cost about as much as a pass over memory


def kind_of(dtype: np.dtype) -> str:
    """Return the letter of a dtype in the names of instructions, or an empty string if there are none for it.

    Example:
        >>> kind_of(np.dtype("int64")), kind_of(np.dtype("float16"))
        ('l', '')
    """
    return _KINDS.get(np.dtype(dtype), "")


@dataclass(frozen=True)
class Operand:
    """The location of a value: array `array`, constant `constant`, or a register."""

    kind: str
    array: int = -1
    constant: int = -1
    steps: bool = False


@dataclass(frozen=True)
class Program:
    """A program without addresses.

    Attributes:
        size: number of elements to process, those of each array.
        operands: for each, its source (0 array, 1 constant, 2 register), its index there, and its bytes per step.
        once: instructions whose results are the same for every block: code, out, a, b, c.
        body: instructions for every block.
        constants: the bits of the constants, as int64.
        registers: number of registers.
        width: bytes of an element in a register.
    """

    size: int
    operands: tuple[tuple[int, int, int], ...]
    once: tuple[tuple[int, ...], ...]
    body: tuple[tuple[int, ...], ...]
    constants: tuple[int, ...]
    registers: int
    width: int

    @property
    def _threads(self) -> int:
        enough = self.size * (1 + len(self.body) // _LIGHT) >= threads.PARALLEL_FROM
        return max(1, min(team.size(), -(-self.size // BLOCK))) if enough else 1  # one thread if there are no elements

    @property
    def _each(self) -> int:
        return self.registers * min(self.size, BLOCK) * self.width

    @property
    def work(self) -> int:
        """Scratch memory of a call, in bytes."""
        return self._threads * self._each

    def bind(self, arrays: Sequence[np.ndarray], work: np.ndarray) -> Callable[[], None]:
        """Return a call without arguments that runs the program on `arrays`, with `work` bytes of scratch memory."""
        block = max(min(self.size, BLOCK), 1)
        first = HEADER + OPERAND * len(self.operands)
        repeated = first + INSTRUCTION * len(self.once)
        end = repeated + INSTRUCTION * len(self.body)
        words = np.empty(end + len(self.constants), np.int64)
        at = words.ctypes.data
        starts, constants, registers = [a.ctypes.data for a in arrays], at + 8 * end, work.ctypes.data
        table: list[int] = []
        for source, number, step in self.operands:
            if source == 0:
                table += (starts[number], step, 0)
            elif source == 1:
                table += (constants + 8 * number, 0, 0)
            else:
                table += (registers + number * block * self.width, 0, self._each)
        code = [
            word
            for instruction in (*self.once, *self.body)
            for word in (instruction[0], *(HEADER + OPERAND * place for place in instruction[1:]))
        ]
        words[:] = [self.size, block, first, repeated, end, *table, *code, *self.constants]
        return bound(at, self._threads, (words, *arrays, work))  # the program holds their addresses


class Assembler:
    """Assembles a program instruction by instruction; each register that it returns is written once.

    Args:
        size: number of elements of each array; an array of one element is broadcast.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.operands: list[Operand] = []
        self._constants: dict[tuple[str, bytes], int] = {}  # operand by kind and bits
        self._once: list[tuple[int, ...]] = []
        self._body: list[tuple[int, ...]] = []
        self._fixed: set[int] = set()  # registers with the same value in every block
        self._placed: dict[int, int] = {}  # registers that are placed in an array

    def _new(self, operand: Operand) -> int:
        self.operands.append(operand)
        return len(self.operands) - 1

    def array(self, number: int, kind: str, elements: int) -> int:
        """Return array `number` of `elements` elements as an operand to read or to write."""
        if elements == self.size:
            return self._new(Operand(kind, array=number, steps=True))
        return self._spread(Operand(kind, array=number))

    def constant(self, value: float, kind: str) -> int:
        """Return a constant as an operand."""
        key = (kind, np.array([value, 0], _DTYPES[kind]).tobytes()[:8].ljust(8, b"\0"))
        if key not in self._constants:
            self._constants[key] = self._spread(Operand(kind, constant=len(self._constants)))
        return self._constants[key]

    def _spread(self, one: Operand) -> int:
        number = self._new(one)
        if self.size == 1:
            return number
        register = self._new(Operand(one.kind))
        self._fixed.add(register)
        self._once.append((CODES[f"fill {_MOVED_AS[one.kind]}"], register, number, number, number))
        return register

    def emit(self, name: str, kind: str, *sources: int) -> int:
        """Add an instruction, and return the register with its result, of `kind`."""
        out = self._new(Operand(kind))
        if all(source in self._fixed for source in sources):
            self._fixed.add(out)
            self._once.append(_instruction(name, out, sources))
        else:
            self._body.append(_instruction(name, out, sources))
        return out

    def select(self, condition: int, x: int, y: int) -> int:
        """Return x where the condition holds, y elsewhere."""
        kind = self.operands[x].kind
        return self.emit(f"select {_MOVED_AS[kind]}", kind, x, y, condition)

    def copy(self, x: int) -> int:
        """Return a register with a copy of the current value of `x`."""
        kind = self.operands[x].kind
        return self.emit(f"copy {_MOVED_AS[kind]}", kind, x)

    def store(self, x: int, target: int) -> None:
        """Write `x` to an array."""
        self._body.append(_instruction(f"copy {_MOVED_AS[self.operands[x].kind]}", target, (x,)))

    def keep(self, x: int, target: int) -> None:
        """Store `x` in an array that nothing else writes; where possible it is computed there."""
        if self._is_register(x) and x not in self._fixed and x not in self._placed:
            self._placed[x] = target
        else:
            self.store(x, target)

    def finish(self) -> Program:
        """Return the program; values that are not alive at the same time share registers."""
        body = [(code, *(self._placed.get(x, x) for x in places)) for code, *places in self._body]
        table = self._numbered(body)
        numbers = [number for source, number, _ in table if source == 2]
        used = [o for o, (source, *_) in zip(self.operands, table, strict=True) if source == 2]
        return Program(
            self.size,
            tuple(table),
            tuple(self._once),
            tuple(body),
            tuple(int.from_bytes(bits, sys.byteorder, signed=True) for _, bits in self._constants),
            max(numbers, default=-1) + 1,
            max((np.dtype(_DTYPES[o.kind]).itemsize for o in used), default=0),
        )

    def _numbered(self, body: Sequence[tuple[int, ...]]) -> list[tuple[int, int, int]]:
        """Return for each operand its source, its index there and its bytes per step."""
        last = {x: at for at, (_, *places) in enumerate(body) for x in places}
        number = {x: n for n, x in enumerate(sorted(self._fixed))}
        free: list[int] = []
        count = len(number)
        for at, (_, *places) in enumerate(body):
            for x in dict.fromkeys(places):
                if self._is_register(x) and x not in number:
                    if not free:
                        free.append(count)
                        count += 1
                    number[x] = free.pop()
            # Only now, so that no instruction writes the register that it reads, which may have wider elements.
            free += (number[x] for x in set(places) if last[x] == at and x in number and x not in self._fixed)
        table = []
        for x, operand in enumerate(self.operands):
            if operand.array >= 0:
                step = np.dtype(_DTYPES[operand.kind]).itemsize if operand.steps else 0
                table.append((0, operand.array, step))
            elif operand.constant >= 0:
                table.append((1, operand.constant, 0))
            else:
                table.append((2, number.get(x, 0), 0))
        return table

    def _is_register(self, x: int) -> bool:
        return self.operands[x].array < 0 and self.operands[x].constant < 0


def _instruction(name: str, out: int, sources: Sequence[int]) -> tuple[int, ...]:
    # Missing sources repeat the last one.
    return (CODES[name], out, *(*sources, *[sources[-1]] * 3)[:3])
