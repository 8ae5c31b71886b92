"""Finding, downloading and safely reading data files.

A download is checked by the file's hash. An existing file is checked by its content, since the same
arrays may have been packed by another program.
"""

import gzip
import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpudl.datasets._plain_pickle import read as plain_pickle
from gpudl.utils.files import DownloadError, download, home

Array = NDArray[np.uint8]
Split = tuple[tuple[Array, Array], tuple[Array, Array]]
T = TypeVar("T")

TRAIN, TEST = 60_000, 10_000
IMAGE = (28, 28)
CLASSES = 10
# More than the largest of the files: a mirror gone wrong must not fill the disk.
_MAX_BYTES = 64 << 20
_IDX_UINT8 = 0x08
_HEADER = 1 << 12  # bytes in which the header of an .npy file ends, far more than it takes
_MOST_UNPACKED = 256 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class DatasetUnavailable(OSError):  # noqa: N818  (it states a fact to act on, as FileNotFoundError cannot)
    """A data set was found neither on disk nor at any address; the message names each and what was wrong there.

    Example:
        >>> from gpudl.datasets import mnist
        >>> try:
        ...     mnist.load_data("/no/such/folder/mnist.npz")
        ... except DatasetUnavailable:
        ...     print("train on synthetic_digits instead")
        train on synthetic_digits instead
    """


class DamagedFileError(ValueError):
    """A file exists but has the wrong content."""


@dataclass(frozen=True)
class Source:
    """A data file: its path below a ``datasets`` folder, the addresses that serve it, and its hash."""

    name: str
    urls: tuple[str, ...]
    sha256: str | None
    md5: str | None = None
    max_bytes: int = _MAX_BYTES


def load(source: Source, read: Callable[[Path], T], path: str | os.PathLike[str] | None = None) -> T:
    """Return ``read(file)`` for the first place that has an intact ``source``, or download it.

    A ``path`` that is absolute or exists is the user's own: it is read, or the download is stored there if nothing
    exists, and it is never replaced. Every other path is looked up in the ``datasets`` folders of gpudl and Keras, and
    must not lead out of them.
    """
    given, path = path is not None, Path(source.name if path is None else path).expanduser()
    own = given and (path.is_absolute() or path.exists())
    if not own and ".." in path.parts:
        raise ValueError(
            f"{path} would lie outside of the datasets folder. Pass a name in it, or the path of a file that is there."
        )
    places = [path] if own else [home() / "datasets" / path, _keras_home() / "datasets" / path]
    tried = []
    for place in places:
        try:
            return read(place)
        except FileNotFoundError:
            tried.append(f"{place}: no such file")
        except DamagedFileError as error:
            tried.append(f"{place}: the file is damaged: {error}")
        except OSError as error:
            tried.append(f"{place}: cannot be read: {error.strerror or error}")
    if own and path.exists():
        raise DatasetUnavailable(
            f"{tried[0]}. It was left as it is. Pass the path of a good {source.name}, or move this one away."
        )
    if own and not path.parent.is_dir():
        raise DatasetUnavailable(f"{path}: there is no folder {path.parent}. Make it, or pass another path.")
    try:
        return read(_downloaded(source, places[0]))
    except DownloadError as error:
        reasons = "".join(f"\n  {reason}" for reason in [*tried, *error.failures])
        raise DatasetUnavailable(
            f"{source.name} is nowhere to be had:{reasons}\n"
            f"Connect to the network once, or put the file at {places[0]}. "
            "gpudl.datasets.synthetic_digits needs no file."
        ) from error


def _downloaded(source: Source, place: Path) -> Path:
    return download(source.urls, place, sha256=source.sha256, md5=source.md5, max_bytes=source.max_bytes)


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


@contextmanager
def regular(path: Path, max_bytes: int = _MAX_BYTES) -> Iterator[IO[bytes]]:
    """Open a regular file for reading, in a ``with`` block; pipes and devices, which may block, are refused.

    Raises:
        DamagedFileError: a pipe or a device, or a file larger than any of the data sets.
        OSError: a folder, or a file that may not be read.
    """
    # Without blocking, since a pipe would wait for a writer; checked when open, so that it cannot be replaced
    # meanwhile.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise DamagedFileError("expected a regular file, found a pipe or a device")
        if found.st_size > max_bytes:
            raise DamagedFileError(f"expected at most {max_bytes} bytes, found {found.st_size}")
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_npz(path: Path) -> Split:
    """Read MNIST's four arrays from an .npz file, or raise DamagedFileError."""
    with members(path) as archive:
        return (
            (_member(archive, "x_train", (TRAIN, *IMAGE)), labels(_member(archive, "y_train", (TRAIN,)))),
            (_member(archive, "x_test", (TEST, *IMAGE)), labels(_member(archive, "y_test", (TEST,)))),
        )


