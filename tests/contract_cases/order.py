"""Cases of sorting, of searching, and of bytes in another dtype: the oracles compare number by number."""

from __future__ import annotations

import math
import struct

import numpy as np

from contract_cases.contract import Contract, Rng, Sample, normal, random_shape

Shape = tuple[int, ...]


def argsort(x: np.ndarray, axis: int) -> np.ndarray:
    out = np.empty(x.shape, np.int32)
    lines, places = np.moveaxis(x, axis, -1), np.moveaxis(out, axis, -1)
    for at in np.ndindex(lines.shape[:-1]):
        numbers = [float(n) for n in lines[at]]
        places[at] = sorted(range(len(numbers)), key=lambda i: (math.isnan(numbers[i]), numbers[i], i))
    return out


def argsort_make(rng: Rng, x: Shape | np.ndarray, axis: int) -> Sample:
    return Sample((np.round(normal(rng, *x)) if isinstance(x, tuple) else x,), {"axis": axis})


def search(sorted_sequence: np.ndarray, values: np.ndarray, side: str) -> np.ndarray:
    bounds = [float(n) for n in sorted_sequence]
    before = {"left": lambda bound, value: bound < value, "right": lambda bound, value: bound <= value}[side]
    found = [sum(before(bound, float(value)) for bound in bounds) for value in values.flat]
    return np.array(found, np.int32).reshape(values.shape)


def search_make(rng: Rng, bounds: int, values: Shape, side: str, dtype: str = "float64") -> Sample:
    line = np.sort(np.round(normal(rng, bounds) * 3))
    return Sample((line.astype(dtype), np.round(normal(rng, *values) * 4)), {"side": side})


def reinterpret(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    data = b"".join(struct.pack("<i", int(n)) for n in x.flat)
    size = dtype.itemsize
    numbers = [int.from_bytes(data[at : at + size], "little", signed=True) for at in range(0, len(data), size)]
    return np.array(numbers, dtype).reshape(*x.shape[:-1], -1) if x.ndim else np.array(numbers[0], dtype)


def reinterpret_make(rng: Rng, x: Shape, dtype: str) -> Sample:
    return Sample((rng.integers(-(2**31), 2**31, x).astype(np.int32),), {"dtype": np.dtype(dtype)})


CONTRACTS = [
    Contract(
        "argsort",
        argsort,
        argsort_make,
        [
            *(((2, 3, 4), 1), ((2, 9), -1), ((1, 1), 0), ((0, 3), 1), ((3, 0), -1)),
            (np.array([np.nan, 1.0, -np.inf, np.nan, np.inf, 1.0]), 0),
            (np.array([[True, False], [False, False]]), 1),
            (np.array([[1, 5], [-3, 4]], np.int64), 0),
        ],
        lambda rng: (random_shape(rng), -1),
        [Sample((np.ones((2, 3)),), {"axis": 2}), Sample((np.ones(()),), {"axis": 0})],
    ),
    Contract(
        "search",
        search,
        search_make,
        [
            *((5, (2, 3), "left"), (5, (2, 3), "right"), (0, (2,), "left"), (3, (), "right"), (3, (0,), "left")),
            (6, (4,), "left", "int32"),
        ],
        lambda rng: (int(rng.integers(0, 9)), random_shape(rng), str(rng.choice(["left", "right"]))),
        [Sample((np.ones((2, 3)), np.ones(2)), {"side": "left"}), Sample((np.ones(()), np.ones(2)), {"side": "left"})],
    ),
    Contract(
        "reinterpret",
        reinterpret,
        reinterpret_make,
        [((2, 3), "int16"), ((2, 3), "int8"), ((3, 4), "int64"), ((), "int32"), ((2, 0), "int8")],
        lambda rng: (random_shape(rng), str(rng.choice(["int8", "int16", "int32"]))),
        [
            Sample((np.ones((2, 3)),), {"dtype": np.dtype("complex128")}),
            Sample((np.ones(()),), {"dtype": np.dtype("int8")}),
        ],
        dtypes=("float32",),
    ),
]
