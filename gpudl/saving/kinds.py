"""What a file is that is none of gpudl's: a sentence for errors."""

from __future__ import annotations

import zipfile
from pathlib import Path

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x7fELF", "a program"),
    (b"\x93NUMPY", "an array of NumPy (.npy)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"GGUF", "a GGUF file, whose weights another library wrote"),
    (b"{", "a text, perhaps JSON"),
    (b"<", "a text, perhaps HTML, such as the page of an error"),
    (b"version https://git-lfs", "a pointer of Git LFS, in whose place git has to fetch the file"),
)
_PICKLE = "a pickle, which is code rather than data, and is never opened"


def another_kind(source: Path) -> str:
    """Return what a file or folder is, or how it begins, as the end of a sentence.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "m.keras"
        >>> _ = place.write_bytes(b"GIF89a")
        >>> another_kind(place)
        'it is a GIF image'
    """
    if source.is_dir():
        return f"it is {_folder(source)}"
    with source.open("rb") as file:
        start = file.read(32)
    if not start:
        return "it is empty"
    if zipfile.is_zipfile(source):
        return f"it is {_archive(source)}"
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return f"it is {_PICKLE}"
    if start[8:10] == b'{"':
        return "it is a .safetensors file of weights"
    if start[4:8] == b"TFL3":
        return "it is a model of TensorFlow Lite"
    for beginning, kind in _BEGINNINGS:
        if start.startswith(beginning):
            return f"it is {kind}"
    if start.startswith(b"PK"):
        return "it is a zip archive that is damaged or cut off"
    return f"it begins with {start[:8]!r}"


def _folder(source: Path) -> str:
    if (source / "saved_model.pb").exists():
        return "a SavedModel folder of TensorFlow, whose program gpudl cannot run"
    return "a folder"


def _archive(source: Path) -> str:
    with zipfile.ZipFile(source) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "a file of PyTorch, which has a pickle inside: code rather than data, and is never opened"
    if "config.json" in names:
        return "a `.keras` archive of a model"
    if names and all(name.endswith(".npy") for name in names):
        return "an .npz archive of NumPy's arrays"
    return "a zip archive without a config.json"
