"""Which kinds of the GPU's kernels nvcc compiles: what the launchers ask for, every tile, and more than these."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from gpudl.kernels.cuda.tiles import Tile, candidates

ARCHITECTURES = (75, 80, 90, 100)
ROOM_OF_75 = 64 << 10  # bytes of shared memory that a block can have
PRODUCTS = ("matmul.cu", "conv2d.cu", "conv2d_input_grad.cu", "conv2d_weight_grad.cu")
HEADS = (16, 64, 128, 256)  # elements of a head of attention
Variant = tuple[str, ...]
"""A `.cu` file and the macros that a launcher gives to it, as options of the compiler."""

TYPES = ("FLOAT32 int 4", "BFLOAT16 long long 8", "FLOAT64 int 2")


def _typed(*types: str, **macros: str | int) -> list[dict[str, str | int]]:
    """Return macros for each of `types`, which tell a dtype, an index and a width."""
    split = (re.fullmatch(r"(\w+) (.+) (\d)", each) for each in types)
    return [{"REAL": each[1], "INDEX": each[2], "WIDTH": int(each[3])} | macros for each in split if each]


def _tile(real: str, tile: Tile, pack: int) -> list[dict[str, str | int]]:
    named = {name.removeprefix("GPUDL_"): value for name, value in tile.macros().items()}
    ends = {"PACK_A": pack, "PACK_B": pack, "TRANSPOSE_A": 0, "TRANSPOSE_B": 0, "FINISH": "RELU"}
    return [{"REAL": real, "INDEX": "int"} | named | ends]


# Other dtypes, longer indices and narrower moves than those that `used_variants` finds.
MORE: dict[str, list[dict[str, str | int]]] = {
    "norm.cu": _typed(*TYPES, RELU=1),
    "norm_grad.cu": _typed(*TYPES, RELU=1),
    "layer_norm.cu": _typed(*TYPES[1:]),
    "loss.cu": _typed(*TYPES[1:]),
    "reduce.cu": [each for stage, most in ((0, 0), (1, 1), (2, 0)) for each in _typed(*TYPES, STAGE=stage, MAX=most)],
    **{
        file: [*_typed("FLOAT32 int 4", "FLOAT32 long long 1", PART=8), *_typed("FLOAT64 long long 2", PART=2)]
        for file in ("rnn.cu", "rnn_grad.cu")
    },
    "random.cu": _typed("FLOAT64 long long 2", "FLOAT16 int 4", "BFLOAT16 int 1"),
    "update.cu": _typed("FLOAT64 long long 2"),
    "pool.cu": [
        *_typed("FLOAT16 int 8", "FLOAT64 int 2", TAP="unsigned char"),
        *_typed("BFLOAT16 long long 4", "FLOAT32 long long 1", TAP="int"),
    ],
    "scatter.cu": [
        {"REAL": "FLOAT64", "INDEX": "long long", "ORDER": "int"},
        {"REAL": "BFLOAT16", "INDEX": "int", "ORDER": "int"},
    ],
    "gather.cu": [
        {"REAL": "BFLOAT16", "FROM": "double", "TO": "Real", "WIDTH": 2, "INDEX": "long long", "ORDER": "int"},
        {"REAL": "FLOAT64", "FROM": "__half", "TO": "Real", "WIDTH": 2, "INDEX": "int", "ORDER": "int"},
        {"REAL": "FLOAT16", "FROM": "long long", "TO": "Real", "WIDTH": 1, "INDEX": "int", "ORDER": "int"},
        {"REAL": "FLOAT32", "FROM": "uint4", "TO": "uint4", "INDEX": "int", "ORDER": "int"},
    ],
    "conv2d.cu": _tile("BFLOAT16", candidates(2, True)[0], 8),
    "conv2d_weight_grad.cu": _tile("FLOAT32", candidates(4, True)[0], 4),
    "conv2d_input_grad.cu": _tile("FLOAT16", candidates(2, True)[2], 8),
    "matmul.cu": _tile("FLOAT32", candidates(4, False)[0], 1),
}


def more_variants() -> list[Variant]:
    """Return the kinds of `MORE`."""
    return [
        (file, *(f"-DGPUDL_{name}={value}" for name, value in macros.items()))
        for file, kinds in MORE.items()
        for macros in kinds
    ]


def architectures(variant: Variant) -> list[int]:
    """Return for which cards a kind is compiled.

    Tensor cores multiply more than float16 from sm_80 on, and sm_75 has no room for the larger tiles; without tensor
    cores 16 bits are multiplied before sm_80 alone.
    """
    tile = tile_of(variant)
    if tile is None:
        needs_80 = "-DGPUDL_TENSOR=1" in variant and "-DGPUDL_REAL=FLOAT16" not in variant
        return [arch for arch in ARCHITECTURES if arch >= 80 or not needs_80]
    if tile.tensor:
        fits = "-DGPUDL_REAL=FLOAT16" in variant and tile.shared_bytes(2, False, False) <= ROOM_OF_75
        return [arch for arch in ARCHITECTURES if arch >= 80 or fits]
    short = any(f"-DGPUDL_REAL={real}" in variant for real in ("FLOAT16", "BFLOAT16"))
    return [arch for arch in ARCHITECTURES if arch < 80 or not short]


def tile_of(variant: Variant) -> Tile | None:
    """Return the tile that a kind computes, or None."""
    macros = dict(option[2:].split("=") for option in variant[1:] if "=" in option)
    names = ("TILE_M", "TILE_N", "TILE_K", "PART_M", "PART_N", "STAGES", "TENSOR")
    if "GPUDL_TILE_M" not in macros:
        return None
    *sizes, tensor = (int(macros[f"GPUDL_{name}"]) for name in names)
    return Tile(*sizes, tensor=bool(tensor))


def used_variants() -> list[Variant]:
    """Return what the launchers compile, of each kernel and dtype the kind that moves most at a time, and `MORE`."""
    from cuda_kernels import Placed
    from gpudl.kernels import registry
    from gpudl.kernels.cuda import elementwise, launch, program
    from strict_cupy import installed
    from test_cuda_kernel_cases import calls

    found: dict[Any, set[Variant]] = {}

    class Nothing:
        max_dynamic_shared_size_bytes = 0

        def __call__(self, *args: Any, **given: Any) -> None: ...

    def note(text: str, title: str, name: str, options: Any = (), **macros: str | int) -> Any:
        kind = (title, *(f"-D{macro}={value}" for macro, value in macros.items()))
        found.setdefault((title, name, macros.get("GPUDL_REAL")), set()).add(kind)
        return Nothing()

    with installed(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "compiled", note)
        for module in (elementwise, program):  # whose kernels are in no file
            patch.setattr(module, "compile_run", lambda *args: Nothing())
        for kernels in registry.registered("cuda").values():
            for kernel in kernels:
                for static, outs, inputs in calls(kernel):
                    kernel.run(*(Placed(a).array for a in (*outs, *inputs)), **static)
    largest = {max(kinds, key=_size) for (title, *_), kinds in found.items() if title not in PRODUCTS}
    return sorted({*largest, *tile_variants(), *attention_variants(), *more_variants()})


def attention_variants() -> list[Variant]:
    """Return the first tile of attention for each size of a head and dtype, on tensor cores and without."""
    from gpudl.kernels.cuda import attention, attention_grad

    found = set()
    passes = (attention.FORWARD, attention_grad.OF_QUERIES, attention_grad.OF_KEYS)
    sizes = {"FLOAT16": 2, "BFLOAT16": 2, "FLOAT32": 4, "FLOAT64": 8}
    for each, real, head, tensor in itertools.product(passes, sizes, HEADS, (False, True)):
        tile = attention.candidates(head, sizes[real], tensor and real != "FLOAT64", each.steps)[0]
        macros = {"GPUDL_REAL": real, "GPUDL_INDEX": "int", **tile.macros(), "GPUDL_PACK": 16 // sizes[real]}
        chosen = ("-DGPUDL_ONLY", f"-DGPUDL_ONLY_{each.name}")
        found.add((each.file, *(f"-D{name}={value}" for name, value in macros.items()), *chosen))
    return sorted(found)


def tile_variants() -> list[Variant]:
    """Return what the products by tiles compile: every tile with every dtype, moved 16 bytes at a time."""
    from gpudl.kernels.cuda import conv2d, conv2d_input_grad, conv2d_weight_grad, gemm, launch, matmul, tiles
    from gpudl.kernels.geometry import Window
    from ml_dtypes import bfloat16
    from strict_cupy import installed

    found: list[Variant] = []
    window = Window((1, 1), (1, 1))

    def note(text: str, title: str, name: str, options: Any = (), **macros: str | int) -> Any:
        found.append((title, *(f"-D{macro}={value}" for macro, value in macros.items())))
        return found

    with installed(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "compiled", note)
        for dtype, tensor in itertools.product(("float16", bfloat16, "float32", "float64"), (False, True)):
            matrix, image = (np.empty(shape, dtype) for shape in ((64, 64), (1, 1, 64, 64)))
            filters = image.reshape(1, 1, 64, 64)
            for tile in () if tensor and dtype == "float64" else tiles.candidates(matrix.itemsize, tensor):
                patch.setattr(gemm, "choose", lambda *asked, tile=tile: (tile, 1))
                matmul.of_matrices(matrix, matrix, matrix).compiles(matrix, matrix, matrix)
                for product in (conv2d.of_value, conv2d_input_grad.of_input, conv2d_weight_grad.of_weights):
                    product(filters, image, filters, window).compiles(image, image, image)
    return sorted(set(found))


def _size(variant: Variant) -> tuple[int, Variant]:
    return sum(int(number) for option in variant for number in re.findall(r"=(\d+)$", option)), variant


def parse(line: str) -> Variant:
    """Return the variant that a key of the table stands for; values of macros may hold spaces."""
    return tuple(re.split(r" (?=-D)", line))
