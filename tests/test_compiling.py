"""compile without an optimizer, jit_compile, metrics as one; functions of one batch; errors in the middle of fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import digits, line, mlp, same, state_of

import gpudl
from gpudl import Input, Model, Sequential, callbacks, layers, metrics, optimizers

ONES, ZEROS = np.ones((4, 1)), np.zeros((4, 1))


class TestCompile:
    def test_without_an_optimizer_a_model_is_evaluated_and_not_trained(self) -> None:
        model = line(optimizer=None)
        assert model.evaluate(ONES, ZEROS, verbose=0) == 1.0
        for train in (model.fit, model.train_on_batch):
            with pytest.raises(ValueError, match=r"there is no optimizer to train with: give compile\(\) one"):
                train(ONES, ZEROS)
        assert model.history is None

    def test_jit_compile_is_kept_and_run_eagerly_wins(self) -> None:
        assert Sequential().jit_compile is True
        assert [line(jit_compile=given).jit_compile for given in ("auto", True, False)] == [True, True, False]
        assert line(run_eagerly=True).jit_compile is False
        with pytest.warns(UserWarning, match="run_eagerly=True computes op by op: jit_compile=True has no effect"):
            assert line(run_eagerly=True, jit_compile=True).jit_compile is False

    def test_the_metrics_of_compile_are_one_metric_of_the_model(self) -> None:
        name = "sparse_categorical_crossentropy"
        model = mlp(weighted_metrics=[name])
        assert model.metrics_names == ["loss", "compile_metrics"]
        x, y = digits()
        history = model.fit(x, y, verbose=0).history
        assert model.metrics_names == ["loss", "compile_metrics"]
        assert model.get_metrics_result().keys() == history.keys() == {"loss", "accuracy", name}
        counted = model.metrics[1]
        assert [type(metric) for metric in counted.metrics] == [
            *(metrics.SparseCategoricalAccuracy, metrics.SparseCategoricalCrossentropy)
        ]
        assert len(counted.variables) == 4
        model.reset_metrics()
        assert all(float(variable) == 0 for variable in counted.variables)
        assert mlp(metrics=None).metrics_names == ["loss"]

    def test_a_loop_over_metrics_as_in_the_guide(self) -> None:
        class Own(Sequential):
            def train_step(self, data: Any) -> Any:
                x, y = data
                with gpudl.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(y=y, y_pred=y_pred)
                gradients = tape.gradient(loss, self.trainable_variables)
                self.optimizer.apply(gradients, self.trainable_variables)
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss)
                    else:
                        metric.update_state(y, y_pred)
                return {metric.name: metric.result() for metric in self.metrics}

        histories = []
        for kind in (Own, Sequential):
            model = kind([Input((1,)), layers.Dense(1, kernel_initializer="ones")])
            model.compile(optimizers.SGD(0.1), "mse", metrics=["mae", "mse"])
            options: dict[str, Any] = {"epochs": 2, "batch_size": 2, "verbose": 0}
            histories.append(model.fit(ONES, ZEROS, validation_data=(ONES, ZEROS), **options).history)
        assert histories[0] == histories[1]
        assert list(histories[0]) == ["loss", "mae", "mse", "val_loss", "val_mae", "val_mse"]

    def test_a_model_inside_counts_for_itself(self) -> None:
        class Counting(Model):
            def __init__(self) -> None:
                super().__init__()
                self.seen = metrics.Mean(name="seen")

            def call(self, x: Any) -> Any:
                return x

        inner = Counting()
        inner.compile("sgd", "mse", metrics=["mae"])
        assert inner.metrics_names == ["loss", "compile_metrics", "seen"]
        x = Input((1,))
        outer = Model(x, layers.Dense(1)(inner(x)))
        outer.compile("sgd", "mse")
        assert outer.metrics_names == ["loss"]


class TestFunctionsOfOneBatch:
    def test_they_do_what_fit_does(self) -> None:
        x, y = digits(64)
        model, reference = mlp(), mlp()
        batches = [(x[:32], y[:32]), (x[32:], y[32:])]
        iterator = iter(batches)
        train = model.make_train_function()
        logs = [train(iterator), train(iterator)][-1]
        history = reference.fit(x, y, shuffle=False, verbose=0).history
        assert {name: [value] for name, value in logs.items()} == history
        assert same(state_of(model), state_of(reference))
        model.reset_metrics()
        assert model.make_test_function()(iter([(x, y)])) == model.evaluate(
            x, y, batch_size=64, return_dict=True, verbose=0
        )
        predicted = model.make_predict_function()(iter([x[:8]]))
        np.testing.assert_array_equal(predicted, model.predict_on_batch(x[:8]))

    def test_they_are_attributes_too(self) -> None:
        model = line()
        assert model.test_function(iter([(ONES, ZEROS)])) == {"loss": 1.0}
        model.train_function = None  # a subclass may have its own
        assert model.train_function is None
        with pytest.raises(ValueError, match=r"call compile\(optimizer=..., loss=...\) before make_train_function\(\)"):
            Sequential([layers.Dense(1)]).make_train_function()


class Raises(callbacks.Callback):
    def __init__(self, hook: str, at: int) -> None:
        self.left = at
        setattr(self, hook, self.count)

    def count(self, *args: Any, **kwargs: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("out of patience")


class TestErrorsInFit:
    @pytest.mark.parametrize(
        ("hook", "at", "epochs", "steps"),
        [
            ("on_epoch_begin", 2, 2, 6),
            ("on_train_batch_begin", 4, 1, 4),
            ("on_train_batch_end", 4, 1, 5),
            ("on_test_batch_end", 5, 1, 6),
            ("on_epoch_end", 1, 1, 6),
        ],
    )
    @pytest.mark.parametrize("run_eagerly", [False, True])
    def test_a_callback_that_raises(self, run_eagerly: bool, hook: str, at: int, epochs: int, steps: int) -> None:
        x, y = digits()
        model, whole = mlp(run_eagerly=run_eagerly), mlp()
        with pytest.raises(RuntimeError, match="out of patience") as caught:
            model.fit(x, y, epochs=5, validation_data=(x, y), shuffle=False, callbacks=[Raises(hook, at)], verbose=0)
        assert caught.value.__notes__ == [
            f"fit stopped after {epochs} whole epochs, which are in model.history; the model is as the last finished "
            "step left it."
        ]
        assert model.history.epoch == list(range(epochs))
        assert len(model.history.history["val_loss"]) == epochs
        assert int(model.optimizer.iterations) == steps
        rows = [*(slice(at, at + 32) for at in (0, 32, 64))] * 2
        whole.fit(iter([(x[each], y[each]) for each in rows[:steps]]), verbose=0)
        assert same(model.get_weights(), whole.get_weights())
        assert model.fit(x, y, verbose=0).epoch == [0]

    def test_a_generator_that_raises(self) -> None:
        x, y = digits(32)

        def feed() -> Any:
            yield from [(x, y)] * 5
            raise OSError("the disk is gone")

        model = mlp()
        with pytest.raises(OSError, match="the disk is gone") as caught:
            model.fit(feed(), steps_per_epoch=3, epochs=5, verbose=0)
        assert caught.value.__notes__[0] == "This was batch 6 of a pass over the data, a generator."
        assert caught.value.__notes__[1].startswith("fit stopped after 1 whole epochs")
        assert (model.history.epoch, int(model.optimizer.iterations)) == ([0], 5)

    def test_a_batch_that_does_not_fit(self) -> None:
        x, y = digits(32)
        model = mlp()
        with pytest.raises(ValueError, match=r"x has 32, y has 31") as caught:
            model.fit(iter([(x, y), (x, y[1:])]), verbose=0)
        assert caught.value.__notes__[0].startswith("This was batch 2 of a pass over the data")
        with pytest.raises(gpudl.ShapeError):
            model.fit(iter([(x, y), (x[:, 1:], y)]), verbose=0)
        assert int(model.optimizer.iterations) == 2
        model.fit(x, y, verbose=0)


class TestRuns:
    def test_a_callback_may_say_where_to_begin(self) -> None:
        class GoesOn(callbacks.Callback):
            def on_train_begin(self, logs: Any = None) -> None:
                self.model._initial_epoch = 3

        model = line()
        assert model.fit(ONES, ZEROS, epochs=5, callbacks=[GoesOn()], verbose=0).epoch == [3, 4]
        assert model.fit(ONES, ZEROS, epochs=2, verbose=0).epoch == [0, 1]

    def test_params_are_as_they_were_given(self) -> None:
        assert line().fit(ONES, ZEROS).params == {"verbose": "auto", "epochs": 1, "steps": 1}
        assert line().fit(ONES, ZEROS, batch_size=1, epochs=2, verbose=2).params == {
            "verbose": 2,
            "epochs": 2,
            "steps": 4,
        }

    @pytest.mark.parametrize(
        ("x", "form"),
        [
            (ONES, "Tensor"),
            ({"a": ONES}, "dict"),
            ([ONES, ONES], "tuple of list"),
            ((i for i in [(ONES,)]), "tuple of Tensor"),
            ((i for i in [ONES]), "Tensor"),
        ],
    )
    def test_a_step_gets_the_batch_as_it_was_given(self, x: Any, form: str) -> None:
        class Looks(Model):
            def train_step(self, data: Any) -> Any:
                kind = type(data).__name__
                seen.append(f"tuple of {type(data[0]).__name__}" if isinstance(data, tuple) else kind)
                return {"loss": 0.0}

        seen: list[str] = []
        model = Looks()
        model.compile()
        model.fit(x, verbose=0)
        assert set(seen) == {form}
