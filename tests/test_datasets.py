"""Data sets: where they are found, what a download survives, what is refused, and digits drawn by program."""

import dataclasses
import gzip
import hashlib
import io
import os
import stat
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from gpudl.datasets import DatasetUnavailable, fashion_mnist, mnist, synthetic_digits
from gpudl.datasets._source import DamagedFileError, read_idx, read_npz
from gpudl.utils import files
from gpudl.utils.files import DownloadError, download, home

REAL_MNIST = Path(__file__).parents[1].parent / "shared" / "data" / "mnist.npz"
BODY = b"some bytes that travel " * 4000
Answer = Callable[[BaseHTTPRequestHandler], None]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sends(body: bytes, claimed: int | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) if claimed is None else claimed))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class Mirror:
    """A server on this machine; ``answers`` maps a path to what happens there, anything else is a 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                mirror.answers.get(self.path, lambda handler: handler.send_error(404))(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "*")
    server = Mirror()
    yield server
    server.stop()


def test_download_gives_the_file_and_says_so_in_one_line(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.answers["/a"] = sends(BODY)
    target = tmp_path / "new" / "folder" / "a"
    assert download([mirror.url("/a")], target, sha256=sha256(BODY)) == target
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"Downloading {mirror.url('/a')}\n")


def test_download_is_readable_by_those_whom_the_umask_allows(mirror: Mirror, tmp_path: Path) -> None:
    mirror.answers["/a"] = sends(BODY)
    before = os.umask(0o022)
    try:
        got = download([mirror.url("/a")], tmp_path / "a", sha256=sha256(BODY))
    finally:
        os.umask(before)
    assert stat.S_IMODE(got.stat().st_mode) == 0o644


def test_download_shows_a_bar_on_a_terminal(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    mirror.answers["/a.bin"] = sends(BODY)
    download([mirror.url("/a.bin")], tmp_path / "a", sha256=sha256(BODY))
    shown = sys.stderr.getvalue()
    assert "Downloading a.bin" in shown
    assert "92.0/92.0 kB" in shown


def test_download_takes_the_next_mirror(mirror: Mirror, tmp_path: Path) -> None:
    mirror.answers |= {"/wrong": sends(b"else"), "/good": sends(BODY), "/never": sends(BODY)}
    urls = [mirror.url(path) for path in ("/missing", "/wrong", "/good", "/never")]
    assert download(urls, tmp_path / "a", sha256=sha256(BODY)).read_bytes() == BODY
    assert mirror.asked == ["/missing", "/wrong", "/good"]
    assert os.listdir(tmp_path) == ["a"]


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sends(BODY[:-1] + b"?"), f"wrong SHA-256: expected {sha256(BODY)}, got {sha256(BODY[:-1] + b'?')}"),
        (sends(BODY[:1000], len(BODY)), "the transfer stopped after 1000 of 92000 bytes"),
        (sends(BODY + BODY), "sent more than the 100000 bytes that this file may have"),
        (lambda handler: handler.send_error(404), "HTTP 404 Not Found"),
        (lambda handler: handler.send_error(503), "HTTP 503 Service Unavailable"),
        (hang_up, "Remote end closed connection without response"),
    ],
)
def test_download_that_fails_leaves_the_old_file(mirror: Mirror, tmp_path: Path, answer: Answer, reason: str) -> None:
    mirror.answers["/a"] = answer
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(DownloadError) as caught:
        download([mirror.url("/a")], tmp_path / "a", sha256=sha256(BODY), max_bytes=100_000)
    assert caught.value.failures == [f"{mirror.url('/a')}: {reason}"]
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_download_stops_waiting_for_a_silent_server(mirror: Mirror, tmp_path: Path) -> None:
    done = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        sends(BODY[:1000], len(BODY))(handler)
        handler.wfile.flush()
        done.wait(10)

    mirror.answers["/a"] = stall
    try:
        with pytest.raises(DownloadError, match="timed out"):
            download([mirror.url("/a")], tmp_path / "a", sha256=sha256(BODY), timeout=0.2)
    finally:
        done.set()
    assert os.listdir(tmp_path) == []


def test_download_that_is_interrupted_leaves_nothing(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(count: int) -> None:
        assert len(os.listdir(tmp_path)) == 1, "the partial file was there"
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_progress", lambda url, total: nullcontext(interrupt))
    mirror.answers["/a"] = sends(BODY)
    with pytest.raises(KeyboardInterrupt):
        download([mirror.url("/a")], tmp_path / "a", sha256="")
    assert os.listdir(tmp_path) == []


def test_download_into_a_place_that_is_no_folder(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="file: cannot be made: File exists"):
        download([mirror.url("/a")], tmp_path / "file" / "a", sha256="")
    with pytest.raises(DownloadError, match="no address to download from"):
        download([], tmp_path / "a", sha256="")


def test_downloads_at_once_do_not_disturb_each_other(mirror: Mirror, tmp_path: Path) -> None:
    both = threading.Barrier(4, timeout=30)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        both.wait()  # nobody gets the first byte before all four have asked
        sends(BODY)(handler)

    mirror.answers["/a"] = answer
    url, target, results = mirror.url("/a"), tmp_path / "a", []
    program = f"from gpudl.utils.files import download as d; d([{url!r}], {str(target)!r}, sha256={sha256(BODY)!r})"
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]

    def fetch() -> None:
        results.append(download([url], target, sha256=sha256(BODY)).read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(30) for process in processes] == [0, 0]
    assert results == [BODY, BODY]
    assert os.listdir(tmp_path) == ["a"]
    assert target.read_bytes() == BODY


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GPUDL_HOME", raising=False)
    assert home() == tmp_path / ".gpudl"
    monkeypatch.setenv("GPUDL_HOME", "~/elsewhere")
    assert home() == tmp_path / "elsewhere"


def pack(**changes: np.ndarray | None) -> bytes:
    images = np.zeros((60_000, 28, 28), np.uint8)
    images[:, 3, 4] = np.arange(60_000) % 251
    classes = (np.arange(60_000) % 10).astype(np.uint8)
    arrays = {"x_train": images, "y_train": classes, "x_test": images[:10_000], "y_test": classes[:10_000]}
    file = io.BytesIO()
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.fixture(scope="module")
def packed() -> bytes:
    return pack()


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The datasets folders of gpudl and of Keras, empty and alone."""
    monkeypatch.setenv("GPUDL_HOME", str(tmp_path / "gpudl"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.chdir(tmp_path)
    folders = tmp_path / "gpudl" / "datasets", tmp_path / "keras" / "datasets"
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


@pytest.fixture
def served(mirror: Mirror, homes: object, packed: bytes, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    mirror.answers["/mnist.npz"] = sends(packed)
    source = dataclasses.replace(mnist.SOURCE, urls=(mirror.url("/mnist.npz"),), sha256=sha256(packed))
    monkeypatch.setattr(mnist, "SOURCE", source)
    return mirror


def check(data: mnist.Split) -> None:
    (x_train, y_train), (x_test, y_test) = data
    assert [a.shape for a in (x_train, y_train, x_test, y_test)] == [
        (60_000, 28, 28),
        (60_000,),
        (10_000, 28, 28),
        (10_000,),
    ]
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert all(a.flags.writeable for a in (x_train, y_train, x_test, y_test))
    assert x_train[250, 3, 4] == 250
    assert y_test[17] == 7


def test_mnist_is_downloaded_once(served: Mirror, homes: tuple[Path, Path], packed: bytes) -> None:
    check(mnist.load_data())
    check(mnist.load_data())
    assert served.asked == ["/mnist.npz"]
    assert (homes[0] / "mnist.npz").read_bytes() == packed
    assert os.listdir(homes[1]) == []


def test_mnist_of_a_keras_user_is_used_and_left(served: Mirror, homes: tuple[Path, Path], packed: bytes) -> None:
    (homes[1] / "mnist.npz").write_bytes(packed)
    check(mnist.load_data())
    assert served.asked == []
    assert os.listdir(homes[0]) == []


def test_mnist_from_a_file_of_the_users_own(
    served: Mirror, tmp_path: Path, packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.npz"
    own.write_bytes(packed)
    check(mnist.load_data(str(own)))
    check(mnist.load_data("own.npz"))
    monkeypatch.setenv("HOME", str(tmp_path))
    check(mnist.load_data("~/own.npz"))
    assert served.asked == []


def test_mnist_is_downloaded_to_the_path_that_was_named(
    served: Mirror, tmp_path: Path, homes: tuple[Path, Path]
) -> None:
    check(mnist.load_data(tmp_path / "here.npz"))
    check(mnist.load_data("digits/other.npz"))
    assert (tmp_path / "here.npz").is_file()
    assert (homes[0] / "digits" / "other.npz").is_file()
    with pytest.raises(DatasetUnavailable, match=r"there is no folder .*typo\. Make it, or pass"):
        mnist.load_data(tmp_path / "typo" / "mnist.npz")
    assert not (tmp_path / "typo").exists()


def test_a_damaged_file_of_the_users_own_is_reported_and_left(served: Mirror, tmp_path: Path) -> None:
    own = tmp_path / "own.npz"
    own.write_bytes(b"no archive")
    with pytest.raises(DatasetUnavailable) as caught:
        mnist.load_data(own)
    assert f"{own}: the file is damaged: File is not a zip file. It was left as it is." in str(caught.value)
    assert own.read_bytes() == b"no archive"
    assert served.asked == []
    with pytest.raises(DatasetUnavailable, match=r"cannot be read: Is a directory"):
        mnist.load_data(tmp_path)


def test_a_damaged_cached_file_is_replaced(served: Mirror, homes: tuple[Path, Path], packed: bytes) -> None:
    for folder in homes:
        (folder / "mnist.npz").write_bytes(packed[: len(packed) // 2])
    check(mnist.load_data())
    assert (homes[0] / "mnist.npz").read_bytes() == packed
    assert (homes[1] / "mnist.npz").read_bytes() == packed[: len(packed) // 2], "Keras's file is not ours to mend"


def test_the_error_names_every_place(served: Mirror, homes: tuple[Path, Path], packed: bytes) -> None:
    served.answers.clear()
    (homes[0] / "mnist.npz").write_bytes(packed[:-100])
    with pytest.raises(DatasetUnavailable) as caught:
        mnist.load_data()
    assert str(caught.value).splitlines() == [
        "mnist.npz is nowhere to be had:",
        f"  {homes[0] / 'mnist.npz'}: the file is damaged: File is not a zip file",
        f"  {homes[1] / 'mnist.npz'}: no such file",
        f"  {served.url('/mnist.npz')}: HTTP 404 Not Found",
        f"Connect to the network once, or put the file at {homes[0] / 'mnist.npz'}. "
        "gpudl.datasets.synthetic_digits needs no file.",
    ]
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, "expected an array y_test, found x_train.npy, y_train.npy, x_test.npy"),
        (
            {"x_test": np.zeros((9_999, 28, 28), np.uint8)},
            r"expected x_test to be uint8 \(10000, 28, 28\), found",
        ),
        ({"y_train": np.zeros(60_000)}, r"expected y_train to be uint8 \(60000,\), found float64 \(60000,\)"),
        ({"y_test": np.full(10_000, 10, np.uint8)}, "expected labels from 0 to 9, found 10"),
        ({"y_test": np.array([{}] * 10_000)}, "found object"),
    ],
)
def test_archives_with_other_arrays_are_refused(tmp_path: Path, changes: dict[str, None], words: str) -> None:
    (tmp_path / "a.npz").write_bytes(pack(**changes))
    with pytest.raises(DamagedFileError, match=words):
        read_npz(tmp_path / "a.npz")


def test_an_archive_that_claims_a_huge_array_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("x_train.npy", "w") as file:
        header = {"shape": (10**15, 28, 28), "fortran_order": False, "descr": "|u1"}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(DamagedFileError, match="1000000000000000"):
        read_npz(tmp_path / "a.npz")


def test_an_archive_whose_members_are_larger_than_their_arrays_is_refused_unread(tmp_path: Path, packed: bytes) -> None:
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(io.BytesIO(packed)) as good, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in good.namelist():
            with archive.open(name, "w") as file:
                file.write(good.read(name))
                for _ in range(100 if name == "x_test.npy" else 0):
                    file.write(bytes(1 << 20))  # a million zeros, a thousand bytes when deflated
    assert bomb.stat().st_size < 3 << 20
    tracemalloc.start()
    try:
        with pytest.raises(
            DamagedFileError, match=r"expected 7840128 bytes for x_test in the directory, found 112697728"
        ):
            read_npz(bomb)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_an_archive_packed_in_other_ways_is_refused(tmp_path: Path, packed: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as good, zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in good.namelist():
            archive.writestr(name, good.read(name), zipfile.ZIP_LZMA)
    with pytest.raises(DamagedFileError, match="expected x_train to be stored or deflated, found method 14"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_what_is_no_regular_file_is_not_touched(served: Mirror, tmp_path: Path, homes: tuple[Path, Path]) -> None:
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    (tmp_path / "link.npz").symlink_to(pipe)
    for path in (pipe, tmp_path / "link.npz", Path("/dev/zero")):
        for read in (read_npz, lambda path: read_idx(path, (3,))):
            with pytest.raises(DamagedFileError, match="expected a regular file, found a pipe or a device"):
                read(path)
        with pytest.raises(DatasetUnavailable, match=r"the file is damaged: expected a regular file"):
            mnist.load_data(path)
    os.mkfifo(homes[1] / "mnist.npz")  # one that stands where Keras's file might be
    check(mnist.load_data())


def test_a_file_larger_than_any_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(DamagedFileError, match=f"expected at most {64 << 20} bytes, found {65 << 20}"):
        read_npz(tmp_path / "a.npz")


def test_a_symbolic_link_to_a_file_is_followed(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(packed)
    (tmp_path / "b.npz").symlink_to(tmp_path / "a.npz")
    check(read_npz(tmp_path / "b.npz"))


@pytest.mark.parametrize("path", ["../mnist.npz", "../../out/mnist.npz", "a/../../../mnist.npz", "a/.."])
def test_a_path_does_not_lead_out_of_the_datasets_folder(served: Mirror, tmp_path: Path, path: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"would lie outside of the datasets folder\. Pass a name in it, or the path"):
        mnist.load_data(path)
    assert sorted(tmp_path.rglob("*")) == before
    assert served.asked == []


def test_an_archive_with_broken_bytes_is_damaged_and_nothing_worse(tmp_path: Path, packed: bytes) -> None:
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    # Most of the file is the compressed images, so aim at its structure, at both ends, too.
    for start, stop, times in ((0, len(packed), 4), (0, 200, 10), (len(packed) - 300, len(packed), 20)):
        for _ in range(times):
            broken = bytearray(packed)
            broken[rng.integers(start, stop)] ^= int(rng.integers(1, 256))
            path.write_bytes(broken)
            with suppress(DamagedFileError, OSError):
                check(read_npz(path))  # a byte that nothing depends on, such as a date


@pytest.fixture(scope="module")
def real() -> mnist.Split:
    if not REAL_MNIST.is_file():
        pytest.skip("the real MNIST is not beside the repository")
    return mnist.load_data(REAL_MNIST)


def test_the_real_mnist(real: mnist.Split) -> None:
    (x_train, y_train), (x_test, y_test) = real
    published = {
        "6bbc9ace898e44ae57da46a324031adb": x_train,
        "a25bea736e30d166cdddb491f175f624": y_train,
        "2646ac647ad5339dbf082846283269ea": x_test,
        "27ae3e4e09519cfbb04c329615203637": y_test,
    }
    for md5, array in published.items():
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        assert hashlib.md5(header + array.tobytes(), usedforsecurity=False).hexdigest() == md5
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9]


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def fashion(mirror: Mirror, homes: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    arrays = {}
    for prefix, count in {"train": 60_000, "t10k": 10_000}.items():
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 3, 4] = np.arange(count) % 251
        arrays[f"{prefix}-images-idx3-ubyte.gz"] = images
        arrays[f"{prefix}-labels-idx1-ubyte.gz"] = (np.arange(count) % 10).astype(np.uint8)
    sources = {}
    for name, array in arrays.items():
        body = gzip.compress(idx(array), 1)
        mirror.answers[f"/{name}"] = sends(body)
        changes = {"urls": (mirror.url(f"/{name}"),), "sha256": sha256(body)}
        sources[name] = dataclasses.replace(fashion_mnist.SOURCES[name], **changes)
    monkeypatch.setattr(fashion_mnist, "SOURCES", sources)
    return arrays


def test_fashion_mnist_is_downloaded_once_and_mended(
    fashion: dict[str, np.ndarray], mirror: Mirror, homes: tuple[Path, Path]
) -> None:
    check(fashion_mnist.load_data())
    folder = homes[0] / "fashion-mnist"
    assert sorted(os.listdir(folder)) == sorted(fashion)
    Path("fashion-mnist").mkdir()  # in the working directory: nobody asked for what lies there
    Path("fashion-mnist/t10k-labels-idx1-ubyte.gz").write_bytes(b"something else")
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-5])
    check(fashion_mnist.load_data())
    assert sorted(mirror.asked) == sorted(f"/{name}" for name in [*fashion, labels.name])


def test_fashion_mnist_names_the_file_that_is_missing(
    fashion: dict[str, np.ndarray], mirror: Mirror, homes: tuple[Path, Path]
) -> None:
    (homes[1] / "fashion-mnist").mkdir()
    for name, array in fashion.items():
        (homes[1] / "fashion-mnist" / name).write_bytes(gzip.compress(idx(array), 1))
    check(fashion_mnist.load_data())
    assert mirror.asked == []
    mirror.answers.clear()
    (homes[1] / "fashion-mnist" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetUnavailable, match=r"fashion-mnist/train-labels-idx1-ubyte.gz is nowhere to be had"):
        fashion_mnist.load_data()


GOOD = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))


def gzipped(data: bytes) -> bytes:
    """Return what is the same in every process, as names of tests have to be: without the time."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzipped(GOOD[:-1]), "expected 12 bytes after the IDX header, found 11"),
        (gzipped(GOOD + b"x"), "expected 12 bytes after the IDX header, found more"),
        (gzipped(b"\0\0\x0d" + GOOD[3:]), "expected the IDX header 000008020000000300000004 of uint8"),
        (gzipped(b"\0\0\x08\x02" + b"\xff" * 8), "found 00000802ffffffffffffffff"),
        (gzipped(b""), "found nothing"),
        (gzipped(GOOD)[:-6], "ended before the end-of-stream marker"),
        (gzipped(GOOD)[:-8] + bytes(8), "CRC check failed"),
        (GOOD, "Not a gzipped file"),
    ],
)
def test_idx_files_with_anything_else_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(DamagedFileError, match=words):
        read_idx(tmp_path / "a.gz", (3, 4))


def test_idx_reads_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(GOOD))
    assert read_idx(tmp_path / "a.gz", (3, 4)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.fixture(scope="module")
def drawn() -> synthetic_digits.Split:
    return synthetic_digits.load_data(train=10_000, test=2_000)


def test_drawn_digits_have_the_form_of_mnist(drawn: synthetic_digits.Split) -> None:
    for (images, labels), count in zip(drawn, (10_000, 2_000), strict=True):
        assert images.shape == (count, 28, 28)
        assert labels.shape == (count,)
        assert images.dtype == labels.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count // 10] * 10
        assert not np.array_equal(labels, np.sort(labels))
        # White on black, about as much ink as MNIST has (a mean of 33), and in the middle.
        assert 20 < images.mean() < 50
        assert np.median(images.max(axis=(1, 2))) > 200
        assert images[:, :2].mean() < 8
        assert images[:, 8:20, 8:20].mean() > 60


def test_drawn_digits_come_again_with_the_seed() -> None:
    first, again, other = (synthetic_digits.load_data(1500, 30, seed) for seed in (3, 3, 4))
    for (x, y), (x_again, y_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)
    assert not np.array_equal(first[0][0], other[0][0])


def test_drawn_test_images_are_their_own(drawn: synthetic_digits.Split) -> None:
    (x_train, _), (x_test, y_test) = drawn
    assert not {image.tobytes() for image in x_train} & {image.tobytes() for image in x_test}
    _, (alone, labels) = synthetic_digits.load_data(train=0, test=2_000)
    np.testing.assert_array_equal(alone, x_test)
    np.testing.assert_array_equal(labels, y_test)


@pytest.mark.parametrize("count", [0, 1, 11])
def test_drawn_digits_of_any_number(count: int) -> None:
    (images, labels), _ = synthetic_digits.load_data(train=count, test=0)
    assert images.shape == (count, 28, 28)
    assert labels.shape == (count,)


@pytest.mark.parametrize("name", ["train", "test", "seed"])
def test_drawn_digits_refuse_negative_numbers(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
        synthetic_digits.load_data(**({"train": 1, "test": 1} | {name: -1}))


def test_drawn_digits_can_be_learned_but_not_by_their_means(drawn: synthetic_digits.Split) -> None:
    (x, y), (x_test, y_test) = ((images.reshape(-1, 784) / np.float32(255), labels) for images, labels in drawn)
    means = np.stack([x[y == digit].mean(0) for digit in range(10)])
    nearest = np.argmax(x_test @ means.T - (means**2).sum(1) / 2, axis=1)
    assert 0.5 < (nearest == y_test).mean() < 0.95

    weights, target = np.zeros((784, 10), np.float32), np.eye(10, dtype=np.float32)[y]
    for _ in range(120):  # logistic regression by plain gradient descent
        score = np.exp(x @ weights)
        weights -= 0.5 * x.T @ (score / score.sum(1, keepdims=True) - target) / len(x)
    assert ((x_test @ weights).argmax(1) == y_test).mean() > 0.9


def test_importing_the_datasets_is_light() -> None:
    program = "import sys, gpudl.datasets; print({'rich', 'urllib.request', 'http.client'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
    )
