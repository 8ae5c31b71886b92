"""Metrics against formulas over all samples, batch after batch, eager and traced, and their configs."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from metric_cases import CASES, configurations, expected
from public_names import classes
from replay_tools import address

import gpudl
from gpudl import metrics

every_metric = pytest.mark.parametrize("name", CASES)


def total(result: Any) -> np.ndarray:
    return np.asarray(result.numpy(), float)


@every_metric
def test_results_batch_by_batch(name: str) -> None:
    for options, batches in configurations(name, 7, (8, 8, 5)):
        metric = getattr(metrics, name)(**options)
        assert not total(metric.result()).any()
        for seen, batch in enumerate(batches, 1):
            got = metric(*batch)
            wanted = expected(name, options, batches[:seen])
            np.testing.assert_allclose(total(got), wanted, 5e-5, 1e-5, err_msg=f"{options} {seen}")
            assert got.dtype == np.float32
        metric.reset_state()
        assert not any(v.numpy().any() for v in metric.variables)


@every_metric
def test_traced_equals_eager(name: str) -> None:
    options, batches = list(configurations(name, 3))[2]
    eager, metric = getattr(metrics, name)(**options), getattr(metrics, name)(**options)
    step = gpudl.traced(metric)
    addresses = []
    for batch in batches:
        assert np.array_equal(step(*batch).numpy(), eager(*batch).numpy())
        addresses.append([address(v.data) for v in metric.variables])
        assert [v.numpy().tolist() for v in metric.variables] == [v.numpy().tolist() for v in eager.variables]
    assert addresses[0] == addresses[-1]
    assert len(step.entries) == 1
    assert [v.trainable for v in metric.variables] == [False] * len(addresses[0])


@every_metric
def test_config_round_trip(name: str) -> None:
    for options, batches in configurations(name, 4):
        metric = getattr(metrics, name)(**options, name="mine")
        again = metrics.deserialize(metrics.serialize(metric))
        assert (type(again), again.get_config()) == (type(metric), metric.get_config())
        assert again.name == "mine"
        assert np.array_equal(again(*batches[0]).numpy(), metric(*batches[0]).numpy())


@every_metric
def test_stateless_calls_leave_the_state_alone(name: str) -> None:
    options, (first, second, _) = list(configurations(name, 2))[1]
    metric, other = getattr(metrics, name)(**options), getattr(metrics, name)(**options)
    other.update_state(*first)
    other.update_state(*second)
    metric.update_state(*first)
    before = [v.numpy() for v in metric.variables]
    after = metric.stateless_update_state(metric.variables, *second)
    assert all(map(np.array_equal, (v.numpy() for v in metric.variables), before))
    assert all(map(np.array_equal, (v.numpy() for v in after), (v.numpy() for v in other.variables)))
    assert np.array_equal(metric.stateless_result(after).numpy(), other.result().numpy())
    assert not any(v.numpy().any() for v in metric.stateless_reset_state())
    assert all(map(np.array_equal, (v.numpy() for v in metric.variables), before))
    with pytest.raises(ValueError, match=rf"{name} has {len(before)} variables, got 0 values\. Give one for each of"):
        metric.stateless_result([])


@every_metric
def test_a_case_has_every_argument_with_its_default_first(name: str) -> None:
    taken = {key: p.default for key, p in inspect.signature(getattr(metrics, name)).parameters.items()}
    assert taken.keys() - {"name", "dtype"} == CASES[name].options.keys()
    for key, values in CASES[name].options.items():
        assert taken[key] in (values[0], inspect.Parameter.empty)


def test_every_metric_has_a_case() -> None:
    elsewhere = {"Mean", "MeanMetricWrapper", "Sum"}
    assert classes(metrics, metrics.Metric) - elsewhere == set(CASES)
