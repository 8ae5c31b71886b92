"""What the CPU kernels promise beyond agreeing with the reference: bits, bounds, threads and ties."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from itertools import product
from typing import Any

import numba
import numpy as np
import pytest
from gpudl.kernels import geometry, registry
from gpudl.kernels.cpu import (
    activation,
    attention,
    attention_grad,
    conv,
    conv_im2col,
    depthwise,
    elementwise,
    gather,
    layer_norm,
    loss,
    matmul,
    norm,
    norm_grad,
    pool,
    random,
    reduce,
    special,
    update,
)
from gpudl.kernels.cpu.machine import prebound, program
from gpudl.kernels.geometry import Window
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_kernel_cases import RECURRENT
from thread_tools import workers

F4 = np.float32


def blank(shape: Any, dtype: Any = F4) -> np.ndarray:
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77, dtype)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(F4)


def taps_of(window: Window, n: int, axis: int) -> list[list[int]]:
    """Which input position each tap of each output looks at, by sliding over a line padded by hand."""
    k, s, d = window.kernel[axis], window.strides[axis], window.dilation[axis]
    line = list(range(n))
    if window.padding == "same":
        missing = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        line = [-1] * (missing // 2) + line + [-1] * (missing - missing // 2)
    return [line[i : i + (k - 1) * d + 1 : d] for i in range(0, len(line) - (k - 1) * d, s)]


sides = st.integers(1, 4)


@st.composite
def slides(draw: Any) -> tuple[Window, tuple[int, int]]:
    window = Window(
        (draw(sides), draw(sides)),
        (draw(sides), draw(sides)),
        draw(st.sampled_from(("valid", "same"))),
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
    )
    least = (1, 1) if window.padding == "same" else window.extent
    return window, tuple(low + draw(st.integers(0, 6)) for low in least)


@pytest.mark.parametrize(
    "module", [geometry, activation, conv_im2col, elementwise, loss, norm, pool, program, random, reduce, update]
)
def test_examples_run(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@given(slides())
def test_output_and_pads_agree_with_sliding_by_hand(case: tuple[Window, tuple[int, int]]) -> None:
    window, size = case
    for axis in (0, 1):
        rows = taps_of(window, size[axis], axis)
        assert window.output(size)[axis] == len(rows)
        before = window.pads(size)[axis][0]
        for i, row in enumerate(rows):
            for tap, position in enumerate(row):
                at = i * window.strides[axis] - before + tap * window.dilation[axis]
                assert position == (at if 0 <= at < size[axis] else -1)


def test_a_window_that_does_not_fit_says_so() -> None:
    with pytest.raises(geometry.WindowError, match=r'input has only \(2, 5\).*padding="same"'):
        Window((3, 3), (1, 1)).output((2, 5))


def patches(x: np.ndarray, window: Window) -> Iterator[tuple[tuple[int, ...], int, tuple[int, ...]]]:
    """Every (output index, tap, input index) inside the input, channel by channel."""
    rows, columns = (taps_of(window, x.shape[1 + axis], axis) for axis in (0, 1))
    for n, i, j, c in product(range(x.shape[0]), range(len(rows)), range(len(columns)), range(x.shape[3])):
        for tap, (y, z) in enumerate(product(rows[i], columns[j])):
            if y >= 0 and z >= 0:
                yield (n, i, j, c), tap, (n, y, z, c)


@settings(max_examples=40, deadline=None)
@given(slides(), st.integers(0, 2), st.sampled_from((1, 2, 5, 17)), st.integers(1, 3))
def test_windows_agree_with_loops(case: Any, batch: int, channels: int, split: int) -> None:
    window, size = case
    x = noise(batch, *size, channels)
    out = (batch, *window.output(size), channels)
    g = noise(*out) + 1
    cols, back = np.zeros((*out[:3], window.taps, channels), F4), np.zeros(x.shape)
    best, where = np.full(out, -np.inf, F4), np.zeros(out, np.uint8)
    total, count = np.zeros(out), np.zeros(out)
    top, share = np.zeros(x.shape), np.zeros(x.shape)
    seen = list(patches(x, window))
    for o, tap, p in seen:
        cols[o[:3]][tap, o[3]] = x[p]
        total[o] += x[p]
        count[o] += 1
        if count[o] == 1 or x[p] > best[o]:
            best[o], where[o] = x[p], tap
    mixed = noise(*cols.shape) - 1
    for o, tap, p in seen:
        back[p] += mixed[o[:3]][tap, o[3]]
        top[p] += g[o] * (where[o] == tap)
        share[p] += g[o] / count[o]

    with workers(split):
        y, argmax, made = blank(out), blank(out, np.uint8), blank((np.prod(out[:3]), window.taps * channels))
        conv_im2col.im2col(made, x, window=window)
        np.testing.assert_array_equal(made, cols.reshape(made.shape))
        dx = blank(x.shape)
        conv_im2col.col2im(dx, mixed.reshape(made.shape), shape=x.shape, window=window)
        np.testing.assert_allclose(dx, back, rtol=1e-5, atol=1e-5)
        pool.max_pool(y, argmax, x, window=window)
        np.testing.assert_array_equal(y, best)
        np.testing.assert_array_equal(argmax, where)
        dx = blank(x.shape)
        pool.max_pool_grad(dx, g, argmax, shape=x.shape, window=window)
        np.testing.assert_allclose(dx, top, rtol=1e-5, atol=1e-5)
        y = blank(out)
        pool.max_pool_pick(y, x, argmax, window=window)
        np.testing.assert_array_equal(y, np.where(count > 0, best, 0))
        y = blank(out)
        pool.avg_pool(y, x, window=window)
        np.testing.assert_allclose(y, total / np.maximum(count, 1), rtol=1e-5, atol=1e-6)
        dx = blank(x.shape)
        pool.avg_pool_grad(dx, g, shape=x.shape, window=window)
        np.testing.assert_allclose(dx, share, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_im2col_moves_the_bits_of_any_float(dtype: Any) -> None:
    x = np.array([1.5, -0.0, np.inf, 65504], dtype).reshape(1, 2, 2, 1)
    cols = blank((4, 4), dtype)
    window = Window((2, 2), (1, 1), "same")
    assert registry.find("im2col", "cpu", (cols, x), {"window": window}) is conv_im2col.im2col
    conv_im2col.im2col(cols, x, window=window)
    a, b, c, d = x.ravel()
    expected = np.array([[a, b, c, d], [b, 0, d, 0], [c, d, 0, 0], [d, 0, 0, 0]], dtype)
    assert cols.tobytes() == expected.tobytes()


def test_max_pool_takes_the_first_of_equals_and_any_nan() -> None:
    nan = np.nan
    x = np.array([[[1, 1, nan, 2, -np.inf], [1, 1, 3, nan, -np.inf]]], F4)[..., None]
    y, argmax = blank((1, 1, 5, 1)), blank((1, 1, 5, 1), np.uint8)
    pool.max_pool(y, argmax, x, window=Window((2, 1), (2, 1)))
    np.testing.assert_array_equal(y.ravel(), np.array([1, 1, nan, nan, -np.inf], F4))
    np.testing.assert_array_equal(argmax.ravel(), [0, 0, 0, 1, 0])


def test_max_pool_of_minus_infinity_never_takes_the_padding() -> None:
    x = np.full((1, 2, 2, 1), -np.inf, F4)
    y, argmax = blank((1, 2, 2, 1)), blank((1, 2, 2, 1), np.uint8)
    pool.max_pool(y, argmax, x, window=Window((3, 3), (1, 1), "same"))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(argmax.ravel(), [4, 3, 1, 0])


@pytest.mark.parametrize(("kernel", "dtype"), [((16, 16), np.uint8), ((1, 257), np.int32)])
def test_argmax_holds_the_last_tap(kernel: tuple[int, int], dtype: Any) -> None:
    window = Window(kernel, (1, 1))
    x = np.zeros((1, *kernel, 1), F4)
    x[0, -1, -1] = 1
    y, argmax, dx = blank((1, 1, 1, 1)), blank((1, 1, 1, 1), dtype), blank(x.shape)
    pool.max_pool(y, argmax, x, window=window)
    pool.max_pool_grad(dx, y, argmax, shape=x.shape, window=window)
    assert argmax.item() == window.taps - 1
    np.testing.assert_array_equal(dx, x)


POOL = Window((3, 2), (2, 1), "same")
IMAGES, POOLED = (3, 9, 7, 5), (3, 5, 7, 5)
DEPTHWISE = ("depthwise_conv2d", "depthwise_conv2d_input_grad", "depthwise_conv2d_weight_grad")
F4_ONLY = (
    "attention",
    "attention_grad",
    "erf",
    "gelu",
    "gelu_grad",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "matmul",
    "sum_to",
    *RECURRENT,
)
FILTERS, FILTERED = (3, 2, 5, 20), (3, 5, 7, 20)
DIRECT = {"window": POOL, "algorithm": "implicit"}
KEY = np.array([3, 1, 4, 1], np.uint32)
ODD = (5, 2049)  # more than one block, and no multiple of a vector
MANY = (1001, 37)
CHANNELS = [blank(37), blank(37)]
LABELS = np.random.default_rng(0).integers(0, 11, 333)
RATE = np.array(0.01, F4)
ATTENTION = {"scale": 0.3, "causal": True}
ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
TAPS = np.random.default_rng(0).integers(0, 6, POOLED).astype(np.uint8)
BYTES = np.arange(7 * 13, dtype=np.uint8).reshape(7, 13)

# name: (kernel, outs, inputs, static); the outs of an update hold values, the others are blank
CASES: dict[str, tuple[Any, list[np.ndarray], list[np.ndarray], dict[str, Any]]] = {
    **RECURRENT,
    "im2col": (conv_im2col.im2col, [blank((105, 30))], [noise(*IMAGES)], {"window": POOL}),
    "col2im": (conv_im2col.col2im, [blank(IMAGES)], [noise(105, 30)], {"shape": IMAGES, "window": POOL}),
    "max_pool": (pool.max_pool, [blank(POOLED), blank(POOLED, np.uint8)], [noise(*IMAGES)], {"window": POOL}),
    "max_pool_grad": (
        pool.max_pool_grad,
        [blank(IMAGES)],
        [noise(*POOLED), TAPS],
        {"shape": IMAGES, "window": POOL},
    ),
    "max_pool_pick": (pool.max_pool_pick, [blank(POOLED)], [noise(*IMAGES), TAPS], {"window": POOL}),
    "avg_pool": (pool.avg_pool, [blank(POOLED)], [noise(*IMAGES)], {"window": POOL}),
    "avg_pool_grad": (
        pool.avg_pool_grad,
        [blank(IMAGES)],
        [noise(*POOLED)],
        {"shape": IMAGES, "window": POOL},
    ),
    "conv2d": (conv.conv2d, [blank(FILTERED)], [noise(*IMAGES), noise(*FILTERS)], DIRECT),
    "conv2d_input_grad": (
        conv.conv2d_input_grad,
        [blank(IMAGES)],
        [noise(*FILTERED), noise(*FILTERS)],
        {**DIRECT, "shape": IMAGES},
    ),
    "conv2d_weight_grad": (
        conv.conv2d_weight_grad,
        [blank(FILTERS)],
        [noise(*IMAGES), noise(*FILTERED)],
        DIRECT,
    ),
    "attention": (
        attention.attention,
        [blank((2, 200, 3, 17)), blank((2, 3, 200))],
        [noise(2, 200, 3, 9), noise(2, 199, 1, 9), noise(2, 199, 1, 17)],
        ATTENTION,
    ),
    "attention_grad": (
        attention_grad.attention_grad,
        [blank((2, 200, 3, 9)), blank((2, 199, 1, 9)), blank((2, 199, 1, 17))],
        [
            *(noise(2, 200, 3, 17), noise(2, 200, 3, 17, seed=1), np.full((2, 3, 200), 5, F4)),
            *(noise(2, 200, 3, 9), noise(2, 199, 1, 9), noise(2, 199, 1, 17)),
        ],
        ATTENTION,
    ),
    "depthwise_conv2d": (
        depthwise.depthwise_conv2d,
        [blank(POOLED)],
        [noise(*IMAGES), noise(3, 2, 5)],
        {"window": POOL},
    ),
    "depthwise_conv2d_input_grad": (
        depthwise.depthwise_conv2d_input_grad,
        [blank(IMAGES)],
        [noise(*POOLED), noise(3, 2, 5)],
        {"shape": IMAGES, "window": POOL},
    ),
    "depthwise_conv2d_weight_grad": (
        depthwise.depthwise_conv2d_weight_grad,
        [blank((3, 2, 5))],
        [noise(*IMAGES), noise(*POOLED)],
        {"window": POOL},
    ),
    "matmul": (matmul.matmul, [blank((101, 150))], [noise(101, 37), noise(37, 150)], {}),
    "sum_to": (reduce.sum_to, [blank(37)], [noise(1001, 37)], {"shape": (37,)}),
    "softmax": (loss.softmax, [blank((333, 11))], [noise(333, 11)], {}),
    "softmax_cross_entropy": (
        loss.softmax_cross_entropy,
        [blank(333), blank((333, 11))],
        [noise(333, 11), noise(333, 11, seed=1)],
        {},
    ),
    "softmax_cross_entropy_grad": (
        loss.softmax_cross_entropy_grad,
        [blank((333, 11))],
        [noise(333), noise(333, 11), noise(333, 11, seed=1)],
        {},
    ),
    "sparse_softmax_cross_entropy": (
        loss.sparse_softmax_cross_entropy,
        [blank(333), blank((333, 11))],
        [noise(333, 11), LABELS],
        {},
    ),
    "sparse_softmax_cross_entropy_grad": (
        loss.sparse_softmax_cross_entropy_grad,
        [blank((333, 11))],
        [noise(333), noise(333, 11), LABELS],
        {},
    ),
    "sum": (reduce.sum_few, [blank(333)], [noise(333, 11)], {"axis": -1}),
    "sum of all": (reduce.sum_few, [blank(())], [noise(8, 1001)], {}),
    "argmax": (reduce.argmax, [blank(333, np.int32)], [noise(333, 11)], {"axis": -1}),
    "batch_norm": (norm.batch_norm, [blank(MANY), *CHANNELS], [noise(*MANY), noise(37), noise(37)], {"epsilon": 1e-3}),
    "batch_norm_grad": (
        norm_grad.batch_norm_grad,
        [blank(MANY), *CHANNELS],
        [noise(*MANY), noise(*MANY, seed=1), noise(37), noise(37), abs(noise(37))],
        {"epsilon": 1e-3},
    ),
    "gelu": (special.gelu, [blank(ODD)], [noise(*ODD)], {}),
    "gelu_grad": (special.gelu_grad, [blank(ODD)], [noise(*ODD), noise(*ODD, seed=1)], {}),
    "erf": (special.erf, [blank(ODD)], [noise(*ODD)], {}),
    "layer_norm": (
        layer_norm.layer_norm,
        [blank(MANY), blank(1001), blank(1001)],
        [noise(*MANY), noise(37), noise(37, seed=1)],
        {"epsilon": 1e-3},
    ),
    "layer_norm_grad": (
        layer_norm.layer_norm_grad,
        [blank(MANY), *CHANNELS],
        [noise(*MANY), noise(*MANY, seed=1), noise(37), noise(1001), abs(noise(1001, seed=1))],
        {"epsilon": 1e-3},
    ),
    "scale_shift": (norm.scale_shift, [blank(MANY)], [noise(*MANY), noise(37), noise(37), noise(37, seed=1)], {}),
    "maximum": (elementwise.maximum, [blank(ODD)], [noise(*ODD), noise(*ODD, seed=1)], {}),
    "minimum": (elementwise.minimum, [blank(ODD)], [noise(*ODD), np.asarray(noise(1)[0])], {}),
    "relu": (elementwise.relu, [blank(ODD)], [noise(*ODD)], {}),
    "clip": (elementwise.clip, [blank(ODD)], [noise(*ODD)], {"low": -0.5, "high": 0.25}),
    "take": (gather.take, [blank((333, 13), np.uint8)], [BYTES, LABELS % 7], {}),
    "take_grad": (gather.take_grad, [blank((7, 13))], [noise(333, 13), LABELS % 7], {"rows": 7}),
    "sgd_": (update.sgd_, [noise(*ODD)], [noise(*ODD, seed=3), RATE], {}),
    "sgd_momentum_": (
        update.sgd_momentum_,
        [noise(*ODD), noise(*ODD, seed=1)],
        [noise(*ODD, seed=3), RATE],
        {"momentum": 0.9, "nesterov": True},
    ),
    "rmsprop_": (
        update.rmsprop_,
        [noise(*ODD), abs(noise(*ODD, seed=1))],
        [noise(*ODD, seed=3), RATE],
        {"rho": 0.9, "epsilon": 1e-7},
    ),
    "adam_": (
        update.adam_,
        [noise(*ODD), noise(*ODD, seed=2), abs(noise(*ODD, seed=1))],
        [noise(*ODD, seed=3), RATE, np.array(3)],
        ADAM,
    ),
    "random_uniform": (random.random_uniform, [blank(ODD)], [KEY], {"shape": ODD}),
    "dropout": (random.dropout, [blank(ODD)], [noise(*ODD), KEY], {"rate": 0.3}),
} | {
    f"{name} {kind}": case
    for kind in ("linear", "relu", "sigmoid", "tanh")
    for name, case in {
        "bias_activation": (
            activation.bias_activation,
            [blank(ODD)],
            [noise(*ODD), noise(ODD[1])],
            {"activation": kind},
        ),
        "activation_grad": (
            activation.activation_grad,
            [blank(ODD)],
            [noise(*ODD), abs(noise(*ODD, seed=1))],
            {"activation": kind},
        ),
    }.items()
}


def guarded(array: np.ndarray, poison: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a copy of `array` and the larger buffer that it lies in, the rest of which holds `poison`."""
    edge = 64
    whole = np.full(array.size + 2 * edge, poison, array.dtype)
    middle = whole[edge : edge + array.size].reshape(array.shape)
    middle[...] = array
    return middle, whole


