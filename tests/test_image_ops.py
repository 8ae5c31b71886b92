"""What functions of images do with wrong arguments, in functional models, and in steps on the double of a GPU."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strict_cupy import installed

import gpudl
from gpudl import backend
from gpudl.ops import image

X = np.random.default_rng(1).normal(size=(2, 8, 6, 3)).astype(np.float32)


def _step(x: Any, by: Any) -> list[Any]:
    """Return a loss of slices, products and gathers, and its gradient."""
    with gpudl.GradientTape() as tape:
        tape.watch(x)
        small = image.resize(image.crop_images(x, 1, 0, 1, 0), (4, 5), "bicubic")
        loss = gpudl.ops.sum(gpudl.ops.square(image.affine_transform(small, by, fill_mode="reflect")))
    return [loss, tape.gradient(loss, x)]


@pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
def test_steps_on_the_double_transfer_nothing_and_give_what_the_cpu_gives() -> None:
    by = np.array([[1.0, 0.2, 0.5, 0.1, 0.9, -1, 0, 0]] * 2, np.float32)
    wanted = [y.numpy() for y in _step(gpudl.convert_to_tensor(X), by)]
    for replayed, eager in zip(gpudl.traced(_step)(X, by), wanted, strict=True):
        np.testing.assert_array_equal(replayed.numpy(), eager)
    with installed() as meter:
        backend.use("cupy")
        arrays = [gpudl.convert_to_tensor(array) for array in (X, by)]
        step = gpudl.traced(_step)
        step(*arrays)
        meter.reset()
        found = step(*arrays)
        assert (meter.host_to_device, meter.device_to_host) == (0, 0)
        for mine, eager in zip(found, wanted, strict=True):
            np.testing.assert_allclose(mine.numpy(), eager, rtol=1e-4, atol=1e-4)


def test_a_model_of_inputs_and_outputs_has_them_as_nodes() -> None:
    inputs = gpudl.Input((8, 6, 3))
    y = image.resize(image.rgb_to_grayscale(inputs), (4, 3))
    model = gpudl.Model(inputs, y)
    assert y.shape == (None, 4, 3, 1)
    np.testing.assert_array_equal(model(X).numpy(), image.resize(image.rgb_to_grayscale(X), (4, 3)).numpy())


def test_elastic_deformation_moves_pixels_smoothly_and_by_its_seed() -> None:
    line = np.broadcast_to(np.arange(32.0, dtype=np.float32), (4, 32, 32))[..., None]
    moved = image.elastic_transform(line, alpha=20.0, sigma=3.0, seed=3, fill_mode="nearest").numpy()
    assert 0.05 < np.abs(moved - line).mean() < 6
    assert np.abs(np.diff(moved[:, 8:24, 8:24, 0] - line[:, 8:24, 8:24, 0], axis=1)).max() < 4
    assert np.abs(moved[0] - moved[1]).max() > 0.05
    np.testing.assert_array_equal(image.elastic_transform(line, sigma=3.0, seed=3, fill_mode="nearest").numpy(), moved)
    keys = gpudl.random.SeedGenerator(3)
    one, two = (image.elastic_transform(line, seed=keys).numpy() for _ in range(2))
    assert np.abs(one - two).max() > 0.05
    np.testing.assert_array_equal(image.elastic_transform(line, alpha=0.0).numpy(), line)


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: image.resize(X, 4), r"size must be a positive \(height, width\), got 4"),
    (lambda: image.resize(X, (4, 0)), r"size must be a positive \(height, width\), got \(4, 0\)"),
    (
        lambda: image.resize(X[0, 0], (4, 4)),
        r"expected an image with 3 axes, or a batch of images with 4, got shape \(6,",
    ),
    (lambda: image.resize(X, (4, 4), "linear"), "interpolation must be one of 'bilinear', .*, got 'linear'"),
    (lambda: image.resize(X, (4, 4), fill_mode="wrap"), "fill_mode must be one of 'constant', got 'wrap'"),
    (lambda: image.resize(X, (4, 4), "area", False, True, True), "Only one of crop_to_aspect_ratio and pad_to_asp"),
    (lambda: image.resize(X, (4, 4), data_format="last"), "data_format must be one of"),
    (lambda: image.crop_images(X, 1, 1), r"Give exactly two of top_cropping, bottom_cropping, target_height, got"),
    (lambda: image.crop_images(X, -1, 1, 1, 1), "None of top_cropping, .* can be negative"),
    (lambda: image.crop_images(X, 5, 0, 5, 0), "images of height 8 cannot be changed by .*that makes .*-2"),
    (lambda: image.pad_images(X, 1, 1, target_height=4, right_padding=0), "images of height 8 cannot be changed"),
    (lambda: image.scale_and_translate(X, (2, 4, 4, 2), [1, 1], [0, 0], (1, 2), "linear"), "cannot become"),
    (lambda: image.scale_and_translate(X, X.shape, [1.0], [0, 0], (1, 2), "linear"), "one of both"),
    (lambda: image.scale_and_translate(X, X.shape, [1, 1], [0, 0], (1, 2), "area"), "method must be one of 'linear'"),
    (lambda: image.affine_transform(X, np.ones(6)), r"transform must have shape \(8,\), or \(2, 8\)"),
    (lambda: image.affine_transform(X, np.ones(8), fill_mode="edge"), "fill_mode must be one of 'constant', 'nea"),
    (lambda: image.perspective_transform(X, np.ones((4, 2)), np.ones((2, 4, 2))), r"both have shape \(4, 2\), or \(2,"),
    (lambda: image.map_coordinates(X, np.ones((3, 4)), 1), r"a first axis of 4, one for each axis of the inputs"),
    (lambda: image.map_coordinates(X, np.ones((4, 4)), 2), "order must be one of 0, 1, got 2"),
    (lambda: image.rgb_to_grayscale(X[..., :2]), "expected 3 channels, or 1 of grey images"),
    (lambda: image.rgb_to_hsv(X[..., :2]), "rgb_to_hsv needs 3 channels along axis 3"),
    (lambda: image.hsv_to_rgb(X.astype(np.uint8)), "hsv_to_rgb needs floats from 0 to 1, got uint8. Cast the images"),
    (lambda: image.gaussian_blur(X, (0, 3)), r"kernel_size must be two positive numbers of pixels, got \(0, 3\)"),
    (lambda: image.sobel_edges(X[0]), "sobel_edges needs a batch of images with 4 axes"),
    (lambda: image.ssim(X, X[:1], filter_size=3), "ssim compares images of one shape, at least 3 pixels"),
    (lambda: image.ssim(X, X), "at least 11 pixels high and wide.*filter_size makes the windows smaller"),
    (lambda: image.extract_patches(X[0], (2, 2, 2)), "extract_patches needs 4 axes, 3 of them spatial"),
    (lambda: image.extract_patches(X, 0), "extract_patches: size must be a positive integer, or 2 of them, got 0"),
    (lambda: image.extract_patches_3d(X, 2, strides=(1, 2)), "strides must be a positive integer, or 3 of them"),
    (lambda: image.extract_patches(X, 9), "the window covers"),
]


def test_wrong_arguments_are_named() -> None:
    for call, words in WRONG:
        with pytest.raises(ValueError, match=words):
            call()
