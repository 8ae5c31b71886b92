"""Cases of the Fourier transform: sums of complex exponentials, one by one."""

from __future__ import annotations

import cmath
from typing import Any

import numpy as np

from contract_cases.contract import Contract, Rng, Sample, normal


def transformed(real: np.ndarray, imag: np.ndarray, axes: int, inverse: bool = False) -> tuple[np.ndarray, np.ndarray]:
    values = real + 1j * imag
    for axis in range(-axes, 0):
        n = values.shape[axis]
        turn = 2j * cmath.pi / n * (1 if inverse else -1)
        factors = np.array([[cmath.exp(turn * (i * j % n)) for j in range(n)] for i in range(n)])
        values = np.moveaxis(np.tensordot(values, factors, (axis, 0)), -1, axis)
    return values.real, values.imag


def make(rng: Rng, shape: tuple[int, ...], axes: int, inverse: bool) -> Sample:
    return Sample((normal(rng, *shape), normal(rng, *shape)), {"axes": axes, "inverse": inverse})


def sizes(real: np.ndarray, imag: np.ndarray, axes: int, inverse: bool) -> tuple[np.ndarray, np.ndarray]:
    along = tuple(range(-axes, 0))
    size = np.broadcast_to((np.abs(real) + np.abs(imag)).sum(along, keepdims=True), real.shape)
    return size, size


SETTINGS: list[Any] = [
    (shape, axes, inverse)
    for shape, axes in (((8,), 1), ((2, 5), 1), ((1,), 1), ((3, 4), 2), ((2, 3, 6), 2), ((0, 3), 1))
    for inverse in (False, True)
]
CONTRACTS = [
    Contract(
        "dft",
        transformed,
        make,
        SETTINGS,
        lambda rng: (tuple(int(n) for n in rng.integers(1, 9, 2)), 1, False),
        [
            Sample((np.ones(3), np.ones(4)), {"axes": 1}),
            Sample((np.ones(3), np.ones(3)), {"axes": 2}),
            Sample((np.ones((2, 0)), np.ones((2, 0))), {"axes": 1}),
        ],
        roundings=8,
        magnitude=sizes,
    )
]
