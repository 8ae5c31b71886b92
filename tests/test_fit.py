"""compile, fit, evaluate and predict: what Keras promises, and that replay is the same as computing op by op."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity
from small_models import CLASSES, SAMPLES, digits, line, mlp, same, state_of

import gpudl
from gpudl import Input, Sequential, callbacks, layers, losses, metrics, optimizers, regularizers
from gpudl.engine.plan.trace import Traced
from gpudl.training.data import arrays


class Log(callbacks.Callback):
    """Notes the names of the hooks that run, and what they get."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("train", batch, dict(logs)))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("test", batch, dict(logs)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(("epoch", epoch, dict(logs)))


class TestCompile:
    @pytest.mark.parametrize(
        "compiled",
        [
            {"optimizer": "rmsprop", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
            {"optimizer": optimizers.RMSprop(), "loss": losses.SparseCategoricalCrossentropy(), "metrics": ["acc"]},
            {"optimizer": optimizers.RMSprop, "loss": losses.SparseCategoricalCrossentropy, "metrics": "accuracy"},
            {"optimizer": "RMSprop", "loss": losses.sparse_categorical_crossentropy, "metrics": ("accuracy",)},
            {"loss": "crossentropy", "metrics": [metrics.SparseCategoricalAccuracy()]},
            {"loss": "ce", "metrics": [metrics.sparse_categorical_accuracy]},
            {"loss": "ce", "metrics": ["accuracy"], "jit_compile": True},
            {"loss": "ce", "metrics": ["accuracy"], "jit_compile": False, "steps_per_execution": 4},
        ],
    )
    @pytest.mark.host
    def test_names_classes_functions_and_objects_mean_the_same(self, compiled: dict[str, Any]) -> None:
        x, y = digits()
        reference = mlp()
        expected = reference.fit(x, y, verbose=0, shuffle=False).history
        model = mlp()
        model.compile(**compiled)
        history = model.fit(x, y, verbose=0, shuffle=False).history
        assert same(reference.get_weights(), model.get_weights())
        assert sorted(history.values()) == sorted(expected.values())

    def test_by_default_it_is_rmsprop(self) -> None:
        model = mlp()
        model.compile(loss="mse")
        assert isinstance(model.optimizer, optimizers.RMSprop)
        assert float(model.optimizer.learning_rate) == np.float32(0.001)

    def test_again_keeps_the_weights_and_starts_the_optimizer_anew(self) -> None:
        x, y = digits()
        model = mlp()
        model.fit(x, y, verbose=0)
        weights, first = model.get_weights(), model.optimizer
        model.compile("adam", "sparse_categorical_crossentropy")
        assert same(weights, model.get_weights())
        assert model.optimizer is not first
        assert (int(model.optimizer.iterations), model.optimizer.built) == (0, False)
        history = model.fit(x, y, verbose=0)
        assert list(history.history) == ["loss"]
        assert model.metrics_names == ["loss"]
        assert int(model.optimizer.iterations) == 3

    def test_the_model_has_no_weights_of_the_loop(self) -> None:
        x, y = digits()
        model = mlp()
        model.fit(x, y, verbose=0)
        assert [w.path.split("/")[-1] for w in model.weights] == ["kernel", "bias"] * 2
        assert model.count_params() == 40 + 27
        assert model.non_trainable_weights == []

    @pytest.mark.parametrize(
        ("bad", "match"),
        [
            ({"optimizer": "rmsprob"}, r"Unknown optimizer: 'rmsprob'\. Did you mean 'rmsprop'\?"),
            ({"loss": "sparse_crossentropy"}, r"Unknown loss: 'sparse_crossentropy'\. Did you mean '.*crossentropy'\?"),
            ({"metrics": ["acuracy"]}, r"Unknown metric: 'acuracy'\. Did you mean 'accuracy'\?"),
            ({"weighted_metrics": ["msee"]}, r"Unknown metric: 'msee'\. Did you mean 'mse'\?"),
            ({"loss": {"a": "mse", "b": "mss"}}, r"Unknown loss: 'mss'\. Did you mean 'mse'\?"),
            ({"metrics": {"a": ["mae"], "b": ["maee"]}}, r"Unknown metric: 'maee'\. Did you mean 'mae'\?"),
            ({"metrics": [None]}, r"a metric is a name, a Metric or a function, got None\. Leave it out of the list\."),
            ({"loss_weights": [1.0, "a"]}, r"compile: loss_weights must be a number, got 'a'"),
        ],
    )
    def test_what_is_unknown_leaves_the_model_as_it_was(self, bad: dict[str, Any], match: str) -> None:
        x, y = digits()
        model = mlp()
        model.fit(x, y, verbose=0)
        before, optimizer, loss = state_of(model), model.optimizer, model.loss
        score = model.evaluate(x, y, verbose=0)
        with pytest.raises(ValueError, match=match):
            model.compile(**{"optimizer": "sgd", "loss": "mse", **bad})
        assert (model.optimizer, model.loss, model.metrics_names) == (optimizer, loss, ["loss", "compile_metrics"])
        assert same(before, state_of(model))
        assert model.evaluate(x, y, verbose=0) == score

    def test_metrics_of_one_name_are_told_apart(self) -> None:
        x, y = digits()
        model = mlp(metrics=["accuracy", "accuracy"], weighted_metrics=["accuracy"])
        weights = np.where(y == 0, 5.0, 1.0)
        history = model.fit(x, y, sample_weight=weights, verbose=0).history
        assert list(history) == ["accuracy", "accuracy_1", "loss", "weighted_accuracy"]
        assert history["accuracy"] == history["accuracy_1"] != history["weighted_accuracy"]
        assert len(model.evaluate(x, y, verbose=0)) == 4


class TestHistory:
    def test_keys_are_sorted_and_values_are_numbers(self) -> None:
        x, y = digits()
        model = mlp()
        history = model.fit(x, y, epochs=2, validation_split=0.2, verbose=0)
        assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
        assert history.epoch == [0, 1]
        assert all(type(v) is float for values in history.history.values() for v in values)
        assert model.history is history
        assert history.params == {"verbose": 0, "epochs": 2, "steps": 2}
        assert history.model is model

    def test_metrics_are_means_over_the_samples_of_an_epoch(self) -> None:
        x = np.array([[1.0], [2.0], [3.0]])
        model = line(optimizer=optimizers.SGD(0.0), metrics=["mae"])
        history = model.fit(x, np.zeros((3, 1)), batch_size=2, verbose=0).history
        assert history == {"loss": [pytest.approx(14 / 3)], "mae": [2.0]}

    def test_each_fit_has_a_history_of_its_own(self) -> None:
        x, y = digits()
        model = mlp()
        first = model.fit(x, y, epochs=2, verbose=0)
        second = model.fit(x, y, epochs=5, initial_epoch=2, verbose=0)
        assert first.epoch == [0, 1]
        assert second.epoch == [2, 3, 4]
        assert model.history is second

    @pytest.mark.parametrize(("initial", "epochs"), [(0, 0), (3, 3), (4, 2)])
    def test_no_epochs(self, initial: int, epochs: int) -> None:
        x, y = digits()
        model = mlp()
        before = model.get_weights()
        assert model.fit(x, y, initial_epoch=initial, epochs=epochs, verbose=0).history == {}
        assert same(before, model.get_weights())

    @parity
    def test_as_in_keras(self) -> None:
        keras = keras_or_skip()
        x, y = digits()
        theirs = keras.Sequential(
            [keras.layers.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3, "softmax")]
        )
        theirs.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
        ours = mlp()
        theirs.set_weights(ours.get_weights())
        arguments = {
            "epochs": 3,
            "validation_split": 0.2,
            "class_weight": {0: 1.0, 1: 2.0, 2: 0.5},
            "shuffle": False,
            "verbose": 0,
            "batch_size": 16,
        }
        expected = theirs.fit(x, y, **arguments).history
        history = ours.fit(x, y, **arguments).history
        assert list(history) == list(expected)
        for name, values in history.items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-5)
        for mine, wanted in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(mine, wanted, atol=1e-6)


