"""Plain data in files that `pickle` wrote: it is read, and anything else is refused and not run."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pickled import Evil, lists

from gpudl.datasets._plain_pickle import RefusedError, read

PLAIN = [
    {"a": [1, 300, 70_000, -5, 2**40, True, None], "b": (1.5, "text ü", b"bytes")},
    {b"x": [], b"y": {}, b"z": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), 3: [[1], [2, [3]]]},
    list(range(3000)),
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", PLAIN)
def test_plain_data_is_read(value: object, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", ">i4", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read(dtype: str, protocol: int, order: str) -> None:
    array = np.asarray(np.arange(12).reshape(3, 4) % 7, dtype, order=order)
    got = read(pickle.dumps({"a": array, "again": array}, protocol))
    assert isinstance(got, dict)
    assert got["a"].dtype == array.dtype
    np.testing.assert_array_equal(got["a"], array)
    assert got["a"] is got["again"]
    got["a"][0] = 1  # it can be written to


def test_arrays_of_lists_are_read() -> None:
    got = read(pickle.dumps(lists([1, 2], [3, 70_000], []), 4))
    assert isinstance(got, np.ndarray)
    assert got.tolist() == [[1, 2], [3, 70_000], []]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [Evil(), [Evil()], {"a": Evil()}, print, os.system, complex(1, 2), {1, 2}, bytearray(b"a"), np.datetime64(1, "D")],
)
def test_anything_else_is_refused_and_not_run(
    value: object, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedError, match="It was not run"):
        read(pickle.dumps(value, protocol))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"K",
        b"K\x01K\x02.",
        b"(.",
        b"]K\x01e.",
        b"(e.",
        b"h\x05.",
        b"\xff.",
        b"}(K\x01u.",
        b"B\xff\xff\xff\xffa.",
        b"cnumpy\ndtype\n(U\x02V8K\x00K\x01tR.",
        b"cnumpy\nndarray\n(K\x01tR.",
        b"K\x01K\x02b.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00U\x01btR(K\x01(J\xff\xff\xff\x7ftNKZNtb.",
    ],
)
def test_damaged_data_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        read(data)


def test_broken_bytes_are_refused_and_nothing_worse() -> None:
    good = pickle.dumps({"data": np.zeros((4, 6), np.uint8), "labels": [1, 2, 300]}, 4)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        broken = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            broken[rng.integers(len(broken))] = rng.integers(256)
        with suppress(RefusedError):
            read(bytes(broken))
