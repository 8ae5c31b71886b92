"""The small functions of Keras around dtypes, names, settings and random numbers, beside Keras's."""

from __future__ import annotations

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import config, layers, random, utils
from gpudl.compat import aliases, keras_backend

DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool", "uint8", "int8", "int32", "int64"),
    *(None, int, float, bool, np.float64, np.dtype("int16")),
)


@parity
def test_dtypes_are_named_as_in_keras() -> None:
    keras = keras_or_skip()
    for name in ("standardize_dtype", "is_float_dtype", "is_int_dtype"):
        wanted = [getattr(keras.backend, name)(dtype) for dtype in DTYPES]
        assert [getattr(keras_backend, name)(dtype) for dtype in DTYPES] == wanted, name


@pytest.mark.parametrize("wrong", ["float33", "str", object(), []])
def test_what_is_no_dtype_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"expected a dtype of numbers such as 'float32', got "):
        utils.standardize_dtype(wrong)


def test_a_cleared_session_numbers_names_anew() -> None:
    utils.clear_session()
    names = [layers.Dense(1).name, layers.Dense(1).name]
    config.set_floatx("float64")
    utils.clear_session()
    assert (layers.Dense(1).name, config.floatx()) == ("dense", "float64")
    assert names == ["dense", "dense_1"]
    assert [keras_backend.get_uid("a"), keras_backend.get_uid("a"), keras_backend.get_uid("b")] == [1, 2, 1]


def test_symbols_are_keras_tensors() -> None:
    x = gpudl.Input((2,))
    values = (x, layers.Dense(1)(x), gpudl.convert_to_tensor(1.0), np.ones(2), None)
    assert [*map(utils.is_keras_tensor, values)] == [True, True, False, False, False]


def test_a_program_finds_the_names_of_keras_backend() -> None:
    for module in ("keras.backend", "tensorflow.keras.backend"):
        assert aliases.exists(f"{module}.clear_session")
        assert aliases.exists(f"{module}.floatx")
        assert not aliases.exists(f"{module}.on_device")


@pytest.mark.parametrize("draw", [random.uniform, random.normal])
def test_random_numbers_are_of_the_dtype_that_is_asked_for(draw) -> None:
    default = draw((3,), seed=1)
    assert default.dtype == "float32"
    for name in ("float16", "float64"):
        asked = draw((3,), 0.0, 1.0, name, 1)
        assert asked.dtype == name
        np.testing.assert_array_equal(asked.numpy(), default.numpy().astype(name))
        config.set_floatx(name)
        assert draw((3,)).dtype == name
    with pytest.raises(ValueError, match=rf"random\.{draw.__name__}: dtype must be a floating-point type, got 'int32'"):
        draw((3,), dtype="int32")


def test_devices_and_backends_are_named_by_keyword_as_in_keras() -> None:
    config.set_backend(backend=config.backend())
    with gpudl.device(device_name="cpu"):
        assert gpudl.convert_to_tensor(1.0).numpy() == 1