class TestBatches:
    @pytest.mark.parametrize(("size", "steps"), [(None, 3), (32, 3), (70, 1), (100, 1), (1, 70), (np.int64(35), 2)])
    def test_steps_of_an_epoch(self, size: Any, steps: int) -> None:
        x, y = digits()
        model = mlp()
        model.fit(x, y, batch_size=size, verbose=0)
        assert int(model.optimizer.iterations) == steps

    def test_the_smaller_last_batch_counts_by_its_size(self) -> None:
        x = np.array([[0.0], [0.0], [3.0]])
        model = line(optimizer=optimizers.SGD(0.0))
        assert model.evaluate(x, np.zeros((3, 1)), batch_size=2, verbose=0) == 3.0

    def test_without_shuffling_the_order_is_that_of_the_data(self) -> None:
        seen = []
        model = line(optimizer=optimizers.SGD(0.0))
        losses_seen = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
        x = np.arange(4.0).reshape(4, 1)
        model.fit(x, np.zeros((4, 1)), batch_size=1, shuffle=False, callbacks=[losses_seen], verbose=0)
        np.testing.assert_allclose(seen, [0, 1 / 2, 5 / 3, 14 / 4])

    def test_shuffling_takes_every_sample_once_in_a_new_order(self) -> None:
        gpudl.utils.set_random_seed(1)
        seen: list[float] = []
        total = [0.0]

        def note(batch: int, logs: Any) -> None:
            now = logs["loss"] * (batch + 1)
            seen.append(round(now - (total[0] if batch else 0.0), 3))
            total[0] = now

        model = line(optimizer=optimizers.SGD(0.0))
        x = np.arange(1.0, 7.0).reshape(6, 1)
        listener = callbacks.LambdaCallback(on_train_batch_end=note)
        model.fit(x, np.zeros((6, 1)), batch_size=1, epochs=2, callbacks=[listener], verbose=0)
        first, second = seen[:6], seen[6:]
        assert sorted(first) == sorted(second) == [1, 4, 9, 16, 25, 36]
        assert first != second
        assert first != sorted(first)

    def test_x_and_y_are_shuffled_together(self) -> None:
        x = np.arange(50.0).reshape(50, 1)
        assert line().evaluate(x, x, verbose=0) == 0
        assert line(optimizer=optimizers.SGD(0.0)).fit(x, x, batch_size=7, verbose=0).history["loss"] == [0.0]

    def test_steps_of_evaluation(self) -> None:
        model = line()
        x = np.array([[1.0], [2.0], [30.0]])
        zeros = np.zeros((3, 1))
        assert model.evaluate(x, zeros, batch_size=1, steps=2, verbose=0) == 2.5
        few = {"validation_steps": 1, "validation_batch_size": 1}
        history = model.fit(x, zeros, validation_data=(x, zeros), **few, verbose=0).history
        assert history["val_loss"] == [model.evaluate(x[:1], zeros[:1], verbose=0)]


