"""Cases of decompositions of matrices: what is decomposed is put together again, with NumPy's products in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from contract_cases.contract import REAL, Contract, Rng, Sample, near

SQUARES = [((2, 2),), ((3, 3),), ((2, 3, 3),), ((1, 1),), ((0, 2, 2),)]
ANY = [((3, 2),), ((2, 3),), ((3, 3),), ((2, 3, 2),)]
HIGH = [((3, 2),), ((3, 3),), ((2, 3, 2),), ((4, 1),)]
FLAT, OBLONG = Sample((np.ones(3),)), Sample((np.ones((2, 3)),))


def regular(rng: Rng, *shape: int) -> np.ndarray:
    """Return matrices far from singular, with singular values far from one another, exact in float16."""
    wide = np.zeros(shape)
    for k in range(min(shape[-2:])):
        wide[..., k, k] = 2.0 + 1.5 * k
    return wide + near(-0.5, 0.5)(rng, *shape)


def positive(rng: Rng, *shape: int) -> np.ndarray:
    x = regular(rng, *shape)
    return x + np.swapaxes(x, -1, -2)


def of(draw: Callable[..., np.ndarray], **static: Any) -> Callable[..., Sample]:
    return lambda rng, shape: Sample((draw(rng, *shape),), dict(static))


def square(rng: Rng) -> tuple[Any, ...]:
    n = int(rng.integers(1, 5))
    return ((n, n),)


def oblong(rng: Rng) -> tuple[Any, ...]:
    return (tuple(int(n) for n in rng.integers(1, 5, 2)),)


def triangle(x: np.ndarray, part: str) -> np.ndarray:
    ones = np.ones(x.shape[-2:])
    return {"lower": np.tril(ones), "upper": np.triu(ones), "diagonal": np.eye(*ones.shape)}[part]


def lu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors that elimination leaves, row by row."""
    a, pivots = x.copy(), np.zeros((*x.shape[:-2], min(x.shape[-2:])), np.int32)
    for at in np.ndindex(x.shape[:-2]):
        m = a[at]
        for k in range(pivots.shape[-1]):
            p = k + int(np.argmax(np.abs(m[k:, k])))
            pivots[(*at, k)] = p
            m[[k, p]] = m[[p, k]]
            for i in range(k + 1, len(m)):
                m[i, k] = m[i, k] / m[k, k]
                m[i, k + 1 :] = m[i, k + 1 :] - m[i, k] * m[k, k + 1 :]
    return a, pivots


def eig(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eig(x)
    return values.astype(np.complex128), vectors.astype(np.complex128)


def magnitude(oracle: Callable[..., Any]) -> Callable[..., Any]:
    """Return sizes to measure errors by: those of elements of matrices whose condition is at most 100."""

    def sizes(*arrays: np.ndarray, **static: Any) -> Any:
        outs = oracle(*arrays, **static)
        return tuple(np.full(np.shape(o), 10.0) for o in (outs if isinstance(outs, tuple) else (outs,)))

    return sizes


def solve_make(rng: Rng, a: Any, b: Any) -> Sample:
    return Sample((regular(rng, *a), near(-2, 2)(rng, *b)))


def qr_make(rng: Rng, shape: Any, complete: bool = False) -> Sample:
    return Sample((regular(rng, *shape),), {"complete": complete})


def svd_make(rng: Rng, shape: Any, full: bool = False) -> Sample:
    return Sample((regular(rng, *shape),), {"full": full})


def pinv_make(rng: Rng, shape: Any) -> Sample:
    return Sample((regular(rng, *shape),), {"rcond": 1e-5})


def made(op: str, oracle: Any, make: Any, settings: Any, drawn: Any, wrong: Any) -> Contract:
    return Contract(op, oracle, make, settings, drawn, wrong, roundings=16, magnitude=magnitude(oracle), dtypes=REAL)


CONTRACTS = [
    Contract(
        "triangle",
        triangle,
        lambda rng, shape, part: Sample((near(-2, 2)(rng, *shape),), {"part": part}, smooth=False),
        [(shape, part) for part in ("lower", "upper", "diagonal") for (shape,) in ANY],
        lambda rng: (*oblong(rng), "lower"),
        [Sample((np.ones(3),), {"part": "lower"})],
    ),
    made("cholesky", np.linalg.cholesky, of(positive), SQUARES, square, [OBLONG, FLAT]),
    made("inv", np.linalg.inv, of(regular), SQUARES, square, [OBLONG, FLAT]),
    made("det", np.linalg.det, of(regular), SQUARES, square, [OBLONG, FLAT]),
    made("slogdet", lambda x: tuple(np.linalg.slogdet(x)), of(regular), SQUARES, square, [OBLONG, FLAT]),
    made(
        "solve",
        np.linalg.solve,
        solve_make,
        [((2, 2), (2, 3)), ((2, 3, 3), (2, 3, 1)), ((3, 3), (2, 3, 1)), ((2, 2, 2), (2, 4))],
        lambda rng: ((3, 3), (3, int(rng.integers(1, 4)))),
        [Sample((np.ones((2, 2)), np.ones((3, 2)))), Sample((np.ones((2, 3)), np.ones((3, 2))))],
    ),
    made(
        "qr",
        lambda x, complete: tuple(np.linalg.qr(x, "complete" if complete else "reduced")),
        qr_make,
        HIGH,
        lambda rng: ((4, 3), bool(rng.integers(2))),
        [FLAT],
    ),
    made("eigh", lambda x: tuple(np.linalg.eigh(x)), of(positive), SQUARES, square, [OBLONG, FLAT]),
    made("svd", lambda x, full: tuple(np.linalg.svd(x, full)), svd_make, [*ANY, ((3, 3), True)], oblong, [FLAT]),
    made("singular_values", lambda x: np.linalg.svd(x, compute_uv=False), of(regular), ANY, oblong, [FLAT]),
    made(
        "pinv",
        np.linalg.pinv,
        pinv_make,
        ANY,
        oblong,
        [Sample((np.ones(3),), {"rcond": 0.1})],
    ),
    made("lu_factor", lu, of(regular), ANY, oblong, [FLAT]),
    Contract("eig", eig, of(regular), SQUARES[:3], square, [OBLONG, FLAT], dtypes=("float64",)),
]
