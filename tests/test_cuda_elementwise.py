"""Elementwise ops in generated CUDA C++, compiled for the CPU: op by op, and runs of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS
from contract_cases.check import assert_close, dirty, tensors
from cuda_batch import assembled, twice
from cuda_cpu import kinds
from cuda_kernels import Placed, run, samples
from gpudl.kernels import expression
from gpudl.kernels import registry as kernels
from gpudl.kernels.cuda import elementwise, launch, program
from gpudl.kernels.registry import Call
from hypothesis import given
from hypothesis import strategies as st
from strict_cupy import installed
from test_runs import ORDERS, SPECIAL, Laid, assert_same_numbers

from gpudl import Variable, backend, convert_to_tensor, traced
from gpudl.engine.flat import FlatGroup
from gpudl.engine.op import registry
from gpudl.engine.spec import ShapeError, Spec

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")

ROWS, COLUMNS = 6, 8
Arrays = tuple[np.ndarray, ...]


@pytest.fixture
def cupy() -> Iterator[Any]:
    with installed(), np.errstate(all="ignore"):
        import cupy

        yield cupy


def kernel_of(op: str, arrays: Any, static: dict[str, Any]) -> Callable[..., None]:
    kernel = kernels.find(op, "cuda", tuple(arrays), static)
    assert kernel is not None, (op, [(a.dtype, a.shape) for a in arrays])
    return kernel


OPS = sorted(expression.names())


def test_the_ops_with_kernels_are_those_that_work_element_by_element() -> None:
    assert set(OPS) <= set(registry)
    assert not {"sum", "matmul", "softmax", "transpose", "take", "advance_", "adam_"} & set(OPS)


def test_every_op_meets_its_contract(cupy: Any) -> None:
    def work() -> list[Any]:
        done = []
        for name in OPS:
            for number, (sample, dtype) in enumerate(samples(name, 2)):
                inputs, op = sample.cast(dtype), registry[name]
                outs = dirty(op.specs(tensors(inputs), sample.static))
                kernel = kernel_of(name, map(cupy.asarray, (*outs, *inputs)), sample.static)
                got = run(kernel, outs, inputs, sample.static, op.writes, shift=number % 2)
                done.append((got, CONTRACTS[name], inputs, sample, dtype))
        return done

    for checked in twice(work):
        assert_close(*checked)


EXTREME = {
    "int": (0, 1, -1, 7, -7, 2**31 - 1, -(2**31), -(2**63)),
    "uint": (0, 1, 7, 200, 255),
    "float": (*SPECIAL, 1.5, -1.5, 7.0, -7.25, 1e30),
}


@pytest.mark.parametrize("name", ["floor_divide", "mod"])
def test_quotients_are_numpys_for_all_pairs_of_extremes(cupy: Any, name: str) -> None:
    def work() -> list[Any]:
        done = []
        for dtype in ("int8", "int32", "int64", "uint8", "uint32", "float32", "float64"):
            numbers = np.array(EXTREME[dtype.rstrip("0123456789")]).astype(dtype)
            a, b = (np.ascontiguousarray(part) for part in np.broadcast_arrays(numbers[:, None], numbers))
            out = cupy.empty(a.shape, dtype)
            kernel_of(name, (out, cupy.asarray(a), cupy.asarray(b)), {})(out, cupy.asarray(a), cupy.asarray(b))
            done.append((out.get(), (np.floor_divide if name == "floor_divide" else np.remainder)(a, b)))
        return done

    for got, expected in twice(work):
        np.testing.assert_array_equal(got, expected)
        real = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[real]), np.signbit(expected[real]))


DTYPES = ("float32", "float32", "float16", "float64", "int64", "int32", "uint8", "bool")
STATIC: dict[str, list[dict[str, Any]]] = {
    "cast": [{"dtype": d} for d in ("float16", "float32", "float64", "bool", "int64")],
    "broadcast_to": [{"shape": (ROWS, COLUMNS)}],
    "clip": [{"low": -1.0, "high": 0.5}, {"low": -0.0, "high": 1e30}],
    "activation_grad": [{"activation": a} for a in ("linear", "relu", "sigmoid", "tanh")],
    "bias_activation": [{"activation": a} for a in ("linear", "relu", "sigmoid", "tanh")],
    "decay_": [{"rate": 0.1}],
}
SAFE = [name for name in OPS if name not in ("draw_key", "increment_", "note_nonfinite_", "rescale_")]


class RandomRun:
    """A run of random ops over arrays of random dtypes; some of its operands are broadcast."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = np.random.default_rng(seed)
        whole, shapes = (ROWS, COLUMNS), [(COLUMNS,), (ROWS, 1), (), (1, COLUMNS)]
        self.given = [self._drawn(shape, dtype) for dtype in DTYPES[:5] for shape in (whole, whole, *shapes)]
        self.kept = [True] * len(self.given)
        self.specs = [Spec(a.shape, a.dtype) for a in self.given]
        self.calls: list[Call] = []
        self.targets: set[int] = set()
        while len(self.calls) < 12:
            self._add(str(rng.choice(SAFE)))
        for value in range(len(self.given), len(self.specs)):
            self.kept.append(bool(rng.random() < 0.4) or value == len(self.specs) - 1)

    def _drawn(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        with np.errstate(all="ignore"):
            values = self.rng.permutation([*SPECIAL, *self.rng.uniform(-3, 3, ROWS * COLUMNS)])
            plain = np.nan_to_num(values, posinf=9, neginf=-9).clip(-9, 9)
            chosen = values if np.dtype(dtype).kind == "f" else plain
            return np.resize(chosen, shape).astype(dtype)

    def _add(self, name: str) -> None:
        op = registry[name]
        ins = tuple(int(self.rng.integers(len(self.specs))) for _ in op.inputs)
        static = self.rng.choice(STATIC.get(name, [{}]))  # type: ignore[arg-type]
        try:
            specs = op.specs(tensors(tuple(np.empty(self.specs[x].shape, self.specs[x].dtype) for x in ins)), static)
        except ShapeError:
            return
        shapes = (*(s.shape for s in specs), *(self.specs[x].shape for x in ins))
        stand_ins = tuple(np.empty(s.shape, s.dtype) for s in (*specs, *(self.specs[x] for x in ins)))
        outs = tuple(range(len(self.specs), len(self.specs) + len(specs)))
        if shapes[0] != (ROWS, COLUMNS) or not elementwise.joins(name, stand_ins, static):
            return
        if op.update and ins[0] >= len(self.given):
            return
        self.targets.update(ins[: op.writes])
        self.calls.append(Call(name, outs, ins, static, shapes))
        self.specs.extend(specs)

    def arrays(self, shift: int) -> list[Placed]:
        made = [
            np.full(s.shape, 77, s.dtype) if s.dtype.kind != "f" else np.full(s.shape, np.nan, s.dtype)
            for s in self.specs[len(self.given) :]
        ]
        return [Placed(a, shift) for a in (*self.given, *made)]

    def one_by_one(self) -> list[np.ndarray]:
        placed = self.arrays(0)
        for call in self.calls:
            arrays = [placed[x].array for x in (*call.outs, *call.ins)]
            kernel_of(call.op, arrays, call.static)(*arrays, **call.static)
        return self.results(placed)

    def at_once(self, shift: int) -> list[np.ndarray]:
        placed, needed = self.arrays(shift), {x for call in self.calls for x in (*call.outs, *call.ins)}
        places = [x for x in needed if self.kept[x]]
        kernel = elementwise.compose(self.calls, [(s.dtype, s.size) for s in self.specs], places)
        kernel.bind([placed[x].array for x in places])()
        return self.results(placed)

    def results(self, placed: list[Placed]) -> list[np.ndarray]:
        made = (x for x in range(len(self.given), len(self.specs)) if self.kept[x])
        return [placed[x].value() for x in (*sorted(self.targets), *made)]


@pytest.mark.parametrize("width", [1, 4])
def test_a_run_gives_the_bits_of_its_ops_one_by_one(cupy: Any, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "_works", lambda *scalars: True)
    monkeypatch.setattr(program, "_WIDE_FROM", 0 if width > 1 else 10**9)
    runs = [RandomRun(100 * width + seed) for seed in range(12)]
    for expected, got, moved in twice(lambda: [(r.one_by_one(), r.at_once(0), r.at_once(1)) for r in runs]):
        for one, other, third in zip(expected, got, moved, strict=True):
            assert_same_numbers(other, one)
            assert_same_numbers(third, one)


@given(
    st.lists(st.integers(1, 4), max_size=4).flatmap(lambda out: st.tuples(st.just(out), st.integers(0, len(out)))),
    st.data(),
)
def test_how_an_operand_is_spread(shapes: tuple[list[int], int], data: Any) -> None:
    out, cut = shapes
    shape = tuple(n if data.draw(st.booleans()) else 1 for n in out[cut:])
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    wanted = np.broadcast_to(x, out).reshape(-1)
    groups = program.spread(shape, tuple(out))
    if groups is None:
        np.testing.assert_array_equal(wanted, np.arange(wanted.size))
        return
    at = np.arange(wanted.size)
    np.testing.assert_array_equal(wanted, sum((at // i % c * s for i, c, s in groups), np.zeros_like(at)))
    assert len(groups) <= 2
    assert all(s == 1 for _, _, s in groups[-1:])


def doubled(rows: int, columns: int, dtype: str = "float32") -> program.Program:
    calls = [Call("add", (2,), (0, 1), {}, ((rows, columns), (rows, columns), (columns,)))]
    calls.append(Call("multiply", (3,), (2, 2), {}, ((rows, columns),) * 3))
    sizes = (rows * columns, columns, rows * columns, rows * columns)
    return elementwise.compose(calls, [(np.dtype(dtype), n) for n in sizes], (3, 0, 1))


def test_equal_runs_have_one_text_whatever_their_sizes(cupy: Any) -> None:
    assert doubled(3, 4).text == doubled(70, 9).text
    assert doubled(3, 4).text != doubled(3, 4, "float64").text
    built = []
    for rows, columns in ((3, 4), (5, 2)):
        x, b, y = cupy.asarray(np.ones((rows, columns), "f")), cupy.asarray(np.arange(columns, dtype="f")), None
        y = cupy.empty((rows, columns), np.float32)
        doubled(rows, columns).bind((y, x, b))()
        np.testing.assert_array_equal(y.get(), np.broadcast_to((1 + np.arange(columns)) ** 2, (rows, columns)))
        built.append(len(launch._kernels))
    assert built[0] == built[1]


@pytest.mark.parametrize("index", ["int", "long long"])
def test_elements_are_moved_sixteen_bytes_at_a_time_where_that_is_possible(
    cupy: Any, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if index == "long long":
        monkeypatch.setattr(launch, "_MOST_INT", -1)
    n, asked = program._WIDE_FROM + 3, []
    real = program.compile_run
    monkeypatch.setattr(program, "compile_run", lambda *key: asked.append(key[1:]) or real(*key))
    x = np.arange(n, dtype=np.float32)
    for shift in (0, 1):
        (y,) = run(kernel_of("negative", [cupy.asarray(x)] * 2, {}), (np.zeros_like(x),), (x,), {}, shift=shift)
        np.testing.assert_array_equal(y, -x)
    assert [key for key in asked if key[0] == index] == [(index, 4), (index, 1)]


def test_the_name_of_a_kernel_tells_its_ops(cupy: Any) -> None:
    specs = (((4,), "f"), ((4,), "f"))
    text = elementwise._alone("negative", tuple((np.dtype(d), s) for s, d in specs), (), "").text
    assert 'extern "C" __global__ void run_negative(' in text
    assert program.named(["cast", "multiply", "assign_add_"]) == "run_cast_multiply_assign_add"
    assert program.named(["add"] * 11) == "run" + "_add" * 8 + "_and_3_more"
    seen = []
    launch.forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "make", lambda text, options, name: seen.append(name))
        program.compile_run(text)
    launch.forget()
    assert seen == ["run_negative"]


def test_scalars_run_on_one_warp(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    monkeypatch.setattr(program, "compile_run", lambda *_: lambda grid, block, args: shapes.append((grid, block)))
    for n in (0, 1, 33, 10**6):
        elementwise._alone("negative", ((np.dtype("f"), (n,)),) * 2, (), "").bind([cupy.empty(n, np.float32)] * 2)()
    assert shapes == [((1,), (32,)), ((1,), (256,)), ((977,), (256,))]


def test_an_element_of_the_target_may_be_the_operand(cupy: Any) -> None:
    whole = cupy.asarray(np.arange(1, 600, dtype=np.float32))
    one = whole[:1].reshape(())
    kernel_of("assign_add_", (whole, one), {})(whole, one)
    np.testing.assert_array_equal(whole.get(), np.arange(2, 601))
    kernel_of("assign_add_", (whole, whole), {})(whole, whole)
    np.testing.assert_array_equal(whole.get(), 2 * np.arange(2, 601))


NUMBERS = (0.1, -0.0, 1e-45, 3.4e38, np.inf, -np.inf, 1 / 3, 65504, 2**24 + 1)


def test_numbers_of_the_text_are_exact(cupy: Any) -> None:
    def work() -> list[Any]:
        done = []
        for dtype in (np.float16, np.float32, np.float64, np.int32, np.int64):
            for number in NUMBERS if np.dtype(dtype).kind == "f" else (-5, 2**31 - 1, -(2**31)):
                x, y = cupy.asarray(np.full(2, number, dtype)), cupy.empty(2, dtype)
                limits = {"low": number, "high": number}
                kernel_of("clip", (y, x), limits)(y, x, **limits)
                done.append((y.get(), np.full(2, number, dtype)))
        return done

    for got, expected in twice(work):
        assert_same_numbers(got, expected)


def test_integers_wrap_and_casts_are_numpys(cupy: Any) -> None:
    whole = {
        "int32": np.array([2**31 - 1, -(2**31), -1, 7], np.int32),
        "int64": np.array([2**63 - 1, -(2**63), -1, 7], np.int64),
        "uint8": np.array([255, 0, 1, 7], np.uint8),
        "uint32": np.array([2**32 - 1, 0, 1, 7], np.uint32),
        "bool": np.array([True, False, True, True]),
        "float32": np.array([16777217.5, -1.5, 0.0, 7.9], np.float32),
        "float64": np.array([2**53 + 1.0, -1.5, np.pi, 7.9]),
        "float16": np.array([1e-7, 65504, -1.5, 7.9], np.float16),
    }

    def work() -> list[Any]:
        done = []
        for dtype, x in whole.items():
            for name in ("add", "subtract", "multiply", "negative", "square"):
                if dtype == "bool":
                    continue
                op, inputs = registry[name], (x,) * len(registry[name].inputs)
                wanted = np.empty_like(x)
                op.forward(np, wanted, *inputs)
                done.append(
                    (
                        name,
                        wanted,
                        run(
                            kernel_of(name, [cupy.asarray(x)] * (1 + len(inputs)), {}), (np.zeros_like(x),), inputs, {}
                        ),
                    )
                )
            for other in whole:
                out = cupy.asarray(np.zeros(4, other))
                kernel_of("cast", (out, cupy.asarray(x)), {"dtype": other})(out, cupy.asarray(x), dtype=other)
                # What a number becomes that the other dtype has no room for is not defined.
                if np.dtype(other).kind in "fb" or np.dtype(dtype).kind in "iub":
                    done.append((f"{dtype} to {other}", x.astype(other), (out.get(),)))
        return done

    with np.errstate(all="ignore"):
        for name, wanted, (got,) in twice(work):
            np.testing.assert_array_equal(got, wanted, err_msg=name, strict=True)


def test_bfloat16_is_rounded_after_every_op(cupy: Any) -> None:
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=50).astype(bfloat16) for _ in range(2))

    def work() -> list[Any]:
        done = []
        for name in ("add", "multiply", "divide", "maximum", "negative", "tanh", "exp", "relu"):
            inputs = (a, b)[: len(registry[name].inputs)]
            wanted = np.empty(50, np.float32)
            registry[name].forward(np, wanted, *(x.astype(np.float32) for x in inputs))
            arrays = [cupy.asarray(x) for x in (np.zeros_like(a), *inputs)]
            kernel_of(name, arrays, {})(*arrays)
            done.append((arrays[0].get(), wanted.astype(bfloat16), 1 if name in ("tanh", "exp") else 0))
        calls = [
            Call("multiply", (3,), (0, 1)),
            Call("add", (4,), (3, 1)),
            Call("cast", (2,), (4,), {"dtype": "float32"}),
        ]
        kinds = [bfloat16, bfloat16, np.dtype(np.float32), bfloat16, bfloat16]
        y = cupy.empty(50, np.float32)
        elementwise.compose(calls, [(k, 50) for k in kinds], (2, 0, 1)).bind((y, cupy.asarray(a), cupy.asarray(b)))()
        done.append((y.get(), (a * b + b).astype(np.float32), 0))
        return done

    for got, wanted, units in twice(work):
        assert got.dtype == wanted.dtype
        bits = np.int16 if got.dtype == bfloat16 else np.int32
        assert np.abs(got.view(bits).astype(int) - wanted.view(bits)).max() <= units


def test_what_has_no_kernel(cupy: Any) -> None:
    x, y = (cupy.asarray(np.ones((2, 3), np.float32)) for _ in range(2))

    def taken(op: str, *arrays: Any, **static: Any) -> bool:
        return kernels.find(op, "cuda", arrays, static) is not None

    assert taken("negative", y, x)
    assert not taken("negative", y, cupy.asarray(np.ones((3, 2), np.float32)).T)
    assert not taken("negative", y.astype(np.uint64), x.astype(np.uint64))
    assert not taken("exp", y.astype(np.int32), x.astype(np.int32))
    assert not taken("sign", y.astype(np.uint8), x.astype(np.uint8))
    assert taken("activation_grad", y, x, x.astype(np.float16), activation="relu")
    assert not taken("add", y, x, cupy.asarray(np.ones((3, 2), np.float32)))


def test_kernels_that_do_not_compile_leave_the_work_to_the_reference(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = doubled(2, 2)
    elementwise._alone.cache_clear()
    broken = '#error "no such compiler"\nextern "C" __global__ void {name}() {{}}'
    monkeypatch.setattr(program, "_TEXT", broken)
    x = cupy.asarray(np.ones(3, np.float32))
    with pytest.warns(RuntimeWarning, match=r"(?s)could not compile a run of elementwise ops.*no such compiler"):
        assert kernels.find("negative", "cuda", (x, x), {}) is None
    with warnings.catch_warnings(action="error"):
        assert not elementwise.joins("add", (x, x, x), {})
    elementwise._alone.cache_clear()
    monkeypatch.setattr(program, "compile_run", lambda *_: None)
    sentence = r"the kernel written for add, multiply does not compile on this GPU; the warning before this says why\."
    with pytest.raises(RuntimeError, match=sentence):
        kernel.bind([x, x, x])


def test_reads_and_writes_keep_their_order(cupy: Any) -> None:
    def trained(name: str, eagerly: bool) -> list[np.ndarray]:
        parts = [Variable([1.0]), Variable([2.0, 3.0])]
        group, v = Laid(FlatGroup(parts).flat, parts), Variable([4.0, 5.0, 6.0])

        def step(x: Any) -> list[Any]:
            result = ORDERS[name](group, v, x)
            return [t for t in (result if isinstance(result, tuple) else (result,)) if t is not None]

        call, seen = step if eagerly else traced(step), []
        for n in range(2):
            seen += [t.numpy() for t in (*call(convert_to_tensor([float(n), 2.0, -1.0])), group.flat, v)]
        return seen

    backend.use("cupy")
    for name, eager, replayed in twice(lambda: [(n, trained(n, True), trained(n, False)) for n in ORDERS]):
        for one, other in zip(replayed, eager, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


def texts() -> Iterator[str]:
    """Yield the texts of some runs of random ops, all of whose values are kept."""
    for made in map(RandomRun, range(3)):
        places = sorted({x for call in made.calls for x in (*call.outs, *call.ins)})
        yield elementwise.compose(made.calls, [(s.dtype, s.size) for s in made.specs], places).text


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_nvcc_compiles_without_spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "_works", lambda *scalars: True)
    keys = [(text, index, width) for text in texts() for index, width in (("int", 4), ("long long", 1))]
    unit = tmp_path / "unit.cu"
    unit.write_text(assembled(keys))
    command = ["nvcc", "-std=c++17", "--fmad=false", "-fatbin", "-Xptxas", "-v", "-o", str(tmp_path / "out"), str(unit)]
    command += ["-DGPUDL_REAL=FLOAT32", "-DGPUDL_INDEX=int"]
    for arch in kinds.ARCHITECTURES:
        command += ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    assert set(re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)) == {("0", "0")}
    assert max(map(int, re.findall(r"Used (\d+) registers", done.stderr))) <= 128
