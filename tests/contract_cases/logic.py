"""Cases of the logic of bools and bits: the oracles are Python's own operators, number by number."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from contract_cases.contract import SHAPES, Contract, Rng, Sample, elementwise, random_shape
from contract_cases.elementwise import INTEGERS, PAIRS, TIES, binary, random_pair

BITWISE: dict[str, Callable[[Any, Any], Any]] = {
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "left_shift": operator.lshift,
    "right_shift": operator.rshift,
}
DTYPES = (("int32", "int32"), ("uint8", "uint8"), ("int64", "int32"), ("int8", "uint8"), ("bool", "bool"))
FLOATS = [Sample((np.ones(3), np.ones(3, np.int32)))]


def oracle(name: str) -> Callable[..., np.ndarray]:
    def compute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        dtype = np.result_type(a, b)
        if dtype.kind == "b" and name.endswith("shift"):
            dtype = np.dtype(np.int32)
        pairs = np.broadcast(a, b)
        numbers = (BITWISE[name](*(dtype.type(n).item() for n in pair)) for pair in pairs)
        return np.array([int(n) % 2**64 for n in numbers], np.uint64).astype(dtype).reshape(pairs.shape)

    return compute


def make(rng: Rng, a: Any, b: Any, dtypes: tuple[str, str]) -> Sample:
    """Draw numbers whose shifted bits still fit; or shift all bits out, which C leaves open."""
    if dtypes == ("far", "far"):
        return Sample((np.array([5, -5, 2**31 - 1, -(2**31)], np.int32), np.array([31, 32, 33, 70], np.int32)))
    left, right = (rng.integers(0, 2 if d == "bool" else 8, shape) for d, shape in zip(dtypes, (a, b), strict=True))
    if dtypes[0].startswith("int"):
        left = left - 4
    return Sample((left.astype(dtypes[0]), (right % 4).astype(dtypes[1])))


def inverted(x: np.ndarray) -> np.ndarray:
    if x.dtype == bool:
        return np.array([not n for n in x.flat], bool).reshape(x.shape)
    most = np.iinfo(x.dtype).max if x.dtype.kind == "u" else -1
    return np.array([most - int(n) for n in x.flat], x.dtype).reshape(x.shape)


def make_one(rng: Rng, shape: tuple[int, ...], dtype: str) -> Sample:
    return Sample((rng.integers(0, 2 if dtype == "bool" else 9, shape).astype(dtype),))


def truth_make(rng: Rng, shape: tuple[int, ...], dtype: str) -> Sample:
    return Sample((rng.integers(0, 2, shape).astype(dtype),))


CONTRACTS = [
    binary("logical_and", lambda a, b: bool(a) and bool(b), extra=(INTEGERS, TIES), kind=bool),
    binary("logical_or", lambda a, b: bool(a) or bool(b), extra=(INTEGERS, TIES), kind=bool),
    binary("logical_xor", lambda a, b: bool(a) != bool(b), extra=(INTEGERS, TIES), kind=bool),
    Contract(
        "logical_not",
        elementwise(operator.not_, bool),
        truth_make,
        [*((shape, "float64") for shape in SHAPES), ((3, 2), "bool"), ((5,), "int32")],
        lambda rng: (random_shape(rng), str(rng.choice(["bool", "float64", "int32"]))),
    ),
    *(
        Contract(
            name,
            oracle(name),
            make,
            [
                *((*pair, DTYPES[i % len(DTYPES)]) for i, pair in enumerate((*PAIRS, *PAIRS[:3]))),
                ((), (), ("far", "far")),
            ],
            lambda rng: (*random_pair(rng), DTYPES[int(rng.integers(len(DTYPES)))]),
            FLOATS,
            dtypes=("float64",),
        )
        for name in BITWISE
    ),
    Contract(
        "bitwise_not",
        inverted,
        make_one,
        [*((shape, "int32") for shape in SHAPES), ((3, 2), "bool"), ((5,), "uint8"), ((2, 2), "int64")],
        lambda rng: (random_shape(rng), str(rng.choice(["bool", "int32", "uint8"]))),
        [Sample((np.ones(3),))],
        dtypes=("float64",),
    ),
]