def test_every_kernel_has_a_case() -> None:
    # Kernels that claim several ops have theirs in test_fusion.py.
    assert {name.partition(" ")[0] for name in CASES} == {
        name for name in registry.registered("cpu") if "+" not in name
    }


@pytest.mark.parametrize("name", CASES)
def test_bits_do_not_depend_on_threads_and_nothing_outside_is_touched(name: str) -> None:
    kernel, outs, inputs, static = CASES[name]
    results = []
    for count, poison in ((1, 99), (2, 3), (7, 5)):
        given_outs = [guarded(a, poison) for a in outs]
        given_inputs = [guarded(a, poison) for a in inputs]
        arrays = [a for a, _ in given_outs + given_inputs]
        found = registry.find(name.partition(" ")[0], "cpu", tuple(arrays), static)
        assert found is kernel
        with workers(count):
            kernel(*arrays, **static)
        for (_, whole), original in zip(given_outs + given_inputs, outs + inputs, strict=True):
            around = whole.dtype.type(poison)
            assert (whole[:64] == around).all()
            assert (whole[64 + original.size :] == around).all()
        for (array, _), original in zip(given_inputs, inputs, strict=True):
            np.testing.assert_array_equal(array, original)
        for array, _ in given_outs:
            assert not np.isnan(array.astype(np.float64)).any()
        results.append([array.tobytes() for array, _ in given_outs])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in CASES
        if n not in ("im2col", "col2im", "take", "argmax") and "pool" not in n and n not in (*F4_ONLY, *DEPTHWISE)
    ],
)
def test_float64_is_computed_in_float64(name: str) -> None:
    kernel, outs, inputs, static = CASES[name]

    def wide(a: np.ndarray) -> np.ndarray:
        return np.asarray(a.astype(np.float64) * (1 + 1e-10)) if a.dtype == F4 else a.copy()

    narrow, broad = [a.copy() for a in outs], [wide(a) for a in outs]
    kernel(*narrow, *inputs, **static)
    kernel(*broad, *map(wide, inputs), **static)
    for a, b in zip(narrow, broad, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert kernel is random.random_uniform or (b != b.astype(F4)).any()


def test_updates_round_as_float32_arithmetic_does() -> None:
    w, m, g = noise(999), noise(999, seed=1), noise(999, seed=2)
    v = abs(noise(999, seed=3))

    def after(kernel: Any, slots: list[np.ndarray], *scalars: np.ndarray, **static: Any) -> np.ndarray:
        arrays = [w.copy(), *(a.copy() for a in slots)]
        kernel(*arrays, g, *scalars, **static)
        return arrays[0]

    np.testing.assert_array_equal(after(update.sgd_, [], RATE), w - RATE * g)
    step = F4(0.9) * m - RATE * g
    for nesterov, expected in ((False, w + step), (True, w + (F4(0.9) * step - RATE * g))):
        got = after(update.sgd_momentum_, [m], RATE, momentum=0.9, nesterov=nesterov)
        np.testing.assert_array_equal(got, expected)
    square = F4(0.9) * v + F4(1 - 0.9) * (g * g)
    got = after(update.rmsprop_, [v], RATE, rho=0.9, epsilon=1e-7)
    np.testing.assert_array_equal(got, w - RATE * g / np.sqrt(square + F4(1e-7)))
    mean, square = m + (g - m) * F4(1 - 0.9), v + (g * g - v) * F4(1 - 0.999)
    alpha = F4(float(RATE) * np.sqrt(1 - 0.999**4) / (1 - 0.9**4))
    got = after(update.adam_, [m, v], RATE, np.array(3), **ADAM)
    np.testing.assert_array_equal(got, w - alpha * mean / (np.sqrt(square) + F4(1e-7)))


# From the list of known answers that the paper's authors publish with their library.
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
KNOWN = [
    ((0,) * 6, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 6, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@numba.njit
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:  # its helper has no way in from Python
    return random.philox(c0, c1, c2, c3, k0, k1)


@pytest.mark.parametrize(("words", "expected"), KNOWN)
def test_philox_known_answers(words: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert tuple(int(w) for w in philox(*map(np.uint32, words))) == expected


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7])
def test_uniform_is_the_upper_24_bits_of_each_word(size: int) -> None:
    out = blank(size)
    random.random_uniform(out, KEY, shape=(size,))
    k0, k1, low, high = KEY
    words = [w for i in (0, 1) for w in philox(np.uint32(i), np.uint32(0), low, high, k0, k1)]
    np.testing.assert_array_equal(out, np.array([(int(w) >> 8) / 2**24 for w in words[:size]], F4))


def test_dropout_drops_where_the_uniform_numbers_are_below_the_rate() -> None:
    u, x = blank(10_001), noise(10_001)
    x[:100] = np.nan
    random.random_uniform(u, KEY, shape=u.shape)
    y = blank(u.shape)
    random.dropout(y, x, KEY, rate=0.25)
    np.testing.assert_array_equal(y, np.where(u >= F4(0.25), x * F4(1 / 0.75), F4(0)))


@pytest.mark.parametrize("label", [-1, 3, -(2**40), 2**40])
def test_a_label_out_of_range_spoils_its_row_only(label: int) -> None:
    z, labels, g = noise(3, 3), np.array([0, label, 2]), np.ones(3, F4)
    value, p, dz = blank(3), blank((3, 3)), blank((3, 3))
    loss.sparse_softmax_cross_entropy(value, p, z, labels)
    loss.sparse_softmax_cross_entropy_grad(dz, g, p, labels)
    np.testing.assert_array_equal(np.isnan(value), [False, True, False])
    np.testing.assert_array_equal(np.isnan(dz).all(1), [False, True, False])
    assert not np.isnan(p).any()
    assert not np.isnan(dz[[0, 2]]).any()


def test_losses_are_stable() -> None:
    z = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -1e4]], F4)
    t = np.array([[0, 1, 0], [0, 0, 1]], F4)
    value, p = blank(2), blank((2, 3))
    loss.softmax_cross_entropy(value, p, z, t)
    np.testing.assert_allclose(value, [1e4, np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(p, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


def test_float32_exponentials_are_within_a_few_ulp_everywhere() -> None:
    x = np.concatenate([np.linspace(-120, 100, 200_001), np.geomspace(1e-30, 1, 1000)]).astype(F4)
    x = np.concatenate([x, -x])
    exact = {
        "sigmoid": 1 / (1 + np.exp(-x.astype(np.float64))),
        "tanh": np.tanh(x.astype(np.float64)),
    }
    for kind, expected in exact.items():
        y = blank(x.shape)
        activation.bias_activation(y.reshape(-1, 1), x.reshape(-1, 1), np.zeros(1, F4), activation=kind)
        ulp = np.spacing(np.maximum(abs(expected), np.finfo(F4).tiny).astype(F4))
        np.testing.assert_array_less(abs(y - expected) / ulp, 2.5)


@pytest.mark.parametrize("kind", ["linear", "relu", "sigmoid", "tanh"])
def test_activations_at_the_ends_of_the_line(kind: str) -> None:
    x = np.array([[np.nan, np.inf, -np.inf, 0]], F4)
    y = blank(x.shape)
    activation.bias_activation(y, x, np.zeros(4, F4), activation=kind)
    ends = {
        "linear": (np.inf, -np.inf, 0),
        "relu": (np.inf, 0, 0),
        "sigmoid": (1, 0, 0.5),
        "tanh": (1, -1, 0),
    }
    np.testing.assert_array_equal(y, np.array([[np.nan, *ends[kind]]], F4))


def test_sum_to_is_more_exact_than_one_long_sum() -> None:
    x = np.full((100_000, 3), 0.1, F4)
    out = blank(3)
    reduce.sum_to(out, x, shape=(3,))
    np.testing.assert_allclose(out, 100_000 * float(F4(0.1)), rtol=1e-7)
    apart = np.ones((4, 3, 2), F4)
    assert registry.find("sum_to", "cpu", (blank((3, 1)), apart), {"shape": (3, 1)}) is None
    assert registry.find("sum_to", "cpu", (out, x[:0]), {"shape": (3,)}) is None


def test_take_never_reads_outside() -> None:
    x, _ = guarded(np.arange(6, dtype=np.int16).reshape(3, 2), 99)
    out = blank((4, 2), np.int16)
    gather.take(out, x, np.array([-5, 2, 3, 2**62]))
    np.testing.assert_array_equal(out, [[-1, -1], [4, 5], [-1, -1], [-1, -1]])


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in CASES
        if not n.startswith(
            ("attention", "layer", "take", "im2", "col2", "conv2d", "matmul", "random", "adam", "sum_to", *RECURRENT)
        )
    ],
)
def test_empty_batches(name: str) -> None:
    kernel, outs, inputs, static = CASES[name]

    def emptied(a: np.ndarray) -> np.ndarray:
        return a[:0] if a.ndim > 1 or a.shape == LABELS.shape else a

    static = {k: (0, *v[1:]) if k == "shape" and len(v) > 1 else v for k, v in static.items()}
    outs = [emptied(a) for a in outs]
    kernel(*outs, *(emptied(a) if a.ndim else a for a in inputs), **static)


def double(worker: int, workers: int, y: Any, x: Any) -> None:
    for k in range(worker, x.size, workers):
        y[k] = 2 * x[k]


def test_without_a_folder_for_compiled_code_kernels_still_compile(monkeypatch: Any) -> None:
    monkeypatch.setattr("numba.core.caching.CompileResultCacheImpl._locator_classes", [])
    y = blank(3)
    prebound.ParallelLoop(double)(3, y, np.arange(3, dtype=F4))
    np.testing.assert_array_equal(y, [0, 2, 4])
