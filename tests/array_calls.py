"""Calls of the functions that create, arrange, index and sort arrays, for the comparison of their results with Keras's.

Each is a function of the module of functions, gpudl's or Keras's, and of a tensor of shape (2, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[Any, Any], Any]

CREATION: dict[str, list[Call]] = {
    "arange": [
        *(lambda o, x: o.arange(3), lambda o, x: o.arange(3.5), lambda o, x: o.arange(5, 0, -2)),
        *(lambda o, x: o.arange(1, 4, 0.5), lambda o, x: o.arange(0, 1, 0.1), lambda o, x: o.arange(-3)),
        *(lambda o, x: o.arange(1, 4, None, "int8"), lambda o, x: o.arange(3, dtype="bfloat16")),
        lambda o, x: o.arange(x[0, 0]),
    ],
    "array": [lambda o, x: o.array(x), lambda o, x: o.array(x, "float32"), lambda o, x: o.array([[x[0], x[1]]])],
    "convert_to_numpy": [lambda o, x: o.convert_to_tensor(o.convert_to_numpy(x))],
    "convert_to_tensor": [
        *(lambda o, x: o.convert_to_tensor(x), lambda o, x: o.convert_to_tensor(x, "float16", sparse=True)),
        *(lambda o, x: o.convert_to_tensor([x, x]), lambda o, x: o.convert_to_tensor([[1.5, 2]])),
        *(lambda o, x: o.convert_to_tensor(True), lambda o, x: o.convert_to_tensor([[1, 2]])),
    ],
    "dtype": [lambda o, x: o.zeros(1, o.dtype(x))],
    "empty": [lambda o, x: o.empty(2), lambda o, x: o.empty((2, 0), "int8")],
    "empty_like": [lambda o, x: o.empty_like(x), lambda o, x: o.empty_like(x, dtype="int8")],
    "eye": [lambda o, x: o.eye(3), lambda o, x: o.eye(2, 3, 1, "int32"), lambda o, x: o.eye(3, k=-1, dtype="bool")],
    "full": [
        *(lambda o, x: o.full(2, 3), lambda o, x: o.full((2, 2), True), lambda o, x: o.full((2, 2), 1.5, "int8")),
        *(lambda o, x: o.full((2, 3), x[0]), lambda o, x: o.full([2], x[0, 0], "bfloat16")),
    ],
    "full_like": [lambda o, x: o.full_like(x, 2.5), lambda o, x: o.full_like(x, 2.5, "float32")],
    "identity": [lambda o, x: o.identity(2), lambda o, x: o.identity(2, "bool")],
    "is_tensor": [
        lambda o, x: o.array([o.is_tensor(x), o.is_tensor(np.zeros(2)), o.is_tensor([1]), o.is_tensor(None)]),
    ],
    "linspace": [
        *(lambda o, x: o.linspace(0, 1, 5), lambda o, x: o.linspace(0, 10, 5, dtype="int32")),
        *(lambda o, x: o.linspace(0, 1, 4, endpoint=False, retstep=True), lambda o, x: o.linspace(-1, 1, 1)),
        *(lambda o, x: o.linspace(x, x + 1, 4), lambda o, x: o.linspace(x[0], x[1], 3, axis=-1, retstep=True)),
        *(lambda o, x: o.linspace(0, x, 3, False), lambda o, x: o.linspace(x, -x, 4, dtype="int8", axis=1)),
        lambda o, x: o.linspace(0, 1, 0),
    ],
    "logspace": [
        *(lambda o, x: o.logspace(0, 2, 3), lambda o, x: o.logspace(0, 2, 3, False, 2.0, "int32")),
        lambda o, x: o.logspace(x / 9, x / 5, 3, base=2, axis=-1),
    ],
    "geomspace": [
        *(lambda o, x: o.geomspace(1, 8, 4), lambda o, x: o.geomspace(-1, -8, 3, False)),
        *(lambda o, x: o.geomspace(1.0, 8.0, 4, dtype="int32"), lambda o, x: o.geomspace(x + 1, x + 2, 3, axis=-1)),
    ],
    "meshgrid": [
        *(lambda o, x: o.meshgrid(x[0], x[1, :2]), lambda o, x: o.meshgrid(x[0], x[1], x[0, :2], indexing="ij")),
        *(lambda o, x: o.meshgrid(x[0]), lambda o, x: o.meshgrid(x[0, :2], x[1], x[0])),
    ],
    "ndim": [lambda o, x: o.zeros(o.ndim(x))],
    "ones": [lambda o, x: o.ones([2]), lambda o, x: o.ones((2, 1), "bool")],
    "shape": [lambda o, x: o.zeros(o.shape(x))],
    "size": [lambda o, x: o.zeros(o.size(x))],
    "tri": [lambda o, x: o.tri(2), lambda o, x: o.tri(2, 3, 1, "int32"), lambda o, x: o.tri(3, 2, -1)],
    "vander": [
        *(lambda o, x: o.vander(x[0]), lambda o, x: o.vander(x[0], 2), lambda o, x: o.vander(x[0], 4, True)),
    ],
    "zeros": [lambda o, x: o.zeros(3), lambda o, x: o.zeros((2, 1), "int8")],
    **{
        name: [lambda o, x, n=name: getattr(o, n)(5), lambda o, x, n=name: getattr(o, n)(1)]
        for name in ("bartlett", "blackman", "hamming", "hanning")
    },
    "kaiser": [lambda o, x: o.kaiser(5, 2.5), lambda o, x: o.kaiser(1, 3)],
}

ARRANGEMENT: dict[str, list[Call]] = {
    "append": [
        *(lambda o, x: o.append(x, x), lambda o, x: o.append(x, o.cast(x, "float16"), 1)),
        *(lambda o, x: o.append(x, 7), lambda o, x: o.append(x, x[:1], axis=0)),
    ],
    "hstack": [lambda o, x: o.hstack([x, x]), lambda o, x: o.hstack([x[0], x[0, 0]])],
    "vstack": [lambda o, x: o.vstack([x, x[0]]), lambda o, x: o.vstack([x[0, 0], x[0, 1]])],
    "dstack": [lambda o, x: o.dstack([x, x]), lambda o, x: o.dstack([x[0], x[1]])],
    "moveaxis": [
        lambda o, x: o.moveaxis(x, 0, -1),
        lambda o, x: o.moveaxis(o.reshape(x, (1, 2, 3)), [0, 1], [-1, 0]),
    ],
    "swapaxes": [lambda o, x: o.swapaxes(x, 0, 1), lambda o, x: o.swapaxes(o.reshape(x, (1, 2, 3)), -1, 0)],
    "ravel": [lambda o, x: o.ravel(x), lambda o, x: o.ravel(x[0, 0])],
    "tile": [*(lambda o, x, by=by: o.tile(x, by) for by in (2, (2, 1), (2, 1, 2)))],
    "repeat": [
        *(lambda o, x: o.repeat(x, 2), lambda o, x: o.repeat(x, 2, axis=1), lambda o, x: o.repeat(x[0, 0], 3)),
        *(lambda o, x: o.repeat(x, np.array([1, 2]), 0), lambda o, x: o.repeat(x, np.array([2]), axis=-1)),
    ],
    "flip": [*(lambda o, x, axis=axis: o.flip(x, axis) for axis in (None, 1, (0, 1)))],
    "fliplr": [lambda o, x: o.fliplr(x)],
    "flipud": [lambda o, x: o.flipud(x)],
    "roll": [
        *(lambda o, x: o.roll(x, 1), lambda o, x: o.roll(x, 100, -1), lambda o, x: o.roll(x, (1, -1), (0, 1))),
        *(lambda o, x: o.roll(x, [1, 2], 1), lambda o, x: o.roll(x, 1, (0, 1)), lambda o, x: o.roll(x, (1, 1))),
    ],
    "rot90": [
        *(lambda o, x, k=k: o.rot90(x, k) for k in (-1, 0, 1, 2)),
        lambda o, x: o.rot90(o.reshape(x, (1, 2, 3)), 3, (2, 1)),
    ],
    "split": [
        *(lambda o, x: o.split(x, 3, 1), lambda o, x: o.split(x, [1, 2], axis=-1), lambda o, x: o.split(x, 1)),
        lambda o, x: o.split(x, np.array([1]), 1),
    ],
    "array_split": [*(lambda o, x, n=n: o.array_split(x, n, axis=1) for n in (1, 2, 4))],
    "hsplit": [lambda o, x: o.hsplit(x, 3), lambda o, x: o.hsplit(x[0], [1])],
    "vsplit": [lambda o, x: o.vsplit(x, 2)],
    "dsplit": [lambda o, x: o.dsplit(o.reshape(x, (1, 2, 3)), 3)],
    "unstack": [*(lambda o, x, args=args: o.unstack(x, *args) for args in ((), (3, 1), (None, -1)))],
    "pad": [
        *(lambda o, x, by=by: o.pad(x, by) for by in (1, (1, 2), ((1, 2),), [[1, 0], [0, 2]])),
        *(lambda o, x: o.pad(x, 1, constant_values=1), lambda o, x: o.pad(x, ((0, 0), (1, 2)), "constant", 1.5)),
        *(
            lambda o, x, mode=mode: o.pad(x, ((1, 1), (2, 0)), mode)
            for mode in (
                "edge",
                "reflect",
                "symmetric",
                "wrap",
                "maximum",
                "minimum",
                "mean",
                "median",
                "linear_ramp",
                "empty",
            )
        ),
        lambda o, x: o.pad(x, 5, "reflect"),
    ],
}

INDEXING: dict[str, list[Call]] = {
    "diag": [
        *(lambda o, x, k=k: o.diag(x, k) for k in (0, -1, 2, 5)),
        *(lambda o, x, k=k: o.diag(x[0], k) for k in (0, 1, -2)),
    ],
    "diagflat": [lambda o, x: o.diagflat(x), lambda o, x: o.diagflat(x[0], -1), lambda o, x: o.diagflat(x[0, 0])],
    "diagonal": [
        *(lambda o, x: o.diagonal(x), lambda o, x: o.diagonal(x, 1), lambda o, x: o.diagonal(x, 0, 1, 0)),
        lambda o, x: o.diagonal(o.reshape(x, (3, 1, 2)), -1, 0, 2),
    ],
    "get_item": [
        *(lambda o, x, key=key: o.get_item(x, key) for key in (0, (slice(None), 1), (..., None, slice(1, None)))),
        lambda o, x: o.get_item(x, o.convert_to_tensor([1, 0, 1])),
    ],
    "tril": [*(lambda o, x, k=k: o.tril(x, k) for k in (0, -1, 1))],
    "triu": [lambda o, x: o.triu(x, 1), lambda o, x: o.triu(o.reshape(x, (1, 3, 2)))],
    "slice": [
        *(lambda o, x: o.slice(x, (0, 1), (2, 2)), lambda o, x: o.slice(x, [1, 0], [1, -1])),
        *(lambda o, x: o.slice(x, (0, 2), (2, 2)), lambda o, x: o.slice(x, (0, -1), (2, 1))),
        lambda o, x: o.slice(x, o.convert_to_tensor([1, 5]), (1, 2)),
        lambda o, x: o.slice(x, o.convert_to_tensor([-1, -2]), (1, 1)),
    ],
    "slice_update": [
        *(
            lambda o, x, at=at: o.slice_update(x, at, x[:1, :2] + x[:1, :2])
            for at in ((0, 1), [1, 5], np.array([-1, 0]), (0, -2))
        ),
        lambda o, x: o.slice_update(x, o.convert_to_tensor([5, -1]), x[:, 2:][:1]),
        lambda o, x: o.slice_update(x, (0, 0), x[::-1]),
    ],
    "take_along_axis": [
        lambda o, x: o.take_along_axis(x, np.array([[1, 2], [0, -1]]), 1),
        lambda o, x: o.take_along_axis(x, np.array([[0, 0, 1]]), 0),
        lambda o, x: o.take_along_axis(x, np.array([[2, 0]]), axis=-1),
        lambda o, x: o.take_along_axis(x, np.array([5, 0, -2])),
    ],
    "unravel_index": [
        *(lambda o, x, at=at: o.unravel_index(np.array(at, "int32"), (2, 3)) for at in ([3, 5], 4, -1, 17, [[-9, 2]])),
    ],
    "select": [
        lambda o, x: o.select([x > 3, x > 1], [x, x + x], 9),
        *(lambda o, x: o.select([x > 3], [1.5]), lambda o, x: o.select((x > 3,), [x], 2.5)),
        lambda o, x: o.select([x > 3, x > 1], [o.cast(x, "int8"), o.cast(x, "float16")]),
    ],
    "rearrange": [
        *(lambda o, x, p=p: o.rearrange(x, p) for p in ("a b -> b a", "a b -> (b a)", "a b -> a b")),
        lambda o, x: o.rearrange(x, "a (b c) -> c (a b)", b=3),
    ],
}

ARRAYS = {**CREATION, **ARRANGEMENT, **INDEXING}
"""All of them; those that sort, count and scatter are in `order_calls.py`."""
