"""Writing one kernel for several elementwise ops: intermediate values stay in registers.

The source of a kernel depends on the ops and the dtypes, and on which operands are broadcast; sizes are arguments. So
equal sequences of ops have the same source, which is compiled once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

from .launch import THREADS, Array, Kernel, blocks, compiled, index, source
from .scalar import Scalar

Shape = tuple[int, ...]
Groups = tuple[tuple[int, int, int], ...]
"""Groups of adjacent axes along which a broadcast operand varies: for each, its stride in elements of the result, its
size, and its stride in the operand. Empty for an operand of one element."""

_WARP = 32
_WIDE_FROM = 1 << 16
"""Elements from which on each thread moves several at a time: fewer do not fill a GPU."""
_WIDEST = 16  # bytes
_MOST_NAMED = 8  # ops in the name of a kernel at most
_NAME = re.compile(r'extern "C" __global__ void (\w+)\(')


def spread(shape: Shape, out: Shape) -> Groups | None:
    """Return how a C-contiguous operand is broadcast to `out`; None where their elements correspond one to one.

    Example:
        >>> spread((3,), (2, 3)), spread((2, 1), (2, 3)), spread((), (2, 3)), spread((2, 3), (2, 3))
        (((1, 3, 1),), ((3, 2, 1),), (), None)
    """
    if prod(shape) == prod(out):
        return None
    groups: list[tuple[int, int, int]] = []
    inner, stride, goes_on = 1, 1, False
    for n, wanted in zip(reversed((1,) * (len(out) - len(shape)) + shape), reversed(out), strict=True):
        if n > 1:
            first, count, step = groups.pop() if goes_on else (inner, 1, stride)
            groups.append((first, count * n, step))
            stride *= n
        goes_on = n > 1 or (goes_on and wanted == 1)
        inner *= wanted
    return tuple(reversed(groups))


@dataclass(frozen=True)
class Value:
    """The text of an expression, and its dtype."""

    text: str
    scalar: Scalar

    def to(self, scalar: Scalar) -> str:
        """Return the text of the expression cast to another dtype."""
        return scalar.cast(self.text, self.scalar)


@dataclass(frozen=True)
class _Operand:
    """An array that a kernel reads, and how it is broadcast to the results, see `spread`."""

    place: int
    groups: Groups | None
    name: str

    @property
    def moves(self) -> bool:
        """Whether adjacent elements of the result read adjacent elements of the operand."""
        return self.groups is None or (bool(self.groups) and self.groups[-1][0] == 1)

    @property
    def numbers(self) -> list[tuple[str, int]]:
        """The kernel's parameters for this operand, with their values."""
        return [
            (f"{self.name}{letter}{level}", number)
            for level, group in enumerate(self.groups or ())
            for letter, number in zip("ics", group, strict=True)
            if letter in self._needed(level)
        ]

    def _needed(self, level: int) -> str:
        last = level == len(self.groups or ()) - 1  # the stride is one element then
        return "ics" if not last else "c" if self.moves else "ic"

    @property
    def position(self) -> str:
        """The index into the array of the element that is broadcast to element `i` of the result."""
        if self.groups is None:
            return "i"
        terms = []
        for level in range(len(self.groups)):
            i, c, s = (f"{self.name}{letter}{level}" for letter in "ics")
            terms.append({"ics": f"i / {i} % {c} * {s}", "ic": f"i / {i} % {c}", "c": f"i % {c}"}[self._needed(level)])
        return " + ".join(terms)

    def allows(self, array: Array, width: int) -> bool:
        """Return whether the operand's elements for `width` elements of the result can be read in one access."""
        if not self.moves:
            return not self.groups or self.groups[-1][0] % width == 0
        aligned = array.data.ptr % (width * array.dtype.itemsize) == 0
        return bool(aligned and (self.groups is None or self.groups[-1][1] % width == 0))


