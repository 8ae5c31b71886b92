"""The names of `preprocessing`: those of `utils`, and resizing that keeps the proportions, beside Keras."""

from __future__ import annotations

import random

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import preprocessing, utils


@pytest.mark.parametrize("module", [preprocessing, preprocessing.image, preprocessing.sequence])
def test_names_are_those_of_utils(module: object) -> None:
    for name in module.__all__:  # type: ignore[attr-defined]
        if name not in ("image", "sequence", "smart_resize"):
            assert getattr(module, name) is getattr(utils, name)


@parity
def test_smart_resize_as_in_keras() -> None:
    keras, draw = keras_or_skip(), random.Random(0)
    for _ in range(20):
        shape = (draw.choice((4, 9)), draw.choice((4, 9)), 3)
        size = (draw.choice((3, 6)), draw.choice((3, 6)))
        method, first = draw.choice(("bilinear", "nearest")), draw.random() < 0.5
        x = np.random.default_rng(1).random((2, *shape) if draw.random() < 0.5 else shape, np.float32)
        options = {"interpolation": method, "data_format": "channels_first" if first else "channels_last"}
        x = np.moveaxis(x, -1, -3) if first else x
        ours, theirs = (library.preprocessing.image.smart_resize(x, size, **options) for library in (gpudl, keras))
        assert type(ours) is type(theirs) is np.ndarray
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=f"{x.shape} {size} {options}")


def test_a_tensor_stays_one() -> None:
    y = preprocessing.image.smart_resize(gpudl.ops.ones((4, 6, 1)), (2, 2))
    assert isinstance(y, gpudl.Tensor)
    with pytest.raises(gpudl.ShapeError, match=r"\(4, 6\)"):
        preprocessing.image.smart_resize(np.ones((4, 6)), (2, 2))
