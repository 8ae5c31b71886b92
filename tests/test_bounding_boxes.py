"""Boxes around objects: formats, overlap and distances beside Keras's, and boxes that move with their images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from image_layer_cases import LAYERS
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import layers
from gpudl.utils import bounding_boxes as own
from gpudl.utils.bounding_boxes.formats import FORMATS

SIZE = (24, 32)
RNG = np.random.default_rng(3)


def boxes(*shape: int, rng: np.random.Generator = RNG) -> np.ndarray:
    """Return boxes x1, y1, x2, y2 in images of `SIZE`, some of them beyond an edge."""
    low = rng.uniform(-4, 20, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(1, 16, (*shape, 2))], axis=-1).astype(np.float32)


BATCH, SINGLE, ANCHORS = boxes(2, 5), boxes(5), boxes(5)
FEW = np.linspace(-0.3, 0.9, 2, dtype=np.float32)
CALLS: dict[str, list[Callable[[Any], Any]]] = {
    "convert_format": [
        lambda o, a=a, b=b: o.convert_format(BATCH, a, b, *SIZE) for a in FORMATS for b in (*FORMATS[:1], FORMATS[-1])
    ]
    + [lambda o, b=b: o.convert_format(SINGLE, "xyxy", b, *SIZE) for b in FORMATS],
    "clip_to_image_size": [
        lambda o: o.clip_to_image_size({"boxes": BATCH, "labels": np.arange(10).reshape(2, 5)}, *SIZE),
        lambda o: o.clip_to_image_size({"boxes": BATCH / 8}, bounding_box_format="rel_xyxy"),
    ],
    "affine_transform": [
        lambda o, on=on: o.affine_transform(
            BATCH,
            *(FEW * by if at in on else FEW * 0 + (at == 3) for at, by in enumerate((90, 1, 1, 2, 30, 30))),
            *SIZE,
        )
        for on in [(0,), (1, 2), (3,), (4,), (5,), (0, 1, 2, 3, 4, 5)]
    ],
    "crop": [lambda o: o.crop(BATCH, 3, 4, 12, 20)],
    "pad": [lambda o: o.pad(SINGLE, 3, 4)],
    "encode_box_to_deltas": [
        lambda o, kind=kind: o.encode_box_to_deltas(ANCHORS, BATCH, "xyxy", "xywh", kind, [0.1, 0.1, 0.2, 0.2])
        for kind in ("center_yxhw", "center_xywh")
    ],
    "decode_deltas_to_boxes": [
        lambda o: o.decode_deltas_to_boxes(ANCHORS, BATCH / 20, "xyxy", "rel_xywh", image_shape=(*SIZE, 3)),
        lambda o: o.decode_deltas_to_boxes({"a": ANCHORS}, {"a": SINGLE / 20}, "xyxy", "yxyx")["a"],
    ],
    "compute_iou": [
        lambda o: o.compute_iou(BATCH, SINGLE, "xyxy"),
        lambda o: o.compute_iou(SINGLE, BATCH[0, :3] - 25, "yxyx", use_masking=True),
        lambda o: o.compute_iou(BATCH / 30, BATCH[:, :3] / 30, "rel_xyxy", image_shape=(*SIZE, 3)),
    ],
    "compute_ciou": [lambda o: o.compute_ciou(BATCH, BATCH[:, ::-1], "xyxy")],
}


def test_every_function_is_compared() -> None:
    assert sorted(CALLS) == sorted(own.__all__)


@parity
@pytest.mark.parametrize("name", CALLS)
def test_functions_give_what_keras_gives(name: str) -> None:
    keras = keras_or_skip()
    for number, call in enumerate(CALLS[name]):
        found, wanted = (call(of.utils.bounding_boxes) for of in (gpudl, keras))
        found, wanted = (side if isinstance(side, dict) else {"boxes": side} for side in (found, wanted))
        for key in wanted:
            np.testing.assert_allclose(
                found[key].numpy(), np.asarray(wanted[key]), rtol=1e-4, atol=2e-4, err_msg=f"{name} {number}"
            )


# Rotation takes boxes for xyxy in Keras, and perspective returns xyxy.
MOVING = (
    "RandomFlip",
    "RandomTranslation",
    "RandomRotation",
    "RandomZoom",
    "RandomPerspective",
    "CenterCrop",
    "Resizing",
)


def options(name: str, rng: np.random.Generator) -> dict[str, Any]:
    chosen = LAYERS[name](rng)
    if name == "CenterCrop":
        chosen = {"height": int(rng.integers(8, 40)), "width": int(rng.integers(8, 40))}
    # Keras measures in fractions of pixels what its images have in whole ones.
    return {key: value for key, value in chosen.items() if "aspect_ratio" not in key}


@parity
@pytest.mark.parametrize("name", MOVING)
def test_boxes_move_as_those_of_keras(name: str) -> None:
    from test_image_layers_parity import transformation

    keras = keras_or_skip()
    images = np.zeros((3, *SIZE, 1), np.float32)
    for number in range(20):
        rng = np.random.default_rng(number)
        kind = "xyxy" if name in ("RandomRotation", "RandomPerspective") else str(rng.choice(FORMATS))
        given = {"bounding_box_format": kind, **options(name, rng)}
        start = boxes(3, 4, rng=rng)
        if name == "RandomFlip":  # which leaves what is beyond an edge in Keras
            start = own.clip_to_image_size({"boxes": start}, *SIZE)["boxes"].numpy()
        start = own.convert_format(start, "xyxy", kind, *SIZE).numpy()
        data = {"boxes": start, "labels": np.arange(12).reshape(3, 4)}
        theirs, mine = getattr(keras.layers, name)(**given), getattr(layers, name)(**given)
        drawn = theirs.get_random_transformation({"images": images}, training=True)
        wanted = theirs.transform_bounding_boxes({k: keras.ops.array(v) for k, v in data.items()}, drawn, training=True)
        parts = {key: gpudl.convert_to_tensor(value) for key, value in transformation(name, drawn).items()}
        found = mine.transform_bounding_boxes(data, {**parts, "images": gpudl.convert_to_tensor(images)})
        tolerance = 1e-4 * (1 if kind.startswith("rel") else 32)
        np.testing.assert_allclose(
            found["boxes"].numpy(), np.asarray(wanted["boxes"]), atol=tolerance, err_msg=f"{number}: {given}"
        )
        if name not in ("RandomFlip", "RandomZoom"):  # there Keras measures what is left by other edges
            np.testing.assert_array_equal(found["labels"].numpy(), np.asarray(wanted["labels"]), err_msg=f"{given}")


def painted(where: np.ndarray) -> np.ndarray:
    """Return images that are 1 inside of one box each, and 0 outside."""
    rows, columns = np.arange(SIZE[0])[:, None], np.arange(SIZE[1])
    x1, y1, x2, y2 = (where[:, at, None, None] for at in range(4))
    inside = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
    return inside[..., None].astype(np.float32)


EVERY: dict[str, dict[str, Any]] = {
    "RandomFlip": {},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3, "fill_mode": "constant"},
    "RandomRotation": {"factor": (0.25, 0.25), "fill_mode": "constant"},
    "RandomZoom": {"height_factor": 0.4, "width_factor": 0.4, "fill_mode": "constant"},
    "RandomShear": {"x_factor": 0.4, "y_factor": 0.0, "fill_mode": "constant"},
    "RandomPerspective": {"factor": 0.7, "scale": 0.2},
    "RandomCrop": {"height": 20, "width": 24},
    "CenterCrop": {"height": 20, "width": 28},
    "Resizing": {"height": 48, "width": 40, "pad_to_aspect_ratio": True},
    "Resizing of the middle": {"height": 30, "width": 31, "crop_to_aspect_ratio": True},
    "CenterCrop of small images": {"height": 30, "width": 31},
    "RandomCrop of small images": {"height": 20, "width": 41},
    "RandomZoom out": {"height_factor": (0.2, 0.4), "fill_mode": "constant"},
}


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", EVERY)
def test_a_box_stays_around_its_pixels(name: str, layout: str) -> None:
    layer = getattr(layers, name.split()[0])(**EVERY[name], data_format=layout, bounding_box_format="xyxy")
    corners = np.random.default_rng(1).integers([8, 6], [12, 9], (6, 2))
    where = np.concatenate([corners, corners + np.array([10, 8])], axis=1).astype(np.float32)
    images = painted(where)
    if layout == "channels_first":
        images = images.transpose(0, 3, 1, 2)
    data = {"images": images, "bounding_boxes": {"boxes": where[:, None], "labels": np.full((6, 1), 7)}}
    moved = layer(data, training=True)
    pixels = moved["images"].numpy()
    pixels = pixels[:, 0] if layout == "channels_first" else pixels[..., 0]
    for image, box, label in zip(
        pixels, *(moved["bounding_boxes"][k].numpy() for k in ("boxes", "labels")), strict=True
    ):
        rows, columns = (np.flatnonzero((image > 0.5).any(axis)) for axis in (1, 0))
        if label == -1:
            assert rows.size == 0
        else:
            around = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(box[0], around, atol=1.6, err_msg=f"{name} {layout}")
    single = {"images": images[0], "bounding_boxes": {"boxes": where[:1], "labels": np.array([7])}}
    assert layer(single, training=True)["bounding_boxes"]["boxes"].shape == (1, 4)
    if not layer._always:
        kept = layer(data, training=False)["bounding_boxes"]["boxes"]
        np.testing.assert_array_equal(np.asarray(kept), where[:, None])


def test_boxes_of_chosen_layers_and_of_mixtures() -> None:
    images, data = np.zeros((2, *SIZE, 3), np.float32), {"boxes": BATCH, "labels": np.ones((2, 5))}
    layer = layers.RandAugment(num_ops=5, seed=2, bounding_box_format="xyxy")
    step = gpudl.traced(
        lambda x, b, n: layer({"images": x, "bounding_boxes": {"boxes": b, "labels": n}}, training=True)
    )
    changed = [step(images, BATCH, data["labels"])["bounding_boxes"]["boxes"].numpy() for _ in range(6)]
    assert len({each.tobytes() for each in changed}) > 2
    mixed = layers.MixUp(seed=1)({"images": images, "bounding_boxes": data}, training=True)["bounding_boxes"]
    assert (mixed["boxes"].shape, mixed["labels"].shape) == ((2, 10, 4), (2, 10))
    np.testing.assert_array_equal(mixed["boxes"][:, :5].numpy(), BATCH)
    kept = layers.AugMix(seed=1, bounding_box_format="xyxy")({"images": images, "bounding_boxes": data}, training=True)
    assert kept["bounding_boxes"]["boxes"].shape == (2, 5, 4)


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: own.convert_format(BATCH, "xyxy", "corners"), "the format must be one of xyxy, yxyx,"),
    (
        lambda: own.convert_format(BATCH[..., :3], "xyxy", "xywh"),
        "four numbers along the last axis, got shape",
    ),
    (lambda: own.convert_format(BATCH, "xyxy", "rel_xywh"), "from xyxy to rel_xywh takes the height and width"),
    (lambda: own.clip_to_image_size({"boxes": BATCH}), "boxes in pixels need the height and the width of the image."),
    (lambda: own.crop(BATCH, 1, 1, 2, 2, "xywh"), "crop: bounding_box_format must be 'xyxy', got 'xywh'."),
    (lambda: own.compute_iou(BATCH, BATCH[None], "xyxy"), "compute_iou takes boxes (number, 4) or (batch, number, 4)"),
    (lambda: own.compute_ciou(BATCH, BATCH, "rel_xyxy"), "boxes in the format rel_xyxy need image_shape="),
    (
        lambda: own.encode_box_to_deltas(ANCHORS, BATCH, "xyxy", "xyxy", "xywh"),
        "must be 'center_xywh' or",
    ),
    (lambda: own.encode_box_to_deltas(ANCHORS, BATCH, "xyxy", "xyxy", variance=[1.0]), "variance must be four numbers"),
    (lambda: own.decode_deltas_to_boxes({"a": ANCHORS}, BATCH, "xyxy", "xyxy"), "both be dicts, or neither of them."),
    (lambda: called(layers.Resizing(4, 4), BATCH), ": to move boxes, say what their numbers mean"),
    (
        lambda: called(layers.Resizing(4, 4, bounding_box_format="xyxy"), BATCH[..., :3]),
        "and a label for each, got",
    ),
    (
        lambda: layers.CenterCrop(4, 4, bounding_box_format="xyxy").transform_bounding_boxes({}, {}),
        ": get_random_transformation needs the dict with bounding_boxes",
    ),
]


def called(layer: layers.Layer, where: np.ndarray) -> object:
    return layer({"images": np.zeros((2, *SIZE, 3)), "bounding_boxes": {"boxes": where, "labels": np.ones((2, 5))}})


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_wrong_arguments_are_named(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is compared)
        call()
    assert said in str(caught.value)
