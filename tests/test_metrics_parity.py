"""Metrics beside Keras's: constructors, states, results and configs, for configurations drawn from the arguments."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity, require_in_keras
from metric_cases import CASES, configurations
from public_names import classes, functions

from gpudl import metrics

CONFIGURATIONS = 20


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


def rounded(metric: Any, option: str) -> dict[str, Any]:
    """Return an option as Keras hands it on, in 32 bits."""
    return {option: getattr(metric, option)} if hasattr(metric, option) else {}


@parity
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")  # of Keras's confusion matrix
@pytest.mark.parametrize("name", CASES)
def test_states_results_and_configs(keras: Any, name: str) -> None:
    require_in_keras(keras.metrics, name)
    for options, batches in configurations(name, CONFIGURATIONS):
        ours, theirs = (getattr(module, name)(**options) for module in (metrics, keras.metrics))
        for number, batch in enumerate(batches):
            words = f"{options} {number}"
            results = [np.asarray(metric(*batch)) for metric in (ours, theirs)]
            assert results[0].shape == results[1].shape, words
            np.testing.assert_allclose(*results, 5e-5, 1e-5, err_msg=words)
            assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
            for mine, other in zip(ours.variables, theirs.variables, strict=True):
                np.testing.assert_allclose(mine.numpy(), np.asarray(other.value), 5e-5, 1e-5, err_msg=words)
        mine, other = ours.get_config(), theirs.get_config()
        for key, value in other.items():  # an array where weights were a list, a tuple where classes were one
            plain = value if isinstance(value, str) or not hasattr(value, "__len__") else pytest.approx(np.array(value))
            assert key == "name" or mine[key] == plain, f"{options} {key}"
        again = getattr(metrics, name).from_config({**other, "name": "again"})
        assert {**again.get_config(), "name": ""} == {**mine, "name": "", **rounded(again, "label_weights")}


@parity
@pytest.mark.parametrize("name", sorted(classes(metrics, metrics.Metric) | {"Metric"}))
def test_constructors_take_the_same(keras: Any, name: str) -> None:
    require_in_keras(keras.metrics, name)

    def arguments(taking: Any) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(taking).parameters.values()]

    assert arguments(getattr(metrics, name)) == arguments(getattr(keras.metrics, name))


@parity
def test_every_public_name_of_keras_is_there(keras: Any) -> None:
    assert not [name for name in dir(keras.metrics) if not name.startswith("_") and not hasattr(metrics, name)]
    own = {"resolve_accuracy"}
    for name in functions(metrics) - own - {"accuracy"}:
        theirs = inspect.signature(getattr(keras.metrics, name)).parameters
        ours = inspect.signature(getattr(metrics, name)).parameters
        if name not in ("get", "serialize", "deserialize"):
            assert {key: p.default for key, p in theirs.items()} == {key: p.default for key, p in ours.items()}


@parity
def test_names_are_counted_as_in_keras(keras: Any) -> None:
    for name in classes(metrics, metrics.Metric) - {"MeanMetricWrapper", "AUC"}:
        needed = {key: values[0] for key, values in CASES[name].options.items()} if name in CASES else {}
        with warnings.catch_warnings():
            counted = [getattr(module, name)(**needed).name for module in (metrics, keras.metrics) for _ in range(2)]
        assert {one.rstrip("_0123456789") for one in counted[:2]} == {one.rstrip("_0123456789") for one in counted[2:]}
        assert len(set(counted[:2])) == len(set(counted[2:]))
