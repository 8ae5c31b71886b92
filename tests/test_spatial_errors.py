"""What layers on sequences, images and volumes refuse, in sentences that name the layer; masks; and 16 bits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import layers, ops
from gpudl.engine.spec import ShapeError

ONE, PAIR, THREE = (
    f"must be a positive integer{more}, got" for more in ("", " or a pair of them", " or three of them")
)
KNOWN = 'padding must be "valid" or "same", got'
EDGE = "must be an integer of at least 0, or a pair of them for before and after"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.Conv1D(0, 3), "Conv1D: filters must be a positive integer, got 0."),
        (lambda: layers.Conv1D(2, (3, 3)), f"Conv1D: kernel_size {ONE} (3, 3)."),
        (lambda: layers.Conv3D(2, (3, 3)), f"Conv3D: kernel_size {THREE} (3, 3)."),
        (lambda: layers.Conv3D(3, 3, groups=2), "Conv3D: filters=3 cannot be split into groups=2."),
        (lambda: layers.Conv2D(4, 3, padding="causal"), f"Conv2D: {KNOWN} 'causal'."),
        (lambda: layers.Conv1DTranspose(4, 3, padding="causal"), f"Conv1DTranspose: {KNOWN} 'causal'."),
        (lambda: layers.SeparableConv1D(4, 3, padding="causal"), f"SeparableConv1D: {KNOWN} 'causal'."),
        (
            lambda: layers.Conv2DTranspose(4, 3, strides=2, dilation_rate=2),
            "Conv2DTranspose: strides (2, 2) above 1 cannot be combined with dilation_rate (2, 2) above 1. "
            "Set one of the two to 1.",
        ),
        (
            lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=(1, 2)),
            "Conv2DTranspose: output_padding (1, 2) must be below strides (2, 2) along each axis.",
        ),
        (
            lambda: layers.Conv1DTranspose(4, 3, output_padding=-1),
            "Conv1DTranspose: output_padding must be an integer of at least 0, got -1.",
        ),
        (
            lambda: layers.DepthwiseConv2D(3, depth_multiplier=0),
            "DepthwiseConv2D: depth_multiplier must be a positive integer, got 0.",
        ),
        (lambda: layers.MaxPooling1D((2, 2)), f"MaxPooling1D: pool_size {ONE} (2, 2)."),
        (lambda: layers.AvgPool3D(2, strides=0), f"AveragePooling3D: strides {THREE} 0."),
        (lambda: layers.AdaptiveMaxPooling2D(0), f"AdaptiveMaxPooling2D: output_size {PAIR} 0."),
        (lambda: layers.ZeroPadding1D((1,)), f"ZeroPadding1D: padding {EDGE}, got (1,)."),
        (
            lambda: layers.ZeroPadding2D(((1, 2), (3,))),
            f"ZeroPadding2D: padding {EDGE}, or 2 of these, one for each axis, got ((1, 2), (3,)).",
        ),
        (lambda: layers.Cropping1D(-1), f"Cropping1D: cropping {EDGE}, got -1."),
        (lambda: layers.UpSampling1D((2,)), "UpSampling1D: size must be a positive integer, got (2,)."),
        (
            lambda: layers.UpSampling2D(interpolation="linear"),
            "UpSampling2D: interpolation must be one of nearest, bilinear, bicubic, lanczos3, lanczos5, got 'linear'.",
        ),
        (lambda: layers.Permute((0, 1)), "Permute: dims must be the axes 1 to 2 in any order, got (0, 1)."),
        (lambda: layers.RepeatVector(0), "RepeatVector: n must be a positive integer, got 0."),
    ],
)
def test_arguments(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (layers.Conv1D(4, 3), (8, 5), "Sequences are (batch, steps, channels): add the channel axis, e.g. x.reshape"),
        (layers.MaxPooling3D(), (8, 5, 5, 5), "e.g. x.reshape(-1, 28, 28, 28, 1)."),
        (layers.Conv1D(4, 3, groups=2), (8, 5, 3), "3 channels of inputs (None, 5, 3) cannot be split into 2 groups."),
        (layers.Conv2D(4, 3), (1, 5, 5, 0), "the inputs have no channels: their shape is (None, 5, 5, 0)."),
        (
            layers.Conv3D(4, 3),
            (1, 5, 2, 5, 1),
            "the window covers (3, 3, 3) positions but its input has only (5, 2, 5).",
        ),
        (layers.Cropping1D(2), (1, 4, 2), "cropping ((2, 2),) leaves nothing of inputs of shape (1, 4, 2)."),
        (layers.GlobalAveragePooling1D(), (2, 0, 3), "the mean of nothing is undefined: the inputs have shape"),
        (layers.AdaptiveMaxPooling1D(2), (2, 0, 3), "windows of nothing have no maximum and no mean"),
        (layers.Permute((2, 1)), (1, 2, 3, 4), "dims (2, 1) are for samples of as many axes."),
        (layers.RepeatVector(3), (1, 2, 3), "Samples are vectors: (batch, features)."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_inputs(layer: layers.Layer, shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(text)) as caught:
        layer(np.zeros(shape, np.float32))
    assert str(caught.value).startswith(f'{type(layer).__name__} "{layer.name}": ')


def test_functions_say_what_does_not_fit() -> None:
    x, image = np.zeros((1, 5, 4), np.float32), np.zeros((1, 5, 5, 4), np.float32)
    for call, text in (
        (
            lambda: ops.conv(x[0], x),
            "conv needs sequences, images or volumes, with a batch and channels: 3, 4 or 5 axes",
        ),
        (lambda: ops.conv(x, np.zeros((2, 3, 6))), "does not fit 4 channels of inputs (1, 5, 4)."),
        (
            lambda: ops.conv(image, x),
            "a kernel over 2 axes has shape (size of each, channels, filters), 4 numbers, got",
        ),
        (lambda: ops.conv(image, np.zeros((2, 2, 4, 1)), padding="causal"), 'padding="causal" is for sequences only'),
        (lambda: ops.depthwise_conv(x, np.zeros((2, 3, 1))), "is for 3 channels, and the inputs have 4."),
        (lambda: ops.max_pool(np.zeros((1, 4, 1), np.int32), 2), "pooling needs floats, got int32. Cast first."),
    ):
        with pytest.raises(ShapeError, match=re.escape(text)):
            call()


def test_masked_steps_do_not_count_in_a_mean() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    mask = np.array([[True, False, True], [False, True, False]])
    text = (
        r"the mask of shape \(2, 2\) does not fit inputs of shape \(2, 3, 2\): it has a value for each step, \(2, 3\)"
    )
    with pytest.raises(ShapeError, match=text):
        layers.GlobalAveragePooling1D()(x, mask=mask[:, :2])
    found = layers.GlobalAveragePooling1D()(x, mask=mask)
    np.testing.assert_array_equal(found.numpy(), [x[0, [0, 2]].mean(0), x[1, 1]])
    model = gpudl.Sequential([layers.Masking(99.0), layers.GlobalAveragePooling1D(keepdims=True)])
    x[~mask] = 99
    np.testing.assert_array_equal(model(x).numpy()[:, 0], found.numpy())
    assert getattr(model(x), "mask", None) is None


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_sixteen_bits_are_close_to_single_precision(policy: str) -> None:
    def network(dtype: str) -> gpudl.Sequential:
        gpudl.utils.set_random_seed(3)
        kinds = [
            layers.ZeroPadding1D(2, dtype=dtype),
            layers.Conv1D(8, 3, padding="causal", activation="relu", dtype=dtype),
            layers.MaxPooling1D(dtype=dtype),
            layers.DepthwiseConv1D(3, depth_multiplier=2, dtype=dtype),
            layers.Conv1DTranspose(4, 3, strides=2, dtype=dtype),
            layers.UpSampling1D(2, dtype=dtype),
            layers.SeparableConv1D(4, 3, dtype=dtype),
            layers.AdaptiveAveragePooling1D(3, dtype=dtype),
        ]
        return gpudl.Sequential(kinds)

    x = np.random.default_rng(0).standard_normal((2, 12, 3)).astype(np.float32)
    short, single = network(policy), network("float32")
    y = short(x)
    assert y.dtype.name == policy.removeprefix("mixed_")
    assert {w.dtype.name for w in short.weights} == {"float32"}
    np.testing.assert_allclose(y.numpy().astype(np.float32), single(x).numpy(), rtol=0.1, atol=0.05)
