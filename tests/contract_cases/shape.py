"""Cases of the ops that move data: the oracles copy number by number."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from contract_cases.contract import Contract, Rng, Sample, normal, random_shape

Shape = tuple[int, ...]
ALL_OF = (None, None, None)


def reshaped(x: np.ndarray, shape: Shape) -> np.ndarray:
    known = 1
    for n in shape:
        known *= n if n != -1 else 1
    out = np.empty([n if n != -1 else x.size // known for n in shape])
    out.flat = list(x.flat)
    return out


def reshape_make(rng: Rng, x: Shape, shape: Shape) -> Sample:
    return Sample((normal(rng, *x),), {"shape": shape})


def transposed(x: np.ndarray, axes: Shape) -> np.ndarray:
    out = np.empty([x.shape[a] for a in axes])
    for at in np.ndindex(x.shape):
        out[tuple(at[a] for a in axes)] = x[at]
    return out


def transpose_make(rng: Rng, x: Shape, axes: Shape) -> Sample:
    return Sample((normal(rng, *x),), {"axes": axes})


def random_transpose(rng: Rng) -> tuple[Any, ...]:
    shape = random_shape(rng)
    return shape, tuple(int(a) for a in rng.permutation(len(shape)))


def places(key: tuple[Any, ...], shape: Shape) -> tuple[Shape, list[Shape]]:
    """Return the shape of x[key], and where in x each of its elements lies."""
    used = sum(part is not None and part is not Ellipsis for part in key)
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    at = key.index(Ellipsis)
    key = (*key[:at], *(ALL_OF,) * (len(shape) - used), *key[at + 1 :])
    sizes, picks, axis = [], [], 0
    for part in key:
        if part is None:
            sizes.append(1)
            continue
        if isinstance(part, tuple):
            picks.append(list(range(shape[axis]))[slice(*part)])
            sizes.append(len(picks[-1]))
        else:
            picks.append([part % shape[axis]])
        axis += 1
    return tuple(sizes), list(product(*picks))


def take_slice(x: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
    shape, found = places(key, x.shape)
    return np.array([x[at] for at in found], np.float64).reshape(shape)


def slice_grad(*gs: np.ndarray, keys: tuple[Any, ...], shape: Shape) -> np.ndarray:
    out = np.zeros(shape)
    for g, key in zip(gs, keys, strict=True):
        for at, value in zip(places(key, shape)[1], g.flat, strict=True):
            out[at] += value
    return out


def take_slice_make(rng: Rng, shape: Shape, key: tuple[Any, ...]) -> Sample:
    return Sample((normal(rng, *shape),), {"key": key})


def slice_grad_make(rng: Rng, shape: Shape, *keys: tuple[Any, ...]) -> Sample:
    gs = tuple(normal(rng, *places(key, shape)[0]) for key in keys)
    return Sample(gs, {"keys": keys, "shape": shape})


def random_slice(rng: Rng) -> tuple[Any, ...]:
    shape = random_shape(rng, size=9)
    return shape, random_key(rng, shape)


def random_slices(rng: Rng) -> tuple[Any, ...]:
    shape = random_shape(rng, size=9)
    return shape, *(random_key(rng, shape) for _ in range(int(rng.integers(1, 5))))


def random_key(rng: Rng, shape: Shape) -> tuple[Any, ...]:
    steps = [-2, -1, None, 2]
    return tuple((None, None, steps[int(rng.integers(0, 4))]) for _ in shape)


PARTS = [
    ((2, 3), ((ALL_OF, 0), (ALL_OF, 2), (ALL_OF, 1))),  # all of it
    ((2, 3), ((ALL_OF, 0), (ALL_OF, -3), ())),  # the same part, and the whole
    ((2, 3), ((), (0, ..., (1, None, None)), (1,))),
    ((4,), (((0, 2, None),), ((1, 3, None),))),  # parts that overlap, and a gap
    ((3, 4), (((0, 2, None), (0, 2, None)), ((1, None, None), (1, 3, None)))),
    ((3, 1, 2), ((0, None), (..., 0, (0, 1, None)), ((None, None, -1), 0))),
    ((1, 1), ((0, 0), (0, 0))),
    ((0, 2), ((ALL_OF, 0), (ALL_OF, 1))),
]
SLICES = [
    ((4, 5, 6), ((1, 3, None), 2)),
    ((4, 5), (..., (None, None, -1))),
    ((4, 5), (None, (0, 0, None))),
    ((4, 5), (-1, None, (1, None, 2))),
    ((3,), (0,)),
    ((2, 0), ((0, 1, None),)),
    ((2, 3), ()),
]


def take(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    out = np.empty((*indices.shape, *x.shape[1:]))
    for at in np.ndindex(indices.shape):
        out[at] = x[int(indices[at]) % len(x)]
    return out


def indices_make(rng: Rng, rows: int, shape: Shape, dtype: str) -> np.ndarray:
    """Draw indices, some of them from the end."""
    lowest = 0 if dtype[0] == "u" else -rows
    return np.asarray(rng.integers(lowest, max(rows, 1), shape)).astype(dtype)


def take_make(rng: Rng, x: Shape, indices: Shape, dtype: str = "int64") -> Sample:
    return Sample((normal(rng, *x), indices_make(rng, x[0], indices, dtype)))


def random_take(rng: Rng) -> tuple[Any, ...]:
    return random_shape(rng), (int(rng.integers(1, 40)),), str(rng.choice(["int32", "int64"]))


def take_grad(g: np.ndarray, indices: np.ndarray, rows: int) -> np.ndarray:
    out = np.zeros((rows, *g.shape[indices.ndim :]))
    for at in np.ndindex(indices.shape):
        out[int(indices[at]) % rows] += g[at]
    return out


def take_grad_make(rng: Rng, x: Shape, indices: Shape, dtype: str = "int64") -> Sample:
    g = normal(rng, *indices, *x[1:])
    return Sample((g, indices_make(rng, x[0], indices, dtype)), {"rows": x[0]})


INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
TAKES = [
    ((4, 3), (5,)),
    ((4,), (2, 3), "int32"),
    ((1, 2, 2), (1,)),
    ((4, 3), (0,)),
    ((6,), ()),
    *(((3, 2), (9,), dtype) for dtype in INTEGERS),
]


def take_batch(source: np.ndarray, order: np.ndarray, start: np.ndarray, count: int, dtype: str) -> np.ndarray:
    out = np.empty((count, *source.shape[1:]), dtype)
    for i in range(count):
        number = int(order[min(max(int(start) + i, 0), len(order) - 1)])
        out[i] = source[min(max(number, 0), len(source) - 1)]
    return out


def take_batch_make(rng: Rng, x: Shape, length: int, start: int, count: int, dtypes: str = "float64 float64") -> Sample:
    """Draw numbers of rows, some of them outside of the source."""
    kind, dtype = dtypes.split()
    order = rng.integers(-1, x[0] + 1, length).astype(["int32", "int64"][length % 2])
    source = normal(rng, *x) if kind[0] == "f" else rng.integers(0, 2 if kind == "bool" else 256, x)
    static = {"count": count, "dtype": dtype}
    return Sample((source.astype(kind), order, np.array(start)), static, result=dtype)


def random_batch(rng: Rng) -> tuple[Any, ...]:
    kinds = ("uint8", "int32", "bool", "float16", "float32")
    count, length = (int(n) for n in rng.integers(1, 9, 2))
    dtypes = f"{rng.choice(kinds)} {rng.choice(['float16', 'float32', 'float64'])}"
    return random_shape(rng), length, int(rng.integers(0, length)), count, dtypes


BATCHES = [
    ((5, 3), 4, 1, 2, "float32 float32"),
    ((5, 4, 2), 5, 3, 4, "uint8 float32"),
    ((3,), 3, 0, 3, "int64 int64"),
    ((6, 1), 6, 2, 3, "bool float16"),
    ((6, 0), 6, 2, 3, "float16 float64"),
    ((2, 2), 3, -2, 0, "float64 float32"),
    ((7, 8), 2, 9, 3, "int32 float64"),
]


def concatenated(*xs: np.ndarray, axis: int) -> np.ndarray:
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    out, start = np.empty(shape), 0
    for x in xs:
        for at in np.ndindex(x.shape):
            place = list(at)
            place[axis] += start
            out[tuple(place)] = x[at]
        start += x.shape[axis]
    return out


def concatenate_make(rng: Rng, shapes: list[Shape], axis: int) -> Sample:
    return Sample(tuple(normal(rng, *shape) for shape in shapes), {"axis": axis})


def random_concatenation(rng: Rng) -> tuple[Any, ...]:
    shape = random_shape(rng)
    axis = int(rng.integers(0, len(shape)))
    sizes = rng.integers(1, 5, int(rng.integers(1, 4)))
    return [(*shape[:axis], int(n), *shape[axis + 1 :]) for n in sizes], axis


def packed(*xs: np.ndarray) -> np.ndarray:
    return np.array([value for x in xs for value in x.flat], np.float64)


def pack_make(rng: Rng, shapes: list[Shape]) -> Sample:
    return Sample(tuple(normal(rng, *shape) for shape in shapes))


CONTRACTS = [
    Contract(
        "reshape_view",
        reshaped,
        reshape_make,
        [((2, 3), (6,)), ((2, 3), (3, -1)), ((), (1, 1)), ((0, 3), (3, 0)), ((4,), (4,)), ((2, 1, 3), (-1, 3))],
        lambda rng: (random_shape(rng), (-1,)),
        [Sample((np.ones((2, 3)),), {"shape": (4,)}), Sample((np.ones((2, 3)),), {"shape": (-1, 4)})],
    ),
    Contract(
        "transpose",
        transposed,
        transpose_make,
        [((2, 3, 4), (2, 0, 1)), ((2, 3), (0, 1)), ((), ()), ((1, 4), (1, 0)), ((0, 2), (1, 0))],
        random_transpose,
        [Sample((np.ones((2, 3)),), {"axes": (0, 0)}), Sample((np.ones((2, 3)),), {"axes": (0, -1)})],
    ),
    Contract(
        "take_slice",
        take_slice,
        take_slice_make,
        SLICES,
        random_slice,
        [Sample((np.ones((2, 3)),), {"key": (2,)}), Sample((np.ones(2),), {"key": (0, 0)})],
    ),
    Contract(
        "slice_grad",
        slice_grad,
        slice_grad_make,
        [*SLICES, *((shape, *keys) for shape, keys in PARTS)],
        random_slices,
        [
            Sample((np.ones(3),), {"keys": ((0,),), "shape": (2, 4)}),
            Sample((np.ones(3),), {"keys": ((5,),), "shape": (2, 3)}),
            Sample((np.ones(3), np.ones(3)), {"keys": ((0,),), "shape": (2, 3)}),
        ],
        roundings=lambda sample: len(sample.inputs) - 1,
        magnitude=lambda *gs, **static: slice_grad(*map(np.abs, gs), **static),
    ),
    Contract(
        "take",
        take,
        take_make,
        TAKES,
        random_take,
        [
            Sample((np.array(1.0), np.zeros(2, int))),
            Sample((np.ones((2, 3)), np.ones(2))),
            Sample((np.ones((0, 3)), np.zeros(2, int))),
        ],
    ),
    Contract(
        "take_grad",
        take_grad,
        take_grad_make,
        TAKES,
        random_take,
        [Sample((np.ones((3, 2)), np.zeros(4, int)), {"rows": 5})],
        roundings=lambda sample: sample.inputs[1].size,
        magnitude=lambda g, indices, rows: take_grad(np.abs(g), indices, rows),
    ),
    Contract(
        "take_batch",
        take_batch,
        take_batch_make,
        BATCHES,
        random_batch,
        [
            Sample((np.array(1.0), np.zeros(2, int), np.array(0)), {"count": 1, "dtype": "float32"}),
            Sample((np.ones(3), np.ones(2), np.array(0)), {"count": 1, "dtype": "float32"}),
            Sample((np.ones(3), np.zeros(2, int), np.zeros(1, int)), {"count": 1, "dtype": "float32"}),
            Sample((np.ones(0), np.zeros(2, int), np.array(0)), {"count": 1, "dtype": "float32"}),
        ],
        dtypes=("float64",),
    ),
    Contract(
        "concatenate",
        concatenated,
        concatenate_make,
        [
            ([(2, 3), (1, 3)], 0),
            ([(2, 3), (2, 1), (2, 2)], -1),
            ([(3,)], 0),
            ([(2, 0, 1), (2, 4, 1)], 1),
            ([(1, 1), (1, 1)], 1),
            ([(0, 2), (0, 2)], 0),
        ],
        random_concatenation,
        [Sample((np.ones((2, 3)), np.ones((2, 4))), {"axis": 0}), Sample((np.ones(2), np.ones(2)), {"axis": 1})],
    ),
    Contract(
        "pack",
        packed,
        pack_make,
        [([(2, 3), (4,)],), ([()],), ([(0, 2), (1, 1), (3,)],), ([(2,), (2,)],)],
        lambda rng: ([random_shape(rng) for _ in range(int(rng.integers(1, 5)))],),
        [Sample((np.ones(2), np.ones(2, np.float32)))],
    ),
    Contract(
        "copy",
        lambda x: x,
        lambda rng, shape: Sample((normal(rng, *shape),)),
        [((2, 3),), ((),), ((0, 2),), ((1, 1),)],
        lambda rng: (random_shape(rng),),
    ),
]
