"""Which tiles are chosen for a product on the GPU, and what nvcc makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gpudl.kernels.cuda import gemm, tiles
from gpudl.kernels.cuda.tiles import Card, Sums

FOLDER = Path(gemm.__file__).parent
CARDS = [Card(75, 40, 64 << 10), Card(80, 108, 163 << 10), Card(86, 28, 99 << 10), Card(90, 132, 227 << 10)]
SUMS = {  # of the networks of the tutorials, and of bigger ones
    "first layer": Sums(64 * 26 * 26, 32, 9, True, False),
    "its filters": Sums(9, 32, 64 * 26 * 26, False, False),
    "dense": Sums(64, 64, 576, True, False),
    "logits": Sums(64, 10, 64, True, False),
    "mlp": Sums(128, 512, 784, True, False),
    "56 x 56 x 64": Sums(256 * 56 * 56, 64, 576, True, False),
    "14 x 14 x 256": Sums(256 * 14 * 14, 256, 2304, True, False),
    "nothing": Sums(3, 5, 0, True, False),
}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: str(card.capability))
def test_a_choice_fits_the_card(card: Card) -> None:
    for sums in SUMS.values():
        for itemsize, tensor in ((2, True), (4, True), (4, False), (8, False)):
            tile, splits = tiles.choose(sums, itemsize, tensor, card)
            assert tile in tiles.candidates(itemsize, tensor)
            assert tile.shared_bytes(itemsize, sums.a_along, sums.b_along) <= card.shared
            assert 1 <= splits <= max(-(-sums.k // tile.k), 1)


def test_a_choice_fills_the_card() -> None:
    card = CARDS[-1]

    def blocks(name: str, *how: Any) -> int:
        tile, splits = tiles.choose(SUMS[name], *how, card)
        return -(-SUMS[name].m // tile.m) * -(-SUMS[name].n // tile.n) * splits

    for how in ((2, True), (4, True), (4, False)):
        assert tiles.choose(SUMS["14 x 14 x 256"], *how, card)[0].m == 128
        assert tiles.choose(SUMS["56 x 56 x 64"], *how, card)[1] == 1
        assert blocks("first layer", *how) >= card.multiprocessors
        assert blocks("its filters", *how) >= card.multiprocessors // 4
        assert blocks("mlp", *how) >= card.multiprocessors // 3


def test_shapes_of_tiles_fit_their_threads() -> None:
    for itemsize, tensor in ((2, True), (4, True), (4, False), (8, False)):
        for tile in tiles.candidates(itemsize, tensor):
            assert tile.threads in (128, 256)
            assert tile.m % tile.part_m == tile.n % tile.part_n == 0
            assert tile.threads >= max(tile.m, tile.n, tile.k), "a line is shared out among the threads one by one"
