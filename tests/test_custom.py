"""What users write themselves: layers, losses, metrics, models, training steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import digits, mlp, same

import gpudl
from gpudl import GradientTape, Input, Model, Sequential, callbacks, layers, losses, metrics, ops, optimizers


class Affine(layers.Layer):
    """Only build and call."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, x: Any) -> Any:
        return x @ self.w + self.b


class TwoLayers(Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(8, activation="relu")
        self.out = layers.Dense(3, activation="softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.out(self.hidden(x))


class ByHand(TwoLayers):
    """A training step as in Keras's guide, with the loss and the metrics of compile."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=x.shape[0])
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class TestLayer:
    def test_build_and_call_are_enough(self) -> None:
        x, y = digits()

        def trained(layer: Any) -> list[np.ndarray]:
            gpudl.utils.set_random_seed(2)
            model = Sequential([Input((4,)), layer(3), layers.Softmax()])
            model.compile("sgd", "sparse_categorical_crossentropy")
            model.fit(x, y, epochs=2, shuffle=False, verbose=0)
            return model.get_weights()

        ours, dense = trained(Affine), trained(layers.Dense)
        for a, b in zip(ours, dense, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_its_config_comes_by_itself(self) -> None:
        layer = Affine(5, name="mine")
        assert layer.get_config()["units"] == 5
        model = Sequential([Input((4,)), layer])
        copy = Sequential.from_config(model.get_config(), {"Affine": Affine})
        assert copy.count_params() == 25

    def test_a_weight_that_call_changes(self) -> None:
        class Counter(layers.Layer):
            def build(self, input_shape: Any) -> None:
                self.steps = self.add_weight((), "zeros", trainable=False, name="steps")

            def call(self, x: Any, training: bool = False) -> Any:
                if training:
                    self.steps.assign_add(1.0)
                return x

        x, y = digits()
        counter = Counter()
        model = Sequential([Input((4,)), counter, layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=2, verbose=0)
        model.evaluate(x, y, verbose=0)
        assert float(counter.steps) == 6.0

    def test_add_loss(self) -> None:
        class Penalty(layers.Layer):
            def call(self, x: Any) -> Any:
                self.add_loss(0.5 * ops.mean(x))
                return x

        for run_eagerly in (False, True):
            model = Sequential([Input((1,)), layers.Dense(1, kernel_initializer="ones"), Penalty()])
            model.compile(optimizers.SGD(1.0), "mse", run_eagerly=run_eagerly)
            x = np.ones((4, 1))
            assert model.evaluate(x, x, verbose=0) == 0.5
            assert model.fit(x, x, verbose=0).history["loss"] == [0.5]
            np.testing.assert_allclose(model.get_weights()[0], [[0.5]])

    def test_add_loss_alone_is_a_loss(self) -> None:
        class Penalty(layers.Layer):
            def call(self, x: Any) -> Any:
                self.add_loss(ops.mean(x * x))
                return x

        model = Sequential([Input((1,)), layers.Dense(1, kernel_initializer="ones"), Penalty()])
        model.compile(optimizers.SGD(0.25))
        history = model.fit(np.ones((4, 1)), epochs=2, verbose=0).history
        assert history["loss"] == [1.0, 0.0]
        without = Sequential([Input((1,)), layers.Dense(1)])
        without.compile("sgd")
        with pytest.raises(ValueError, match=r"there is no loss: give compile\(\) a loss, or call add_loss\(\)"):
            without.fit(np.ones((4, 1)), verbose=0)

    def test_a_metric_of_a_layer(self) -> None:
        class Watched(layers.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.mean = metrics.Mean(name="activation")

            def call(self, x: Any) -> Any:
                self.mean.update_state(x)
                return x

        model = Sequential([Input((1,)), Watched(), layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.full((40, 1), 3.0)
        history = model.fit(x, x, epochs=2, verbose=0).history
        assert history["activation"] == [3.0, 3.0]
        assert model.metrics_names == ["loss", "activation"]


class TestLossAndMetric:
    @pytest.mark.parametrize(
        "loss",
        [
            lambda y, p: ops.mean((y - p) * (y - p), axis=-1),
            lambda y, p: ops.mean((y - p) * (y - p)),
        ],
    )
    def test_a_function_per_sample_or_scalar(self, loss: Any) -> None:
        x = np.array([[1.0], [2.0], [3.0]])

        def trained(kind: Any) -> tuple[Any, ...]:
            model = Sequential([Input((1,)), layers.Dense(1, kernel_initializer="ones")])
            model.compile(optimizers.SGD(0.1), kind, metrics=[loss])
            history = model.fit(x, 2 * x, epochs=2, shuffle=False, verbose=0).history
            return history["loss"], model.get_weights()

        ours, built_in = trained(loss), trained("mse")
        np.testing.assert_allclose(ours[0], built_in[0], rtol=1e-6)
        for a, b in zip(ours[1], built_in[1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)

    def test_a_loss_without_reduction_says_so(self) -> None:
        model = mlp(loss=losses.SparseCategoricalCrossentropy(reduction="none"))
        with pytest.raises(ValueError, match=r"has shape \(32,\), and training minimises one number"):
            model.fit(*digits(), verbose=0)

    def test_a_loss_class(self) -> None:
        class Quartic(losses.Loss):
            def call(self, y_true: Any, y_pred: Any) -> Any:
                return ops.mean((y_true - y_pred) ** 4, axis=-1)

        model = Sequential([Input((1,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", Quartic())
        assert model.evaluate(np.array([[2.0], [1.0]]), np.zeros((2, 1)), verbose=0) == 8.5

    def test_a_metric_class(self) -> None:
        class Largest(metrics.Metric):
            def __init__(self, name: str = "largest") -> None:
                super().__init__(name=name)
                self.seen = self.add_weight((), "zeros", name="seen")

            def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
                self.seen.assign(ops.maximum(self.seen, ops.max(y_pred)))

            def result(self) -> Any:
                return self.seen

        x = np.arange(70.0)[:, None]
        model = Sequential([Input((1,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile(optimizers.SGD(0.0), "mse", metrics=[Largest()])
        history = model.fit(x, x, epochs=2, validation_data=(x[:5], x[:5]), verbose=0).history
        assert history["largest"] == [69.0, 69.0]
        assert history["val_largest"] == [4.0, 4.0]
        assert model.evaluate(x[:3], x[:3], verbose=0, return_dict=True)["largest"] == 2.0

    def test_a_metric_with_axes(self) -> None:
        class Largest(metrics.Metric):
            def __init__(self) -> None:
                super().__init__(name="largest")
                self.seen = self.add_weight((3,), "zeros")

            def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
                self.seen.assign(ops.maximum(self.seen, ops.max(y_pred, axis=0)))

            def result(self) -> Any:
                return self.seen

        x, y = digits()
        model = mlp(metrics=[Largest()])
        found = model.evaluate(x, y, verbose=0, return_dict=True)["largest"]
        np.testing.assert_allclose(found, model.predict(x, verbose=0).max(axis=0), rtol=1e-6)

    def test_a_metric_function(self) -> None:
        def spread(y_true: Any, y_pred: Any) -> Any:
            return ops.max(y_pred, axis=-1) + ops.max(-y_pred, axis=-1)

        x, y = digits()
        model = mlp(metrics=[spread, "accuracy"])
        p = model.predict(x, verbose=0)
        found = model.evaluate(x, y, verbose=0, return_dict=True)["spread"]
        assert found == pytest.approx(np.ptp(p, axis=1).mean(), rel=1e-5)


class TestSubclassed:
    def test_it_trains_like_a_sequential(self) -> None:
        x, y = digits()
        gpudl.utils.set_random_seed(5)
        model = TwoLayers()
        model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=2, shuffle=False, verbose=0).history
        reference = mlp()
        assert history == reference.fit(x, y, epochs=2, shuffle=False, verbose=0).history
        assert same(model.get_weights(), reference.get_weights())
        assert [layer.units for layer in model.layers] == [8, 3]
        assert model.count_params() == 67
        assert model.evaluate(x, y, verbose=0) == reference.evaluate(x, y, verbose=0)

    def test_build_by_hand(self) -> None:
        model = TwoLayers()
        model.build((None, 4))
        assert model.count_params() == 67
        assert model.output_shape == (None, 3)

    def test_several_inputs_of_call(self) -> None:
        class Sum(Model):
            def __init__(self) -> None:
                super().__init__()
                self.top = layers.Dense(2)

            def call(self, a: Any, b: Any) -> Any:
                return self.top(a + b)

        assert Sum()(np.ones((3, 4)), np.ones((3, 4))).shape == (3, 2)

    def test_layers_in_lists_are_found(self) -> None:
        class Stack(Model):
            def __init__(self) -> None:
                super().__init__()
                self.stack = []
                for _ in range(2):
                    self.stack.append(layers.Dense(3))

            def call(self, x: Any) -> Any:
                for layer in self.stack:
                    x = layer(x)
                return x

        model = Stack()
        model(np.ones((2, 4)))
        assert model.count_params() == 15 + 12

    def test_init_without_super(self) -> None:
        class Forgetful(Model):
            def __init__(self) -> None:
                self.units = 3

        with pytest.raises(RuntimeError, match=r"Forgetful.__init__ must begin with super\(\).__init__\(\)"):
            Forgetful()(np.ones((2, 2)))

    def test_without_call(self) -> None:
        class Empty(Model):
            pass

        with pytest.raises(NotImplementedError, match=r"Empty must implement call\(\)"):
            Empty().predict(np.ones((2, 2)), verbose=0)

    def test_compute_loss(self) -> None:
        class Doubled(TwoLayers):
            def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, **rest: Any) -> Any:
                return 2 * super().compute_loss(x, y, y_pred, **rest)

        x, y = digits()
        gpudl.utils.set_random_seed(5)
        model = Doubled()
        model.compile("rmsprop", "sparse_categorical_crossentropy")
        assert model.evaluate(x, y, verbose=0) == pytest.approx(2 * mlp().evaluate(x, y, verbose=0)[0])


class TestTrainStep:
    @pytest.mark.parametrize("run_eagerly", [False, True])
    def test_as_in_the_guide(self, run_eagerly: bool) -> None:
        x, y = digits()
        gpudl.utils.set_random_seed(5)
        model = ByHand()
        model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=run_eagerly)
        history = model.fit(x, y, epochs=2, shuffle=False, verbose=0).history
        reference = mlp()
        assert history == reference.fit(x, y, epochs=2, shuffle=False, verbose=0).history
        assert same(model.get_weights(), reference.get_weights())
        assert len(model._train.entries) == (0 if run_eagerly else 2)
        assert model.evaluate(x, y, verbose=0) == reference.evaluate(x, y, verbose=0)

    def test_with_a_loss_and_metrics_of_its_own(self) -> None:
        class Own(Model):
            def __init__(self) -> None:
                super().__init__()
                self.top = layers.Dense(1, kernel_initializer="ones")
                self.tracker = metrics.Mean(name="loss")
                self.mae = metrics.MeanAbsoluteError(name="mae")

            def call(self, x: Any) -> Any:
                return self.top(x)

            def train_step(self, data: Any) -> Any:
                x, y = data
                with GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = ops.mean((y - y_pred) * (y - y_pred))
                gradients = tape.gradient(loss, self.trainable_weights)
                self.optimizer.apply(gradients, self.trainable_weights)
                self.tracker.update_state(loss)
                self.mae.update_state(y, y_pred)
                return {"loss": self.tracker.result(), "mae": self.mae.result()}

            def test_step(self, data: Any) -> Any:
                x, y = data
                self.mae.update_state(y, self(x, training=False))
                return {"mae": self.mae.result()}

            @property
            def metrics(self) -> list[metrics.Metric]:
                return [self.tracker, self.mae]

        model = Own()
        model.compile(optimizer=optimizers.SGD(0.0))
        x = np.array([[1.0], [2.0]])
        history = model.fit(x, np.zeros((2, 1)), epochs=3, validation_data=(x, x), verbose=0).history
        assert history == {"loss": [2.5] * 3, "mae": [1.5] * 3, "val_mae": [0.0] * 3}
        assert model.metrics_names == ["loss", "mae"]

    def test_two_networks_and_two_optimizers(self) -> None:
        class Pair(Model):
            """Neither network is called by `call`, and each has its optimizer."""

            def __init__(self) -> None:
                super().__init__()
                self.first = Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
                self.second = Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])

            def compile(self, first: Any, second: Any) -> None:
                super().compile()
                self.first_optimizer, self.second_optimizer = first, second

            def train_step(self, data: Any) -> Any:
                x = data
                total = {}
                for name in ("first", "second"):
                    net, optimizer = getattr(self, name), getattr(self, f"{name}_optimizer")
                    with GradientTape() as tape:
                        loss = ops.mean(net(x, training=True))
                    optimizer.apply(tape.gradient(loss, net.trainable_weights), net.trainable_weights)
                    total[name] = loss
                return total

        model = Pair()
        model.compile(optimizers.SGD(0.25), optimizers.SGD(0.5))
        history = model.fit(np.ones((8, 1)), batch_size=4, epochs=2, verbose=0).history
        assert history == {"first": [0.5, -0.5], "second": [0.0, -2.0]}
        assert int(model.first_optimizer.iterations) == int(model.second_optimizer.iterations) == 4
        assert len(model._train.entries) == 1
        model.fit(np.ones((8, 1)), batch_size=4, verbose=0)
        assert len(model._train.entries) == 1
        assert [w.item() for w in model.get_weights()] == [-0.5, -1.5, -2.0, -3.0]

    def test_reading_a_value_names_the_line(self) -> None:
        class Nosy(ByHand):
            def train_step(self, data: Any) -> Any:
                x, _ = data
                if float(ops.mean(x)) > 1e6:  # this line
                    raise AssertionError
                return super().train_step(data)

        x, y = digits()
        gpudl.utils.set_random_seed(5)
        model = Nosy()
        model.compile("rmsprop", "sparse_categorical_crossentropy")
        with pytest.raises(gpudl.TracingError, match=r"test_custom\.py:(\d+): .* read on the host") as caught:
            model.fit(x, y, verbose=0)
        number = int(str(caught.value).split("test_custom.py:")[1].split(":")[0])
        with open(__file__, encoding="utf-8") as source:
            assert "# this line" in source.read().splitlines()[number - 1]
        assert "compile(run_eagerly=True)" in str(caught.value)
        assert int(model.optimizer.iterations) == 0
        model.compile("rmsprop", "sparse_categorical_crossentropy", run_eagerly=True)
        model.fit(x, y, verbose=0)
        assert int(model.optimizer.iterations) == 3

    def test_reading_a_value_in_call_names_the_line(self) -> None:
        class Nosy(TwoLayers):
            def call(self, x: Any, training: bool = False) -> Any:
                return super().call(x) * (1.0 if float(ops.max(x)) > 0 else 2.0)

        x, y = digits()
        model = Nosy()
        model.compile("rmsprop", "sparse_categorical_crossentropy")
        for use in (lambda: model.fit(x, y, verbose=0), lambda: model.predict(x, verbose=0)):
            with pytest.raises(gpudl.TracingError, match=r"test_custom\.py:\d+: .* read on the host"):
                use()
        model.compile("rmsprop", "sparse_categorical_crossentropy", run_eagerly=True)
        model.fit(x, y, verbose=0)
        assert model.predict(x, verbose=0).shape == (70, 3)

    @pytest.mark.parametrize("run_eagerly", [False, True])
    def test_python_numbers_and_dicts_among_the_results(self, run_eagerly: bool) -> None:
        class Adding(TwoLayers):
            extra = 5.0

            def train_step(self, data: Any) -> Any:
                return {**super().train_step(data), "mine": self.extra, "nested": {"inner": np.float32(2), "one": True}}

            def test_step(self, data: Any) -> Any:
                return {**super().test_step(data), "mine": 7}

        x, y = digits()
        histories = []
        for kind in (TwoLayers, Adding):
            gpudl.utils.set_random_seed(5)
            model = kind()
            model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
            histories.append(model.fit(x, y, epochs=2, shuffle=False, verbose=0).history)
        plain, history = histories
        assert (history["mine"], history["inner"], history["one"]) == ([5.0] * 2, [2.0] * 2, [1.0] * 2)
        assert history["loss"] == plain["loss"]
        assert isinstance(model, Adding)
        model.extra = 6.0
        assert model.fit(x, y, verbose=0).history["mine"] == [6.0]
        assert list(model.evaluate(x, y, verbose=0, return_dict=True)) == ["loss", "mine"]
        assert model.evaluate(x, y, verbose=0)[1] == model.test_on_batch(x, y)[1] == 7.0

    def test_a_number_that_is_another_in_each_step_is_spoken_of(self) -> None:
        class Counting(TwoLayers):
            def train_step(self, data: Any) -> Any:
                seen.append(1)
                return {"loss": 1.0, "seen": len(seen)}

        seen: list[int] = []
        model = Counting()
        model.compile("sgd", "mse")
        with pytest.warns(UserWarning, match="recorded"):
            model.fit(*digits(), epochs=3, verbose=0)

    @pytest.mark.parametrize("returned", [1.0, None, [1.0]])
    def test_a_step_returns_a_dict(self, returned: Any) -> None:
        class Loose(TwoLayers):
            def train_step(self, data: Any) -> Any:
                return returned

        model = Loose()
        model.compile("sgd", "mse")
        with pytest.raises(TypeError, match=r"Loose.train_step must return a dict of values by their names, such as"):
            model.fit(*digits(), verbose=0)

    def test_run_eagerly_a_step_may_return_python_numbers(self) -> None:
        class Counting(ByHand):
            seen = 0

            def train_step(self, data: Any) -> Any:
                self.seen += 1
                return {"loss": float(super().train_step(data)["loss"]), "steps": self.seen}

        x, y = digits()
        model = Counting()
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        history = model.fit(x, y, epochs=2, verbose=0).history
        assert history["steps"] == [3.0, 6.0]
        assert history["loss"][1] < history["loss"][0]

    def test_predict_step(self) -> None:
        class Class(TwoLayers):
            def predict_step(self, data: Any) -> Any:
                return ops.argmax(super().predict_step(data), axis=-1)

        x, _ = digits()
        model = Class()
        labels = model.predict(x, verbose=0)
        assert labels.shape == (70,)
        np.testing.assert_array_equal(labels, model(x).numpy().argmax(axis=-1))

    def test_a_loop_without_fit(self) -> None:
        x, y = digits()
        gpudl.utils.set_random_seed(5)
        model = TwoLayers()
        model.build((None, 4))
        optimizer = optimizers.RMSprop()
        optimizer.build(model.trainable_weights)
        loss_of = losses.SparseCategoricalCrossentropy()

        @gpudl.traced
        def step(inputs: Any, labels: Any) -> Any:
            with GradientTape() as tape:
                loss = loss_of(labels, model(inputs, training=True))
            optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
            return loss

        for _ in range(3):
            step(x, y)
        reference = mlp()
        reference.fit(x, y, batch_size=70, epochs=3, shuffle=False, verbose=0)
        assert same(model.get_weights(), reference.get_weights())


def test_a_callback_that_reads_weights_and_predicts() -> None:
    x, y = digits()
    seen: list[float] = []

    class Watch(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(float(self.model.predict(x[:1], verbose=0).sum()))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert self.model.evaluate(x, y, verbose=0)[0] > 0

    watched, alone = mlp(), mlp()
    watched.fit(x, y, epochs=2, shuffle=False, callbacks=[Watch()], verbose=0)
    alone.fit(x, y, epochs=2, shuffle=False, verbose=0)
    assert len(seen) == 6
    assert same(watched.get_weights(), alone.get_weights())
