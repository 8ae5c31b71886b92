"""Dtype policies: what layers compute in, keep, return and say of themselves, and trainings in mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from digit_files import digits
from keras_peer import keras_or_skip, parity
from small_models import same, state_of

import gpudl
from gpudl import dtype_policies, layers, mixed_precision
from gpudl.cli import network
from gpudl.engine.state import state

MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


@pytest.fixture(autouse=True)
def _float32_again() -> Iterator[None]:
    gpudl.utils.set_random_seed(1)
    yield
    gpudl.config.set_dtype_policy(None)
    assert state.autocast is None


class TestPolicy:
    @pytest.mark.parametrize(
        ("name", "compute", "variable"),
        [
            *((name, compute, "float32") for name, compute in MIXED.items()),
            *((name, name, name) for name in ("float16", "bfloat16", "float64", "int32", "bool")),
        ],
    )
    def test_a_name_says_both_dtypes(self, name: str, compute: str, variable: str) -> None:
        policy = gpudl.DTypePolicy(name)
        assert (policy.name, policy.compute_dtype, policy.variable_dtype) == (name, compute, variable)
        assert repr(policy) == f'<DTypePolicy "{name}">'
        assert policy == gpudl.DTypePolicy(name) == dtype_policies.deserialize(dtype_policies.serialize(policy))
        assert policy == gpudl.DTypePolicy.from_config(policy.get_config())
        assert policy != name
        assert policy != gpudl.DTypePolicy("float32")

    def test_the_global_policy_is_that_of_floatx_until_it_is_set(self) -> None:
        assert gpudl.config.dtype_policy() == gpudl.DTypePolicy("float32") == gpudl.DTypePolicy()
        gpudl.config.set_floatx("float64")
        try:
            assert gpudl.config.dtype_policy().name == "float64"
        finally:
            gpudl.config.set_floatx("float32")
        mixed_precision.set_global_policy("mixed_float16")
        assert mixed_precision.global_policy() == mixed_precision.Policy("mixed_float16") == gpudl.DTypePolicy()
        assert gpudl.config.floatx() == "float32"
        gpudl.config.set_dtype_policy(gpudl.DTypePolicy("float64"))
        assert layers.Dense(1).dtype == "float64"

    def test_what_stands_for_a_policy(self) -> None:
        policy = gpudl.DTypePolicy("float16")
        assert dtype_policies.get(policy) is policy
        for same_thing in ("float16", np.float16, np.dtype("float16"), dtype_policies.serialize(policy)):
            assert dtype_policies.get(same_thing) == policy
        assert dtype_policies.get(None) == gpudl.config.dtype_policy()

    def test_errors(self) -> None:
        with pytest.raises(
            ValueError, match=r"^Unknown dtype policy: 'mixed_flaot16'. Did you mean 'mixed_float16'\?$"
        ):
            gpudl.DTypePolicy("mixed_flaot16")
        with pytest.raises(ValueError, match=r"^Unknown dtype policy: 'bflot16'. Did you mean 'bfloat16'\?$"):
            layers.Dense(1, dtype="bflot16")
        with pytest.raises(TypeError, match=r"^the name of a dtype policy is text such as 'mixed_float16', got 3\.$"):
            gpudl.DTypePolicy(3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^dtype must be a dtype, its name, or a dtype policy .*, got 3\.$"):
            layers.Dense(1, dtype=3)
        with pytest.raises(
            ValueError, match=r"^a dtype policy is a name such as 'mixed_float16' or a DTypePolicy, got 3"
        ):
            gpudl.config.set_dtype_policy(3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^expected the config of a DTypePolicy, got \{'class_name': 'Dense'\}"):
            dtype_policies.get({"class_name": "Dense"})
        assert gpudl.config.dtype_policy().name == "float32"


class Seen(layers.Layer):
    """Notes the dtypes that `call` sees."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight((2,), "ones")
        self.kept = self.add_weight((2,), "ones", autocast=False)
        self.count = self.add_weight((), "zeros", dtype="int32")

    def call(self, x: gpudl.Tensor, y: Any = None) -> gpudl.Tensor:
        self.seen = [str(t.dtype) for t in (x, y, x * self.w, self.kept * 1, self.count + 1)]
        return x * self.w


