"""How Keras's mathematical functions are called in the comparison with Keras: products, sums, statistics, norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[Any, Any], Any]  # of the functions and the input, 2 x 3


def wide(o: Any, x: Any) -> Any:
    """Return 16-bit floats unchanged, and anything else as float32."""
    return x if "float" in str(x.dtype) else o.cast(x, "float32")


def special(o: Any, x: Any) -> Any:
    """Return floats of which some are infinite, NaN or -0."""
    return o.divide(o.cast(x, "float32"), 0.0) * o.cast(x - 1.5, "float32")


def spd(o: Any, x: Any) -> Any:
    """Return a symmetric positive definite matrix, 2 x 2."""
    x = o.cast(x, "float32")
    return o.matmul(x, o.transpose(x)) + np.array([[2, 0], [0, 3]], "float32")


CALLS: dict[str, list[Call]] = {
    "einsum": [
        *(lambda o, x: o.einsum("ij,kj->ik", x, x), lambda o, x: o.einsum("ij->ji", x)),
        *(lambda o, x: o.einsum("ij,ij", x, x), lambda o, x: o.einsum("ii->i", o.matmul(x, o.transpose(x)))),
        *(
            lambda o, x: o.einsum("...j,kj->k...", x, x),
            lambda o, x: o.einsum("ij,ik,jk->kj", x, x, o.matmul(o.transpose(x), x)),
        ),
        *(lambda o, x: o.einsum("ij->j", x), lambda o, x: o.einsum("bij,bjk->bik", o.stack([x, x]), x[:, :, None])),
        lambda o, x: o.einsum("i,jk->kij", x[0], x),
    ],
    "tensordot": [
        *(lambda o, x: o.tensordot(x, x), lambda o, x: o.tensordot(x, x[0], 1)),
        *(lambda o, x: o.tensordot(x, x, axes=[[1], [1]]), lambda o, x: o.tensordot(x, x, (0, 0))),
    ],
    "dot": [
        *(lambda o, x: o.dot(x, o.transpose(x)), lambda o, x: o.dot(x[0], x[1]), lambda o, x: o.dot(x, x[0])),
        *(lambda o, x: o.dot(x[0, 0], x), lambda o, x: o.dot(o.stack([x, x]), o.transpose(x))),
    ],
    "vdot": [lambda o, x: o.vdot(x, x)],
    "inner": [lambda o, x: o.inner(x, x), lambda o, x: o.inner(x, x[0]), lambda o, x: o.inner(x, x[0, 0])],
    "outer": [lambda o, x: o.outer(x, x[0])],
    "prod": [
        *(lambda o, x: o.prod(x), lambda o, x: o.prod(x, 1), lambda o, x: o.prod(x, (0, 1), True)),
        *(lambda o, x: o.prod(x, -1, dtype="float32"), lambda o, x: o.prod(x, dtype="int8")),
    ],
    "cumsum": [lambda o, x: o.cumsum(x), lambda o, x: o.cumsum(x, 1), lambda o, x: o.cumsum(x, -2, "float32")],
    "cumprod": [lambda o, x: o.cumprod(x), lambda o, x: o.cumprod(x, 1), lambda o, x: o.cumprod(x, 0, "int32")],
    "std": [lambda o, x: o.std(x), lambda o, x: o.std(x, 1, True)],
    "var": [lambda o, x: o.var(x), lambda o, x: o.var(x, (0, 1)), lambda o, x: o.var(x, axis=-1, keepdims=True)],
    "moments": [lambda o, x: o.moments(x, 0), lambda o, x: o.moments(x, [0, 1], True)],
    "batch_normalization": [
        lambda o, x: o.batch_normalization(x, x[0], x[0] + 1, -1),
        lambda o, x: o.batch_normalization(x, x[:, 0], x[:, 1], 0, x[:, 0], x[:, 2] + 1, 0.1),
    ],
    "layer_normalization": [
        *(lambda o, x: o.layer_normalization(x), lambda o, x: o.layer_normalization(x, x[0], x[1], epsilon=0.1)),
        lambda o, x: o.layer_normalization(x, x[:, 0], axis=0),
        lambda o, x: o.layer_normalization(o.stack([x, x + x], 1), beta=x, axis=(0, -1)),
    ],
    "rms_normalization": [
        *(lambda o, x: o.rms_normalization(x), lambda o, x: o.rms_normalization(x, x[1], -1, 0.1)),
        lambda o, x: o.rms_normalization(x, axis=(0, 1)),
    ],
    "normalize": [
        *(lambda o, x: o.normalize(x), lambda o, x: o.normalize(x, 0, 1), lambda o, x: o.normalize(x, -1, 3, 20.0)),
    ],
    "binary_crossentropy": [
        lambda o, x: o.binary_crossentropy(x > 1, x, True),
        lambda o, x: o.binary_crossentropy(x > 1, x / 7),
    ],
    "categorical_crossentropy": [
        lambda o, x: o.categorical_crossentropy(x > 1, x / 2, True),
        lambda o, x: o.categorical_crossentropy(x > 1, x, axis=0),
    ],
    "dot_product_attention": [
        lambda o, x: o.dot_product_attention(*(o.reshape(part, (1, 3, 1, 2)) for part in (x, x[::-1], x + 1))),
        lambda o, x: o.dot_product_attention(*(o.reshape(x, (1, 3, 1, 2)),) * 3, is_causal=True, scale=0.25),
        lambda o, x: o.dot_product_attention(
            *(o.reshape(x, (1, 3, 2, 1)),) * 3, mask=np.array([[[[True, False, True]] * 3] * 2])
        ),
    ],
    "sparse_categorical_crossentropy": [
        lambda o, x: o.sparse_categorical_crossentropy([0, 2], o.cast(x, "float32"), True),
        lambda o, x: o.sparse_categorical_crossentropy([0, 1], o.cast(x + 1, "float32"), axis=1),
    ],
    **{
        name: [lambda o, x, n=name: getattr(o, n)(x - 2)]
        for name in (
            *("gelu", "silu", "swish", "elu", "celu", "selu", "softplus", "softsign", "squareplus", "log_sigmoid"),
            *("leaky_relu", "relu6", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hard_shrink"),
            *("soft_shrink", "sparse_plus", "sparse_sigmoid", "tanh_shrink"),
        )
    },
    **{
        name: [lambda o, x, n=name: getattr(o, n)(x, x[::-1])]
        for name in (
            *("arctan2", "hypot", "fmax", "fmin", "heaviside", "logaddexp2", "gcd", "lcm", "ldexp"),
            *("nextafter", "isclose", "allclose"),
        )
    },
    **{name: [lambda o, x, n=name: getattr(o, n)(x / 8)] for name in ("arcsin", "arccos", "arctanh", "erfinv")},
    **{
        name: [lambda o, x, n=name: getattr(o, n)(x), lambda o, x, n=name: getattr(o, n)(special(o, x))]
        for name in (
            *("isnan", "isfinite", "isinf", "isneginf", "isposinf", "isreal", "nan_to_num", "abs", "fabs", "real"),
            *("imag", "conj", "conjugate", "angle", "trunc", "round"),
        )
    },
    "fmod": [lambda o, x: o.fmod(x, x[::-1] + 1), lambda o, x: o.fmod(x - 2.5, x + 1)],
    "bitwise_invert": [lambda o, x: o.bitwise_invert(x)],
    "bitwise_left_shift": [lambda o, x: o.bitwise_left_shift(x, x)],
    "bitwise_right_shift": [lambda o, x: o.bitwise_right_shift(x, x)],
    "glu": [lambda o, x: o.glu(x[:, :2]), lambda o, x: o.glu(x, 0)],
    "threshold": [lambda o, x: o.threshold(x, 1.5, -1.0)],
}
CALLS["gelu"].append(lambda o, x: o.gelu(x - 2, False))
NAN = np.array([[1, 0, 0], [0, 0, 1]], bool)


def gaps(o: Any, x: Any) -> Any:
    """Return floats of which some are NaN."""
    return o.where(NAN, o.cast(float("nan"), "float32"), o.cast(x, "float32"))


WAVE = np.sin(np.arange(24.0) ** 1.5).astype("float32")
BEAMS = np.random.default_rng(4).normal(size=(3, 6, 4)).astype("float32")
PARTS = np.fft.rfft(WAVE.reshape(3, 8)).astype("complex64")


CALLS |= {
    "norm": [
        lambda o, x: o.norm(x),
        *(lambda o, x, k=k: o.norm(wide(o, x), k) for k in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
        *(lambda o, x, k=k: o.norm(wide(o, x) + 1, k, 1, True) for k in (None, 0, 1, 2, 3, -1, np.inf, -np.inf)),
        lambda o, x: o.norm(o.stack([x, x]), 1, (2, 0), True),
    ],
    "jvp": [
        lambda o, x: o.jvp(lambda a, b: a * b + o.sin(a), (wide(o, x), wide(o, x)), (wide(o, x) + 1, wide(o, x))),
        lambda o, x: o.jvp(lambda a: (o.exp(a), a[0]), (wide(o, x),), (wide(o, x),))[1],
        lambda o, x: o.jvp(lambda a: (a * a, a), (wide(o, x),), (wide(o, x),), has_aux=True),
    ],
    "polar": [lambda o, x: o.polar(wide(o, x), wide(o, x))],
    "view_as_complex": [lambda o, x: o.view_as_complex(wide(o, x)[:, :2])],
    "view_as_real": [lambda o, x: o.view_as_real(o.view_as_complex(wide(o, x)[:, :2]))],
    "psnr": [lambda o, x: o.psnr(x, x[::-1], 7.0)],
    "ctc_decode": [
        lambda o, x: o.ctc_decode(o.stack([o.cast(x, "float32")] * 2), np.array([2, 1])),
        lambda o, x: o.ctc_decode(o.cast(o.stack([o.concatenate([x, x, x])]), "float32"), np.array([5]), mask_index=2),
        lambda o, x: o.ctc_decode(o.cast(o.stack([x]), "float32"), np.array([2]), merge_repeated=False),
        lambda o, x: o.ctc_decode(BEAMS, np.array([6, 4, 1]), "beam_search", 5, 3),
        lambda o, x: o.ctc_decode(BEAMS, np.array([6, 6, 6]), "beam_search", 30, 2, mask_index=2),
    ],
    "fft": [lambda o, x: o.fft((wide(o, x), wide(o, x) + 1))],
    "fft2": [lambda o, x: o.fft2((wide(o, x), wide(o, x) + 1))],
    "ifft2": [lambda o, x: o.ifft2((wide(o, x), wide(o, x) + 1))],
    "rfft": [lambda o, x: o.rfft(wide(o, x)), lambda o, x: o.rfft(x, 4), lambda o, x: o.rfft(x, fft_length=2)],
    "irfft": [
        *(lambda o, x: o.irfft((wide(o, x), wide(o, x) + 1)), lambda o, x: o.irfft((x, x + 1), 3)),
        *(lambda o, x: o.irfft((x, x + 1), 7), lambda o, x: o.irfft((x, x + 1), fft_length=8)),
    ],
    "extract_sequences": [
        lambda o, x: o.extract_sequences(wide(o, x), 2, 1),
        lambda o, x: o.extract_sequences(x, 2, 2),
    ],
    "stft": [
        lambda o, x: o.stft(WAVE, 4, 2, 8),
        lambda o, x: o.stft(o.stack([o.reshape(wide(o, x), -1)] * 2), 3, 3, 4, wide(o, x)[0], False),
        lambda o, x: o.stft(WAVE, 4, 2, 5, "hamming"),
        lambda o, x: o.stft(WAVE, 4, 2, 8, None),
    ],
    "istft": [
        lambda o, x: o.istft((PARTS.real, PARTS.imag), 8, 2, 8)[2:-2],
        lambda o, x: o.istft((PARTS.real, PARTS.imag), 6, 3, 8, 7, "hamming"),
        lambda o, x: o.istft((PARTS.real[:, :3], PARTS.imag[:, :3]), 4, 2, 4, None, None, False),
    ],
    "amax": [lambda o, x: o.amax(x, 0, True)],
    "amin": [lambda o, x: o.amin(x, -1)],
    "ptp": [lambda o, x: o.ptp(x), lambda o, x: o.ptp(x, 1, True)],
    "average": [
        *(lambda o, x: o.average(x), lambda o, x: o.average(x, 1), lambda o, x: o.average(x, weights=x + 1)),
        lambda o, x: o.average(x, 0, x[:, 1]),
    ],
    "corrcoef": [lambda o, x: o.corrcoef(x), lambda o, x: o.corrcoef(x[0])],
    **{
        name: [
            lambda o, x, n=name: getattr(o, n)(x, 1),
            lambda o, x, n=name: getattr(o, n)(gaps(o, x)),
            lambda o, x, n=name: getattr(o, n)(gaps(o, x), axis=0),
        ]
        for name in (
            *("nansum", "nanprod", "nancumsum", "nancumprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd"),
            *("median", "nanmedian"),
        )
    },
    **{
        name: [
            lambda o, x, n=name, s=scale: getattr(o, n)(x, 0.3 * s),
            lambda o, x, n=name, s=scale: getattr(o, n)(x, np.array([0.25, 0.5], "float32") * s, 1, "nearest", True),
            lambda o, x, n=name, s=scale: getattr(o, n)(x, [0.9 * s], (0, 1), "midpoint"),
            lambda o, x, n=name, s=scale: getattr(o, n)(gaps(o, x), 0.4 * s, 1, "lower"),
            lambda o, x, n=name, s=scale: getattr(o, n)(gaps(o, x), 0.4 * s, 0, keepdims=True),
        ]
        for name, scale in (("quantile", 1), ("nanquantile", 1), ("percentile", 100), ("nanpercentile", 100))
    },
    "diff": [lambda o, x: o.diff(x), lambda o, x: o.diff(x, 2, axis=1), lambda o, x: o.diff(x, axis=0)],
    "trapezoid": [
        *(lambda o, x: o.trapezoid(x), lambda o, x: o.trapezoid(x, x[0], axis=1)),
        lambda o, x: o.trapezoid(x, dx=0.5, axis=0),
    ],
    "trace": [lambda o, x: o.trace(x), lambda o, x: o.trace(o.stack([x, x]), 1, 1, 2)],
    "kron": [lambda o, x: o.kron(x, x[:, :2]), lambda o, x: o.kron(x[0], x)],
    "cross": [
        *(
            lambda o, x: o.cross(x, x[::-1]),
            lambda o, x: o.cross(x[:, :2], x[:, 1:]),
            lambda o, x: o.cross(x, x[:, :2]),
        ),
        lambda o, x: o.cross(o.transpose(x), x, 0, 1, 0),
    ],
    "correlate": [
        lambda o, x, a=a, b=b, m=m: o.correlate(o.reshape(x, -1)[:a], x[0][:b], m)
        for a, b in ((6, 3), (6, 2), (2, 3), (3, 3), (1, 3))
        for m in ("valid", "same", "full")
    ],
    "cdist": [lambda o, x: o.cdist(wide(o, x), wide(o, x)[::-1] + 1)],
    "cholesky": [lambda o, x: o.cholesky(spd(o, x)), lambda o, x: o.cholesky(spd(o, x), upper=True)],
    "cholesky_inverse": [
        lambda o, x: o.cholesky_inverse(o.cholesky(spd(o, x))),
        lambda o, x: o.cholesky_inverse(o.cholesky(spd(o, x), True), True),
    ],
    "det": [lambda o, x: o.det(spd(o, x))],
    "slogdet": [lambda o, x: o.slogdet(-spd(o, x))],
    "logdet": [lambda o, x: o.logdet(spd(o, x))],
    "inv": [lambda o, x: o.inv(spd(o, x))],
    "eig": [lambda o, x: o.eig(spd(o, x))[0]],
    "eigh": [lambda o, x: o.eigh(spd(o, x))[0]],
    "svd": [
        *(lambda o, x: o.svd(wide(o, x), compute_uv=False), lambda o, x: o.abs(o.svd(wide(o, x), False)[0])),
        lambda o, x: [o.abs(each) for each in o.svd(wide(o, x))][:2],
    ],
    "qr": [lambda o, x: [o.abs(e) for e in o.qr(wide(o, x))], lambda o, x: o.abs(o.qr(wide(o, x), "complete")[1])],
    "pinv": [lambda o, x: o.pinv(x), lambda o, x: o.pinv(x, 0.3)],
    "lu_factor": [lambda o, x: o.lu_factor(spd(o, x))],
    "matrix_rank": [lambda o, x: o.matrix_rank(x), lambda o, x: o.matrix_rank(o.stack([x, x * 0]), 5.0)],
    "solve": [lambda o, x: o.solve(spd(o, x), o.transpose(x)[:2]), lambda o, x: o.solve(spd(o, x), wide(o, x)[:, 0])],
    "solve_triangular": [
        lambda o, x: o.solve_triangular(spd(o, x), wide(o, x)[:, :1]),
        lambda o, x: o.solve_triangular(spd(o, x), wide(o, x)[:, 0], lower=True),
    ],
    "lstsq": [lambda o, x: o.lstsq(x, x[:, 0]), lambda o, x: o.lstsq(o.transpose(x), o.transpose(x), 0.5)],
}
CALLS["round"] += [lambda o, x: o.round(x / 8, 1), lambda o, x: o.round(x * 3.5, decimals=-1)]
CALLS["nan_to_num"].append(lambda o, x: o.nan_to_num(special(o, x), 5.0, 6.0, -7.0))
CALLS["isclose"] += [
    lambda o, x: o.isclose(x, x + 0.01, 0.001, 0.005),
    lambda o, x: o.isclose(special(o, x), special(o, x), equal_nan=True),
]
CALLS["leaky_relu"].append(lambda o, x: o.leaky_relu(x - 2, negative_slope=0.5))
CALLS["squareplus"].append(lambda o, x: o.squareplus(x - 2, b=1))
for _name in ("elu", "celu", "hard_shrink", "soft_shrink"):
    CALLS[_name].append(lambda o, x, n=_name: getattr(o, n)(x - 2, 1.5))

CALLS["hard_tanh"].append(lambda o, x: o.hard_tanh(o.cast(x, "int32") - 2))
FLOATS_ONLY = frozenset(
    {
        *("polar", "view_as_complex", "view_as_real", "dot_product_attention"),
        *("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "hard_tanh"),
        *("batch_normalization", "layer_normalization", "rms_normalization", "softsign"),
    }
)
"""What Keras computes of small integers wraps, or is rounded to them."""
COMPLEX = (np.array([[1, 2], [3, -4], [0, 1]]) @ np.array([1, 1j])).astype("complex64")
OF_COMPLEX = (
    *("abs", "absolute", "real", "imag", "conj", "conjugate", "angle", "negative", "square", "sqrt", "exp", "log"),
    *("sin", "cos", "tanh", "reciprocal", "isreal", "isfinite", "isnan", "isinf", "sum", "mean", "transpose"),
)
OF_TWO_COMPLEX = ("add", "subtract", "multiply", "divide", "power", "isclose", "equal", "dot", "outer")
