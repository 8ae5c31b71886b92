"""What mathematical functions do with wrong arguments, on the double of a GPU, and the gradients of compositions."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from strict_cupy import installed

import gpudl
from gpudl import backend, ops
from gpudl.engine.tensor import Tensor

RNG = np.random.default_rng(2)
X = RNG.uniform(0.2, 1.8, (3, 4))
SQUARE = X @ X.T + np.eye(3)
Call = Callable[[Any], Any]

SMOOTH: dict[str, Call] = {
    "einsum": lambda x: ops.einsum("ij,kj,ik->i", x, x * 2, ops.matmul(x, ops.transpose(x))),
    "einsum of a diagonal": lambda x: ops.einsum("ii,ij->j", ops.matmul(x, ops.transpose(x)), x),
    "tensordot": lambda x: ops.tensordot(x, ops.stack([x, x * x]), [[0, 1], [1, 2]]),
    "kron": lambda x: ops.kron(x, x[:2]),
    "cross": lambda x: ops.cross(x[:, :3], x[:, 1:]),
    "prod": lambda x: ops.prod(x, (0, 1)),
    "std": lambda x: ops.std(x, 0),
    "quantile": lambda x: ops.quantile(x, [0.2, 0.7], axis=1),
    "nanvar": lambda x: ops.nanvar(x, 1),
    "corrcoef": ops.corrcoef,
    "correlate": lambda x: ops.correlate(x[0], x[1, :2], "same"),
    "layer_normalization": lambda x: ops.layer_normalization(x, x[0], x[1], epsilon=0.1),
    "rms_normalization": lambda x: ops.rms_normalization(x, x[0], epsilon=0.1),
    "normalize": lambda x: ops.normalize(x, order=3),
    "cholesky": lambda x: ops.cholesky(spd(x), upper=True),
    "cholesky_inverse": lambda x: ops.cholesky_inverse(ops.cholesky(spd(x))),
    "eigh": lambda x: ops.eigh(spd(x))[0],
    "solve_triangular": lambda x: ops.solve_triangular(spd(x), x, lower=True),
    "lstsq": lambda x: ops.lstsq(ops.transpose(x), x[0]),
    "svd": lambda x: ops.svd(x, compute_uv=False),
    "norm": lambda x: ops.norm(x, "nuc"),
    "irfft": lambda x: ops.irfft((x, x * x), 5),
    "stft": lambda x: ops.stft(ops.reshape(x, -1), 4, 2, 4)[0],
    "istft": lambda x: ops.istft((x, x * x), 6, 2, 6),
    "fold": lambda x: ops.fold(ops.reshape(ops.unfold(x[None, None], 2), (2, 2, 6)), (2, 4), (1, 2)),
    "depth_to_space": lambda x: ops.depth_to_space(ops.reshape(x, (1, 4, 1, 3)), 2, "channels_first"),
    "complex": lambda x: of_complex(ops.view_as_complex(x[:, :2])),
    "jvp": lambda x: ops.jvp(lambda a: a * ops.sin(a), (x,), (x * x,))[1],
}


def of_complex(z: Any) -> Any:
    """Return real numbers that depend on both parts of z in many ways."""
    z = z * ops.conj(z) / (z + 2) + ops.sqrt(z) - ops.exp(-z)
    return ops.abs(z) + ops.angle(z) * ops.imag(z) + ops.sum(ops.view_as_real(z * z))


def spd(x: Any) -> Any:
    return ops.matmul(x, ops.transpose(x)) + np.eye(3)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_the_slopes(name: str) -> None:
    function, direction = SMOOTH[name], RNG.standard_normal(X.shape)
    weights = RNG.standard_normal(function(X).shape)

    def value(step: float) -> tuple[Tensor, Tensor]:
        x = gpudl.Variable(X + step * direction, dtype="float64")
        return ops.sum(function(x) * weights), x

    loss, x = value(0.0)
    (slope,) = gpudl.grad(loss, [x])
    difference = (float(value(1e-5)[0]) - float(value(-1e-5)[0])) / 2e-5
    assert float(ops.sum(slope * direction)) == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_the_gradient_of_a_product_is_exact_where_elements_are_0() -> None:
    x = gpudl.Variable(np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0]]))
    (slope,) = gpudl.grad(ops.sum(ops.prod(x, 1)), [x])
    assert slope.numpy().tolist() == [[0.0, 6.0, 0.0], [0.0, 0.0, 0.0]]


ON_DEVICE: list[Call] = [
    lambda x: ops.einsum("ij,kj->ik", x, x),
    lambda x: ops.cumprod(x, 1),
    lambda x: ops.median(x, 1),
    lambda x: ops.nan_to_num(ops.nanmax(x, 0)),
    lambda x: ops.erfinv(x / 2) + ops.i0(x) + ops.arctan2(x, x),
    lambda x: ops.layer_normalization(x, axis=0),
    lambda x: ops.correlate(x[0], x[1, :2]),
    lambda x: ops.gelu(x) + ops.silu(x),
    lambda x: ops.sparse_categorical_crossentropy([0, 1, 2], x),
    lambda x: ops.ctc_decode(ops.stack([x]), [3])[1],
    lambda x: ops.ctc_decode(ops.stack([x, x + 0.5]), [3, 2], "beam_search", 4, 2)[1],
    lambda x: (
        ops.unique(ops.floor(x * 2), size=5)[0] + ops.unique(ops.floor(x), axis=1, size=3, return_counts=True)[1][0]
    ),
    lambda x: ops.extract_sequences(x, 2, 1),
    lambda x: ops.fold(ops.unfold(ops.reshape(x, (1, 3, 2, 2)), 2, padding=1), 2, 2, padding=1),
    lambda x: ops.space_to_depth(ops.depth_to_space(ops.reshape(x, (1, 3, 1, 4)), 2), 2),
]
BY_LIBRARIES: list[Call] = [
    lambda x: ops.inv(ops.matmul(x, ops.transpose(x)) + np.eye(3, dtype="float32")),
    lambda x: ops.rfft(x)[0],
]
"""What libraries compute that cannot be captured."""


@pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
@pytest.mark.parametrize("calls", [ON_DEVICE, BY_LIBRARIES], ids=["captured", "launched"])
def test_functions_on_the_double_transfer_nothing_and_give_what_the_cpu_gives(calls: list[Call]) -> None:
    x = X.astype(np.float32)
    wanted = [call(gpudl.convert_to_tensor(x)).numpy() for call in calls]
    with installed() as meter:
        backend.use("cupy")
        given = gpudl.convert_to_tensor(x)
        step = gpudl.traced(lambda x: [call(x) for call in calls])
        step(given)
        meter.reset()
        said = pytest.warns(RuntimeWarning, match="cannot be captured") if calls is BY_LIBRARIES else nullcontext()
        with said:
            found = step(given)
        assert (meter.host_to_device, meter.device_to_host) == (0, 0)
        for number, (mine, other) in enumerate(zip(found, wanted, strict=True)):
            np.testing.assert_allclose(mine.numpy(), other, rtol=1e-4, atol=1e-5, err_msg=str(number))


def test_subscripts_come_first() -> None:
    with pytest.raises(TypeError, match="einsum takes the subscripts first, such as 'ij,jk->ik', got ndarray"):
        ops.einsum(X, "ij->j")  # type: ignore[arg-type]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: ops.einsum("ij,jk", X), "einsum 'ij,jk' names the axes of 2 operands, but 1 were given."),
    (lambda: ops.einsum("ijk->i", X), "einsum 'ijk->i': 'ijk' names the axes of an operand that has 2."),
    (lambda: ops.einsum("i1->i", X), "einsum cannot read 'i1->i': expected the letters"),
    (lambda: ops.einsum("ij->k", X), "einsum 'ij->k': each axis of the result must be one of an operand"),
    (lambda: ops.einsum("ij,ij->i", X, X[:2]), "axis 'i' has size 3 in one operand and 2 in another."),
    (lambda: ops.tensordot(X, X, 1), "tensordot of (3, 4) and (3, 4): axis 1 of x1 and axis 0 of x2 differ in size."),
    (lambda: ops.cross(X, X), "cross needs vectors of two or three numbers, got 4 and 4."),
    (lambda: ops.quantile(X, 0.5, method="cubic"), "the method of a quantile must be one of linear"),
    (lambda: ops.correlate(X, X), "correlate needs two vectors that are not empty, got (3, 4) and (3, 4)."),
    (lambda: ops.diff(X, -1), "diff: n must not be negative, got -1."),
    (lambda: ops.average(X, 0, np.ones(4)), "average of (3, 4) along 0 needs weights of that shape, or of one axis"),
    (lambda: ops.normalize(X, order=0), "normalize: order must be a whole number from 1, got 0."),
    (lambda: ops.moments(X, 0, synchronized=True), "one device computes a step: leave out synchronized=True."),
    (lambda: ops.batch_normalization(X, [1.0], [1.0], -1), "batch_normalization of (3, 4) needs 4 values"),
    (lambda: ops.layer_normalization(X, np.ones(3)), "needs gamma and beta of shape (4,), got (3,)."),
    (lambda: ops.binary_crossentropy(X, X[:2]), "binary_crossentropy needs targets of the shape of the output, (2, 4)"),
    (lambda: ops.sparse_categorical_crossentropy([0], X), "needs one label for each row of classes, (3,) for (3, 4)"),
    (lambda: ops.inv(X), "square matrices are needed, got shape (3, 4)."),
    (lambda: ops.qr(X, "r"), "qr: mode must be 'reduced' or 'complete', got 'r'."),
    (lambda: ops.solve(SQUARE, X[:2]), "the right sides of (3, 3) are (..., 3, columns), got (2, 4)."),
    (lambda: ops.lstsq(X, X[:2]), "lstsq needs a matrix and as many rows of right sides, got (3, 4) and (2, 4)."),
    (lambda: ops.norm(X, 3), "norm: matrices have no norm of order 3."),
    (lambda: ops.norm(X, "nuc", 0), "norm: vectors have no norm of order 'nuc'."),
    (lambda: ops.jvp(ops.sin, (X,), ()), "jvp needs a tangent for each of the 1 primals, got 0."),
    (lambda: ops.fft(X), "fft needs a pair of the real and the imaginary part, got ndarray."),
    (lambda: ops.stft(X, 8, 1, 4), "stft: fft_length must be at least sequence_length, 8, got 4."),
    (lambda: ops.stft(X, 2, 1, 4, "box"), "stft: window must be 'hann', 'hamming', None or numbers, got 'box'."),
    (lambda: ops.extract_sequences(X, 5, 1), "parts of 5 do not fit into signals of shape (3, 4)."),
    (lambda: ops.psnr(X, X[:2], 1.0), "psnr compares tensors of one shape, got (3, 4) and (2, 4)."),
    (lambda: ops.unfold(X, 2), "unfold takes images (batch, channels, height, width), got shape (3, 4)."),
    (lambda: ops.unfold(X[None, None], 4), "the window covers (4, 4) positions but its input has only (3, 4)."),
    (lambda: ops.unfold(X[None, None], 2, padding=-1), "unfold: padding must be one or two integers of at least 0"),
    (lambda: ops.fold(X, 2, 2), "fold takes patches (batch, channels * pixels of a patch, patches), got shape (3, 4)."),
    (lambda: ops.fold(X[None], 2, 2), "images of (2, 2) have 1 patches of 4 pixels a channel, but x has shape (1, 3,"),
    (lambda: ops.fold(X[None], (1, 2, 3), 2), "fold: output_size must be one or two integers of at least 1, got"),
    (lambda: ops.depth_to_space(X[None, None], 1), "depth_to_space: block_size must be at least 2, got 1."),
    (lambda: ops.depth_to_space(X[None, None], 3), "4 channels cannot be divided into squares of 3 x 3 pixels."),
    (lambda: ops.space_to_depth(X[None, None], 2), "1 x 3 pixels cannot be divided into squares of 2 x 2."),
    (lambda: ops.space_to_depth(X, 2), "space_to_depth takes a batch of images, with 4 axes, got shape (3, 4)."),
    (
        lambda: ops.ctc_decode(X[None], [3], "best"),
        "ctc_decode: strategy must be 'greedy' or 'beam_search', got 'best'.",
    ),
    (lambda: ops.ctc_decode(X[None], [3], "beam_search", 2, 3), "top_paths must be from 1 to beam_width, 2, got 3."),
    (lambda: ops.unique(X[:0], size=2), "unique: there is no element of (0, 4) with which 2 places could be filled."),
]


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_wrong_arguments_are_named(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is compared)
        call()
    assert said in str(caught.value)


def test_products_choose_orders_that_copy_nothing() -> None:
    a, b = (gpudl.convert_to_tensor(RNG.standard_normal(s).astype(np.float32)) for s in ((2, 3, 4), (4, 5)))
    step = gpudl.traced(lambda a, b: ops.einsum("abc,cd->abd", a, b))
    step(a, b)
    (entry,) = step.entries.values()
    assert {instruction.name for instruction in entry.plan.instructions} == {"reshape_view", "matmul"}
    assert math.isclose(float(ops.einsum("ij->", np.ones((2, 3), "float32"))), 6.0)