@pytest.mark.parametrize(("policy", "half"), MIXED.items())
class TestLayers:
    def test_floats_and_variables_are_cast_inside_of_call(self, policy: str, half: str) -> None:
        layer = Seen(dtype=policy)
        out = layer(np.ones((3, 2)), np.ones(3, np.int64))
        assert layer.seen == [half, "int64", half, "float32", "int32"]
        assert layer.compute_dtype == out.dtype == half
        assert layer.dtype == layer.variable_dtype == layer.w.dtype == "float32"
        assert (layer.w * 1).dtype == "float32", "outside of the call"

    def test_a_layer_that_casts_nothing(self, policy: str, half: str) -> None:
        layer = Seen(dtype=policy, autocast=False)
        assert layer(np.ones((3, 2), np.float32), np.ones(3)).dtype == "float32"

    def test_layers_of_different_policies_inside_of_one(self, policy: str, half: str) -> None:
        class Outer(layers.Layer):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.whole, self.half = Seen(dtype="float32"), Seen()

            def call(self, x: Any) -> Any:
                return self.half(self.whole(x, x), x)

        gpudl.config.set_dtype_policy(policy)
        outer = Outer()
        assert outer(np.ones((1, 2), np.float32)).dtype == half
        assert outer.whole.seen == ["float32", "float32", "float32", "float32", "int32"]
        assert outer.half.seen == [half, half, half, "float32", "int32"]

    @pytest.mark.parametrize(
        "layer",
        [
            layers.Dense(3, activation="softmax"),
            layers.Conv2D(2, 2, activation="relu", groups=2),
            layers.BatchNormalization(),
            layers.BatchNormalization(axis=1),
            layers.MaxPooling2D(),
            layers.AveragePooling2D(),
            layers.Dropout(0.5, seed=1),
            layers.Dropout(0.5, noise_shape=(None, 1, 1, 2), seed=1),
            layers.Flatten(),
            layers.Activation("gelu"),
            layers.Softmax(),
        ],
        ids=lambda layer: type(layer).__name__,
    )
    def test_results_are_those_of_float32_rounded(self, layer: layers.Layer, policy: str, half: str) -> None:
        x = gpudl.convert_to_tensor(np.random.default_rng(0).normal(size=(4, 6, 6, 2)), dtype=half).numpy()
        mixed = type(layer).from_config({**layer.get_config(), "dtype": policy})
        eps = float(np.finfo(np.float16).eps if half == "float16" else 2.0**-7)
        for training in (False, True):
            plain = layer(x.astype(np.float32), training=training)
            assert plain.dtype == "float32"
            mixed(x, training=training)
            mixed.set_weights(layer.get_weights())
            got = mixed(x, training=False).numpy()
            wanted = layer(x.astype(np.float32), training=False).numpy()
            assert got.dtype == np.dtype(half)
            # The inputs and the kernel are rounded once, and so are the product and what follows.
            size = np.abs(wanted).max()
            np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=0, atol=4 * eps * max(size, 1))
        assert [w.dtype for w in mixed.get_weights()] == [np.float32] * len(layer.weights)

    def test_a_normalization_computes_in_float32(self, policy: str, half: str) -> None:
        x = np.full((8, 2), 256.0) + 2 * np.arange(8)[:, None]  # squares are infinite in float16
        layer = layers.BatchNormalization(dtype=policy, momentum=0.0)
        y = layer(x, training=True)
        assert y.dtype == half
        assert layer.moving_variance.numpy().tolist() == [21.0, 21.0]
        assert np.isfinite(y.numpy()).all()

    def test_configs_keep_the_policy(self, policy: str, half: str) -> None:
        layer = layers.Dense(2, dtype=policy)
        config = layer.get_config()
        assert config["dtype"]["config"] == {"name": policy}
        assert layers.Dense.from_config(config).dtype_policy == layer.dtype_policy
        model = gpudl.Sequential([layers.Input((3,)), layer, layers.Activation("softmax", dtype="float32")])
        again = gpudl.Sequential.from_config(model.get_config())
        assert [la.dtype_policy.name for la in again.layers] == [policy, "float32"]

    def test_a_policy_may_change(self, policy: str, half: str) -> None:
        model = gpudl.Sequential([layers.Dense(2, input_shape=(3,))])
        x = np.ones((1, 3), np.float32)
        assert model.predict(x, verbose=0).dtype == "float32"
        model.layers[0].dtype_policy = policy
        assert model.predict(x, verbose=0).dtype == half
        assert model.weights[0].dtype == "float32"

    def test_inputs_of_a_model_stay_as_they_are(self, policy: str, half: str) -> None:
        gpudl.config.set_dtype_policy(policy)
        first = layers.Dense(1, kernel_initializer="ones", dtype="float32")
        model = gpudl.Sequential([layers.Input((3,)), first])
        assert float(model(np.full((1, 3), 1.0001, np.float32))) == pytest.approx(3.0003, abs=1e-6)

    def test_regularizers_see_the_variables(self, policy: str, half: str) -> None:
        layer = layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l2", dtype=policy)
        layer(np.ones((1, 3)))
        assert [str(loss.dtype) for loss in layer.losses] == [half, "float32"]