class Writer:
    """Writes a kernel expression by expression.

    Args:
        scalars: the dtype of each value.
        places: index among the arrays of a call, of each value that is in memory.
    """

    def __init__(self, scalars: Sequence[Scalar], places: dict[int, int]) -> None:
        self.scalars = scalars
        self._places = places
        self._now: dict[int, str] = {}  # the variable that holds a value
        self._operands: dict[tuple[int, Groups | None], _Operand] = {}
        self._body: list[str] = []
        self._written: dict[int, None] = {}

    def read(self, value: int, groups: Groups | None) -> Value:
        """Return the current value of an operand."""
        name = self._now.get(value)
        if name is None:
            key = (value, groups)
            if key not in self._operands:
                self._operands[key] = _Operand(self._places[value], groups, f"x{len(self._operands)}")
            name = self._operands[key].name
        return Value(name, self.scalars[value])

    def write(self, value: int, text: str) -> None:
        """Make `value` the result of an expression, rounded to its dtype."""
        scalar, name = self.scalars[value], f"v{len(self._body)}"
        self._body.append(f"const {scalar.computed} {name} = {scalar.rounded(text)};")
        self._now[value] = name
        if value in self._places:
            self._written[value] = None

    def keep(self, scalar: Scalar, text: str) -> str:
        """Return a variable that holds an expression, in the type that it is computed in."""
        name = f"v{len(self._body)}"
        self._body.append(f"const {scalar.computed} {name} = {text};")
        return name

    def finish(self, title: str, size: int) -> Program:
        """Return the kernel for results of `size` elements."""
        stored = {place: self.scalars[value].stored for value, place in self._places.items()}
        written = {self._places[value]: value for value in self._written}
        pointers = [
            f"{'' if place in written else 'const '}{stored[place]}* __restrict__ a{place}" for place in sorted(stored)
        ]
        operands = list(self._operands.values())
        ones = [operand for operand in operands if operand.groups == ()]
        others = [operand for operand in operands if operand.groups != ()]
        numbers = [name for operand in operands for name, _ in operand.numbers]
        computed = {place: self.scalars[value].computed for value, place in self._places.items()}
        once = [(f"const {computed[one.place]} {one.name}", f"{computed[one.place]}(*a{one.place})") for one in ones]
        headers = sorted({scalar.header for scalar in self.scalars if scalar.header})
        parameters = [*pointers, *(f"const Index {name}" for name in numbers)]
        names = [*(f"a{place}" for place in sorted(stored)), *numbers]
        text = _TEXT.format(
            headers="".join(f"#include <{header}>\n" for header in headers),
            common=source("common.cuh") + source("elementwise.cuh"),
            begin=BEGIN,
            name=named(title.split(", ")),
            parameters=", ".join(parameters),
            at_parameters=", ".join([*parameters, *(declared for declared, _ in once)]),
            at_arguments=", ".join([*names, *(one.name for one in ones)]),
            once=_lines(4, (f"{declared} = {value};" for declared, value in once)),
            loads=_lines(4, (self._load(operand) for operand in others)),
            elements=_lines(8, (self._element(operand, computed[operand.place]) for operand in others)),
            results=_lines(4, (f"Pack<{stored[place]}, N> r{place};" for place in written)),
            body=_lines(8, self._body),
            kept=_lines(8, (f"r{p}.at[j] = {stored[p]}({self._now[value]});" for p, value in written.items())),
            stores=_lines(4, (f"unpack(a{place} + i, r{place});" for place in written)),
        )
        values = tuple(number for operand in operands for _, number in operand.numbers)
        return Program(text, size, (*others, *(_Operand(place, None, "") for place in written)), values, title)

    @staticmethod
    def _load(operand: _Operand) -> str:
        width = "N" if operand.moves else "1"
        return f"const auto p{operand.name} = packed<{width}>(a{operand.place} + ({operand.position}));"

    @staticmethod
    def _element(operand: _Operand, computed: str) -> str:
        at = "j" if operand.moves else "0"
        return f"const {computed} {operand.name} = {computed}(p{operand.name}.at[{at}]);"


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


BEGIN = "\n// What follows was written by program.py.\n"

# The results have n elements; `at` computes those from i to i + N - 1.
_TEXT = """{headers}{common}{begin}
template <int N>
__device__ __forceinline__ void at(const Index i, {at_parameters}) {{
{loads}{results}    for (int j = 0; j < N; ++j) {{
{elements}{body}{kept}    }}
{stores}}}

extern "C" __global__ void {name}({parameters}, const Index n) {{
{once}    FOR_EACH(k, n / GPUDL_WIDTH) at<GPUDL_WIDTH>(k * GPUDL_WIDTH, {at_arguments});
    FOR_EACH(k, n % GPUDL_WIDTH) at<1>(n / GPUDL_WIDTH * GPUDL_WIDTH + k, {at_arguments});
}}
"""


@dataclass(frozen=True)
class Program:
    """The source of a generated kernel, and its arguments.

    Attributes:
        text: the source.
        size: number of elements of each result.
        operands: the arrays that are read or written in the loop.
        numbers: the arguments that describe how operands are broadcast.
        title: the names of its ops.
        work: scratch memory of a call, in bytes: none.
    """

    text: str
    size: int
    operands: tuple[_Operand, ...]
    numbers: Shape
    title: str
    work: int = 0

    def bind(self, arrays: Sequence[Array], work: Array | None = None) -> Callable[[], None]:
        """Return a call without arguments that launches the kernel on these arrays.

        Raises:
            RuntimeError: if the kernel does not compile.
        """
        if not self.size:
            return _nothing
        width = self._width(arrays)
        name, integer = index(*arrays)
        kernel = compile_run(self.text, name, width)
        if kernel is None:
            raise RuntimeError(
                f"the kernel written for {self.title} does not compile on this GPU; the warning before this says why. "
                'Compute on the CPU with gpudl.config.set_backend("numpy"), and report the warning.'
            )
        numbers = [integer(number) for number in (*self.numbers, self.size)]
        threads = THREADS if self.size > _WARP else _WARP
        return partial(kernel, (blocks(self.size, threads * width),), (threads,), (*arrays, *numbers))

    def _width(self, arrays: Sequence[Array]) -> int:
        if self.size < _WIDE_FROM:
            return 1
        moving = (arrays[operand.place].dtype.itemsize for operand in self.operands if operand.moves)
        width = _WIDEST // max(*moving, 2)
        fits = all(operand.allows(arrays[operand.place], width) for operand in self.operands)
        return width if fits else 1


def named(ops: Sequence[str]) -> str:
    """Return the name of a kernel for these ops, as it appears in a profiler.

    Example:
        >>> named(["multiply", "assign_add_"])
        'run_multiply_assign_add'
    """
    left_out = f"_and_{len(ops) - _MOST_NAMED}_more" if len(ops) > _MOST_NAMED else ""
    return "_".join(["run", *(op.strip("_") for op in ops[:_MOST_NAMED])]) + left_out


def _nothing() -> None:
    """Do nothing, for empty results."""


def compile_run(text: str, index: str = "int", width: int = 1) -> Kernel | None:
    """Return the kernel of a source written by `Writer`, or None if it does not compile.

    A product and a sum of two ops are not contracted to an FMA, so that fusion changes no bit.
    """
    macros: dict[str, str | int] = {"GPUDL_REAL": "FLOAT32", "GPUDL_INDEX": index, "GPUDL_WIDTH": width}
    (name,) = _NAME.findall(text)
    return compiled(text, "a run of elementwise ops", name, ("--fmad=false",), **macros)
