"""Networks: their layers and parameters, what goes in and comes out, and weights of files."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import applications, layers, utils
from gpudl.applications import imagenet_utils

# Without the last layer: parameters, layers, and a checksum of the names of layers that were Keras's.
NETWORKS = {
    "DenseNet121": (7_037_504, 427, 1329158369),
    "EfficientNetB0": (4_049_571, 237, 922687637),
    "InceptionV3": (21_802_784, 311, 2075600824),
    "MobileNet": (3_228_864, 86, 1453478042),
    "MobileNetV2": (2_257_984, 154, 2089244220),
    "ResNet50": (23_587_712, 175, 1096469775),
    "ResNet50V2": (23_564_800, 190, 2657815832),
    "VGG16": (14_714_688, 19, 1914063555),
    "Xception": (20_861_480, 132, 2028681192),
}

# What Keras's MobileNet made of the images and weights below.
OF_KERAS = [
    [3.9213705, -4.1121764, -3.3008292, 5.0869083],
    [3.9213696, -4.1121759, -3.3008287, 5.0869088],
]


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_and_parameters_are_those_of_the_published_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Numbers are not looked at: drawing them would take longer than all else.
    monkeypatch.setattr(gpudl.random, "uniform", lambda shape, *_, **__: gpudl.convert_to_tensor(np.zeros(shape, "f")))
    utils.clear_session()
    model = getattr(applications, name)(include_top=False, weights=None)
    names = zlib.crc32("\n".join(layer.name for layer in model.layers).encode())
    assert (model.count_params(), len(model.layers), names) == NETWORKS[name]
    assert model.input_shape == (None, None, None, 3)


def tiny(**more: object) -> gpudl.Model:
    options: dict[str, object] = {"alpha": 0.25, "input_shape": (32, 32, 3), "weights": None, "classes": 10}
    return applications.MobileNet(**{**options, **more})  # type: ignore[arg-type]


def test_results_are_those_of_keras() -> None:
    model = tiny(classes=4, classifier_activation=None)
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape) - (0.5 if len(w.shape) > 1 else 0) for w in model.weights])
    x = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(model(x).numpy(), OF_KERAS, rtol=1e-4)


def test_arguments_change_the_last_layers() -> None:
    x = np.ones((1, 32, 32, 3), np.float32)
    assert tiny()(x).shape == (1, 10)
    np.testing.assert_allclose(tiny()(x).numpy().sum(), 1, rtol=1e-5)
    assert tiny(include_top=False)(x).shape == (1, 1, 1, 256)
    for pooling in ("avg", "max"):
        assert tiny(include_top=False, pooling=pooling)(x).shape == (1, 256)
    inputs = gpudl.Input((32, 32, 3))
    model = tiny(input_tensor=layers.Rescaling(1 / 255)(inputs), name="mine")
    assert model.name == "mine"
    assert model.layers[1].name.startswith("rescaling")


def test_weights_of_files_of_both_kinds(tmp_path: Path) -> None:
    model = tiny(include_top=False)
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape) for w in model.weights])
    model.save_weights(tmp_path / "new.weights.h5")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [layer.name for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            group.attrs["weight_names"] = [f"{layer.name}/{w.name}:0".encode() for w in weights]
            for weight in weights:
                group.create_dataset(f"{layer.name}/{weight.name}:0", data=weight.numpy())
    for name in ("new.weights.h5", "old.h5"):
        read = tiny(include_top=False, weights=tmp_path / name)
        for mine, theirs in zip(read.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match=r"old.h5 has weights of 54 layers, but .* of 55"):
        tiny(weights=tmp_path / "old.h5", classifier_activation=None)
    with pytest.raises(ValueError, match=r"does not fit: its layer 'conv1' has .* 'conv1' "):
        tiny(include_top=False, alpha=0.5, weights=tmp_path / "old.h5")
    with h5py.File(tmp_path / "none.h5", "w"):
        pass
    with pytest.raises(ValueError, match="is not a file of weights: it does not list the names of layers"):
        tiny(include_top=False, weights=tmp_path / "none.h5")


def test_published_weights_are_looked_for_under_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def noted(file: str, origin: str, cache_subdir: str, file_hash: str | None) -> str:
        asked.append((file, origin, cache_subdir, file_hash))
        raise OSError("no network")

    monkeypatch.setattr("gpudl.applications._network.get_file", noted)
    with pytest.raises(OSError, match="no network"):
        applications.MobileNet(alpha=0.25, include_top=False, input_shape=(128, 128, 3))
    with pytest.raises(OSError, match="no network"):
        applications.VGG16(include_top=False)
    server = "https://storage.googleapis.com/tensorflow/keras-applications/"
    first, second = "mobilenet_2_5_128_tf_no_top.h5", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert asked == [
        (first, f"{server}mobilenet/{first}", "models", None),
        (second, f"{server}vgg16/{second}", "models", "6d6bbae143d832006294945121d1f1fc"),
    ]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: applications.ResNet50(weights="imagnet"), "ResNet50: weights must be None, 'imagenet' or the path"),
    (
        lambda: applications.ResNet50(classes=10),
        "ResNet50: the weights of 'imagenet' are of 1000 classes, got classes=1",
    ),
    (lambda: applications.ResNet50(weights=None, input_shape=(16, 32, 3)), "images must be at least 32 x 32, got"),
    (lambda: applications.ResNet50(weights=None, input_shape=(32, 32)), "input_shape must have three sizes, got"),
    (lambda: applications.ResNet50(input_shape=(64, 64, 3)), r"input_shape must be \(224, 224, 3\), got \(64"),
    (lambda: applications.ResNet50(include_top=False, input_shape=(64, 64, 1)), "are for 3 channels, got input_shape"),
    (lambda: applications.ResNet50(weights=None, input_shape=(None, 64, 3)), "all sizes of input_shape must be known"),
    (
        lambda: applications.ResNet50(classifier_activation="relu"),
        "the classifier_activation is 'softmax' or None, got",
    ),
    (
        lambda: applications.VGG16(weights=None, pooling="mean"),
        "VGG16: pooling must be None, 'avg' or 'max', got 'mean'",
    ),
    (lambda: applications.MobileNet(alpha=0.3), "MobileNet: the weights of 'imagenet' are for a depth_multiplier of 1"),
    (lambda: applications.MobileNetV2(alpha=0.3), "MobileNetV2: the weights of 'imagenet' are for an alpha of 0.35"),
    (lambda: tiny(input_tensor=np.ones((1, 32, 32, 3))), "MobileNet: input_tensor must be a symbol, such as an Input"),
    (lambda: imagenet_utils.preprocess_input(np.ones((2, 2, 3)), mode="tensor"), "mode must be 'caffe', 'tf' or 'tor"),
    (lambda: imagenet_utils.decode_predictions(np.ones((2, 10))), "needs the scores of 1000 classes"),
]


def test_wrong_arguments_are_named() -> None:
    for call, words in WRONG:
        with pytest.raises(ValueError, match=words):
            call()


@parity
@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_images_are_prepared_as_keras_does(mode: str) -> None:
    keras = keras_or_skip()
    x = np.random.default_rng(1).uniform(0, 255, (2, 4, 5, 3)).astype(np.float32)
    for data_format, shape in (("channels_last", x), ("channels_first", x.transpose(0, 3, 1, 2))):
        for images in (shape, shape[0]):
            expected = keras.applications.imagenet_utils.preprocess_input(images.copy(), data_format, mode)
            for given in (images, gpudl.convert_to_tensor(np.ascontiguousarray(images))):
                found = imagenet_utils.preprocess_input(given, data_format, mode)
                assert type(found) is type(given)
                np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-4)
    assert imagenet_utils.preprocess_input(x.astype(np.uint8)).dtype == np.float32


def test_predictions_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({str(at): [f"n{at}", f"thing {at}"] for at in range(1000)}))
    monkeypatch.setattr(imagenet_utils, "get_file", lambda *_, **__: str(path))
    scores = np.zeros((2, 1000), np.float32)
    scores[0, [3, 8]], scores[1, 5] = (0.25, 0.75), 1
    found = applications.resnet50.decode_predictions(gpudl.convert_to_tensor(scores), top=2)
    assert found[0] == [("n8", "thing 8", 0.75), ("n3", "thing 3", 0.25)]
    assert found[1][0] == ("n5", "thing 5", 1.0)
