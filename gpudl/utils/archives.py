"""Archives of files, unpacked into a folder that nothing in them can lead out of."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TypeAlias

from gpudl.engine.state import warn_user

Member: TypeAlias = tarfile.TarInfo | zipfile.ZipInfo
Archive: TypeAlias = tarfile.TarFile | zipfile.ZipFile

MAX_BYTES = 64 << 30
"""The most that the files of an archive may take together."""
MAX_FILES = 2_000_000
_PIECE = 1 << 20
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError)


def extract(file: Path, folder: Path, formats: Sequence[str], max_bytes: int = MAX_BYTES) -> bool:
    """Unpack an archive into `folder`; return False where it is of none of `formats`.

    Folders and regular files are made, readable as new files are; members that are links, devices, or would lie outside
    of the folder are left out with a warning. The files appear in the folder only when the whole archive was unpacked.

    Args:
        file: a .zip file, or a .tar file, itself perhaps compressed by gzip, bzip2 or xz.
        folder: where to put its files; those of the same names are replaced.
        formats: the formats to try: "tar", "zip".
        max_bytes: the most that the files may take together.

    Raises:
        NotImplementedError: a format of another name.
        ValueError: the archive is damaged, or larger than `max_bytes`.

    Example:
        >>> place = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(place / "a.zip", "w") as archive:
        ...     archive.writestr("inner/note.txt", "hello")
        >>> extract(place / "a.zip", place / "a", ["tar", "zip"])
        True
        >>> (place / "a" / "inner" / "note.txt").read_text()
        'hello'
    """
    for name in formats:
        if name not in ("tar", "zip"):
            raise NotImplementedError(f'archive_format must be "tar", "zip", "auto" or None, got {name!r}.')
        if tarfile.is_tarfile(file) if name == "tar" else zipfile.is_zipfile(file):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as unfinished:
                inside = Path(unfinished, "all")
                inside.mkdir()
                try:
                    with tarfile.open(file) if name == "tar" else zipfile.ZipFile(file) as archive:
                        _unpack(archive, inside, max_bytes)
                except _DAMAGED as error:
                    raise ValueError(f"{file}: the archive cannot be unpacked: {error}.") from error
                _move(inside, folder)
            return True
    return False


def _unpack(archive: Archive, folder: Path, max_bytes: int) -> None:
    total = 0
    for count, (member, name, is_folder) in enumerate(_members(archive)):
        path = _inside(folder, name)
        if path is None or not _plain(member):
            warn_user(
                f"{name!r} of the archive is left out: it is no regular file, or would lie outside of the folder.",
            )
            continue
        size = 0 if is_folder else member.size if isinstance(member, tarfile.TarInfo) else member.file_size
        total += size
        if total > max_bytes or count >= MAX_FILES:
            raise ValueError(f"The archive holds more than the {max_bytes} bytes or {MAX_FILES} files that it may.")
        if is_folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(archive, member) as source, path.open("wb") as target:
            _copy(source, target, size, name)


def _members(archive: Archive) -> Iterator[tuple[Member, str, bool]]:
    if isinstance(archive, tarfile.TarFile):
        for each in archive:
            yield each, each.name, each.isdir()
    else:
        for one in archive.infolist():
            yield one, one.filename, one.is_dir()


def _plain(member: Member) -> bool:
    if isinstance(member, tarfile.TarInfo):
        return member.isfile() or member.isdir()
    kind = member.external_attr >> 16 & 0o170000  # of Unix; 0 where another system packed it
    return kind in (0, 0o100000, 0o040000)


def _inside(folder: Path, name: str) -> Path | None:
    """Return the path of a member, or None where its name leads elsewhere, on this or another system."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or os.path.splitdrive(name)[0] or ":" in parts[0]:
        return None
    return folder.joinpath(*parts)


def _opened(archive: Archive, member: Member) -> IO[bytes]:
    if isinstance(archive, zipfile.ZipFile):
        assert isinstance(member, zipfile.ZipInfo)
        return archive.open(member)
    assert isinstance(member, tarfile.TarInfo)
    file = archive.extractfile(member)
    assert file is not None
    return file


def _copy(source: IO[bytes], target: IO[bytes], size: int, name: str) -> None:
    """Copy no more than the bytes that the archive's directory promised."""
    while block := source.read(_PIECE):
        size -= len(block)
        if size < 0:
            raise ValueError(f"{name!r} of the archive is larger than the archive says.")
        target.write(block)
    if size:
        raise ValueError(f"{name!r} of the archive is cut off.")


def _move(source: Path, folder: Path) -> None:
    """Put the files below `source` into `folder`, which may have some already."""
    if not folder.exists():
        source.replace(folder)
        return
    for path in sorted(source.iterdir()):
        target = folder / path.name
        if path.is_dir() and target.is_dir() and not target.is_symlink():
            _move(path, target)
        else:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            path.replace(target)
