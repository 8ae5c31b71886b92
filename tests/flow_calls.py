"""Calls of loops, branches and scans, for the comparison of their results with Keras's."""

from __future__ import annotations

from array_calls import Call

FLOW: dict[str, list[Call]] = {
    "cond": [
        lambda o, x: o.cond(o.max(x) > 3, lambda: (x, x[0]), lambda: (x[::-1], x[1])),
        *(lambda o, x: o.cond(0, lambda: x, lambda: x[::-1]), lambda o, x: o.cond(2.0, lambda: x, lambda: x[::-1])),
    ],
    "switch": [
        lambda o, x, at=at: o.switch(o.convert_to_tensor(at), [lambda a, b: a, lambda a, b: a + b], x, x)
        for at in (-3, 0, 1, 7)
    ],
    "while_loop": [
        lambda o, x: o.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y + y), (0, x)),
        lambda o, x: o.while_loop(lambda i, y: i < 9, lambda i, y: [i + 1, y + y], [0, x], maximum_iterations=2),
        lambda o, x: o.while_loop(lambda y: o.max(y) < 50, lambda y: y + 9, o.cast(x, "float32")),
    ],
    "fori_loop": [
        lambda o, x: o.fori_loop(0, 3, lambda i, y: (y[0] + i, y[1] + y[1]), (0, x)),
        lambda o, x: o.fori_loop(3, 0, lambda i, y: y + y, x),
        lambda o, x: o.fori_loop(o.convert_to_tensor(0), o.convert_to_tensor(2), lambda i, y: y + x[i], x[0]),
    ],
    "map": [lambda o, x: o.map(lambda row: (row + row, row[0]), x), lambda o, x: o.map(lambda r: r[0] + r[1], (x, x))],
    "vectorized_map": [
        lambda o, x: o.vectorized_map(lambda row: o.sum(row), x),  # noqa: PLW0108
        lambda o, x: o.vectorized_map(lambda r: r[0] + r[1], [x, x]),
    ],
    "vectorize": [
        lambda o, x: o.vectorize(lambda a, b: a + b)(x, x[0]),
        lambda o, x: o.vectorize(lambda a, b: o.sum(a * b), signature="(n),(n)->()")(x, x[0]),
        lambda o, x: o.vectorize(lambda a, b: (a, a + b), excluded={1})(x, 2),
    ],
    "associative_scan": [
        lambda o, x: o.associative_scan(lambda a, b: a + b, x, axis=1),
        lambda o, x: o.associative_scan(lambda a, b: (a[0] + b[0], b[1]), (x, x), reverse=True),
    ],
    "custom_gradient": [lambda o, x: o.custom_gradient(lambda a: (a + a, lambda g: g))(x)],
    "stop_gradient": [lambda o, x: o.stop_gradient(x)],
}