class TestValidation:
    def test_the_split_takes_the_last_samples_before_shuffling(self) -> None:
        x = np.array([[1.0]] * 8 + [[10.0]] * 2)
        model = line(optimizer=optimizers.SGD(0.0))
        history = model.fit(x, np.zeros((10, 1)), validation_split=0.2, epochs=2, verbose=0).history
        assert history == {"loss": [1.0, 1.0], "val_loss": [100.0, 100.0]}

    def test_data_with_and_without_weights(self) -> None:
        x, y = np.array([[1.0], [3.0]]), np.zeros((2, 1))
        for data, expected in (
            ((x, y), 5.0),
            ([x, y], 5.0),
            ((x, y, np.array([1.0, 0.0])), 0.5),
            (iter([(x, y)]), 5.0),
            (iter([(x, y, np.array([1.0, 0.0]))]), 0.5),
        ):
            model = line(optimizer=optimizers.SGD(0.0))
            assert model.fit(x, y, validation_data=data, verbose=0).history["val_loss"] == [expected]

    def test_class_weights_are_for_training_and_sample_weights_for_both(self) -> None:
        x, y = np.array([[1.0]] * 8 + [[2.0]] * 2), np.zeros(10)
        for weights, expected in (
            ({"class_weight": {0: 3.0}}, {"loss": [3.0], "val_loss": [4.0]}),
            ({"sample_weight": np.full(10, 3.0)}, {"loss": [3.0], "val_loss": [12.0]}),
        ):
            model = line(optimizer=optimizers.SGD(0.0))
            assert model.fit(x, y, validation_split=0.2, **weights, verbose=0).history == expected

    def test_data_beats_split(self) -> None:
        x, y = np.ones((10, 1)), np.zeros((10, 1))
        model = line(optimizer=optimizers.SGD(0.0))
        history = model.fit(x, y, validation_split=0.5, validation_data=(2 * x, y), verbose=0).history
        assert history == {"loss": [1.0], "val_loss": [4.0]}

    @pytest.mark.parametrize(("freq", "epochs"), [(1, [0, 1, 2, 3]), (2, [1, 3]), ([1, 4], [0, 3]), ({3}, [2])])
    def test_frequency(self, freq: Any, epochs: list[int]) -> None:
        x, y = digits()
        log = Log()
        history = (
            mlp().fit(x, y, epochs=4, validation_data=(x, y), validation_freq=freq, callbacks=[log], verbose=0).history
        )
        assert len(history["loss"]) == 4
        assert len(history["val_loss"]) == len(epochs)
        assert [number for kind, number, logs in log.calls if kind == "epoch" and "val_loss" in logs] == epochs

    def test_it_equals_evaluate(self) -> None:
        x, y = digits()
        model = mlp()
        history = model.fit(x, y, epochs=2, validation_data=(x[:50], y[:50]), verbose=0).history
        loss, accuracy = model.evaluate(x[:50], y[:50], verbose=0)
        assert (history["val_loss"][-1], history["val_accuracy"][-1]) == (loss, accuracy)

    def test_dropout_and_batch_normalization_know_that_it_is_no_training(self) -> None:
        x, y = digits()
        model = Sequential([Input((4,)), layers.Dropout(0.9), layers.BatchNormalization(), layers.Dense(3)])
        model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, verbose=0)
        before = model.get_weights()
        assert model.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
        assert same(before, model.get_weights())


