"""Trainings on the card: the CPU's weights within rounding, and the same bits however a step is run."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl import backend
from gpudl.cli import BATCH_SIZES, network
from gpudl.engine.state import ungraphed

pytestmark = pytest.mark.gpu
STEPS = 20
ALLOWED = 1e-3  # share of the norm of the weights
NETWORKS = pytest.mark.parametrize("name", sorted(BATCH_SIZES))


def digits(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return MNIST from ``GPUDL_TEST_DATA``, or synthetic digits."""
    path = os.environ.get("GPUDL_TEST_DATA")
    if path:
        with np.load(path) as arrays:
            x, y = arrays["x_train"][:count], arrays["y_train"][:count]
    else:
        (x, y), _ = gpudl.datasets.synthetic_digits.load_data()
        x, y = x[:count], y[:count]
    shape = (28 * 28,) if name == "mnist-mlp" else (28, 28, 1)
    return x.reshape(-1, *shape).astype("float32") / 255, np.eye(10, dtype="float32")[y]


def trained(
    name: str, on: str = "cupy", *, eagerly: bool = False, graphs: bool = True, short: int = 0, nudged: bool = False
) -> Any:
    """Return the flat weights after `STEPS` steps, the last one `short` images smaller.

    `nudged` moves each weight by one rounding before the first step.
    """
    size = BATCH_SIZES[name]
    x, y = digits(name, STEPS * size - short)
    with backend.scope(on), nullcontext() if graphs else ungraphed():
        gpudl.utils.set_random_seed(1)
        model = network(name)
        model.run_eagerly = eagerly
        if nudged:
            model.set_weights([np.nextafter(w, np.float32(np.inf)) for w in model.get_weights()])
        model.fit(x, y, batch_size=size, epochs=1, verbose=0)
        return np.concatenate([w.reshape(-1) for w in model.get_weights()])


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two vectors are apart, as a share of the second: by norm or by the largest element."""
    by_norm = np.linalg.norm(one - other) / np.linalg.norm(other)
    return float(max(by_norm, np.abs(one - other).max() / np.abs(other).max()))


@NETWORKS
def test_twenty_steps_give_the_weights_of_the_cpu(name: str, record_property: Any) -> None:
    on_cpu = trained(name, "numpy")
    record_property("relative_difference", apart(trained(name), on_cpu))
    # A rounding can turn the maximum of a pool, and RMSprop enlarges that: so much for what CPU alone would do.
    record_property("of_the_cpu_after_one_rounding", apart(trained(name, "numpy", nudged=True), on_cpu))
    assert apart(trained(name), on_cpu) <= ALLOWED


@NETWORKS
@pytest.mark.parametrize("way", [{"graphs": False}, {"eagerly": True}, {}], ids=["no-graph", "eager", "again"])
def test_however_a_step_is_run_the_bits_are_the_same(name: str, way: dict[str, bool]) -> None:
    short = BATCH_SIZES[name] // 2
    np.testing.assert_array_equal(trained(name, short=short), trained(name, short=short, **way))


@NETWORKS
def test_a_step_is_one_graph(name: str) -> None:
    size = BATCH_SIZES[name]
    x, y = digits(name, 4 * size)
    model, said = network(name), []
    model.fit(x, y, batch_size=size, epochs=2, verbose=0)
    model.explain(print_fn=said.append)
    assert "Launched as one CUDA graph." in said[0]
