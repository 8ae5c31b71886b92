"""Images, data sets of folders, padded sequences and windows of a series."""

from __future__ import annotations

import builtins
import io
from pathlib import Path

import numpy as np
import pytest

import gpudl
from gpudl import utils
from gpudl.utils.resizing import METHODS, resized


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two classes, with 6 and 4 images of one colour each, and as many texts."""
    top = tmp_path_factory.mktemp("classes")
    for label, (name, count) in enumerate({"cats": 6, "dogs": 4}.items()):
        (top / name).mkdir()
        for number in range(count):
            image = np.full((6, 8, 3), 100 * label + number)
            utils.save_img(top / name / f"{number}.png", image, scale=False)
            (top / name / f"{number}.txt").write_text(f"{name} ü {number}", encoding="utf-8")
    (top / "cats" / "notes.md").write_text("no image")
    (top / ".hidden").mkdir()
    return top


def numbers(data: utils.Sequence) -> list[int]:
    return [int(image[0, 0, 0]) for x, y in data.as_numpy_iterator() for image in x]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_comes_back_from_its_file(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.float32)
    mode = {1: "grayscale", 3: "rgb", 4: "rgba"}[channels]
    utils.save_img(str(tmp_path / "a.png"), pixels, scale=False)
    for path in (tmp_path / "a.png", str(tmp_path / "a.png"), io.BytesIO((tmp_path / "a.png").read_bytes())):
        array = utils.img_to_array(utils.load_img(path, mode))
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, pixels)
    first = utils.img_to_array(utils.load_img(tmp_path / "a.png", mode), "channels_first", "uint8")
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(utils.img_to_array(utils.array_to_img(first, "channels_first", False)), pixels)
    scaled = utils.img_to_array(utils.array_to_img(pixels / 7 - 3))
    assert (scaled.min(), scaled.max()) == (0, 255)


def test_a_jpeg_keeps_no_transparency(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="JPEG has no transparency"):
        utils.save_img(tmp_path / "a.jpg", np.zeros((8, 8, 4)))
    assert utils.load_img(tmp_path / "a.jpg").size == (8, 8)


def test_an_image_is_cut_to_the_aspect_ratio(tmp_path: Path) -> None:
    wide = np.zeros((4, 12, 1))
    wide[:, 4:8] = 255
    utils.save_img(tmp_path / "a.png", wide, scale=False)
    kept = utils.load_img(tmp_path / "a.png", "grayscale", (2, 2), keep_aspect_ratio=True)
    assert utils.img_to_array(kept).tolist() == [[[255.0], [255.0]]] * 2
    assert utils.img_to_array(utils.load_img(tmp_path / "a.png", "grayscale", (2, 3))).max() == 255


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: utils.load_img(3), TypeError, "must be a path or an io.BytesIO, got int"),
        (lambda: utils.load_img("a.png", "cmyk"), ValueError, "color_mode must be"),
        (lambda: utils.array_to_img(np.zeros((2, 2))), ValueError, r"three axes, got shape \(2, 2\)"),
        (lambda: utils.array_to_img(np.zeros((2, 2, 2))), ValueError, "1, 3 or 4 channels, got 2"),
        (lambda: utils.img_to_array(np.zeros(2)), ValueError, "two or three axes"),
        (lambda: utils.img_to_array(np.zeros((2, 2)), "last"), ValueError, "data_format must be one of"),
        (lambda: utils.pad_sequences(3), ValueError, "a list of sequences, got int"),
        (lambda: utils.pad_sequences([1, 2]), ValueError, "one of them is 1"),
        (lambda: utils.pad_sequences([[1]], padding="left"), ValueError, 'padding must be "pre" or "post"'),
        (lambda: utils.pad_sequences([["a"]], value="b"), ValueError, "pass dtype=object"),
        (lambda: utils.pad_sequences([[[1]], [[1, 2]]]), ValueError, r"\(2,\) in sequence 1"),
        (
            lambda: utils.timeseries_dataset_from_array([1, 2], None, 1, 2),
            ValueError,
            "sequence_stride must be above 0",
        ),
        (lambda: utils.timeseries_dataset_from_array([1, 2], None, 1, end_index=2), ValueError, "end_index must be"),
    ],
)
def test_wrong_arguments_are_named(call: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()  # type: ignore[operator]


def test_without_pillow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without(name: str, *args: object) -> object:
        if name.startswith("PIL"):
            raise ImportError(name)
        return genuine(name, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"load_img needs the library Pillow: run `pip install pillow`"):
        utils.load_img("a.png")


def test_a_folder_of_images_is_a_data_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = utils.image_dataset_from_directory(folder, image_size=(3, 4), batch_size=4, shuffle=False)
    assert capsys.readouterr().out == "Found 10 files belonging to 2 classes.\n"
    assert data.class_names == ["cats", "dogs"]
    assert [Path(path).stem for path in data.file_paths] == list("0123450123")
    batches = list(data.as_numpy_iterator())
    assert [x.shape for x, y in batches] == [(4, 3, 4, 3), (4, 3, 4, 3), (2, 3, 4, 3)]
    assert numbers(data) == [0, 1, 2, 3, 4, 5, 100, 101, 102, 103]
    assert np.concatenate([y for x, y in batches]).tolist() == [0] * 6 + [1] * 4
    assert batches[0][0].dtype == np.float32
    assert batches[0][1].dtype == np.int32


def test_a_folder_is_taken_in_another_order_each_pass_with_its_labels(folder: Path) -> None:
    data = utils.image_dataset_from_directory(folder, image_size=2, seed=3, label_mode="binary", verbose=False)
    first, second = numbers(data), numbers(data)
    assert sorted(first) == sorted(second)
    assert first != second
    for x, y in data.as_numpy_iterator():
        np.testing.assert_array_equal(y, (x[:, 0, 0, :1] >= 100).astype(np.float32))
        assert y.dtype == np.float32


def test_the_two_parts_share_no_file(folder: Path) -> None:
    options = {"image_size": (2, 2), "validation_split": 0.3, "seed": 5, "verbose": False}
    both = utils.image_dataset_from_directory(folder, subset="both", **options)
    alone = [utils.image_dataset_from_directory(folder, subset=name, **options) for name in ("training", "validation")]
    assert [set(each.file_paths) for each in both] == [set(each.file_paths) for each in alone]
    assert [len(each.file_paths) for each in both] == [7, 3]
    assert not set(both[0].file_paths) & set(both[1].file_paths)


@pytest.mark.parametrize(("data_format", "shape"), [(None, (5, 5, 1)), ("channels_first", (1, 5, 5))])
def test_the_aspect_ratio_is_kept_by_cutting_or_by_margins(
    folder: Path, data_format: str | None, shape: tuple[int, ...]
) -> None:
    options = {"class_names": ["dogs"], "color_mode": "grayscale", "image_size": (5, 5), "shuffle": False}
    options |= {"batch_size": None, "label_mode": None, "data_format": data_format, "verbose": False}
    cut = next(utils.image_dataset_from_directory(folder, crop_to_aspect_ratio=True, **options).as_numpy_iterator())
    padded = next(utils.image_dataset_from_directory(folder, pad_to_aspect_ratio=True, **options).as_numpy_iterator())
    assert cut.shape == padded.shape == shape
    np.testing.assert_allclose(cut, 100, rtol=1e-6)
    assert padded.reshape(5, 5)[:, 0].round().tolist() == [0, 100, 100, 100, 0]


def test_a_model_is_trained_on_a_folder(folder: Path) -> None:
    data = utils.image_dataset_from_directory(folder, image_size=(2, 2), label_mode="categorical", verbose=False)
    model = gpudl.Sequential([gpudl.layers.Flatten(), gpudl.layers.Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2


def test_texts_come_with_their_labels(folder: Path) -> None:
    data = utils.text_dataset_from_directory(folder, batch_size=3, seed=0, max_length=6, verbose=False)
    for texts, labels in data:
        assert [text == "dogs ü" for text in texts] == np.asarray(labels).astype(bool).tolist()
    given = utils.text_dataset_from_directory(folder, labels=[7] * 10, shuffle=False, verbose=False)
    assert given.class_names == ["7"]
    assert next(given.as_numpy_iterator())[0].tolist()[-1] == "dogs ü 3"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels": "all"}, 'must be "inferred", None or a list'),
        ({"labels": [1, 2]}, "2 labels, but 10 files"),
        ({"labels": None, "class_names": ["cats"]}, "only be given with labels="),
        ({"label_mode": "one-hot"}, "label_mode must be"),
        ({"label_mode": "binary", "class_names": ["cats"]}, "exactly two classes"),
        ({"class_names": ["cow"]}, r"class_names has \['cow'\], but .* has the folders \['cats', 'dogs'\]"),
        ({"validation_split": 2, "subset": "both"}, "between 0 and 1"),
        ({"validation_split": 0.5}, "only be given together"),
        ({"validation_split": 0.5, "subset": "test"}, "subset must be"),
        ({"validation_split": 0.5, "subset": "both"}, "pass a seed too"),
        ({"format": "torch"}, 'format must be "tf" or "grain"'),
        ({"validation_split": 0.01, "subset": "validation", "seed": 1}, "No text files for validation"),
    ],
)
def test_wrong_arguments_of_folders_are_named(folder: Path, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        utils.text_dataset_from_directory(folder, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_resizing_keeps_what_is_even_and_turns_with_the_image(method: str) -> None:
    np.testing.assert_allclose(resized(np.full((5, 3, 2), 9), 7, 4, method), 9, rtol=1e-6)
    image = np.random.default_rng(1).normal(size=(6, 5, 1))
    turned = resized(image.transpose(1, 0, 2), 10, 12, method).transpose(1, 0, 2)
    np.testing.assert_allclose(resized(image, 12, 10, method), turned, atol=1e-6)


def test_windows_of_a_series() -> None:
    series = np.arange(10) * 1.5
    data = utils.timeseries_dataset_from_array(series, np.arange(10), 3, 2, 2, batch_size=2, start_index=1, end_index=9)
    batches = list(data.as_numpy_iterator())
    assert [x.tolist() for x, _ in batches] == [[[1.5, 4.5, 7.5], [4.5, 7.5, 10.5]]]
    assert [y.tolist() for _, y in batches] == [[1, 3]]
    single = utils.timeseries_dataset_from_array(series, None, 4, batch_size=None, shuffle=True, seed=1)
    assert len(single) == 7
    assert sorted(x[0] for x in single.as_numpy_iterator()) == series[:7].tolist()


def test_sequences_are_padded_and_cut() -> None:
    rows = [[1], [2, 3], [], [4, 5, 6]]
    assert utils.pad_sequences(rows).tolist() == [[0, 0, 1], [0, 2, 3], [0, 0, 0], [4, 5, 6]]
    assert utils.pad_sequences(rows, 2, padding="post").tolist() == [[1, 0], [2, 3], [0, 0], [5, 6]]
    assert utils.pad_sequences(rows, 2, truncating="post", value=-1).tolist() == [[-1, 1], [2, 3], [-1, -1], [4, 5]]
    assert utils.pad_sequences([[[1, 2]], [[3, 4], [5, 6]]], dtype="float32").shape == (2, 2, 2)
    assert utils.pad_sequences([["a"], ["bc", "d"]], dtype=object, value="").tolist() == [["", "a"], ["bc", "d"]]