class TestWeighting:
    def test_class_weights_are_the_same_as_sample_weights(self) -> None:
        x, y = digits()
        table = {0: 1.0, 1: 3.0, 2: 0.25}
        by_class, by_sample = mlp(), mlp()
        first = by_class.fit(x, y, class_weight=table, verbose=0, shuffle=False).history
        weights = np.array([table[label] for label in y])
        second = by_sample.fit(x, y, sample_weight=weights, verbose=0, shuffle=False).history
        assert first == second
        assert same(state_of(by_class), state_of(by_sample))
        one_hot = mlp(loss="categorical_crossentropy")
        one_hot.fit(x, gpudl.utils.to_categorical(y), class_weight=table, verbose=0, shuffle=False)
        for a, b in zip(one_hot.get_weights(), by_class.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_classes_that_are_not_listed_weigh_one(self) -> None:
        x, y = digits()
        listed, partly = mlp(), mlp()
        listed.fit(x, y, class_weight={0: 2.0, 1: 1.0, 2: 1.0}, verbose=0, shuffle=False)
        partly.fit(x, y, class_weight={0: 2.0}, verbose=0, shuffle=False)
        assert same(listed.get_weights(), partly.get_weights())

    @pytest.mark.parametrize("dtype", ["int8", "int64", "uint64", "float16", "float32", "float64"])
    @pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
    @pytest.mark.parametrize("feed", [lambda x, y: (x, y), lambda x, y: (x, [y]), lambda x, y: (iter([(x, y)]),)])
    def test_labels_of_any_kind_are_found(self, dtype: str, shape: Any, feed: Any) -> None:
        labels = np.array([3, 0, 7, 100, 1, 3] if dtype == "uint64" else [3, -1, 7, 100, 1, 3]).astype(dtype)
        table = {3: 5.0, np.float32(-1.0): 0.25, 0: 0.25, np.int64(100): 2.0, 10**9: 7.0, -(10**30): 1.0}
        model = line(optimizer=optimizers.SGD(0.0))
        fitted = model.fit(
            *feed(np.zeros((6, 1)), labels.reshape(shape)), class_weight=table, shuffle=False, verbose=0
        ).history["loss"][0]
        weights = np.array([5, 0.25, 1, 2, 1, 5])
        assert fitted == pytest.approx(np.mean(weights * labels.astype(float) ** 2), rel=1e-3)

    def test_float_labels_are_rounded_and_nan_has_no_class(self) -> None:
        weights = arrays.class_weights(np.array([0.6, 1.4, np.nan, np.inf, -0.4]), {1: 2.0, 0: 3.0})
        assert weights.tolist() == [2, 2, 1, 1, 3]
        assert arrays.class_weights(np.array([0, 5]), {}).tolist() == [1, 1]

    def test_a_large_label_takes_no_memory(self) -> None:
        tracemalloc.start()
        try:
            weights = arrays.class_weights(np.array([10**9, 2]), {10**9: 2.0, 10**18: 3.0})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert weights.tolist() == [2, 1]
        assert peak < 100_000

    def test_class_weights_of_a_generator(self) -> None:
        x, y = digits()
        table = {0: 1.0, 1: 3.0, 2: 0.25}
        streamed, whole = mlp(), mlp()
        streamed.fit(iter([(x, y)] * 2), class_weight=table, verbose=0)
        whole.fit(x, y, class_weight=table, batch_size=SAMPLES, shuffle=False, epochs=2, verbose=0)
        assert same(state_of(streamed), state_of(whole))

    def test_a_sample_of_weight_zero_does_not_train(self) -> None:
        x, y = digits()
        model, fewer = mlp(optimizer="sgd"), mlp(optimizer="sgd")
        model.fit(x[:8], y[:8], sample_weight=np.array([1.0] * 4 + [0.0] * 4), verbose=0, shuffle=False)
        fewer.fit(x[:4], y[:4], sample_weight=np.full(4, 0.5), verbose=0, shuffle=False)
        for a, b in zip(model.get_weights(), fewer.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_evaluate_with_weights(self) -> None:
        model = line(weighted_metrics=["mae"])
        x = np.array([[1.0], [3.0]])
        assert model.evaluate(x, np.zeros((2, 1)), sample_weight=np.array([1.0, 0.0]), verbose=0) == [0.5, 1.0]


class TestCallbacks:
    def test_what_they_get(self) -> None:
        x, y = digits()
        log = Log()
        history = mlp().fit(x, y, epochs=2, validation_data=(x[:40], y[:40]), callbacks=log, verbose=0).history
        kinds = [(kind, number) for kind, number, _ in log.calls]
        once = [("train", 0), ("train", 1), ("train", 2), ("test", 0), ("test", 1)]
        assert kinds == [*once, ("epoch", 0), *once, ("epoch", 1)]
        assert list(log.calls[0][2]) == ["accuracy", "loss"]
        assert log.calls[5][2] == {name: values[0] for name, values in history.items()}
        assert log.calls[2][2]["loss"] == history["loss"][0]
        assert log.params == {"verbose": 0, "epochs": 2, "steps": 3}

    def test_early_stopping_restores_the_best_weights(self) -> None:
        x, y = digits()
        seen: list[list[np.ndarray]] = []
        model = mlp(optimizer=optimizers.SGD(0.5))
        keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()))
        stop = callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
        wrong = (y + 1) % CLASSES  # the better it fits, the worse it scores
        history = model.fit(x, y, epochs=50, validation_data=(x, wrong), callbacks=[keep, stop], verbose=0)
        assert history.epoch == [0, 1, 2]
        assert same(model.get_weights(), seen[int(np.argmin(history.history["val_loss"]))])
        assert model.evaluate(x, wrong, verbose=0)[0] == min(history.history["val_loss"])
        assert model.fit(x, y, epochs=2, verbose=0).epoch == [0, 1]

    def test_evaluation_after_stopping_goes_through_all_the_data(self) -> None:
        x = np.array([[1.0]] * 32 + [[3.0]] * 32)
        model = line(optimizer=optimizers.SGD(0.0))
        stop = callbacks.EarlyStopping("loss", patience=0)
        model.fit(x, np.zeros((64, 1)), epochs=5, callbacks=[stop], verbose=0)
        assert model.stop_training
        assert model.evaluate(x, np.zeros((64, 1)), verbose=0) == 5.0

    def test_stopping_in_the_middle_of_an_epoch(self) -> None:
        x, y = digits()
        model = mlp()

        def stop(batch: int, logs: Any) -> None:
            model.stop_training = batch == 1

        history = model.fit(x, y, epochs=3, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)], verbose=0)
        assert history.epoch == [0]
        assert int(model.optimizer.iterations) == 2

    def test_terminate_on_nan(self, capsys: pytest.CaptureFixture[str]) -> None:
        x, y = digits()
        x[40] = np.nan
        model = mlp()
        with pytest.warns(RuntimeWarning, match="became NaN or infinite at step 2, in epoch 1"):
            history = model.fit(x, y, epochs=5, shuffle=False, callbacks=[callbacks.TerminateOnNaN()], verbose=0)
        assert history.epoch == [0]
        assert int(model.optimizer.iterations) == 2
        assert "Batch 1: Invalid loss, terminating training" in capsys.readouterr().out

    def test_the_learning_rate_changes_with_no_new_recording(self) -> None:
        x = np.ones((4, 1))
        model = line(optimizer=optimizers.SGD(0.125))
        rates = {1: 0.0, 2: 0.125}

        def change(epoch: int, logs: Any) -> None:
            if epoch in rates:
                model.optimizer.learning_rate = rates[epoch]

        seen: list[float] = []
        history = model.fit(
            x,
            np.zeros((4, 1)),
            epochs=4,
            verbose=0,
            callbacks=[
                callbacks.LambdaCallback(
                    on_epoch_begin=change,
                    on_epoch_end=lambda epoch, logs: seen.append(float(model.optimizer.learning_rate)),
                )
            ],
        ).history["loss"]
        assert seen == [0.125, 0.0, 0.125, 0.125]
        assert history[0] > history[1] == history[2] > history[3]
        assert len(model._train.entries) == 1

    def test_verbose(self, capsys: pytest.CaptureFixture[str]) -> None:
        x, y = digits()
        model = mlp()
        model.fit(x, y, verbose=0)
        model.evaluate(x, y, verbose=0)
        model.predict(x, verbose=0)
        assert capsys.readouterr().out == ""
        for verbose in (1, 2, "auto", True):
            model.fit(x, y, epochs=2, verbose=verbose)
            out = capsys.readouterr().out
            assert "Epoch 1/2" in out
            assert "accuracy: 0." in out
            assert "loss: " in out
        model.evaluate(x, y)
        assert "3/3" in capsys.readouterr().out
        model.predict(x)
        assert "3/3" in capsys.readouterr().out

    def test_a_list_of_callbacks_may_be_nested(self) -> None:
        x, y = digits()
        log = Log()
        history = mlp().fit(x, y, callbacks=callbacks.CallbackList([log]), verbose=0)
        assert len(history.history["loss"]) == 1
        assert [kind for kind, *_ in log.calls] == ["train"] * 3 + ["epoch"]


