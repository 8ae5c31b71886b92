"""Data sets of files in folders: images and texts, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpudl.config import check_data_format
from gpudl.utils.images import centered, img_to_array, load_img, require_pillow
from gpudl.utils.pipeline import Dataset
from gpudl.utils.resizing import METHODS, resized
from gpudl.utils.sequences import require_format

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}
Load = Callable[[str], NDArray[np.generic]]


class FileDataset(Dataset):
    """A data set of files; ``class_names`` and ``file_paths`` say which."""

    def __init__(
        self, load: Load, files: _Files, label_mode: str | None, batch_size: int | None, shuffle: bool, seed: int
    ) -> None:
        self.class_names = files.class_names
        self.file_paths = files.paths
        count = len(files.paths)
        order = Dataset.range(count)
        if shuffle:
            order = order.shuffle(count, seed=seed)
        labels = _encoded(files, label_mode)

        def elements() -> Iterator[object]:
            for number in map(int, order.as_numpy_iterator()):
                content = load(files.paths[number])
                yield content if labels is None else (content, labels[number])

        single = Dataset(elements, count)
        batched = single if batch_size is None else single.batch(batch_size)
        super().__init__(batched.as_numpy_iterator, batched.cardinality())


@dataclass(frozen=True)
class _Files:
    """Paths, the number of the class of each, and the names of the classes; None where there are none."""

    paths: list[str]
    labels: NDArray[np.int32] | None
    class_names: list[str] | None

    def part(self, share: float | None, subset: str | None) -> _Files:
        """Return the files for training or for validation, which are the last ones."""
        if not share:
            return self
        kept = int(share * len(self.paths))
        rest = len(self.paths) - kept
        print(f"Using {rest} files for training." if subset == "training" else f"Using {kept} files for validation.")
        chosen = slice(rest) if subset == "training" else slice(rest, None)
        return _Files(self.paths[chosen], None if self.labels is None else self.labels[chosen], self.class_names)


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> FileDataset | list[FileDataset]:
    """Return the images of a folder, which has a folder for each class, as a data set for `fit`.

    Args:
        directory: the folder.
        labels: ``"inferred"`` from the names of the folders, None, or the class of each file in the order of paths.
        label_mode: ``"int"`` for int32 (N,), ``"categorical"`` for one-hot float32, ``"binary"`` for float32 (N, 1),
            None for images alone.
        class_names: the folders to take, in the order of their numbers; by default all, sorted.
        color_mode: ``"rgb"``, ``"rgba"`` or ``"grayscale"``.
        batch_size: images in a batch; None for single ones.
        image_size: (height, width) that each image is resized to.
        shuffle: whether to take the files in a random order, another in each pass.
        seed: of that order.
        validation_split: the share of the files that is for validation.
        subset: ``"training"``, ``"validation"``, or ``"both"`` for a list of the two.
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"area"``, ``"lanczos3"``, ``"lanczos5"``,
            ``"gaussian"`` or ``"mitchellcubic"``.
        follow_links: whether to go into folders that are symbolic links.
        crop_to_aspect_ratio: whether to cut the largest middle part of the aspect ratio out of an image, not to
            distort it.
        pad_to_aspect_ratio: whether to add black margins instead.
        data_format: ``"channels_last"`` or ``"channels_first"``; None means `config.image_data_format`.
        format: ``"tf"`` or ``"grain"``, which here are the same.
        verbose: whether to print how many files were found.

    Returns:
        A data set of float32 images (N, height, width, channels) from 0 to 255, with labels; its ``class_names`` and
        ``file_paths`` tell what it holds.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: an argument that is none of those above, or there are no images.
    """
    require_pillow("image_dataset_from_directory")
    require_format(format)
    if color_mode not in _CHANNELS:
        raise ValueError(f'color_mode must be "rgb", "rgba" or "grayscale", got {color_mode!r}.')
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ValueError(f"image_size must be a height and a width, got {image_size!r}.")
    method = interpolation.lower()
    if method not in METHODS:
        raise ValueError(f"interpolation must be one of {', '.join(METHODS)}, got {interpolation!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("Only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True.")
    first = check_data_format(data_format) == "channels_first"
    height, width = size

    def load(path: str) -> NDArray[np.float32]:
        image = img_to_array(load_img(path, color_mode), "channels_last", "float32")
        if pad_to_aspect_ratio:
            ratio = max(image.shape[0] / height, image.shape[1] / width)
            inner = resized(image, int(image.shape[0] / ratio), int(image.shape[1] / ratio), method)
            top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
            result = np.zeros((height, width, image.shape[2]), np.float32)
            result[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        else:
            if crop_to_aspect_ratio:
                left, top, right, bottom = centered(*image.shape[:2], height, width)
                image = image[top : max(bottom, top + 1), left : max(right, left + 1)]
            result = resized(image, height, width, method)
        return np.ascontiguousarray(result.transpose(2, 0, 1)) if first else result

    asked = _Asked(directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset)
    return asked.datasets(load, _IMAGES, "images", batch_size, follow_links, verbose)


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> FileDataset | list[FileDataset]:
    """Return the .txt files of a folder, which has a folder for each class, as a data set.

    The arguments are those of `image_dataset_from_directory`, and `max_length`, the most characters of a text.

    Returns:
        A data set of NumPy arrays (N,) of text, with labels; its ``class_names`` and ``file_paths`` tell what it holds.

    Raises:
        ValueError: an argument that is none of those, or there are no texts.
    """
    require_format(format)

    def load(path: str) -> NDArray[np.object_]:
        return np.array(Path(path).read_text(encoding="utf-8")[:max_length], object)

    asked = _Asked(directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset)
    return asked.datasets(load, (".txt",), "text files", batch_size, follow_links, verbose)


@dataclass
class _Asked:
    """The arguments that say which files, checked."""

    directory: str | os.PathLike[str]
    labels: str | Sequence[int] | None
    label_mode: str | None
    class_names: Sequence[str] | None
    shuffle: bool
    seed: int | None
    share: float | None
    subset: str | None

    def __post_init__(self) -> None:
        if self.labels not in ("inferred", None) and not isinstance(self.labels, list | tuple):
            raise ValueError(f'labels must be "inferred", None or a list of integers, got {self.labels!r}.')
        if self.class_names is not None and self.labels != "inferred":
            raise ValueError(f'class_names can only be given with labels="inferred", got labels={self.labels!r}.')
        if self.label_mode not in ("int", "categorical", "binary", None):
            raise ValueError(f'label_mode must be "int", "categorical", "binary" or None, got {self.label_mode!r}.')
        if self.share and not 0 < self.share < 1:
            raise ValueError(f"validation_split must be between 0 and 1, got {self.share}.")
        if bool(self.share) != bool(self.subset):
            raise ValueError("subset and validation_split can only be given together.")
        if self.subset not in ("training", "validation", "both", None):
            raise ValueError(f'subset must be "training", "validation" or "both", got {self.subset!r}.')
        if self.share and self.shuffle and self.seed is None:
            raise ValueError("With validation_split and shuffle pass a seed too, so that the two parts share no file.")
        if self.labels is None or self.label_mode is None:
            self.labels = self.label_mode = None

    def datasets(
        self, load: Load, endings: tuple[str, ...], what: str, batch_size: int | None, links: bool, verbose: bool
    ) -> FileDataset | list[FileDataset]:
        """Return the data set, or the two of both subsets."""
        seed = np.random.randint(10**6) if self.seed is None else self.seed
        found = self._found(endings, links)
        if verbose:
            names = found.class_names
            print(f"Found {len(found.paths)} files" + (f" belonging to {len(names)} classes." if names else "."))
        if self.label_mode == "binary" and len(found.class_names or ()) != 2:
            raise ValueError(f'label_mode="binary" needs exactly two classes, found {found.class_names}.')
        if self.shuffle:
            np.random.RandomState(seed).shuffle(found.paths)
            if found.labels is not None:
                np.random.RandomState(seed).shuffle(found.labels)
        sets = []
        for subset in ("training", "validation") if self.subset == "both" else (self.subset,):
            files = found.part(self.share, subset)
            if not files.paths:
                raise ValueError(
                    f"No {what} for {subset or 'this'} in {self.directory}: {', '.join(endings)} are read."
                )
            mixed = self.shuffle and not (self.subset == "both" and subset == "validation")
            sets.append(FileDataset(load, files, self.label_mode, batch_size, mixed, seed))
        return sets if self.subset == "both" else sets[0]

    def _found(self, endings: tuple[str, ...], links: bool) -> _Files:
        folder = os.fspath(self.directory)
        if self.labels != "inferred":
            paths = _files(folder, endings, links)
            if self.labels is None:
                return _Files(paths, None, None)
            if len(self.labels) != len(paths):
                raise ValueError(f"There are {len(self.labels)} labels, but {len(paths)} files in {folder}.")
            return _Files(paths, np.array(self.labels, np.int32), [str(label) for label in sorted(set(self.labels))])
        there = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
        names = there if self.class_names is None else list(self.class_names)
        if unknown := sorted(set(names) - set(there)):
            raise ValueError(f"class_names has {unknown}, but {folder} has the folders {there}.")
        each = [_files(os.path.join(folder, name), endings, links) for name in names]
        numbers = np.repeat(np.arange(len(names), dtype=np.int32), list(map(len, each)))
        return _Files([path for paths in each for path in paths], numbers, names)


def _files(folder: str, endings: tuple[str, ...], links: bool) -> list[str]:
    found = sorted(os.walk(folder, followlinks=links), key=lambda entry: entry[0])
    return [
        os.path.join(at, name) for at, _, names in found for name in sorted(names) if name.lower().endswith(endings)
    ]


def _encoded(files: _Files, label_mode: str | None) -> NDArray[np.generic] | None:
    if files.labels is None or label_mode == "int":
        return files.labels
    if label_mode == "binary":
        return files.labels[:, None].astype(np.float32)
    classes = np.arange(len(files.class_names or ()))
    return (files.labels[:, None] == classes).astype(np.float32)
