"""Layers for images by themselves: layouts, single images, dicts, steps, and what each may and must change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from image_layer_cases import LAYERS, OTHERS, SHAPE, drawn, pictures
from strict_cupy import installed

import gpudl
from gpudl import backend, layers
from gpudl.layers.preprocessing import image
from gpudl.layers.preprocessing.image.base import ImageLayer

NAMES = (*LAYERS, *OTHERS)
every = pytest.mark.parametrize("name", NAMES)
ALWAYS = {"AutoContrast", "CenterCrop", "MaxNumBoundingBoxes", "Resizing"}
MIXING = {"CutMix", "MixUp"}
KEEP_INTEGERS = {"MaxNumBoundingBoxes", "RandomGrayscale", "Resizing"}
X = pictures()


def made(name: str, **more: Any) -> ImageLayer:
    gpudl.utils.set_random_seed(2)  # since one random flip of three images in eight flips none
    layer: ImageLayer = getattr(layers, name)(**drawn(name), **more)
    return layer


def test_every_layer_has_a_case() -> None:
    assert {*NAMES, "Pipeline", "Rescaling"} == set(image.__all__)


@every
def test_layouts_and_single_images_and_integers_make_no_difference(name: str) -> None:
    layer = made(name)
    state = layer.generator.state.numpy() if layer.generator else None

    def run(x: np.ndarray, data_format: str = "channels_last") -> np.ndarray:
        layer.data_format = data_format
        if state is not None:
            layer.generator.state.assign(state)
        return layer(x, training=True).numpy()

    wanted = run(X)
    assert wanted.dtype == np.float32
    first = run(np.ascontiguousarray(X.transpose(0, 3, 1, 2)), "channels_first").transpose(0, 2, 3, 1)
    np.testing.assert_allclose(first, wanted, rtol=1e-5, atol=2e-3)
    np.testing.assert_allclose(run(X[0]), run(X[:1])[0], rtol=1e-6)
    whole = np.floor(X)
    found = run(whole.astype(np.uint8))
    assert found.dtype == (np.uint8 if name in KEEP_INTEGERS else np.float32)
    np.testing.assert_allclose(
        found,
        run(whole) if found.dtype == np.float32 else np.clip(run(whole), 0, 255),
        atol=1.0 if name in KEEP_INTEGERS else 2e-3,
    )


@every
def test_inference_passes_images_through(name: str) -> None:
    if name in ALWAYS:
        np.testing.assert_array_equal(made(name)(X, training=False).numpy(), made(name)(X, training=True).numpy())
    else:
        np.testing.assert_array_equal(made(name)(X, training=False).numpy(), X)
        model = gpudl.Sequential([gpudl.Input(SHAPE[1:]), made(name)])
        np.testing.assert_array_equal(model.predict(X, verbose=0), X)


@every
def test_a_replayed_step_draws_what_an_eager_one_does_and_other_things_each_time(name: str) -> None:
    eager, layer = made(name), made(name)
    if layer.generator:
        layer.generator.state.assign(eager.generator.state)
    step = gpudl.traced(lambda x: layer(x, training=True))
    results = []
    for _ in range(4):
        results.append(step(X).numpy())
        np.testing.assert_array_equal(results[-1], eager(X, training=True).numpy())
    same = all(np.array_equal(results[0], other) for other in results[1:])
    assert same == (not layer.generator)


@every
def test_config_makes_the_same_layer(name: str) -> None:
    layer = made(name)
    copy = layers.deserialize(layers.serialize(layer))
    assert copy.get_config() == layer.get_config()
    assert layer.get_config()["data_format"] == "channels_last"
    assert layer.compute_output_shape((None, *SHAPE[1:])) == (None, *layer(X).shape[1:])


@every
def test_labels_stay_and_masks_go_with_their_pixels(name: str) -> None:
    layer = made(name)
    masks = np.arange(3 * 48, dtype=np.int32).reshape(3, 8, 6, 1)
    found = layer({"images": X, "labels": np.eye(3), "segmentation_masks": masks, "more": np.ones(3)}, training=True)
    assert list(found) == ["images", "labels", "segmentation_masks", "more"]
    if name not in MIXING:
        np.testing.assert_array_equal(found["labels"].numpy(), np.eye(3))
    changed = found["segmentation_masks"]
    assert changed.dtype == (np.float32 if name == "MixUp" else np.int32)
    assert changed.shape[:3] == found["images"].shape[:3]
    if layer._keeps_places:
        np.testing.assert_array_equal(changed.numpy(), masks)
        boxes = {"boxes": np.ones((3, 4, 4)), "labels": np.ones((3, 4))}
        kept = layer({"images": X, "bounding_boxes": boxes})["bounding_boxes"]
        np.testing.assert_array_equal(kept["boxes"].numpy(), boxes["boxes"])
    else:
        assert not np.array_equal(changed.numpy(), masks)
        if name in ("CutMix", "RandomElasticTransform"):
            boxes = {"boxes": np.ones((3, 4, 4)), "labels": np.ones((3, 4))}
            layer.bounding_box_format = "xyxy"
            with pytest.raises(NotImplementedError, match="does not transform bounding boxes"):
                layer({"images": X, "bounding_boxes": boxes}, training=True)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
def test_steps_on_the_double_transfer_nothing() -> None:
    stack = [layers.RandomRotation(0.2, seed=1), layers.RandomContrast(0.3, seed=2), layers.RandomCrop(6, 5, seed=3)]
    wanted = layers.Pipeline(stack)(X, training=True).numpy()
    with installed() as meter:
        backend.use("cupy")
        copies = [type(layer).from_config(layer.get_config()) for layer in stack]
        x = gpudl.convert_to_tensor(X)
        step = gpudl.traced(lambda x: layers.Pipeline(copies)(x, training=True))
        found = step(x).numpy()
        meter.reset()
        step(x)
        assert (meter.host_to_device, meter.device_to_host) == (0, 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=0.05)


def test_layers_run_in_data_sets_and_in_training() -> None:
    augment = layers.Pipeline([layers.RandomFlip(seed=1), layers.RandomTranslation(0.2, 0.2, seed=2)])
    data = gpudl.utils.pipeline.Dataset.from_tensor_slices(X).batch(2).map(augment)
    batches = list(data.as_numpy_iterator())
    assert [type(batch) for batch in batches] == [np.ndarray] * 2
    assert [batch.shape for batch in batches] == [(2, 8, 6, 3), (1, 8, 6, 3)]
    model = gpudl.Sequential([augment, layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(X, np.ones(3), epochs=2, verbose=0).history["loss"]).all()


def test_half_of_the_images_are_flipped_and_angles_and_distances_fill_their_range() -> None:
    line = np.broadcast_to(np.arange(6.0, dtype=np.float32), (400, 8, 6))[..., None]
    flipped = layers.RandomFlip("horizontal", seed=1)(line).numpy()[:, 0, 0, 0]
    assert set(flipped) == {0.0, 5.0}
    assert (flipped == 5).mean() == pytest.approx(0.5, abs=4 * 0.5 / 20)
    moved = layers.RandomTranslation(0, (-0.5, 0.5), "constant", fill_value=9.0, seed=1)
    by = moved.get_random_transformation(line)["translations"].numpy()
    assert np.abs(by[:, 1]).max() == 0
    assert by[:, 0].min() == pytest.approx(-3, abs=0.1)
    assert by[:, 0].max() == pytest.approx(3, abs=0.1)
    assert by[:, 0].mean() == pytest.approx(0, abs=4 * 3 / np.sqrt(3 * 400))
    inverted = layers.RandomInvert((0.25, 0.25), seed=1)(line).numpy()[:, 0, 0, 0]
    assert (inverted == 255).mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 400))
    crops = layers.RandomCrop(7, 2, seed=3)
    assert {float(crops(line[:1]).numpy()[0, 0, 0, 0]) for _ in range(60)} == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_mixed_labels_weigh_the_images_that_are_mixed() -> None:
    x = np.zeros((6, 16, 16, 3), np.float32) + np.arange(6.0, dtype=np.float32).reshape(6, 1, 1, 1)
    for layer in (layers.MixUp(1.0, seed=1), layers.CutMix(seed=2)):
        found = layer({"images": x, "labels": np.eye(6, dtype=np.float32)}, training=True)
        labels = found["labels"].numpy()
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
        assert 0 < (labels > 0.01).sum() - 6 <= 6
        of_labels, of_images = labels @ np.arange(6), found["images"].numpy().mean(axis=(1, 2, 3))
        np.testing.assert_allclose(of_images, of_labels, atol=1e-5 if isinstance(layer, layers.MixUp) else 0.6)
        assert layer({"images": x[0], "labels": np.eye(6)[0]})["labels"].numpy().tolist() == [1, 0, 0, 0, 0, 0]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: layers.Resizing(0, 3), "Resizing: height must be a positive integer, got 0"),
    (lambda: layers.Resizing(2, 3, "cubic")(X), "interpolation must be one of 'bilinear', .* got 'cubic'"),
    (lambda: layers.CenterCrop(2.5, 3), "CenterCrop: height must be a positive integer, got 2.5"),
    (lambda: layers.RandomFlip("left"), "RandomFlip: mode must be one of horizontal, vertical, .* got 'left'"),
    (lambda: layers.RandomRotation(1.5), "RandomRotation: factor must be a number from -1.0 to 1.0, or the smallest"),
    (lambda: layers.RandomRotation("a"), "RandomRotation: factor must be a number .* got 'a'"),
    (lambda: layers.RandomRotation(0.1, "edge"), "RandomRotation: fill_mode must be one of reflect, wrap, constant"),
    (lambda: layers.RandomZoom((-1, 0)), "RandomZoom: height_factor must be above -1, where nothing would be seen"),
    (lambda: layers.RandomShear((-0.1, 0.1)), "RandomShear: x_factor must be a number from 0.0 to 1.0"),
    (lambda: layers.RandomTranslation(0, (0, 1, 2)), "RandomTranslation: width_factor must be a number from -1.0"),
    (lambda: layers.RandomContrast(-0.5), "RandomContrast: factor must be a number from 0.0 to 1.0"),
    (lambda: layers.RandomBrightness(0.5, 255), r"RandomBrightness: value_range must be two different numbers, such"),
    (lambda: layers.RandomPosterization(9), "RandomPosterization: factor must be a number from 1 to 8"),
    (lambda: layers.RandomGrayscale(2), "RandomGrayscale: factor must be a number from 0 to 1, got 2"),
    (lambda: layers.RandomGaussianBlur(kernel_size=4), "RandomGaussianBlur: kernel_size must be an odd number of pix"),
    (lambda: layers.RandomPerspective(scale=2), "RandomPerspective: scale must be a number from 0 to 1"),
    (lambda: layers.RandomElasticTransform(interpolation="cubic"), "RandomElasticTransform: interpolation must be on"),
    (lambda: layers.RandomErasing(fill_value=(1, 2)), "RandomErasing: fill_value must be a number, or three of them"),
    (lambda: layers.RandAugment(num_ops=0), "RandAugment: num_ops must be a positive integer, got 0"),
    (lambda: layers.AugMix(chain_depth=0), "AugMix: chain_depth must be a positive integer, got 0"),
    (lambda: layers.MixUp(alpha=0), "MixUp: alpha must be a number of at least 1e-06, got 0"),
    (lambda: layers.CutMix(2), "CutMix: factor must be a number from 0.0 to 1.0"),
    (lambda: layers.MixUp()({"images": X, "labels": np.ones(3)}), r"mixes labels of shape \(batch, classes\), got \(3"),
    (lambda: layers.Equalization(bins=0), "Equalization: bins must be a positive integer"),
    (lambda: layers.MaxNumBoundingBoxes(0), "MaxNumBoundingBoxes: max_number must be a positive integer"),
    (lambda: layers.RandomFlip()(X[0, 0]), 'RandomFlip ".*": expected an image with 3 axes, or a batch of images'),
    (lambda: layers.RandomHue(0.5)(X[..., :1]), 'RandomHue ".*": rgb_to_hsv needs 3 channels along axis 3'),
    (lambda: layers.RandomFlip()({"image": X}), 'RandomFlip ".*": a dict must have images, got the keys'),
    (lambda: layers.RandomFlip(data_format="last"), "data_format must be one of channels_last, channels_first"),
    (lambda: layers.RandomRotation(0.1, fil_mode="wrap"), "RandomRotation has no argument 'fil_mode'. Did you mean"),
]


def test_wrong_arguments_are_named() -> None:
    for call, words in WRONG:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="Pipeline: layers must be a list of layers, got 'flip'"):
        layers.Pipeline("flip")  # type: ignore[arg-type]