def test_integers() -> None:
    assert layers.Input((2,), dtype="int32").dtype == "int32"
    mixed_precision.set_global_policy("mixed_float16")
    assert layers.Input((2,)).dtype == "float32"
    assert layers.Flatten(dtype="int32")(np.ones((2, 2), np.float32)).dtype == "int32"
    assert layers.Flatten()(np.ones((2, 2), np.int64)).dtype == "int64"
    assert layers.Dense(2)(np.ones((2, 2), np.int32)).dtype == "float16"


def test_losses_and_metrics_compute_in_float32() -> None:
    y = np.zeros((4, 1), np.float32)
    for half in MIXED.values():
        p = gpudl.convert_to_tensor(np.full((4, 1), 300.0), dtype=half)  # its square is infinite in float16
        assert gpudl.losses.MeanSquaredError()(y, p).dtype == "float32"
        for metric in (gpudl.losses.MeanSquaredError(), gpudl.metrics.MeanSquaredError()):
            assert float(metric(y, p)) == 90000.0
        assert float(gpudl.metrics.RootMeanSquaredError()(y, p)) == 300.0
        assert gpudl.losses.MeanSquaredError(dtype=f"mixed_{half}").dtype == half


def trained(policy: str, name: str, count: int, epochs: int, eagerly: bool = False) -> tuple[Any, Any]:
    gpudl.utils.set_random_seed(3)
    gpudl.config.set_dtype_policy(policy)
    images, labels = digits(count)
    x = images.reshape((-1, 28 * 28) if name == "mnist-mlp" else (-1, 28, 28, 1)).astype(np.float32)
    model = network(name)
    model.run_eagerly = eagerly
    history = model.fit(x, labels.astype(np.float32), batch_size=64, epochs=epochs, verbose=0)
    return model, history.history


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize(("name", "count"), [("mnist-mlp", 1500), ("mnist-cnn", 600)])
def test_a_training_reaches_what_float32_does(name: str, count: int, policy: str) -> None:
    _, whole = trained("float32", name, count, 3)
    model, mixed = trained(policy, name, count, 3)
    assert mixed["accuracy"][-1] > whole["accuracy"][-1] - 0.03
    assert mixed["loss"][-1] == pytest.approx(whole["loss"][-1], rel=0.2)
    assert isinstance(model.optimizer, mixed_precision.LossScaleOptimizer) == (policy == "mixed_float16")
    assert {w.dtype.name for w in model.get_weights()} == {"float32"}
    model.summary(print_fn=lambda line: None)


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-cnn"])
def test_replay_equals_eager(name: str, policy: str) -> None:
    replayed, of_replay = trained(policy, name, 150, 2)
    eager, of_eager = trained(policy, name, 150, 2, eagerly=True)
    assert of_replay == of_eager
    assert same(state_of(replayed), state_of(eager))


@parity
@pytest.mark.parametrize("policy", [*MIXED, "float16", "bfloat16"])
def test_layers_have_the_dtypes_of_keras(policy: str) -> None:
    keras = keras_or_skip()
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    for name, arguments in {
        "Dense": {"units": 3, "activation": "relu"},
        "Conv2D": {"filters": 3, "kernel_size": 2},
        "BatchNormalization": {},
        "LayerNormalization": {},
        "MaxPooling2D": {},
        "Softmax": {},
        "Flatten": {},
    }.items():
        ours, theirs = (getattr(of, name)(**arguments, dtype=policy) for of in (layers, keras.layers))
        for inputs in (x, x.astype(np.float64), (x * 9).astype(np.int32)):
            if name in ("MaxPooling2D", "Softmax") and inputs.dtype == np.int32:
                continue
            assert str(ours(inputs).dtype) == str(theirs(inputs).dtype), name
        assert [str(v.dtype) for v in ours.weights] == [str(v.dtype) for v in theirs.weights]
        assert (ours.compute_dtype, ours.variable_dtype) == (theirs.compute_dtype, theirs.variable_dtype)
        theirs.set_weights(ours.get_weights())
        one, other = (np.asarray(layer(x), np.float32) for layer in (ours, theirs))
        eps = 2.0**-10 if "bf" not in policy else 2.0**-7
        np.testing.assert_allclose(one, other, rtol=0, atol=2 * eps * max(1, np.abs(other).max()), err_msg=name)


@parity
def test_a_model_is_wrapped_as_keras_does() -> None:
    keras = keras_or_skip()

    def kinds(of: Any, policy: str, **options: Any) -> tuple[str, str]:
        of.config.set_dtype_policy(policy)
        try:
            model = of.Sequential([of.layers.Input((2,)), of.layers.Dense(1)])
            model.compile("sgd", "mse", **options)
        finally:
            of.config.set_dtype_policy("float32")
        return type(model.optimizer).__name__, model.optimizer.name.rstrip("_0123456789")

    for policy in (*MIXED, "float16", "float32"):
        for options in ({}, {"auto_scale_loss": False}):
            assert kinds(gpudl, policy, **options) == kinds(keras, policy, **options)
