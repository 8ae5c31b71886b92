"""Which tiles are chosen for a product on the GPU, and what nvcc makes of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gemm_ways import SHORT, SINGLE, TENSOR
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


COMPILED = [
    ("conv2d", "BFLOAT16", SHORT[0], 8, 90),
    ("conv2d_weight_grad", "FLOAT32", TENSOR[0], 4, 80),
    ("conv2d_input_grad", "FLOAT16", SHORT[2], 8, 75),
    ("matmul", "FLOAT32", SINGLE[0], 1, 100),
]
# Launch bounds hold this one to 128 registers where it would like one more: a second block is worth a word of memory.
SPILLS = {("matmul", 100): ("4", "8")}


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("case", COMPILED, ids=lambda case: case[0])
def test_nvcc_compiles_for_128_registers_without_spills(case: Any, tmp_path: Path) -> None:
    name, real, tile, pack, arch = case
    macros = {"GPUDL_REAL": real, "GPUDL_INDEX": "int", "GPUDL_PACK_A": pack, "GPUDL_PACK_B": pack}
    macros |= tile.macros() | {"GPUDL_TRANSPOSE_A": 0, "GPUDL_TRANSPOSE_B": 0, "GPUDL_FINISH": "RELU"}
    command = ["nvcc", "--std=c++17", f"-arch=sm_{arch}", "-cubin", "-Xptxas", "-v", "-o", str(tmp_path / "out")]
    command += [*(f"-D{macro}={value}" for macro, value in macros.items()), str(FOLDER / f"{name}.cu")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert spills == [SPILLS.get((name, arch), ("0", "0"))]
    assert all(int(used) <= 128 for used in re.findall(r"Used (\d+) registers", done.stderr))