class TestInterrupt:
    def test_ctrl_c_leaves_a_model_that_works(self) -> None:
        x, y = digits()

        class Impatient(callbacks.Callback):
            epoch = 0

            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                self.epoch = epoch

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                if (self.epoch, batch) == (2, 1):
                    raise KeyboardInterrupt

        model = mlp()
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, epochs=5, callbacks=[Impatient()], verbose=1)
        assert model.history.epoch == [0, 1]
        assert len(model.history.history["loss"]) == 2
        assert int(model.optimizer.iterations) == 8
        assert model.predict(x, verbose=0).shape == (SAMPLES, CLASSES)
        assert model.fit(x, y, initial_epoch=2, epochs=5, verbose=0).epoch == [2, 3, 4]
        assert len(model._train.entries) == 2

    def test_interrupted_while_recording(self) -> None:
        x, y = digits()

        class Once(layers.Layer):
            armed = True

            def call(self, inputs: Any, training: bool = False) -> Any:
                if Once.armed and training and inputs.data is not None:
                    Once.armed = False
                    raise KeyboardInterrupt
                return inputs

        model = Sequential([Input((4,)), layers.BatchNormalization(), Once(), layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        before = model.get_weights()
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, verbose=0)
        assert same(before, model.get_weights())
        assert int(model.optimizer.iterations) == 0
        assert model.fit(x, y, verbose=0).epoch == [0]


class TestReplay:
    def test_a_second_fit_records_nothing_new(self) -> None:
        x, y = digits()
        model, once = mlp(), mlp()
        model.fit(x, y, epochs=2, verbose=0, shuffle=False)
        assert len(model._train.entries) == 2  # 32 rows, and 6
        model.fit(x, y, epochs=1, verbose=0, shuffle=False)
        assert len(model._train.entries) == 2
        once.fit(x, y, epochs=3, verbose=0, shuffle=False)
        assert same(state_of(model), state_of(once))

    def test_evaluate_between_changes_nothing(self) -> None:
        x, y = digits()
        model, once = mlp(), mlp()
        for _ in range(3):
            model.fit(x, y, verbose=0, shuffle=False)
            model.evaluate(x, y, verbose=0)
            model.predict(x, verbose=0)
        once.fit(x, y, epochs=3, verbose=0, shuffle=False)
        assert same(state_of(model), state_of(once))
        assert (len(model._train.entries), len(model._test.entries), len(model._predict.entries)) == (2, 2, 2)

    def test_freezing_after_a_fit_freezes(self) -> None:
        x, y = digits()
        model = mlp()
        model.fit(x, y, verbose=0)
        bottom, top = model.layers
        bottom.trainable = False
        frozen, free = bottom.get_weights(), top.get_weights()
        model.fit(x, y, verbose=0)
        assert same(frozen, bottom.get_weights())
        assert not same(free, top.get_weights())
        bottom.trainable = True
        model.fit(x, y, verbose=0)
        assert not same(frozen, bottom.get_weights())

    @pytest.mark.parametrize("run_eagerly", [False, True])
    def test_freezing_in_the_middle_of_an_epoch_freezes_from_there_on(self, run_eagerly: bool) -> None:
        class Freeze(callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                if batch == 2:
                    self.kernel = self.model.layers[0].get_weights()[0]
                    self.model.layers[0].trainable = False

        x, y = digits(320)
        model, freeze = mlp(run_eagerly=run_eagerly, optimizer="sgd"), Freeze()
        before = model.get_weights()
        model.fit(x, y, callbacks=[freeze], verbose=0)
        assert same([model.get_weights()[0]], [freeze.kernel])
        assert not same([model.get_weights()[0]], [before[0]])
        assert int(model.optimizer.iterations) == 10

    def test_plans_are_looked_up_once_a_size_and_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x, y = digits(330)
        model = mlp()
        looked_up = []
        entry = Traced.found
        monkeypatch.setattr(Traced, "found", lambda *args, **kwargs: [looked_up.append(1), entry(*args, **kwargs)][1])
        model.fit(x, y, epochs=3, verbose=0)  # 10 batches of 32 and one of 10
        assert len(looked_up) == 6
        model.evaluate(x, y, verbose=0)
        model.predict(x, verbose=0)
        assert len(looked_up) == 10

    def test_nobody_is_told_when_nobody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = []
        for hook in ("train_batch_begin", "train_batch_end", "test_batch_end", "predict_batch_end"):
            monkeypatch.setattr(callbacks.CallbackList, f"on_{hook}", lambda *args, hook=hook: told.append(hook))
        x, y = digits()
        model = mlp()
        for verbose in (0, 1, 2):  # standard output is no terminal here
            model.fit(x, y, validation_split=0.2, callbacks=[callbacks.EarlyStopping("loss")], verbose=verbose)
            model.evaluate(x, y, verbose=verbose)
            model.predict(x, verbose=verbose)
        assert not told

    def test_nothing_to_train(self) -> None:
        x, y = digits()
        model = mlp()
        model.trainable = False
        before = model.get_weights()
        with pytest.warns(UserWarning, match="the model has no trainable weights") as said:
            model.fit(x, y, verbose=0)
        assert said[0].filename == __file__  # the user's line, through all that wraps fit
        assert same(before, model.get_weights())

    @pytest.mark.parametrize("kind", ["mlp", "conv"])
    def test_eager_is_bit_for_bit_the_same(self, kind: str) -> None:
        def trained(run_eagerly: bool) -> tuple[Any, ...]:
            gpudl.utils.set_random_seed(3)
            rng = np.random.default_rng(1)
            if kind == "mlp":
                x, y = digits()
                stack = [Input((4,)), layers.Dense(16, activation="relu"), layers.Dropout(0.3)]
            else:
                x, y = rng.random((70, 8, 8, 1), np.float32), rng.integers(0, 3, 70)
                stack = [
                    Input((8, 8, 1)),
                    layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
                    layers.BatchNormalization(),
                    layers.MaxPooling2D(),
                    layers.Dropout(0.25),
                    layers.Flatten(),
                ]
            model = Sequential([*stack, layers.Dense(3, activation="softmax")])
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=run_eagerly)
            history = model.fit(x, y, epochs=3, validation_split=0.2, verbose=0).history
            assert bool(model._train.entries) is not run_eagerly
            return history, state_of(model), model.predict(x, verbose=0), model.evaluate(x, y, verbose=0)

        replayed, eager = trained(False), trained(True)
        assert replayed[0] == eager[0]
        assert same(replayed[1], eager[1])
        assert same([replayed[2]], [eager[2]])
        assert replayed[3] == eager[3]

    def test_one_seed_one_result(self) -> None:
        def trained(seed: int) -> list[np.ndarray]:
            gpudl.utils.set_random_seed(seed)
            model = Sequential([Input((4,)), layers.Dense(8), layers.Dropout(0.5), layers.Dense(3)])
            model.compile("rmsprop", losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(*digits(), epochs=2, verbose=0)
            return model.get_weights()

        assert same(trained(1), trained(1))
        assert not same(trained(1), trained(2))

    def test_dropout_differs_from_step_to_step(self) -> None:
        model = Sequential([Input((4,)), layers.Dropout(0.5), layers.Flatten()])
        model.compile("sgd", "mse")
        x = np.ones((32, 4))
        with pytest.warns(UserWarning, match="no trainable weights"):
            history = model.fit(x, np.zeros((32, 4)), epochs=5, verbose=0).history["loss"]
        assert len(set(history)) > 1


class TestLoss:
    def test_regularizers_are_part_of_it(self) -> None:
        model = Sequential(
            [
                layers.Dense(1, kernel_initializer="ones", kernel_regularizer=regularizers.L2(0.5), input_shape=(3,)),
                layers.Dense(1, kernel_initializer="ones", bias_regularizer="l1", activity_regularizer=None),
            ]
        )
        model.compile(optimizers.SGD(0.1), "mse")
        x = np.zeros((2, 3))
        assert model.evaluate(x, np.zeros((2, 1)), verbose=0) == 1.5
        assert model.fit(x, np.zeros((2, 1)), verbose=0).history["loss"] == [1.5]
        np.testing.assert_allclose(model.get_weights()[0], np.full((3, 1), 0.9), rtol=1e-6)

    def test_activity_regularizers_do_not_add_up_over_steps(self) -> None:
        model = Sequential([Input((1,)), layers.Dense(1, "linear", False, "ones", activity_regularizer="l1")])
        model.compile(optimizers.SGD(0.0), "mse")
        x = np.ones((8, 1))
        history = model.fit(x, x, batch_size=4, epochs=3, verbose=0).history["loss"]
        np.testing.assert_allclose(history, [0.01] * 3, rtol=1e-6)
        model(x)
        np.testing.assert_allclose(model.fit(x, x, verbose=0).history["loss"], [0.01], rtol=1e-6)

    def test_it_learns(self) -> None:
        x, y = digits(300)
        model = mlp(optimizer=optimizers.Adam(0.03))
        history = model.fit(x, y, epochs=30, verbose=0).history
        assert history["accuracy"][-1] > 0.95
        assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.95
        assert (model.predict(x, verbose=0).argmax(axis=1) == y).mean() > 0.95


class TestEvaluateAndPredict:
    def test_what_evaluate_returns(self) -> None:
        x, y = digits()
        model = mlp()
        values = model.evaluate(x, y, verbose=0)
        assert all(type(v) is float for v in values)
        assert model.evaluate(x, y, verbose=0, return_dict=True) == dict(zip(["loss", "accuracy"], values, strict=True))
        assert model.metrics_names == ["loss", "compile_metrics"]
        only = mlp(metrics=None)
        assert type(only.evaluate(x, y, verbose=0)) is float
        accuracy = (model.predict(x, verbose=0).argmax(axis=1) == y).mean()
        assert values[1] == pytest.approx(accuracy)
        picked = model.predict(x, verbose=0)[np.arange(SAMPLES), y]
        assert values[0] == pytest.approx(-np.log(picked).mean(), rel=1e-5)

    @pytest.mark.parametrize("samples", [1, 2, 31, 32, 33, 64, 70])
    def test_predict_any_number_of_samples(self, samples: int) -> None:
        x, _ = digits()
        model = mlp()
        whole = model.predict(x, batch_size=70, verbose=0)
        part = model.predict(x[:samples], verbose=0)
        assert part.shape == (samples, CLASSES)
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, whole[:samples], atol=1e-6)
        np.testing.assert_allclose(part.sum(axis=1), 1, rtol=1e-5)

    def test_predictions_are_the_callers_own(self) -> None:
        x, _ = digits()
        model = mlp()
        first = model.predict(x, verbose=0)
        kept = first.copy()
        model.predict(x * 2, verbose=0)
        model.predict_on_batch(x)
        assert same([first], [kept])

    def test_predict_calls_its_hooks(self) -> None:
        x, _ = digits()
        seen: list[tuple[int, ...]] = []
        model = mlp()
        listener = callbacks.LambdaCallback(on_predict_batch_end=lambda n, logs: seen.append(logs["outputs"].shape))
        model.predict(x, callbacks=[listener], verbose=0)
        assert seen == [(32, 3), (32, 3), (6, 3)]


class TestOnBatch:
    def test_train(self) -> None:
        x, y = digits()
        model, fitted = mlp(), mlp()
        first = model.train_on_batch(x, y)
        assert [type(v) for v in first] == [float, float]
        fitted.fit(x, y, batch_size=SAMPLES, shuffle=False, verbose=0)
        assert same(state_of(model), state_of(fitted))
        second = model.train_on_batch(x, y, return_dict=True)
        assert list(second) == ["accuracy", "loss"]
        fitted.fit(x, y, batch_size=SAMPLES, shuffle=False, verbose=0)
        assert same(state_of(model), state_of(fitted))

    @pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
    def test_values_are_those_of_this_batch_alone(self, method: str) -> None:
        model = line(optimizer=optimizers.SGD(0.0), metrics=["mae"])
        zero = np.zeros((1, 1))
        model.fit(np.array([[7.0]]), zero, verbose=0)
        call = getattr(model, method)
        assert [call(np.array([[x]]), zero) for x in (1.0, 3.0, 2.0)] == [[1.0, 1.0], [9.0, 3.0], [4.0, 2.0]]
        assert call(np.array([[5.0], [1.0]]), np.zeros((2, 1)), return_dict=True) == {"loss": 13.0, "mae": 3.0}

    def test_weights(self) -> None:
        x, y = digits()
        by_class, by_sample = mlp(), mlp()
        by_class.train_on_batch(x, y, class_weight={0: 3.0})
        by_sample.train_on_batch(x, y, sample_weight=np.where(y == 0, 3.0, 1.0))
        assert same(state_of(by_class), state_of(by_sample))

    def test_one_sample(self) -> None:
        x, y = digits()
        model = mlp()
        assert math.isfinite(model.train_on_batch(x[:1], y[:1])[0])
        assert model.predict_on_batch(x[:1]).shape == (1, 3)
        assert math.isfinite(model.test_on_batch(x[:1], y[:1])[0])

    def test_predict(self) -> None:
        x, _ = digits()
        model = mlp()
        assert same([model.predict_on_batch(x)], [model.predict(x, batch_size=SAMPLES, verbose=0)])
