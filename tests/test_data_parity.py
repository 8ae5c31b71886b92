"""Images, padded sequences and texts against Keras, where it is installed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from pickled import lists

from gpudl import utils
from gpudl.datasets import imdb, reuters


@parity
def test_padded_sequences() -> None:
    rng, peer = np.random.default_rng(0), keras_or_skip().utils
    for n in range(40):
        rows = [rng.integers(0, 9, rng.integers(0, 6)).tolist() for _ in range(4)]
        options = {"maxlen": (None, 2, 4)[n % 3], "padding": ("pre", "post")[n % 2], "value": n % 4}
        options["truncating"] = ("pre", "post")[n // 2 % 2]
        got = utils.pad_sequences(rows, **options)
        np.testing.assert_array_equal(got, peer.pad_sequences(rows, **options), f"{rows} {options}")


@parity
def test_images() -> None:
    rng, peer = np.random.default_rng(0), keras_or_skip().utils
    for n in range(54):
        scale = bool(n % 2)
        pixels = rng.uniform(-100 * scale, 255, (5, 7, (1, 3, 4)[n % 3]))
        mine, theirs = utils.array_to_img(pixels, scale=scale), peer.array_to_img(pixels, scale=scale)
        assert (mine.mode, mine.tobytes()) == (theirs.mode, theirs.tobytes()), n
        file = io.BytesIO()
        utils.save_img(file, pixels, file_format="png", scale=scale)
        options = {"color_mode": ("grayscale", "rgb", "rgba")[n // 3 % 3], "keep_aspect_ratio": bool(n // 2 % 2)}
        options |= {"target_size": ((3, 4), (9, 2), None)[n % 3], "interpolation": ("nearest", "lanczos")[n // 9 % 2]}
        got = utils.img_to_array(utils.load_img(io.BytesIO(file.getvalue()), **options))
        wanted = peer.img_to_array(peer.load_img(io.BytesIO(file.getvalue()), **options))
        np.testing.assert_array_equal(got, wanted, str(options))


@parity
def test_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, peer = np.random.default_rng(1), keras_or_skip()
    x = lists(*(rng.integers(1, 400, rng.integers(1, 9)).tolist() for _ in range(30)))
    y = rng.integers(0, 2, 30)
    np.savez(tmp_path / "a.npz", x=x, y=y, x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    for mine, theirs in ((imdb, peer.datasets.imdb), (reuters, peer.datasets.reuters)):
        monkeypatch.setitem(theirs.load_data.__globals__, "get_file", lambda *_, **__: tmp_path / "a.npz")
        for n in range(24):
            options = {
                "num_words": (None, 200)[n % 2],
                "skip_top": (0, 20)[n // 2 % 2],
                "maxlen": (None, 7)[n // 4 % 2],
            }
            options |= {"start_char": (1, None)[n % 3 // 2], "index_from": (3, 0)[n // 3 % 2], "seed": n}
            options["oov_char"] = (2, None)[n // 6 % 2]
            got, wanted = mine.load_data(tmp_path / "a.npz", **options), theirs.load_data(**options)
            for part, other in zip(got, wanted, strict=True):
                assert [part[0].tolist(), part[1].tolist()] == [other[0].tolist(), np.asarray(other[1]).tolist()], (
                    options
                )
