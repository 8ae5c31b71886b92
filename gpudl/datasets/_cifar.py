"""The two CIFAR data sets: archives of pickled batches, read as plain data."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpudl import config
from gpudl.datasets._plain_pickle import RefusedError
from gpudl.datasets._plain_pickle import read as plain_pickle
from gpudl.datasets._source import Array, DamagedFileError, regular

MAX_BYTES = 256 << 20
_SIDE = 32


def batches(path: Path, names: tuple[str, ...], label: str, classes: int) -> tuple[Array, NDArray[np.int64]]:
    """Return the images of the batches `names` of an archive, in the layout of `config`, and their labels (N, 1).

    Raises:
        DamagedFileError: the archive is damaged, or holds anything but the batches.
    """
    images, labels = [], []
    try:
        with regular(path, MAX_BYTES) as packed, tarfile.open(fileobj=packed) as archive:
            for name in names:
                x, y = _batch(archive, name, label, classes)
                images.append(x)
                labels.append(y)
    except (KeyError, tarfile.TarError, EOFError, RefusedError) as error:
        raise DamagedFileError(str(error)) from error
    x = np.concatenate(images).reshape(-1, 3, _SIDE, _SIDE)
    if config.image_data_format() == "channels_last":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return x, np.concatenate(labels)[:, None]


def _batch(archive: tarfile.TarFile, name: str, label: str, classes: int) -> tuple[Array, NDArray[np.int64]]:
    member = archive.getmember(name)
    file = archive.extractfile(member) if member.isfile() and member.size <= MAX_BYTES else None
    if file is None:
        raise DamagedFileError(f"expected {name} to be a regular file of at most {MAX_BYTES} bytes")
    content = plain_pickle(file.read())
    found = {_text(key): value for key, value in content.items()} if isinstance(content, dict) else {}
    pixels, numbers = found.get("data"), found.get(label)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3 * _SIDE * _SIDE,):
        raise DamagedFileError(f"expected uint8 images (N, {3 * _SIDE * _SIDE}) as data in {name}")
    known = isinstance(numbers, list) and all(type(one) is int and 0 <= one < classes for one in numbers)
    if not isinstance(numbers, list) or not known or len(numbers) != len(pixels):
        raise DamagedFileError(f"expected {len(pixels)} {label} from 0 to {classes - 1} in {name}")
    return pixels, np.array(numbers, np.int64)


def _text(key: object) -> object:
    return key.decode("latin-1") if isinstance(key, bytes) else key
