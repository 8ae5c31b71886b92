"""What `tests/gpu/test_tiles.py` asks of a card is right, as far as the double of CuPy shows it for a few cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gemm_ways import check, double
from gpudl.kernels.cuda import tiles
from tile_cases import CASES, PRODUCTS, Case


@pytest.fixture
def cupy() -> Iterator[Any]:
    with double() as cupy:
        yield cupy


def test_the_cases_are_every_tile_in_every_product() -> None:
    seen = {(case.name, case.way.dtype, case.way.tile) for case in CASES if case.activation is None}
    kinds = [("float16", True), ("bfloat16", True), ("float32", True), ("float32", False), ("float64", False)]
    for name, (dtype, tensor) in ((name, kind) for name in PRODUCTS for kind in kinds):
        for tile in tiles.candidates({"float64": 8, "float32": 4}.get(dtype, 2), tensor):
            assert (name, dtype, tile) in seen
    assert any(case.way.tile.shared_bytes(2, True, True) > 48 << 10 for case in CASES)
    assert {case.way.dtype for case in CASES if case.way.splits > 1} == {"float16", "float32"}
    assert len({str(case) for case in CASES}) == len(CASES)


FEW = [
    next(case for case in CASES if str(case) == name)
    for name in (
        "matmul-float16-128x128x64-relu",
        "conv2d-TF32-32x32x32-split-tanh",
        "conv2d_input_grad-bfloat16-32x32x64",
        "conv2d_weight_grad-TF32-64x64x32-loose",
    )
]


@pytest.mark.parametrize("case", FEW, ids=str)
def test_a_case(case: Case, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype = case.way.use(monkeypatch)
    assert 0 < check(cupy, case.way, *case.drawn(np.random.default_rng(1), dtype)) <= 1


def test_a_wrong_product_is_seen(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = FEW[2]
    dtype = case.way.use(monkeypatch)
    run, *rest = case.drawn(np.random.default_rng(1), dtype)

    def wrong(out: Any, *ins: Any) -> None:
        run(out, *ins)
        out[0, 0, 0, 0] = out[0, 0, 0, 1]

    with pytest.raises(AssertionError, match="bfloat16"):
        check(cupy, case.way, wrong, *rest)
