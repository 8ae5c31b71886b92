"""gpudl's folder, and downloads that are complete and checked, or do not exist."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

_CHUNK = 1 << 16
_ABANDONED = 3600.0
"""Seconds after which an unfinished file that was not written to is what a killed process left."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class DownloadError(OSError):
    """No address served the file; ``failures`` has one sentence per address.

    Example:
        >>> print(DownloadError(["http://a/x: HTTP 404 Not Found", "http://b/x: timed out"]))
        http://a/x: HTTP 404 Not Found; http://b/x: timed out
    """

    def __init__(self, failures: list[str]) -> None:
        """Keep ``failures``, one sentence per address that was tried."""
        super().__init__("; ".join(failures))
        self.failures = failures


class WrongHashError(DownloadError, ValueError):
    """An address served a file, but its hash is another than the expected one."""


def home() -> Path:
    """Return gpudl's folder: ``$GPUDL_HOME``, or ``~/.gpudl`` if that is not set.

    The folder need not exist yet.

    Example:
        >>> (home() / "datasets").name
        'datasets'
    """
    return Path(os.environ.get("GPUDL_HOME") or "~/.gpudl").expanduser()


def download(
    urls: Sequence[str],
    destination: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    md5: str | None = None,
    max_bytes: int = 1 << 30,
    timeout: float = 30.0,
) -> Path:
    """Fetch a file from the first of ``urls`` that has it, and return its path.

    The bytes go to a hidden file beside ``destination`` and are renamed to it only when all of them came and
    their hash is right, so ``destination`` is at any moment the old file or the new one, also when several
    processes fetch it at once. Whatever goes wrong, no partial file stays behind.

    Args:
        urls: the addresses to try, in order; they must all serve the same bytes.
        destination: where the file goes. Missing folders are made; an existing file is replaced.
        sha256: the hash of the file, in hexadecimal. Without it, and without `md5`, any file is taken.
        md5: its MD5 hash instead, where no other is known.
        max_bytes: stop when an address sends more than this many bytes.
        timeout: seconds to wait for the connection and for each further piece.

    Raises:
        DownloadError: when no address worked. The text names each address and what went wrong there. It is a
            `WrongHashError` where the last address served another file.

    Example:
        >>> download(["http://127.0.0.1:9/data.npz"], "no-such-file", sha256="0" * 64)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gpudl.utils.files.DownloadError: http://127.0.0.1:9/data.npz: ...
    """
    from http.client import HTTPException

    target = Path(destination)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError([f"{target.parent}: cannot be made: {error.strerror}"]) from error
    kind, expected = ("MD5", md5) if sha256 is None and md5 is not None else ("SHA-256", sha256)
    failures, failed = [], DownloadError
    for url in urls:
        part = _beside(target)
        try:
            found = _fetch(url, part, max_bytes, timeout, hasher(kind))
            if expected is not None and found != expected.lower():
                failures.append(f"{url}: wrong {kind}: expected {expected}, got {found}")
                failed = WrongHashError
                continue
            part.replace(target)
            return target
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
            failed = DownloadError
        finally:
            with suppress(OSError):
                part.unlink()
    raise failed(failures or ["there is no address to download from"])


def hasher(kind: str) -> hashlib._Hash:
    """Return what computes a hash of the kind "MD5" or "SHA-256"."""
    return hashlib.md5(usedforsecurity=False) if kind == "MD5" else hashlib.sha256()


@contextmanager
def replacing(path: str | os.PathLike[str], previous: Path | None = None) -> Iterator[Path]:
    """Give the path of a new file beside `path`, which takes its place when the block ends.

    The new file is flushed to the disk first, and the folder after it has been renamed, so that also after a power cut
    the old file or the new one is there, whole. Where the block raises the new one is removed, and the old one stays as
    it was. Several processes may do this at once: the last one to end is there. With `previous` the old
    file gets that name; at no moment are both gone.

    Raises:
        OSError: the file cannot be written, because the disk is full or the folder may not be written to; the text says
            so, and what there is now.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "notes.txt"
        >>> with replacing(place) as unfinished:
        ...     _ = unfinished.write_text("whole")
        >>> place.read_text(), len(list(place.parent.iterdir()))
        ('whole', 1)
    """
    target = Path(path)
    part = _beside(target)
    _sweep(target)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        if previous is not None and target.exists():
            target.replace(previous)
        part.replace(target)
        flush_folder(target.parent)
    except (OSError, RuntimeError) as error:  # HDF5 raises the latter
        number = _errno(error)
        if number is None:
            raise
        raise OSError(number, _sentence(target, number)) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _beside(target: Path) -> Path:
    """Return a path for a file that is to take the place of `target`."""
    # Not tempfile: its files are readable by their owner alone, and a data folder may be shared.
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")


def flush_folder(folder: Path) -> None:
    """Have what was renamed in a folder survive a power cut, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(target: Path) -> None:
    """Remove what killed processes have left of files that were to take the place of `target`."""
    for part in target.parent.glob(f".{escape(target.name)}.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()


def _errno(error: OSError | RuntimeError) -> int | None:
    """Return what the system said why a file was not written; None if it was something else."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else None


def _sentence(target: Path, number: int) -> str:
    why, what = os.strerror(number), "Look at the disk, and save again"
    if number in _FULL:
        why, what = f"the disk is full ({why})", "Free space, or choose a folder on another disk"
    elif number in _FORBIDDEN:
        why, what = f"the folder {target.parent} cannot be written to ({why})", "Choose another folder"
    elif not target.parent.is_dir():
        why, what = f"there is no folder {target.parent}", "Make it first"
    now = "The file that was there is as it was" if target.exists() else "No file is there"
    return f"{target} was not saved: {why}. {now}. {what}."


def _fetch(url: str, part: Path, max_bytes: int, timeout: float, digest: hashlib._Hash) -> str:
    """Download ``url`` to ``part`` and return its hash, which `digest` computes."""
    from urllib.request import urlopen

    received = 0
    with urlopen(url, timeout=timeout) as response, part.open("xb") as file:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        with _progress(url, total) as advance:
            while block := response.read(_CHUNK):
                received += len(block)
                if received > max_bytes:
                    raise OSError(f"sent more than the {max_bytes} bytes that this file may have")
                digest.update(block)
                file.write(block)
                advance(len(block))
    # A connection that closes early looks like the end of the file to read(n).
    if total is not None and received != total:
        raise OSError(f"the transfer stopped after {received} of {total} bytes")
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        error.close()
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


@contextmanager
def _progress(url: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, a plain line elsewhere; gives the function to call with each piece's size."""
    if sys.stderr is None or not sys.stderr.isatty():
        print(f"Downloading {url}", file=sys.stderr)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"Downloading {url.rpartition('/')[2]}", total=total)
        yield lambda count: progress.advance(task, count)
