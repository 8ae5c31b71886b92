"""Every tile of products on the card: edges, bias and activation, split sums, more than 48 KB of shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gemm_ways import check
from gpudl.kernels import precision
from gpudl.kernels.cuda import gemm
from tile_cases import CASES, Case

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    before = precision.chosen()
    yield
    precision.choose(before, "a test")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_tile(case: Case, monkeypatch: pytest.MonkeyPatch, record_property: Any) -> None:
    import cupy

    dtype, tile, here = case.way.use(monkeypatch), case.way.tile, gemm.card()
    if tile.tensor and not gemm.on_tensor_cores(case.way.dtype, here.capability):
        pytest.skip(f"the tensor cores of a card of capability {here.capability} do not multiply {case.way.dtype}")
    if tile.shared_bytes(dtype.itemsize, True, True) > here.shared:
        pytest.skip(f"a block of this card has {here.shared} bytes of shared memory")
    error = check(cupy, case.way, *case.drawn(np.random.default_rng(1), dtype))
    record_property("share_of_the_bound", error)
