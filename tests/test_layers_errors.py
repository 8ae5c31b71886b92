"""What layers say about arguments and inputs that do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import layers
from gpudl.engine.spec import ShapeError
from gpudl.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    InputLayer,
    Layer,
    LeakyReLU,
    MaxPooling2D,
    ReLU,
    Reshape,
    Softmax,
)

PAIR = "must be a positive integer or a pair of them, got"
MISFIT = "Input 0 is incompatible with the layer:"
IMAGES = "Images are (batch, height, width, channels): add the channel axis, e.g. x.reshape(-1, 28, 28, 1)."
SMALLER = 'Use a smaller kernel or dilation, or padding="same".'


EITHER = (
    "Input needs either shape, the shape of one sample such as (784,), with or without batch_size, or batch_shape; "
)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Dense(0), "Dense: units must be a positive integer, got 0."),
        (lambda: Dense(2.5), "Dense: units must be a positive integer, got 2.5."),
        (lambda: Dense(3, activation="relo"), "Unknown activation: 'relo'. Did you mean 'relu'?"),
        (lambda: Conv2D(0, 3), "Conv2D: filters must be a positive integer, got 0."),
        (lambda: Conv2D(3, 0), f"Conv2D: kernel_size {PAIR} 0."),
        (lambda: Conv2D(3, (3, -1)), f"Conv2D: kernel_size {PAIR} (3, -1)."),
        (lambda: Conv2D(3, (3, 3, 3)), f"Conv2D: kernel_size {PAIR} (3, 3, 3)."),
        (lambda: Conv2D(3, None), f"Conv2D: kernel_size {PAIR} None."),
        (lambda: Conv2D(3, 3, strides=0), f"Conv2D: strides {PAIR} 0."),
        (lambda: Conv2D(3, 3, dilation_rate=1.5), f"Conv2D: dilation_rate {PAIR} 1.5."),
        (lambda: Conv2D(3, 3, padding="full"), 'Conv2D: padding must be "valid" or "same", got \'full\'.'),
        (
            lambda: Conv2D(3, 3, data_format="nhwc"),
            "data_format must be one of channels_last, channels_first, got 'nhwc'.",
        ),
        (
            lambda: Conv2D(3, 3, strides=2, dilation_rate=2),
            "Conv2D: strides (2, 2) above 1 cannot be combined with dilation_rate (2, 2) above 1. "
            "Set one of the two to 1.",
        ),
        (lambda: Conv2D(3, 3, groups=2), "Conv2D: filters=3 cannot be split into groups=2."),
        (lambda: MaxPooling2D(0), f"MaxPooling2D: pool_size {PAIR} 0."),
        (lambda: layers.AvgPool2D(2, strides=0), f"AveragePooling2D: strides {PAIR} 0."),
        (lambda: Dropout(1.5), "Dropout: rate must be a number from 0 to 1, got 1.5."),
        (
            lambda: Dropout(0.5, noise_shape=(0, 1)),
            "Dropout: noise_shape must be positive integers or None, got (0, 1).",
        ),
        (lambda: Dropout(0.5, noise_shape="x"), "Dropout: noise_shape must be positive integers or None, got 'x'."),
        (lambda: Reshape((-1, -1)), "Reshape: target_shape must be sizes, at most one of them -1, got (-1, -1)."),
        (lambda: Reshape((-2, 3)), "Reshape: target_shape must be sizes, at most one of them -1, got (-2, 3)."),
        (lambda: Flatten("first"), "data_format must be one of channels_last, channels_first, got 'first'."),
        (lambda: ReLU(max_value=-1), "ReLU: max_value must be a number of at least 0, got -1."),
        (lambda: ReLU(negative_slope=None), "ReLU: negative_slope must be a number of at least 0, got None."),
        (lambda: ReLU(threshold=-0.5), "ReLU: threshold must be a number of at least 0, got -0.5."),
        (lambda: LeakyReLU(-0.1), "LeakyReLU: negative_slope must be a number of at least 0, got -0.1."),
        (Input, f"{EITHER}got shape=None, batch_size=None, batch_shape=None."),
        (
            lambda: Input((3,), batch_shape=(None, 3)),
            f"{EITHER}got shape=(3,), batch_size=None, batch_shape=(None, 3).",
        ),
        (lambda: Input((3, -1)), "Input: shape must be a tuple of integers, or None for any size, got (3, -1)."),
    ],
)
def test_arguments(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        make()


INPUTS: list[tuple[Callable[[], Layer], tuple[int, ...], str]] = [
    (
        lambda: Conv2D(4, 3, name="c"),
        (2, 28, 28),
        f'Conv2D "c": {MISFIT} expected ndim=4, found ndim=3. Full shape received: (None, 28, 28). {IMAGES}',
    ),
    (
        lambda: Conv2D(4, 3, data_format="channels_first", name="c"),
        (2, 28, 28),
        f'Conv2D "c": {MISFIT} expected ndim=4, found ndim=3. '
        "Full shape received: (None, 28, 28). Images are (batch, channels, height, width): "
        "add the channel axis, e.g. x.reshape(-1, 1, 28, 28).",
    ),
    (
        lambda: MaxPooling2D(name="p"),
        (2, 8),
        f'MaxPooling2D "p": {MISFIT} expected ndim=4, found ndim=2. Full shape received: (None, 8). {IMAGES}',
    ),
    (
        lambda: Conv2D(4, 5, name="c"),
        (2, 3, 8, 1),
        f'Conv2D "c": the window covers (5, 5) positions but its input has only (3, 8). {SMALLER}',
    ),
    (
        lambda: Conv2D(4, 3, dilation_rate=3, data_format="channels_first", name="c"),
        (2, 1, 6, 9),
        f'Conv2D "c": the window covers (7, 7) positions but its input has only (6, 9). {SMALLER}',
    ),
    (
        lambda: layers.AveragePooling2D(3, name="p"),
        (2, 2, 2, 1),
        f'AveragePooling2D "p": the window covers (3, 3) positions but its input has only (2, 2). {SMALLER}',
    ),
    (
        lambda: Conv2D(4, 3, groups=2, name="c"),
        (2, 8, 8, 3),
        'Conv2D "c": 3 channels of inputs (None, 8, 8, 3) cannot be split into 2 groups.',
    ),
    (
        lambda: Dense(4, name="d"),
        (5,),
        f'Dense "d": {MISFIT} expected min_ndim=2, found ndim=1. Full shape received: (None,). '
        "Samples are (batch, features): add the batch axis, e.g. x.reshape(1, -1).",
    ),
    (
        lambda: layers.LayerNormalization(axis=[1, -1], name="n"),
        (2, 4),
        'LayerNormalization "n": axis [1, -1] does not fit inputs of shape (None, 4): name each axis once.',
    ),
    (
        lambda: BatchNormalization(axis=3, name="b"),
        (2, 4),
        'BatchNormalization "b": axis 3 is out of range for inputs of shape (None, 4).',
    ),
    (
        lambda: Reshape((5, -1), name="r"),
        (2, 3, 4),
        'Reshape "r": samples of shape (3, 4) have 12 elements, which do not fill the target_shape (5, -1). '
        "Choose sizes whose product is 12.",
    ),
    (
        lambda: Reshape((5, 2), name="r"),
        (2, 12),
        'Reshape "r": samples of shape (12,) have 12 elements, which do not fill the target_shape (5, 2). '
        "Choose sizes whose product is 12.",
    ),
    (
        lambda: Dropout(0.5, (3, 1), name="o"),
        (2, 4),
        'Dropout "o": noise_shape (3, 1) does not fit inputs of shape (2, 4): each size must be 1, None or that of '
        "the inputs.",
    ),
    (
        lambda: Softmax(axis=3, name="s"),
        (2, 4),
        'Softmax "s": axis 3 is out of range for an array with 2 axes.',
    ),
    (
        lambda: InputLayer((28, 28), name="i"),
        (2, 28, 27),
        f'InputLayer "i": {MISFIT} expected axis 2 of input shape to have value 28, found 27. '
        "Full shape received: (None, 28, 27). "
        "The inputs are (None, 28, 28): reshape the data.",
    ),
]


@pytest.mark.parametrize(("make", "shape", "text"), INPUTS, ids=[text[:24] for *_, text in INPUTS])
def test_inputs(make: Callable[[], Layer], shape: tuple[int, ...], text: str) -> None:
    layer = make()
    with pytest.raises(ShapeError) as caught:
        layer(np.zeros(shape, np.float32), training=True)
    assert str(caught.value) == text
    if not isinstance(layer, Dropout):
        with pytest.raises(ShapeError) as caught:
            layer.compute_output_shape((None, *shape[1:]))
        assert str(caught.value) == text


LATER: list[tuple[Callable[[], Layer], tuple[int, ...], tuple[int, ...], str]] = [
    (
        lambda: Dense(4, name="d"),
        (2, 784),
        (2, 28, 28),
        f'Dense "d": {MISFIT} expected axis -1 of input shape to have value 784, found 28. '
        "Full shape received: (None, 28, 28). Add Flatten() before it.",
    ),
    (
        lambda: Dense(4, name="d"),
        (2, 784),
        (2, 100),
        f'Dense "d": {MISFIT} expected axis -1 of input shape to have value 784, found 100. '
        "Full shape received: (None, 100). "
        "Every input must have 784 features along its last axis, as in the first call.",
    ),
    (
        lambda: Conv2D(4, 3, name="c"),
        (2, 8, 8, 1),
        (2, 8, 8, 3),
        f'Conv2D "c": {MISFIT} expected axis -1 of input shape to have value 1, found 3. '
        "Full shape received: (None, 8, 8, 3). "
        "Images are (batch, height, width, channels); the number of channels cannot change after the first call.",
    ),
    (
        lambda: Conv2D(4, 3, name="c"),
        (2, 8, 8, 1),
        (2, 8, 8),
        f'Conv2D "c": {MISFIT} expected ndim=4, found ndim=3. Full shape received: (None, 8, 8). {IMAGES}',
    ),
    (
        lambda: BatchNormalization(name="b"),
        (2, 4),
        (2, 5),
        f'BatchNormalization "b": {MISFIT} expected axis -1 of input shape to have value 4, found 5. '
        "Full shape received: (None, 5). "
        "Later inputs must have the shape of the first, (None, 4).",
    ),
    (
        lambda: BatchNormalization(name="b"),
        (2, 4),
        (2, 3, 4),
        f'BatchNormalization "b": {MISFIT} expected ndim=2, found ndim=3. Full shape received: (None, 3, 4). '
        "Later inputs must have the shape of the first, (None, 4).",
    ),
]


@pytest.mark.parametrize(("make", "first", "then", "text"), LATER, ids=[text[:48] for *_, text in LATER])
def test_later_inputs(make: Callable[[], Layer], first: tuple[int, ...], then: tuple[int, ...], text: str) -> None:
    layer = make()
    layer(np.zeros(first, np.float32))
    with pytest.raises(ShapeError) as caught:
        layer(np.zeros(then, np.float32))
    assert str(caught.value) == text
    layer(np.zeros(first, np.float32))


def test_a_window_that_fits_at_first_and_not_later() -> None:
    layer = Conv2D(4, 3, name="c")
    layer(np.zeros((2, 8, 8, 1)))
    with pytest.raises(ShapeError, match=r'^Conv2D "c": conv2d.*the window covers \(3, 3\) positions .* only \(2, 8\)'):
        layer(np.zeros((2, 2, 8, 1)))


def test_the_window_is_checked_at_build_as_far_as_sizes_are_known() -> None:
    with pytest.raises(ShapeError, match=r"the window covers \(3, 3\) positions but its input has only \(3, 2\)"):
        Conv2D(4, 3).build((None, None, 2, 1))
    Conv2D(4, 3).build((None, None, None, 1))


def test_a_size_that_weights_need_must_be_known() -> None:
    with pytest.raises(
        ShapeError, match=r"weight 'kernel' cannot have shape \(None, 4\): the inputs must have a known"
    ):
        Dense(4).build((None, None))
    with pytest.raises(ShapeError, match=r"weight 'kernel' cannot have shape \(3, 3, None, 4\)"):
        Conv2D(4, 3).build((None, 8, 8, None))


def test_the_layer_inside_is_named_and_not_those_around() -> None:
    class Around(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Dense(2, name="inner")

        def call(self, x: Any) -> Any:
            return self.inner(x)

    with pytest.raises(ShapeError, match=rf'^Dense "inner": {MISFIT} expected min_ndim=2'):
        Around()(np.zeros(3))


def test_text_is_no_input() -> None:
    with pytest.raises(TypeError, match="expected numbers, got ndarray of dtype <U1"):
        Dense(2)(np.array([["a"]]))


def test_arguments_that_a_layer_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"^Dense has no argument 'unit'\. Did you mean 'units'\?$"):
        Dense(2, unit=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'units'"):
        Dense()


def test_errors_inside_a_recorded_step_leave_nothing_behind() -> None:
    layer = Dense(2, name="d")
    layer(np.zeros((1, 3)))
    step = gpudl.traced(layer)
    with pytest.raises(ShapeError, match=r'Dense "d": Input 0 .* expected axis -1 of input shape to have value 3'):
        step(np.zeros((1, 4), np.float32))
    assert step(np.zeros((1, 3), np.float32)).shape == (1, 2)


@pytest.mark.parametrize("axis", [1.5, "last", [1, None], []])
def test_an_axis_of_layer_normalization_is_an_integer(axis: Any) -> None:
    with pytest.raises(TypeError, match=r"^LayerNormalization: axis must be an integer or a list of them, got "):
        layers.LayerNormalization(axis=axis)


def test_the_mean_of_no_pixels() -> None:
    with pytest.raises(ShapeError, match=r"the mean of nothing is undefined: the inputs have shape \(2, 0, 3, 4\)\."):
        layers.GlobalAveragePooling2D()(np.zeros((2, 0, 3, 4), np.float32))
