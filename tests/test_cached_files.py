"""`get_file`: files that are downloaded once, checked, and unpacked into a folder that nothing leads out of."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from gpudl.utils import get_file
from gpudl.utils.archives import extract
from gpudl.utils.files import DownloadError

BODY = b"a few bytes"
SHA256, MD5 = hashlib.sha256(BODY).hexdigest(), hashlib.md5(BODY).hexdigest()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.txt").write_bytes(BODY)
    return folder


def tar(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            info.name, info.size = name, len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, target
    return info


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "hashes",
    [
        {},
        {"file_hash": SHA256},
        {"file_hash": MD5},
        {"md5_hash": MD5},
        {"file_hash": SHA256.upper(), "hash_algorithm": "sha256"},
        {"file_hash": MD5, "hash_algorithm": "md5"},
    ],
)
def test_a_file_is_downloaded_once(served: Path, tmp_path: Path, hashes: dict[str, str]) -> None:
    origin = (served / "a.txt").as_uri()
    path = get_file(origin=origin, cache_dir=tmp_path / "kept", **hashes)
    assert path == str(tmp_path / "kept" / "datasets" / "a.txt")
    assert Path(path).read_bytes() == BODY
    (served / "a.txt").unlink()
    assert get_file(origin=origin, cache_dir=tmp_path / "kept", **hashes) == path
    with pytest.raises(DownloadError, match=r"a\.txt"):
        get_file(origin=origin, cache_dir=tmp_path / "kept", force_download=True, **hashes)
    assert Path(path).read_bytes() == BODY


def test_the_place_of_a_file(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = (served / "a.txt").as_uri()
    monkeypatch.setenv("GPUDL_HOME", str(tmp_path / "home"))
    assert get_file("b.txt", origin) == str(tmp_path / "home" / "datasets" / "b.txt")
    assert get_file(origin=origin, cache_subdir="models") == str(tmp_path / "home" / "models" / "a.txt")
    assert get_file(origin=origin, cache_subdir=str(tmp_path / "else")) == str(tmp_path / "else" / "a.txt")


def test_a_file_with_another_hash_is_downloaded_again(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = (served / "a.txt").as_uri()
    place = tmp_path / "datasets" / "a.txt"
    place.parent.mkdir()
    place.write_bytes(b"old")
    assert Path(get_file(origin=origin, cache_dir=tmp_path)).read_bytes() == b"old"
    assert Path(get_file(origin=origin, cache_dir=tmp_path, file_hash=SHA256)).read_bytes() == BODY
    assert "another SHA-256 hash" in capsys.readouterr().out


@pytest.mark.parametrize(("bad", "kind"), [("0" * 64, "SHA-256"), ("0" * 32, "MD5")])
def test_a_download_with_another_hash_is_refused(served: Path, tmp_path: Path, bad: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"wrong {kind}: expected {bad}, got "):
        get_file(origin=(served / "a.txt").as_uri(), cache_dir=tmp_path, file_hash=bad)
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "pass origin="),
        ({"origin": "file:///"}, "pass fname="),
        ({"origin": "file:///a", "fname": "a/b"}, "must be the name of a file, not a path"),
        ({"origin": "file:///a", "fname": ".."}, "pass fname="),
        ({"origin": "file:///a", "hash_algorithm": "crc"}, 'must be "auto", "sha256" or "md5"'),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        get_file(cache_dir=tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pack", [tar, packed])
def test_an_archive_is_unpacked(tmp_path: Path, pack: object) -> None:
    content = {"top.txt": b"1", "inner/a.txt": b"22", "inner/deeper/b.bin": b"333" * 1000}
    origin = pack(tmp_path / "some.data.x", content).as_uri()  # type: ignore[operator]
    for name, file, folder in (
        (None, "some.data.x_archive", "some.data.x"),
        ("flowers", "flowers_archive", "flowers"),
        ("flowers.tgz", "flowers.tgz", "flowers_extracted"),
    ):
        got = get_file(name, origin, extract=True, cache_dir=tmp_path)
        assert got == str(tmp_path / "datasets" / folder)
        assert (tmp_path / "datasets" / file).is_file()
        assert files_in(Path(got)) == content
    before = os.umask(0)
    os.umask(before)
    assert stat.S_IMODE(Path(got, "top.txt").stat().st_mode) == 0o666 & ~before
    Path(got, "mine.txt").write_bytes(b"mine")  # what else lies there stays
    get_file("flowers.tgz", origin, extract=True, cache_dir=tmp_path)
    assert files_in(Path(got)) == content | {"mine.txt": b"mine"}


def test_what_is_no_archive_of_the_format_stays_as_it_is(served: Path, tmp_path: Path) -> None:
    packed(served / "a.zip", {"a": b"1"})
    with pytest.warns(UserWarning, match=r"no archive of format 'tar'"):
        get_file(origin=(served / "a.zip").as_uri(), untar=True, cache_dir=tmp_path)
    with pytest.warns(UserWarning, match=r"no archive of format None"):
        get_file(origin=(served / "a.zip").as_uri(), extract=True, archive_format=None, cache_dir=tmp_path)
    with pytest.raises(NotImplementedError, match=r"archive_format must be"):
        get_file(origin=(served / "a.zip").as_uri(), extract=True, archive_format="rar", cache_dir=tmp_path)


HOSTILE = [
    "../out.txt",
    "/out.txt",
    "a/../../out.txt",
    "..\\out.txt",
    "\\out.txt",
    "C:\\out.txt",
    "c:out.txt",
]


@pytest.mark.parametrize("pack", [tar, packed])
def test_members_that_lead_out_are_left_out(tmp_path: Path, pack: object) -> None:
    archive = pack(tmp_path / "bad", {"good.txt": b"g", **dict.fromkeys(HOSTILE, b"bad")})  # type: ignore[operator]
    before = set(tmp_path.rglob("*"))
    with pytest.warns(UserWarning, match="is left out: it is no regular file, or would lie outside") as caught:
        assert extract(archive, tmp_path / "to" / "here", ["tar", "zip"])
    assert len(caught) == len(HOSTILE)
    assert files_in(tmp_path / "to") == {"here/good.txt": b"g"}
    new = set(tmp_path.rglob("*")) - before
    assert new == {tmp_path / "to", tmp_path / "to" / "here", tmp_path / "to" / "here" / "good.txt"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_left_out(tmp_path: Path, kind: bytes) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tar(tmp_path / "bad.tgz", {"link": link(kind, str(outside)), "link/a.txt": b"in a folder of its own"})
    with pytest.warns(UserWarning, match="'link' of the archive is left out"):
        assert extract(archive, tmp_path / "to", ["tar"])
    assert files_in(tmp_path / "to") == {"link/a.txt": b"in a folder of its own"}
    assert list(outside.iterdir()) == []


def test_symbolic_links_of_zip_files_are_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc")
    with pytest.warns(UserWarning, match="'link' of the archive is left out"):
        assert extract(tmp_path / "bad.zip", tmp_path / "to", ["zip"])
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("pack", [tar, packed])
def test_an_archive_that_is_too_large_or_cut_off_leaves_nothing(tmp_path: Path, pack: object) -> None:
    archive = pack(tmp_path / "big", {"a": b"small", "b": os.urandom(100_000)})  # type: ignore[operator]
    with pytest.raises(ValueError, match="more than the 50000 bytes"):
        extract(archive, tmp_path / "to", ["tar", "zip"], max_bytes=50_000)
    data = bytearray(archive.read_bytes())
    data[40_000:40_400] = bytes(400)
    archive.write_bytes(data[:60_000] if pack is tar else data)
    with pytest.raises(ValueError, match="the archive cannot be unpacked"):
        extract(archive, tmp_path / "to", ["tar", "zip"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big"]
