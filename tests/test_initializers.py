"""Initializers: moments and limits against theory, seeds, shapes, and what is refused."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from public_names import classes

import gpudl
from gpudl import initializers
from gpudl.random import SeedGenerator
from gpudl.utils.seeds import set_random_seed

F4 = np.float32
SHAPE = (200, 300)
COUNT = 200 * 300
SIGMAS = 5  # a right implementation fails once in two million draws of the seed

NORMAL, UNIFORM, TRUNCATED = 3.0, 1.8, 3.0  # fourth moment over squared variance; truncated: an upper bound

RANDOM: list[tuple[str, dict[str, Any], float, float, float]] = [
    # name, arguments, mean, standard deviation, fourth moment
    ("RandomUniform", {}, 0.0, 0.05 / math.sqrt(3), UNIFORM),
    ("RandomUniform", {"minval": 1.0, "maxval": 3.0}, 2.0, 1 / math.sqrt(3), UNIFORM),
    ("RandomNormal", {}, 0.0, 0.05, NORMAL),
    ("RandomNormal", {"mean": -1.0, "stddev": 2.0}, -1.0, 2.0, NORMAL),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0}, 1.0, 2 * 0.8796256610342398, TRUNCATED),
    ("GlorotUniform", {}, 0.0, math.sqrt(2 / 500), UNIFORM),
    ("GlorotNormal", {}, 0.0, math.sqrt(2 / 500), TRUNCATED),
    ("HeUniform", {}, 0.0, math.sqrt(2 / 200), UNIFORM),
    ("HeNormal", {}, 0.0, math.sqrt(2 / 200), TRUNCATED),
    ("LecunUniform", {}, 0.0, math.sqrt(1 / 200), UNIFORM),
    ("LecunNormal", {}, 0.0, math.sqrt(1 / 200), TRUNCATED),
    (
        "VarianceScaling",
        {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
        0.0,
        0.1,
        NORMAL,
    ),
    ("VarianceScaling", {"distribution": "normal"}, 0.0, math.sqrt(1 / 200), TRUNCATED),
]
each_random = pytest.mark.parametrize(("name", "options", "mean", "stddev", "fourth"), RANDOM)
RANDOM_NAMES = sorted({row[0] for row in RANDOM} | {"Orthogonal"})
ALL_NAMES = [*RANDOM_NAMES, "Zeros", "Ones", "Constant", "Identity"]


def make(name: str, **options: Any) -> Any:
    return getattr(initializers, name)(**options)


@each_random
def test_mean_and_variance(name: str, options: dict[str, Any], mean: float, stddev: float, fourth: float) -> None:
    draws = make(name, seed=3, **options)(SHAPE)
    assert draws.shape == SHAPE
    assert draws.dtype == F4
    exact = draws.astype(np.float64)
    assert abs(exact.mean() - mean) < SIGMAS * stddev / math.sqrt(COUNT)
    spread = SIGMAS * math.sqrt((fourth - 1) / COUNT)
    assert abs(exact.var() / stddev**2 - 1) < spread


@pytest.mark.parametrize(
    ("name", "options", "shape", "low", "high"),
    [
        ("RandomUniform", {"minval": -2.0, "maxval": 3.0}, SHAPE, -2.0, 3.0),
        ("GlorotUniform", {}, SHAPE, -math.sqrt(6 / 500), math.sqrt(6 / 500)),
        ("HeUniform", {}, (3, 3, 64, 100), -math.sqrt(6 / 576), math.sqrt(6 / 576)),
        ("GlorotUniform", {}, (3, 3, 64, 100), -math.sqrt(6 / 1476), math.sqrt(6 / 1476)),
        ("LecunUniform", {}, (60000,), -math.sqrt(3 / 60000), math.sqrt(3 / 60000)),
        (
            "HeUniform",
            {"input_axes": [0, 2], "output_axes": [1]},
            (20, 30, 100),
            -math.sqrt(6 / 2000),
            math.sqrt(6 / 2000),
        ),
    ],
)
def test_uniform_numbers_fill_their_range_and_no_more(
    name: str, options: dict[str, Any], shape: tuple[int, ...], low: float, high: float
) -> None:
    draws = make(name, seed=4, **options)(shape)
    assert F4(low) <= draws.min()
    assert draws.max() <= F4(high)
    rest = 20 * (high - low) / draws.size  # left empty at an end once in e**20 draws of the seed
    assert draws.min() < low + rest
    assert draws.max() > high - rest


def test_normal_numbers_are_normal() -> None:
    draws = initializers.RandomNormal(stddev=1.0, seed=5)(SHAPE)
    for bound in (0.5, 1.0, 2.0, 3.0):
        share = math.erf(bound / math.sqrt(2))
        assert abs((abs(draws) < bound).mean() - share) < SIGMAS * math.sqrt(share * (1 - share) / COUNT)
    assert abs((draws < 0).mean() - 0.5) < SIGMAS * 0.5 / math.sqrt(COUNT)


def test_truncated_numbers_are_cut_at_two_and_normal_inside() -> None:
    draws = initializers.TruncatedNormal(stddev=1.0, seed=6)(SHAPE)
    assert abs(draws).max() <= 2
    assert abs(draws).max() > 1.99
    for bound in (0.5, 1.0, 1.5):
        share = math.erf(bound / math.sqrt(2)) / math.erf(math.sqrt(2))
        assert abs((abs(draws) < bound).mean() - share) < SIGMAS * math.sqrt(share * (1 - share) / COUNT)


def test_neighbouring_seeds_are_independent() -> None:
    first, second = (initializers.RandomNormal(stddev=1.0, seed=s)(SHAPE).ravel() for s in (7, 8))
    assert abs(np.mean(first.astype(np.float64) * second)) < SIGMAS / math.sqrt(COUNT)


@pytest.mark.parametrize("name", RANDOM_NAMES)
def test_seeds(name: str) -> None:
    shape = (5, 4)
    seeded = make(name, seed=11)
    np.testing.assert_array_equal(seeded(shape), seeded(shape))
    np.testing.assert_array_equal(seeded(shape), make(name, seed=11)(shape))
    assert not np.array_equal(seeded(shape), make(name, seed=12)(shape))
    assert not np.array_equal(seeded(shape), make(name, seed=-11)(shape))
    free = make(name)
    np.testing.assert_array_equal(free(shape), free(shape))
    assert not np.array_equal(free(shape), make(name)(shape))


def test_a_seed_generator_gives_new_numbers_at_every_call() -> None:
    first, second = (initializers.HeNormal(seed=SeedGenerator(9)) for _ in range(2))
    draws = [first((6, 6)) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, second((6, 6)))
    assert not np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[1], draws[2])
    again = initializers.HeNormal.from_config(first.get_config())
    np.testing.assert_array_equal(again((6, 6)), draws[0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes(dtype: str) -> None:
    for name in ALL_NAMES:
        assert make(name)((4, 4), dtype).dtype == dtype
    assert initializers.Zeros()((2,), "int32").dtype == np.int32
    wide = initializers.RandomUniform(seed=1)((4,), "float64")
    np.testing.assert_array_equal(wide.astype(F4), initializers.RandomUniform(seed=1)((4,)))


def test_the_default_dtype_is_floatx() -> None:
    before = gpudl.config.floatx()
    gpudl.config.set_floatx("float64")
    try:
        for name in ALL_NAMES:
            assert make(name)((2, 2)).dtype == np.float64
    finally:
        gpudl.config.set_floatx(before)


def test_constants() -> None:
    np.testing.assert_array_equal(initializers.Zeros()((2, 1)), [[0], [0]])
    np.testing.assert_array_equal(initializers.Ones()([2]), [1, 1])
    np.testing.assert_array_equal(initializers.Constant(-1.5)((1, 2)), [[-1.5, -1.5]])
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), [[3, 0, 0], [0, 3, 0]])
    assert initializers.Zeros()(()).shape == ()
    assert initializers.RandomNormal()(()).shape == ()
    assert initializers.TruncatedNormal()(()).shape == ()
    assert initializers.GlorotUniform()(()).shape == ()
    assert initializers.HeNormal()((0, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(8, 8), (12, 5), (5, 12), (3, 3, 4, 16)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    q = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-13)


def test_orthogonal_matrices_are_evenly_distributed() -> None:
    # Without the signs of R, the diagonal of Q would be negative every time.
    corner = [initializers.Orthogonal(seed=s)((3, 3))[0, 0] for s in range(400)]
    assert abs(np.mean(np.array(corner) > 0) - 0.5) < SIGMAS * 0.5 / math.sqrt(400)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_config_and_names(name: str) -> None:
    made = make(name)
    assert type(made).from_config(made.get_config()).get_config() == made.get_config()
    assert "seed" not in made.get_config() or made.get_config()["seed"] is None
    assert type(initializers.get(name)) is type(made)
    if name in RANDOM_NAMES:
        assert make(name, seed=5).get_config()["seed"] == 5


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("glorot_uniform", "GlorotUniform"),
        ("he_normal", "HeNormal"),
        ("lecun_uniform", "LecunUniform"),
        ("variance_scaling", "VarianceScaling"),
        ("zeros", "Zeros"),
        ("ones", "Ones"),
        ("zero", "Zeros"),
        ("normal", "RandomNormal"),
        ("orthogonal", "Orthogonal"),
    ],
)
def test_get_by_name(text: str, kind: str) -> None:
    assert type(initializers.get(text)).__name__ == kind


def test_get_passes_functions_and_none() -> None:
    assert initializers.get(None) is None
    assert initializers.get(np.ones) is np.ones
    assert isinstance(initializers.he_normal(), initializers.HeNormal)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: initializers.get("he_norml"), ValueError, "Unknown initializer: 'he_norml'.* mean 'he_normal'"),
        (lambda: initializers.get(3), ValueError, "an initializer is a name"),
        (lambda: initializers.Orthogonal()((3,)), ValueError, r"at least two axes, got \(3,\)"),
        (lambda: initializers.Identity()((3, 3, 3)), ValueError, r"makes matrices, got the shape \(3, 3, 3\)"),
        (lambda: initializers.HeNormal(seed="x"), ValueError, "seed must be an integer, a SeedGenerator or None"),
        (lambda: initializers.HeNormal()((2,), "int32"), ValueError, "HeNormal makes floats, got dtype int32"),
        (lambda: initializers.VarianceScaling(scale=0.0), ValueError, "scale must be above 0, got 0.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "mode must be one of fan_in, .* got 'fan'"),
        (
            lambda: initializers.VarianceScaling(distribution="cauchy"),
            ValueError,
            "distribution must be one of truncated_normal, .* got 'cauchy'",
        ),
        (lambda: set_random_seed(1.5), ValueError, "seed must be an integer, got 1.5 of type float"),  # type: ignore[arg-type]
        (lambda: set_random_seed(-1), ValueError, r"between 0 and 2\*\*32 - 1, got -1"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_set_random_seed_repeats_everything() -> None:
    python, numpy = random.getstate(), np.random.get_state()

    def draw() -> list[Any]:
        set_random_seed(42)
        return [
            random.random(),
            np.random.rand(),
            *initializers.HeNormal()((3,)),
            *initializers.HeNormal()((3,)),
            *gpudl.random.uniform((2,)).numpy(),
        ]

    try:
        first = draw()
        assert draw() == first
        assert first[2:5] != first[5:8]
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@pytest.fixture(scope="module")
def keras() -> Any:
    return keras_or_skip()


@parity
@pytest.mark.parametrize("name", sorted({*ALL_NAMES} - {"Identity"}))  # whose gain Keras forgets
def test_keras_has_the_same_config(keras: Any, name: str) -> None:
    theirs = getattr(keras.initializers, name)
    assert make(name).get_config() == theirs().get_config()
    assert type(initializers.get(name)).from_config(theirs().get_config()).get_config() == theirs().get_config()


@parity
@pytest.mark.parametrize("shape", [(7,), (30, 50), (5, 6, 70), (3, 3, 8, 16)])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_keras_has_the_same_limits(keras: Any, mode: str, shape: tuple[int, ...]) -> None:
    # Every draw is 1, so that what comes out is the limit.
    options = {"scale": 2.0, "mode": mode, "distribution": "uniform"}

    class Ends:
        def uniform(self, low: float, high: float, shape: Any) -> Any:
            return np.full(shape, high)

    mine = initializers.VarianceScaling(**options).draw(Ends(), shape)  # type: ignore[arg-type]
    theirs = np.asarray(keras.initializers.VarianceScaling(**options, seed=1)(shape))
    limit = float(mine.flat[0])
    assert abs(theirs).max() <= F4(limit)
    if theirs.size > 1000:
        assert abs(theirs).max() > limit * (1 - 20 / theirs.size)


def test_every_initializer_has_a_case() -> None:
    assert classes(initializers, initializers.Initializer) - {"RandomInitializer", "STFT"} == set(ALL_NAMES)
