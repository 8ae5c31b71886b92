"""Files of the internet, kept in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gpudl.engine.state import warn_user
from gpudl.utils.archives import extract as extract_archive
from gpudl.utils.files import download, hasher, home

_KINDS = {"sha256": "SHA-256", "md5": "MD5"}


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str | os.PathLike[str] = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Return the path of a file that is downloaded once, or of the folder that it was unpacked into.

    Args:
        fname: the name of the file; by default the last part of `origin`. With `extract`, a name without a dot is that
            of the folder.
        origin: the address, of http, https, ftp or file.
        untar: an older way to say ``extract=True, archive_format="tar"``.
        md5_hash: an older way to give an MD5 `file_hash`.
        file_hash: the hash of the file, in hexadecimal. A file that is there but has another is downloaded again.
        cache_subdir: the folder in `cache_dir`; it may be an absolute path.
        hash_algorithm: ``"sha256"``, ``"md5"``, or ``"auto"``: by the length of the hash.
        extract: whether to unpack the file. Members of the archive that are links, or would lie outside of the folder,
            are left out with a warning.
        archive_format: ``"tar"`` (also compressed), ``"zip"``, both by ``"auto"``, a list of them, or None.
        cache_dir: by default the folder of gpudl: ``$GPUDL_HOME``, or ``~/.gpudl``.
        force_download: whether to download a file that is there.

    Raises:
        ValueError: there is no origin or name, the name is a path, or the file has another hash or is a bad archive.
        gpudl.utils.files.DownloadError: the address could not be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> place = Path(tempfile.mkdtemp())
        >>> _ = (place / "words.txt").write_text("hello")
        >>> Path(get_file(origin=(place / "words.txt").as_uri(), cache_dir=place)).relative_to(place).as_posix()
        'datasets/words.txt'
    """
    if origin is None:
        raise ValueError("get_file needs the address of the file: pass origin=.")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    kind = _kind(hash_algorithm, file_hash)
    name = _name(fname, origin)
    folder = (home() if cache_dir is None else Path(cache_dir).expanduser()) / cache_subdir
    unpacked = folder / name
    file = folder / name
    if extract or untar:
        if fname and "." in name:
            unpacked = folder / f"{name.partition('.')[0]}_extracted"
        else:
            file = folder / f"{name}_archive"
    if force_download or not _there(file, kind, file_hash):
        sha256, md5 = (file_hash, None) if kind == "sha256" else (None, file_hash)
        download([origin], file, sha256=sha256, md5=md5, max_bytes=sys.maxsize)
    if not (extract or untar):
        return str(file)
    formats = "tar" if untar else archive_format
    if not extract_archive(file, unpacked, _formats(formats)):
        warn_user(f"{file} could not be unpacked: it is no archive of format {formats!r}.")
    return str(unpacked)


def _kind(algorithm: str, file_hash: str | None) -> str:
    if algorithm == "auto":
        return "sha256" if file_hash is None or len(file_hash) == 64 else "md5"
    if algorithm not in _KINDS:
        raise ValueError(f'hash_algorithm must be "auto", "sha256" or "md5", got {algorithm!r}.')
    return algorithm


def _name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    from urllib.parse import urlsplit

    name = os.fspath(fname) if fname else os.path.basename(urlsplit(origin).path)
    if not name or name in (".", ".."):
        raise ValueError(f"The address {origin!r} has no name of a file: pass fname=.")
    if os.sep in name or "/" in name:
        raise ValueError(f"fname must be the name of a file, not a path, got {name!r}. Pass its folder as cache_dir=.")
    return name


def _there(file: Path, kind: str, file_hash: str | None) -> bool:
    if not file.exists():
        return False
    if file_hash is None:
        return True
    digest = hasher(_KINDS[kind])
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() == file_hash.lower():
        return True
    print(f"{file} is there but has another {_KINDS[kind]} hash than {file_hash}: it is downloaded again.")
    return False


def _formats(given: str | Sequence[str] | None) -> Sequence[str]:
    if given is None:
        return ()
    if isinstance(given, str):
        return ("tar", "zip") if given == "auto" else (given,)
    return given
