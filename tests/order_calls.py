"""Calls of the functions that sort, count and scatter, for the comparison of their results with Keras's."""

from __future__ import annotations

import numpy as np
from array_calls import Call

IDS = np.array([1, 1, -1, 0, 3, 5], "int32")
NANS = np.array([[1.0, np.nan, 0.0], [np.nan, np.nan, np.nan]], "float32")

ORDER: dict[str, list[Call]] = {
    "argmin": [*(lambda o, x, args=args: o.argmin(x, *args) for args in ((), (1,), (0, True), (None, True)))],
    "nanargmax": [
        *(lambda o, x, args=args: o.nanargmax(x, *args) for args in ((), (1,), (0, True))),
        *(
            lambda o, x: o.nanargmax(NANS),
            lambda o, x: o.nanargmax(NANS, 1),
            lambda o, x: o.nanargmax(NANS, None, True),
        ),
    ],
    "nanargmin": [
        *(lambda o, x, args=args: o.nanargmin(x, *args) for args in ((), (1,), (0, True))),
        *(lambda o, x: o.nanargmin(NANS), lambda o, x: o.nanargmin(NANS, 1), lambda o, x: o.nanargmin(NANS, 0)),
    ],
    "sort": [*(lambda o, x, axis=axis: o.sort(x, axis) for axis in (-1, 0, None)), lambda o, x: o.sort(NANS)],
    "argsort": [
        *(lambda o, x, axis=axis: o.argsort(x, axis) for axis in (-1, 0, None)),
        *(lambda o, x: o.argsort(NANS), lambda o, x: o.argsort(x[0, 0])),
    ],
    # Which of the indices on each side comes first is undefined.
    "argpartition": [
        lambda o, x: o.sort(o.argpartition(x, 1)[:, :1]),
        lambda o, x: o.sort(o.argpartition(x, 3, axis=None)[:3]),
        lambda o, x: o.argpartition(x, -1, 0)[1:],
    ],
    "top_k": [*(lambda o, x, args=args: o.top_k(x, *args) for args in ((2,), (1, False), (0,), (3,)))],
    "in_top_k": [
        *(lambda o, x, k=k: o.in_top_k(np.array([0, 2], "int32"), o.cast(x, "float32"), k) for k in (1, 2, 3)),
        lambda o, x: o.in_top_k(np.array([-1, 3], "int32"), np.array([[1, 2, 2], [2, 1, 2]], "float32"), k=2),
        lambda o, x: o.in_top_k(np.array([1, 0], "int32"), NANS, 2),
    ],
    "searchsorted": [
        lambda o, x: o.searchsorted(o.sort(x[0]), x),
        lambda o, x: o.searchsorted(np.array([1, 2], "float32"), x, side="right"),
    ],
    "digitize": [
        *(lambda o, x: o.digitize(x, np.array([1.0, 2.5], "float32")), lambda o, x: o.digitize(x, np.array([1, 3]))),
        *(lambda o, x: o.digitize(x, np.array([3, 1, 0])), lambda o, x: o.digitize(x, np.array([2]))),
    ],
    "isin": [
        *(lambda o, x: o.isin(x, [1, 4]), lambda o, x: o.isin(x, x[0], invert=True), lambda o, x: o.isin(x, [])),
        *(lambda o, x: o.isin(x, 1.5, assume_unique=True), lambda o, x: o.isin(NANS, NANS)),
    ],
    "bincount": [
        *(lambda o, x: o.bincount(x[0]), lambda o, x: o.bincount(x[0], minlength=6)),
        *(lambda o, x: o.bincount(np.array([1, 1, 3]), x[1]), lambda o, x: o.bincount(np.zeros(0, "int32"))),
        lambda o, x: o.bincount(o.cast(x, "int32"), x, minlength=9),
    ],
    "count_nonzero": [*(lambda o, x, axis=axis: o.count_nonzero(x, axis) for axis in (None, 0, (0, 1)))],
    "histogram": [
        *(
            lambda o, x: o.histogram(x[0]),
            lambda o, x: o.histogram(x[1], 3, (0, 6)),
            lambda o, x: o.histogram(x[0, :1], 2),
        ),
    ],
    "unique": [
        *(lambda o, x: o.unique(x), lambda o, x: o.unique(x, axis=0), lambda o, x: o.unique(NANS)),
        lambda o, x: o.unique(x[1], return_index=True, return_inverse=True, return_counts=True),
        lambda o, x: o.unique(x, size=7, return_counts=True),
        lambda o, x: o.unique(x, True, True, size=7, fill_value=1),
        lambda o, x: o.unique(x, size=2, return_inverse=False, return_counts=True, axis=1),
    ],
    "scatter": [
        lambda o, x: o.scatter(np.array([[0], [2], [0]]), x[0], (4,)),
        lambda o, x: o.scatter(np.array([[0], [0]]), x, (2, 3)),
        lambda o, x: o.scatter(np.array([[0, 1], [-1, 0], [0, 7]]), x[0], (2, 3)),
        lambda o, x: o.scatter(np.array([[[0], [1]]]), x[:1, :2], [3]),
    ],
    "scatter_update": [
        *(
            lambda o, x, how=how: o.scatter_update(
                x, np.array([[0, 1], [0, 1], [-1, 2], [9, 0]]), x[0, [0, 1, 2, 0]], how
            )
            for how in (None, "add", "max", "min", "mul")
        ),
        *(
            lambda o, x, how=how: o.scatter_update(x, [[1], [0], [1]], o.stack([x[0], x[1], x[0]]), reduction=how)
            for how in (None, "add", "max")
        ),
    ],
    **{
        name: [
            lambda o, x, n=name: getattr(o, n)(o.reshape(x, -1), IDS, 4),
            lambda o, x, n=name: getattr(o, n)(x, np.array([2, 2], "int32"), num_segments=3, sorted=True),
        ]
        for name in ("segment_max", "segment_min", "segment_prod")
    },
    "multi_hot": [
        *(
            lambda o, x: o.multi_hot(x, 4),
            lambda o, x: o.multi_hot(x[0], num_tokens=8),
            lambda o, x: o.multi_hot(x, 8, 0),
        ),
        *(lambda o, x: o.multi_hot(x, 4, 1, "int32"), lambda o, x: o.multi_hot(x[0, 0], 9)),
    ],
    "view": [
        *(lambda o, x, dtype=dtype: o.view(o.tile(x, (1, 4)), dtype) for dtype in (None, "uint8", "int16", "float32"))
    ],
    "saturate_cast": [
        *(
            lambda o, x, dtype=dtype: o.saturate_cast((x + 1) * 60 - 200, dtype)
            for dtype in ("uint8", "int8", "int32", "bool")
        ),
        *(
            lambda o, x, dtype=dtype: o.saturate_cast(np.array([1e30, -1e30, 3.7, -3.7, np.nan], "float32"), dtype)
            for dtype in ("uint8", "int32", "uint32", "bfloat16", "float16", "bool")
        ),
    ],
}
