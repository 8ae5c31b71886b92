"""Tables prepared column by column: what Keras's FeatureSpace was recorded to return, models, data sets, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import layers
from gpudl.utils import FeatureSpace
from gpudl.utils.pipeline import Dataset

TABLE: dict[str, list[Any]] = {
    "float_1": [0.0, 0.5, 1.25, -2.0, 7.0, 3.0],
    "float_2": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "float_3": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
    "string_1": ["a", "b", "a", "c", "d", "b"],
    "string_2": ["x", "y", "z", "x", "x", "w"],
    "int_1": [0, 5, 5, 7, 0, 5],
    "int_2": [1, 2, 3, 4, 5, 6],
    "int_3": [9, 9, 1, 2, 3, 9],
}
# Which columns of Keras's rows are 1, behind the two of floats.
RECORDED = [
    [0, 5, 7, 11, 17, 20, 29, 32],
    [1, 4, 9, 11, 16, 20, 30, 31],
    [1, 4, 7, 14, 17, 22, 28, 36],
    [2, 3, 9, 13, 19, 20, 30, 35],
    [2, 5, 9, 12, 18, 20, 30, 35],
    [2, 4, 9, 11, 16, 24, 26, 31],
]


def space(output_mode: str = "concat") -> FeatureSpace:
    return FeatureSpace(
        {
            "float_1": FeatureSpace.float_rescaled(scale=2.0, offset=1.0),
            "float_2": "float_normalized",
            "float_3": FeatureSpace.float_discretized(num_bins=3),
            "string_1": "string_categorical",
            "string_2": FeatureSpace.string_hashed(num_bins=5),
            "int_1": FeatureSpace.integer_categorical(max_tokens=3),
            "int_2": FeatureSpace.integer_hashed(num_bins=4),
            "int_3": "integer_categorical",
        },
        crosses=[("string_1", "int_1"), FeatureSpace.cross(("float_3", "string_2"), crossing_dim=6)],
        output_mode=output_mode,
        crossing_dim=7,
    )


def adapted(output_mode: str = "concat") -> FeatureSpace:
    made = space(output_mode)
    made.adapt(TABLE)
    return made


DATA: dict[str, Callable[[], Any]] = {
    "a dict": lambda: TABLE,
    "rows": lambda: Dataset.from_tensor_slices(TABLE),
    "batches": lambda: Dataset.from_tensor_slices(TABLE).batch(4),
    "a generator": lambda: ({name: values[at : at + 2] for name, values in TABLE.items()} for at in (0, 2, 4)),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_rows_are_those_that_keras_returned(data: Callable[[], Any]) -> None:
    made = space()
    made.adapt(data())
    rows = made(TABLE).numpy()
    assert [np.flatnonzero(row == 1).tolist() for row in rows[:, 2:]] == RECORDED
    np.testing.assert_array_equal(rows[:, 0], 2 * np.float32(TABLE["float_1"]) + 1)
    np.testing.assert_allclose(rows[:, 1], (np.arange(6) - 2.5) / np.sqrt(35 / 12), rtol=1e-5)
    assert rows.shape == (6, 40)
    assert rows.dtype == np.float32


def test_a_dict_has_the_parts_of_the_row() -> None:
    parts = adapted("dict")(TABLE)
    assert list(parts) == [*sorted(TABLE), "float_3_X_string_2", "string_1_X_int_1"]
    np.testing.assert_array_equal(np.concatenate(list(parts.values()), axis=1), adapted()(TABLE))


def test_one_row() -> None:
    one = {name: values[1] for name, values in TABLE.items()}
    np.testing.assert_array_equal(adapted()(one), adapted()(TABLE)[1])
    assert adapted("dict")(one)["string_1"].shape == (5,)


def test_a_model_takes_the_table_as_it_comes() -> None:
    made = adapted()
    encoded = made.get_encoded_features()
    assert encoded.shape == (None, 40)
    gpudl.utils.set_random_seed(3)
    model = gpudl.Model(made.get_inputs(), layers.Dense(1, activation="sigmoid")(encoded))
    model.compile(gpudl.optimizers.Adam(0.1), "binary_crossentropy")
    labels = np.array([[1], [0], [0], [1], [1], [0]], np.float32)
    table = {name: np.array(values) for name, values in TABLE.items()}
    losses = model.fit(table, labels, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.1 < losses[0]
    inside = gpudl.Sequential([model.layers[-1]])
    np.testing.assert_allclose(model.predict(table, verbose=0), inside(made(TABLE)), rtol=1e-5)


def test_it_is_mapped_over_data_sets() -> None:
    made = adapted()
    data = Dataset.from_tensor_slices((TABLE, np.arange(6))).batch(6).map(lambda x, y: (made(x), y))
    ((rows, _),) = data
    np.testing.assert_array_equal(rows, made(TABLE))


def test_a_layer_of_ones_own() -> None:
    words = layers.TextVectorization(output_mode="count")
    made = FeatureSpace({"text": FeatureSpace.feature("string", words, "float")}, output_mode="dict")
    made.adapt({"text": ["a b", "b c b"]})
    assert words.get_vocabulary() == ["[UNK]", "b", "c", "a"]
    assert made({"text": ["b d"]})["text"].numpy().tolist() == [[1, 1, 0, 0]]


def test_a_config_makes_an_equal_space() -> None:
    given, again = space(), FeatureSpace.from_config(space().get_config())
    for made in (given, again):
        made.adapt(TABLE)
    np.testing.assert_array_equal(given(TABLE), again(TABLE))


ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "no features": (lambda: FeatureSpace({}), r"needs features: a dict such as"),
    "an unknown kind": (lambda: FeatureSpace({"a": "string_category"}), r"Did you mean 'string_categorical'\?"),
    "an unknown mode": (lambda: FeatureSpace({"a": "float"}, output_mode="list"), r"must be 'concat' or 'dict'"),
    "a cross of nothing": (
        lambda: FeatureSpace({"a": "string_hashed"}, crosses=[("a", "b")]),
        r"the cross 'a_X_b' needs features that are not there: b\.",
    ),
    "a cross of words": (
        lambda: FeatureSpace.cross(("a", "b"), 3, "count"),
        r"must be 'int' or 'one_hot', got 'count'",
    ),
    "a feature of words": (lambda: FeatureSpace.feature("float32", layers.Identity(), "hot"), r"got 'hot'"),
    "no adapt": (
        lambda: space()(TABLE),
        r'FeatureSpace "feature_space\w*" has learnt nothing yet: call adapt\(dataset\)',
    ),
    "no adapt for symbols": (lambda: space().get_inputs(), r"has learnt nothing yet: call adapt\(dataset\)"),
    "a column that is not there": (lambda: adapted()({"float_1": [1.0]}), r"and 'float_2' is missing\."),
    "a tuple": (lambda: space().adapt([(TABLE, 1)]), r"takes a dict of columns, got tuple\. A data set of \(x, y\)"),
    "integers in a row": (
        lambda: FeatureSpace({"a": FeatureSpace.string_hashed(3, "int")})({"a": ["x"]}),
        r"the feature 'a' is of dtype int64, and only numbers that are encoded can be joined",
    ),
    "one-hot floats": (
        lambda: FeatureSpace({"a": FeatureSpace.feature("float32", layers.Identity(), "one_hot")})({"a": [1.0]}),
        r"'a' has output_mode='one_hot', which needs a layer that returns one of a known number of integers",
    ),
}


@pytest.mark.parametrize(("call", "said"), ERRORS.values(), ids=ERRORS)
def test_what_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
