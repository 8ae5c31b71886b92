"""A part of a file as a file of its own, so that HDF5 writes and reads its member of an archive in its place."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, ParamSpec

P = ParamSpec("P")
_BLOCK = 1 << 20
_HEADER = struct.Struct("<4s22xHH")  # of a member: its signature, and the lengths of its name and of what follows


class Window(io.RawIOBase):
    """The bytes of a file from `start` on, at most `size` of them if that is given.

    Attributes:
        start: where they begin.
        failure: what the system said when it could not write. HDF5 is not told, which then would crash when it closes
            the file: what it writes after that is dropped, and who opened the file looks here.
    """

    def __init__(self, file: BinaryIO, start: int, size: int | None = None) -> None:
        self._file, self.start, self._size = file, start, size
        self._at = 0
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place, and return it."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end()}[whence]
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, memory: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into memory, and return how many bytes."""
        if self.failure is not None:
            memoryview(memory).cast("B")[:] = bytes(len(memory))
            return len(memory)
        self._file.seek(self.start + self._at)
        wanted = memoryview(memory)[: max(self._end() - self._at, 0)]
        count = self._file.readinto(wanted)  # type: ignore[attr-defined]
        self._at += count
        return int(count)

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        """Write all of `data`."""
        self._try(self._file.seek, self.start + self._at)
        self._try(self._file.write, data)
        self._at += len(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Make the file end after `size` bytes of the window."""
        size = self._at if size is None else size
        self._try(self._file.truncate, self.start + size)
        return size

    def flush(self) -> None:
        """Hand on what is buffered; when the window is dropped, the file may be closed."""
        if not self._file.closed:
            self._try(self._file.flush)

    def _try(self, call: Callable[P, object], *args: P.args, **options: P.kwargs) -> None:
        """Make a call, unless one has failed before; note an error of the system."""
        if self.failure is None:
            try:
                call(*args, **options)
            except OSError as error:
                self.failure = error

    def _end(self) -> int:
        return self._file.seek(0, os.SEEK_END) - self.start if self._size is None else self._size


def data_of(file: BinaryIO, member: zipfile.ZipInfo) -> Window:
    """Return the bytes of a member of an archive that is stored as it is, without compression.

    Raises:
        BadZipFile: there is no such member in the place that the archive names.
    """
    file.seek(member.header_offset)
    header = file.read(_HEADER.size)
    signature, name, extra = _HEADER.unpack(header) if len(header) == _HEADER.size else (b"", 0, 0)
    if signature != b"PK\x03\x04" or member.file_size != member.compress_size or member.flag_bits & 1:
        raise zipfile.BadZipFile(f"Bad header for file {member.filename!r}")
    return Window(file, member.header_offset + _HEADER.size + name + extra, member.file_size)


def checksum(path: Path, start: int, size: int) -> int:
    """Return the CRC-32 of a part of a file."""
    made, memory = 0, memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while size > 0 and (count := file.readinto(memory[:size])):
            made = zlib.crc32(memory[:count], made)
            size -= count
    return made
