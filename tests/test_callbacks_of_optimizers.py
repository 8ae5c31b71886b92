"""Callbacks that change the learning rate or the weights: as Keras's, step by step."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

import gpudl
from gpudl import callbacks, layers, optimizers

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)
Y = X[:, :1] * 2


def compiled(optimizer: object) -> gpudl.Model:
    gpudl.utils.set_random_seed(1)
    model = gpudl.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


class TestLearningRateScheduler:
    def test_optimizers_of_one_name(self) -> None:
        rates = optimizers.SGD(0.5, name="s"), optimizers.SGD(0.1, name="s")
        model = compiled(optimizers.MultiOptimizer(optimizers.OptimizerMap(rates[0], {".*bias": rates[1]})))
        model.fit(X, Y, callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)], verbose=0)
        np.testing.assert_allclose([float(each.learning_rate) for each in rates], [0.25, 0.05])

    @pytest.mark.parametrize("scaled", [False, True])
    def test_the_rates_of_several_optimizers(self, scaled: bool) -> None:
        several = {".*a/.*": optimizers.SGD(0.5, name="fast")}
        both = optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(0.1, name="slow"), several))
        model = gpudl.Sequential([layers.Input((3,)), layers.Dense(2, name="a"), layers.Dense(1, name="b")])
        model.compile(optimizers.LossScaleOptimizer(both) if scaled else both, "mse")
        halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        history = model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=2, callbacks=[halve], verbose=0).history
        np.testing.assert_allclose(history["learning_rate_fast"], [0.25, 0.125])
        np.testing.assert_allclose(history["learning_rate_slow"], [0.05, 0.025])

    @pytest.mark.parametrize("schedule", [lambda epoch, rate: rate / 2, lambda epoch: 0.5 ** (epoch + 1)])
    def test_functions_of_one_or_two_arguments(self, schedule: object, capsys: pytest.CaptureFixture[str]) -> None:
        model = compiled(optimizers.SGD(1.0))
        history = model.fit(X, Y, epochs=2, callbacks=[callbacks.LearningRateScheduler(schedule, verbose=1)], verbose=0)
        assert history.history["learning_rate"] == [0.5, 0.25]
        assert capsys.readouterr().out == "".join(
            f"\nEpoch {n}: LearningRateScheduler setting learning rate to {rate}.\n"
            for n, rate in ((1, 0.5), (2, 0.25))
        )

    def test_an_error_inside_the_function_is_not_hidden(self) -> None:
        def schedule(epoch: int, rate: float) -> float:
            raise TypeError("a fault of its own")

        with pytest.raises(TypeError, match="a fault of its own"):
            compiled("sgd").fit(X, Y, callbacks=[callbacks.LearningRateScheduler(schedule)], verbose=0)

    def test_what_is_no_float(self) -> None:
        with pytest.raises(ValueError, match="the schedule must return a float, got 1, a int"):
            compiled("sgd").fit(X, Y, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 1)], verbose=0)


class TestReduceLROnPlateau:
    @pytest.mark.parity
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    def test_learning_rates_are_those_of_keras(self) -> None:
        keras = pytest.importorskip("keras")
        draw = random.Random(3)
        for _ in range(40):
            options = {
                "monitor": "loss",
                "factor": draw.choice([0.1, 0.5, 0.9]),
                "patience": draw.randrange(4),
                "mode": draw.choice(["auto", "min", "max"]),
                "min_delta": draw.choice([0, 0.05, 1e-4]),
                "cooldown": draw.randrange(3),
                "min_lr": draw.choice([0.0, 0.3]),
            }
            ours, theirs = callbacks.ReduceLROnPlateau(**options), keras.callbacks.ReduceLROnPlateau(**options)
            ours.set_model(compiled(optimizers.SGD(1.0)))
            theirs.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=1.0)))
            for callback in (ours, theirs):
                callback.on_train_begin()
            for epoch in range(25):
                loss = draw.random()
                logs = {"loss": loss}, {"loss": loss}
                ours.on_epoch_end(epoch, logs[0])
                theirs.on_epoch_end(epoch, logs[1])
                rates = float(ours.model.optimizer.learning_rate), theirs.model.optimizer.learning_rate
                assert rates[0] == pytest.approx(rates[1], rel=1e-6), (options, epoch)
                assert logs[0] == pytest.approx(logs[1], rel=1e-6)

    def test_the_history_has_the_learning_rate(self, capsys: pytest.CaptureFixture[str]) -> None:
        model = compiled(optimizers.SGD(0.5))
        reducing = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100, verbose=1)
        history = model.fit(X, Y, epochs=3, callbacks=[reducing], verbose=0)
        assert history.history["learning_rate"] == [0.5, 0.5, 0.25]
        said = "\nEpoch {}: ReduceLROnPlateau reducing learning rate to {}.\n"
        assert capsys.readouterr().out == said.format(2, 0.25) + said.format(3, 0.125)

    def test_bad_arguments(self) -> None:
        with pytest.raises(ValueError, match=r"ReduceLROnPlateau: factor must be below 1, got 1\.5"):
            callbacks.ReduceLROnPlateau(factor=1.5)
        with pytest.warns(UserWarning, match="ReduceLROnPlateau knows no mode 'best'"):
            callbacks.ReduceLROnPlateau(mode="best")
        with pytest.warns(UserWarning, match="ReduceLROnPlateau watches 'val_loss', which is not there. Available"):
            compiled("sgd").fit(X, Y, callbacks=[callbacks.ReduceLROnPlateau()], verbose=0)


class Seen(callbacks.Callback):
    """Notes the weights that validation is done with."""

    def __init__(self) -> None:
        self.kernels: list[np.ndarray] = []

    def on_test_batch_begin(self, batch: int, logs: object = None) -> None:
        self.kernels.append(self.model.layers[0].kernel.numpy())


@pytest.mark.parametrize("several", [False, True])
def test_tensorboard_writes_the_rate_of_each_optimizer(several: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = optimizers.SGD(0.5, name="fast"), optimizers.SGD(0.25, name="slow")
    both = optimizers.MultiOptimizer(optimizers.OptimizerMap(slow, {".*kernel": fast}))
    board, written = callbacks.TensorBoard.__new__(callbacks.TensorBoard), {}  # a new one needs tensorboard
    board.write_steps_per_second, board.histogram_freq = False, 0
    board.set_model(compiled(both if several else fast))
    monkeypatch.setattr(board, "_write", lambda kind, values, step: written.update({kind: values}))
    board.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    rates = {"_fast": 0.5, "_slow": 0.25} if several else {"": 0.5}
    assert written["train"] == {"epoch_loss": 1.0, **{f"epoch_learning_rate{name}": r for name, r in rates.items()}}
    assert written["validation"] == {"epoch_loss": 2.0}


class TestSwapEMAWeights:
    def test_validation_sees_the_averages_and_training_the_weights(self) -> None:
        plain = compiled(optimizers.SGD(0.1))
        kernels = [plain.layers[0].kernel.numpy()]
        for _ in range(3):
            plain.fit(X, Y, batch_size=16, verbose=0)
            kernels.append(plain.layers[0].kernel.numpy())
        average = kernels[1]  # the first update begins the average
        expected = [average]
        for kernel in kernels[2:]:
            average = 0.5 * average + 0.5 * kernel
            expected.append(average)
        model, seen = compiled(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)), Seen()
        model.fit(
            X,
            Y,
            batch_size=16,
            epochs=3,
            validation_data=(X, Y),
            callbacks=[callbacks.SwapEMAWeights(), seen],
            verbose=0,
        )
        np.testing.assert_allclose(seen.kernels, expected, rtol=1e-5)

    @pytest.mark.parametrize("scaled", [False, True])
    def test_each_of_several_optimizers_swaps_its_own(self, scaled: bool) -> None:
        both = optimizers.MultiOptimizer(
            optimizers.OptimizerMap(optimizers.SGD(0.1), {".*averaged/.*": optimizers.SGD(0.1, use_ema=True)})
        )
        model = gpudl.Sequential([layers.Input((3,)), layers.Dense(2, name="averaged"), layers.Dense(1, name="plain")])
        model.compile(optimizers.LossScaleOptimizer(both) if scaled else both, "mse")
        seen = Seen()
        model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)  # and then the averages are in place
        average = model.layers[0].kernel.numpy()
        for weight in model.weights:
            weight.assign(weight + 1)
        trained = [w.numpy() for w in model.weights]
        model.evaluate(np.ones((4, 3)), np.ones((4, 1)), callbacks=[callbacks.SwapEMAWeights(), seen], verbose=0)
        np.testing.assert_array_equal(seen.kernels, [average])
        for weight, before in zip(model.weights, trained, strict=True):
            np.testing.assert_array_equal(weight.numpy(), before)

    def test_an_optimizer_without_averages(self) -> None:
        with pytest.raises(ValueError, match="SwapEMAWeights needs an optimizer that keeps averages of the weights"):
            compiled("sgd").evaluate(X, Y, callbacks=[callbacks.SwapEMAWeights()], verbose=0)