@contextmanager
def members(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an .npz file, in a ``with`` block; whatever goes wrong in it is a DamagedFileError."""
    try:
        with regular(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except (OSError, DamagedFileError):
        raise
    # zipfile, zlib and NumPy's header parser answer damaged bytes with nearly every exception there is.
    except Exception as error:
        raise DamagedFileError(str(error) or type(error).__name__) from error


def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> Array:
    def check(found: tuple[int, ...], dtype: np.dtype) -> None:
        if found != shape or dtype != np.uint8:
            raise DamagedFileError(f"expected {name} to be uint8 {shape}, found {dtype} {found}")

    return member(archive, name, check).view(np.uint8)


def member(
    archive: zipfile.ZipFile, name: str, check: Callable[[tuple[int, ...], np.dtype], None]
) -> NDArray[np.generic]:
    """Return an array of an .npz file, once `check` has seen its shape and dtype; lists are read as plain data."""
    file_name = f"{name}.npy"
    if file_name not in archive.namelist():
        raise DamagedFileError(f"expected an array {name}, found {', '.join(archive.namelist()) or 'nothing'}")
    info = archive.getinfo(file_name)
    if info.compress_type not in _METHODS:
        raise DamagedFileError(f"expected {name} to be stored or deflated, found method {info.compress_type}")
    with archive.open(file_name) as file:
        # The header is read first: it determines how much memory the array would need.
        header = io.BytesIO(file.read(_HEADER))
        version = np.lib.format.read_magic(header)
        if version == (1, 0):
            found, _, dtype = np.lib.format.read_array_header_1_0(header)
        else:
            found, _, dtype = np.lib.format.read_array_header_2_0(header)
        check(found, dtype)
        file.seek(0)
        if dtype.hasobject:
            return _lists(file.read(_MOST_UNPACKED + 1), header.tell(), found)
        # No more is ever read than the archive's directory says.
        size = header.tell() + math.prod(found) * dtype.itemsize
        if info.file_size != size:
            raise DamagedFileError(f"expected {size} bytes for {name} in the directory, found {info.file_size}")
        array: NDArray[np.generic] = np.load(file, allow_pickle=False)
        return array


def _lists(data: bytes, start: int, shape: tuple[int, ...]) -> NDArray[np.generic]:
    if len(data) > _MOST_UNPACKED:
        raise DamagedFileError(f"expected at most {_MOST_UNPACKED} bytes of lists, found more")
    array = plain_pickle(data[start:])
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise DamagedFileError(f"expected an array of lists of shape {shape}")
    return array


def read_idx(path: Path, shape: tuple[int, ...]) -> Array:
    """Read a gzipped IDX file of unsigned bytes and of just this ``shape``, or raise DamagedFileError.

    The header is two zero bytes, a type, the number of axes, and each axis as a big-endian 32-bit integer
    (http://yann.lecun.com/exdb/mnist/).
    """
    try:
        with regular(path) as packed, gzip.open(packed) as file:
            return _idx(file, shape)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DamagedFileError(str(error)) from error


def _idx(file: IO[bytes] | gzip.GzipFile, shape: tuple[int, ...]) -> Array:
    header = bytes([0, 0, _IDX_UINT8, len(shape)]) + np.array(shape, ">u4").tobytes()
    found = file.read(len(header))
    if found != header:
        raise DamagedFileError(
            f"expected the IDX header {header.hex()} of uint8 {shape}, found {found.hex() or 'nothing'}"
        )
    size = int(np.prod(shape))
    data = file.read(size)
    # Reading one byte too many makes gzip check the sum at the end of the file, too.
    if len(data) != size or file.read(1):
        more = "more" if len(data) == size else len(data)
        raise DamagedFileError(f"expected {size} bytes after the IDX header, found {more}")
    # Through a bytearray, as an array over bytes could not be written to.
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)


def labels(array: Array) -> Array:
    """Return ``array`` if it holds class numbers from 0 to 9 only, or raise DamagedFileError."""
    if array.max() >= CLASSES:
        raise DamagedFileError(f"expected labels from 0 to {CLASSES - 1}, found {array.max()}")
    return array
