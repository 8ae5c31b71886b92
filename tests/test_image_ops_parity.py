"""The functions of images beside Keras's: twenty drawn calls of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from image_calls import FUNCTIONS
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl.ops import image

CALLS = 20
ATOL = {"affine_transform": 2e-4, "perspective_transform": 2e-4}  # of coordinates times slopes


def test_every_function_has_draws() -> None:
    assert {*FUNCTIONS, "elastic_transform"} == set(image.__all__)


@parity
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_keras(name: str) -> None:
    keras = keras_or_skip()
    for number in range(CALLS):
        args, options = FUNCTIONS[name](np.random.default_rng(number))
        mine = getattr(image, name)(*args, **options)
        theirs = np.asarray(getattr(keras.ops.image, name)(*args, **options))
        what = f"{number}: {args[1:]}, {options}"
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), what
        # Of rounded results one may lie on the other side of a half.
        close = {"rtol": 0, "atol": 1} if theirs.dtype.kind in "iu" else {"rtol": 1e-4, "atol": ATOL.get(name, 3e-5)}
        np.testing.assert_allclose(mine.numpy().astype(float), theirs.astype(float), **close, err_msg=what)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_the_slopes(name: str) -> None:
    args, options = FUNCTIONS[name](np.random.default_rng(3))
    options |= {"interpolation": "bilinear"} if "interpolation" in options else {}
    rng = np.random.default_rng(5)
    start = args[0] + rng.normal(size=args[0].shape) * 1e-3  # away from what has no slope
    direction = rng.normal(size=start.shape)

    def call(x: Any) -> gpudl.Tensor:
        y: gpudl.Tensor = getattr(image, name)(x, *args[1:], **options)
        return y

    x = gpudl.convert_to_tensor(start)
    with gpudl.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        r = rng.normal(size=y.shape)
        loss = gpudl.ops.sum(y * gpudl.convert_to_tensor(r))
    found = float((tape.gradient(loss, x).numpy() * direction).sum())
    high, low = (float((call(start + step * direction).numpy() * r).sum()) for step in (1e-5, -1e-5))
    assert found == pytest.approx((high - low) / 2e-5, rel=1e-5, abs=1e-5)
