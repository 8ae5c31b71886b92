"""Callbacks: which hooks run with which logs, what a batch costs, and when training stops."""

import copy
import itertools
import json
import os
import sys
import warnings
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpudl
from gpudl.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    LazyLogs,
    ProgbarLogger,
    TerminateOnNaN,
)

LOOPS = ["train", "test", "predict"]
HOOKS = [
    *(f"on_{loop}_{edge}" for loop in LOOPS for edge in ("begin", "end")),
    *(f"on_{loop}_batch_{edge}" for loop in LOOPS for edge in ("begin", "end")),
    *(f"on_{what}_{edge}" for what in ("epoch", "batch") for edge in ("begin", "end")),
]


class Value:
    """A number on a device: it counts how often it is read, and may be overwritten."""

    def __init__(self, number: float) -> None:
        self.number = number
        self.reads = 0

    def __float__(self) -> float:
        self.reads += 1
        return self.number


class TestLazyLogs:
    def test_a_value_is_read_once_and_only_when_wanted(self) -> None:
        loss, accuracy = Value(0.5), Value(0.75)
        logs = LazyLogs({"loss": loss, "accuracy": accuracy})
        assert "loss" in logs
        assert "mae" not in logs
        assert list(logs) == ["accuracy", "loss"]
        assert len(logs) == 2
        assert logs
        assert loss.reads == accuracy.reads == 0
        assert logs["loss"] == logs.get("loss") == 0.5
        assert (loss.reads, accuracy.reads) == (1, 0)

    @pytest.mark.parametrize(
        "read",
        [
            dict,
            LazyLogs.copy,
            copy.copy,
            lambda logs: {**logs},
            lambda logs: dict(logs.items()),
            lambda logs: dict(zip(logs.keys(), logs.values(), strict=True)),
            lambda logs: json.loads(json.dumps(dict(logs))),
            lambda logs: {name: logs.pop(name) for name in list(logs)},
            lambda logs: eval(repr(logs)),
            lambda logs: logs | {},
            lambda logs: {} | logs,
        ],
    )
    def test_every_way_to_read_gives_numbers(self, read: Callable[[LazyLogs], dict[str, float]]) -> None:
        logs = LazyLogs({"loss": gpudl.convert_to_tensor(0.5), "accuracy": Value(1.0)})
        got = read(logs)
        assert got == {"accuracy": 1.0, "loss": 0.5}
        assert type(got) is dict
        assert [type(value) for value in got.values()] == [float, float]

    def test_it_equals_a_dict_and_can_be_written(self) -> None:
        logs = LazyLogs({"loss": Value(0.5)})
        logs["learning_rate"] = 1e-3
        logs["loss"] = 2.0
        assert logs == {"loss": 2.0, "learning_rate": 1e-3}
        del logs["loss"]
        assert list(logs) == ["learning_rate"]
        logs["loss"] = "none"
        assert logs["loss"] == "none"

    def test_what_is_no_number(self) -> None:
        logs = LazyLogs(
            {"nested": {"b": 1}, "matrix": gpudl.convert_to_tensor([[1.0, 2.0]]), "text": "warm", "no": None}
        )
        assert logs["b"] == 1.0
        np.testing.assert_array_equal(logs["matrix"], np.array([[1.0, 2.0]], np.float32), strict=True)
        assert logs["text"] == "warm"
        assert logs["no"] is None

    def test_a_missing_name_and_no_logs(self) -> None:
        with pytest.raises(KeyError, match="acc"):
            LazyLogs({"loss": 1})["acc"]
        assert LazyLogs(None) == {}
        assert LazyLogs(None).get("loss") is None


class Recorder(Callback):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []


for _hook in HOOKS:
    setattr(Recorder, _hook, lambda self, *args, _hook=_hook: self.calls.append((_hook, *args)))


def test_the_hooks_are_those_of_keras() -> None:
    assert {name for name in vars(Callback) if name.startswith("on_")} == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("by_name", [False, True])
def test_the_list_calls_everybody_in_order_with_numbers(hook: str, by_name: bool) -> None:
    first, second = Recorder(), Recorder()
    callbacks = CallbackList([first, [second]])
    number = (7,) if "batch" in hook or "epoch" in hook else ()
    logs = {"loss": gpudl.convert_to_tensor(0.5), "accuracy": 1}
    if by_name:
        getattr(callbacks, hook)(*number, logs=logs)
    else:
        getattr(callbacks, hook)(*number, logs)
    getattr(callbacks, hook)(*number)
    assert first.calls == second.calls == [(hook, *number, {"accuracy": 1.0, "loss": 0.5}), (hook, *number, {})]
    assert first.calls[0][-1] is second.calls[0][-1]
    assert isinstance(first.calls[0][-1], LazyLogs if "batch" in hook else dict)


def test_a_batch_of_training_answers_to_its_old_name() -> None:
    calls = []

    class Old(Callback):
        def on_batch_begin(self, batch: int, logs: Any = None) -> None:
            calls.append(("begin", batch))

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            calls.append(("end", batch, logs["loss"]))

    callbacks = CallbackList(Old())
    callbacks.on_train_batch_begin(3)
    callbacks.on_train_batch_end(3, {"loss": 0.5})
    callbacks.on_test_batch_end(4, {"loss": 0.5})
    assert calls == [("begin", 3), ("end", 3, 0.5)]


@pytest.mark.parametrize("hook", HOOKS)
def test_only_a_hook_for_batches_makes_batches_wanted(hook: str) -> None:
    overridden = CallbackList(type("One", (Callback,), {hook: lambda self, *args: None})())
    made_of_functions = CallbackList(LambdaCallback(**{hook: print}))
    wanted = {loop: "batch" in hook and (loop in hook or (loop == "train" and "_batch" in hook[:8])) for loop in LOOPS}
    for callbacks in (overridden, made_of_functions):
        assert {loop: getattr(callbacks, f"wants_{loop}_batches") for loop in LOOPS} == wanted


def test_history_and_early_stopping_want_no_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    callbacks = CallbackList(EarlyStopping(), add_history=True, add_progbar=True, verbose=1, steps=3)
    assert not any([callbacks.wants_train_batches, callbacks.wants_test_batches, callbacks.wants_predict_batches])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert callbacks.wants_train_batches
    callbacks.on_train_begin()
    assert not callbacks.wants_test_batches
    assert CallbackList(TerminateOnNaN()).wants_train_batches


def test_a_batch_whose_logs_nobody_reads_costs_no_read() -> None:
    loss = Value(0.5)
    CallbackList(LambdaCallback(on_train_batch_end=lambda batch, logs: None)).on_train_batch_end(0, {"loss": loss})
    assert loss.reads == 0


def test_logs_that_are_kept_keep_their_values() -> None:
    kept = []
    loss = Value(0.5)
    callbacks = CallbackList(LambdaCallback(on_train_batch_end=lambda batch, logs: kept.append(logs)))
    callbacks.on_train_batch_end(0, {"loss": loss})
    loss.number = 0.25  # the next step writes into the same buffer
    callbacks.on_train_batch_end(1, {"loss": loss})
    assert [logs["loss"] for logs in kept] == [0.5, 0.25]


def test_what_one_callback_adds_to_the_logs_the_next_one_sees() -> None:
    adds = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(learning_rate=0.1))
    callbacks = CallbackList(adds, add_history=True)
    callbacks.on_epoch_end(0, {"loss": 1.0})
    assert callbacks.history is not None
    assert callbacks.history.history == {"loss": [1.0], "learning_rate": [0.1]}


def test_model_and_params_reach_everybody() -> None:
    model, callback = SimpleNamespace(), Callback()
    assert callback.model is None
    callbacks = CallbackList([callback], model=model, verbose=0, epochs=2, steps=3)
    assert callback.model is callbacks.model is model
    assert callback.params == {"verbose": 0, "epochs": 2, "steps": 3}


def test_a_subclass_need_not_call_super() -> None:
    class Own(Callback):
        def __init__(self) -> None:
            pass

    own = Own()
    CallbackList([own], model=(model := SimpleNamespace()), steps=1)
    assert own.model is model


def test_defaults_are_added_once() -> None:
    history, bar = History(), ProgbarLogger()
    assert CallbackList([history, bar], add_history=True, add_progbar=True).callbacks == [history, bar]
    added = CallbackList(None, add_history=True, add_progbar=True)
    assert [type(callback) for callback in added.callbacks] == [History, ProgbarLogger]
    assert CallbackList().callbacks == []
    assert CallbackList().history is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (EarlyStopping, "got the class EarlyStopping. Write EarlyStopping()."),
        (["print"], "callbacks expected objects of gpudl.callbacks.Callback, got 'print'. Subclass Callback."),
    ],
)
def test_what_is_no_callback(wrong: Any, words: str) -> None:
    with pytest.raises(TypeError) as raised:
        CallbackList(wrong)
    assert words in str(raised.value)


def test_close_ends_the_bar_after_an_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    callbacks = CallbackList(add_progbar=True, verbose=1, epochs=1, steps=3)
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_end(0, {"loss": 1.0})
    assert not capsys.readouterr().out.endswith("\n")
    callbacks.close()
    assert capsys.readouterr().out == "\n"
    callbacks.close()
    assert capsys.readouterr().out == ""


class TestHistory:
    def test_values_by_epoch(self) -> None:
        model = SimpleNamespace()
        callbacks = CallbackList(add_history=True, model=model)
        callbacks.on_train_begin()
        for epoch in (3, 4):
            callbacks.on_epoch_end(epoch, {"loss": gpudl.convert_to_tensor(1.0 / epoch), "accuracy": epoch})
        assert model.history is callbacks.history
        assert model.history.epoch == [3, 4]
        assert list(model.history.history) == ["accuracy", "loss"]
        assert model.history.history["accuracy"] == [3.0, 4.0]
        np.testing.assert_allclose(model.history.history["loss"], [1 / 3, 1 / 4], rtol=1e-7)
        assert json.loads(json.dumps(model.history.history)) == model.history.history

    def test_a_list_that_only_evaluates_leaves_the_history_of_the_model(self) -> None:
        model = SimpleNamespace(history="of fit")
        callbacks = CallbackList(add_history=True, model=model)
        callbacks.on_test_begin()
        callbacks.on_test_end({"loss": 1.0})
        assert model.history == "of fit"


class Trained:
    """A model with one weight, the number of the epoch."""

    stop_training = False
    metrics = (
        SimpleNamespace(name="accuracy"),
        SimpleNamespace(name="up", _direction="up"),
        SimpleNamespace(name="own"),
    )
    weights: Any = None

    def get_weights(self) -> Any:
        return self.weights

    def set_weights(self, weights: Any) -> None:
        self.weights = weights


def train(stopping: Any, values: list[float | None], monitor: str = "val_loss") -> tuple[Trained, int]:
    """Return the model, and the number of epochs run."""
    model = Trained()
    stopping.set_model(model)
    stopping.on_train_begin()
    epochs = 0
    for epoch, value in enumerate(values):
        epochs += 1
        model.weights = epoch
        stopping.on_epoch_end(epoch, {"loss": 1.0} | ({} if value is None else {monitor: value}))
        if model.stop_training:
            break
    stopping.on_train_end({})
    return model, epochs


class TestEarlyStopping:
    def test_it_stops_when_patience_is_over(self) -> None:
        stopping = EarlyStopping(patience=2)
        _, epochs = train(stopping, [3.0, 2.0, 2.5, 2.25, 1.0])
        assert epochs == 4
        assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (2.0, 1, 3)

    def test_it_can_be_used_again(self) -> None:
        stopping = EarlyStopping()
        assert [train(stopping, [1.0, 2.0])[1], train(stopping, [5.0, 4.0, 4.5, 1.0])[1]] == [2, 3]
        assert stopping.best == 4.0

    def test_best_weights_come_back(self, capsys: pytest.CaptureFixture[str]) -> None:
        model, _ = train(EarlyStopping(patience=1, restore_best_weights=True, verbose=1), [3.0, 2.0, 2.5, 9.0])
        assert model.weights == 1
        assert capsys.readouterr().out == (
            "Epoch 3: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
        )

    def test_the_last_weights_stay_otherwise(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert train(EarlyStopping(patience=1), [3.0, 2.0, 2.5, 9.0])[0].weights == 2
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(
        ("monitor", "mode", "epochs"),
        [
            ("val_loss", "auto", 3),
            ("loss", "auto", 3),
            ("val_mse", "auto", 3),
            ("val_sparse_categorical_crossentropy", "auto", 3),
            ("val_accuracy", "auto", 2),
            ("acc", "auto", 2),
            ("val_up", "auto", 2),
            ("val_own", "max", 2),
            ("val_own", "min", 3),
        ],
    )
    def test_the_metric_tells_what_is_better(self, monitor: str, mode: str, epochs: int) -> None:
        assert train(EarlyStopping(monitor, mode=mode), [2.0, 1.0, 1.5], monitor)[1] == epochs

    @pytest.mark.parametrize(("metric", "op"), [("AUC", "greater"), ("Recall", "greater"), ("Hinge", "less")])
    def test_compiled_metrics_tell_what_is_better(self, metric: str, op: str) -> None:
        model = gpudl.Sequential([gpudl.Input((2,)), gpudl.layers.Dense(1, "sigmoid")])
        model.compile("sgd", "mse", metrics=[getattr(gpudl.metrics, metric)(name="own")])
        stopping, x = EarlyStopping("own"), np.ones((4, 2))
        model.fit(x, np.array([[0], [1], [1], [0]]), epochs=2, callbacks=[stopping], verbose=0)
        assert stopping.monitor_op is getattr(gpudl.ops, op)

    def test_a_metric_that_does_not_tell(self) -> None:
        words = r"cannot tell whether more or less of 'own' is better. Pass mode='max' or mode='min', or watch one of"
        with pytest.raises(ValueError, match=words):
            train(EarlyStopping("own"), [1.0], "own")

    def test_a_metric_that_is_not_there(self) -> None:
        with pytest.warns(UserWarning, match=r"watches 'val_loss', which is not there. Available metrics: loss\."):
            _, epochs = train(EarlyStopping(), [None, None])
        assert epochs == 2

    def test_the_comparison_is_an_attribute(self) -> None:
        better = {mode: EarlyStopping("loss", mode=mode).monitor_op for mode in ("auto", "min", "max")}
        assert better == {"auto": gpudl.ops.less, "min": gpudl.ops.less, "max": gpudl.ops.greater}

    def test_an_unknown_mode(self) -> None:
        with pytest.warns(UserWarning, match="EarlyStopping knows no mode 'mim' and goes on with 'auto'"):
            assert EarlyStopping(mode="mim").mode == "auto"


class TestLambdaCallback:
    def test_functions_become_hooks(self) -> None:
        calls: list[Any] = []
        callback = LambdaCallback(
            lambda epoch, logs: calls.append(epoch), on_predict_end=lambda logs: calls.append(dict(logs))
        )
        callbacks = CallbackList(callback)
        callbacks.on_epoch_begin(2)
        callbacks.on_epoch_end(2)
        callbacks.on_predict_end({"a": 1})
        assert calls == [2, {"a": 1.0}]

    def test_a_misspelt_hook(self) -> None:
        with pytest.raises(ValueError, match=r"Unknown hook: 'on_epoch_ends'\. Did you mean 'on_epoch_end'\?"):
            LambdaCallback(on_epoch_ends=print)


class TestTerminateOnNaN:
    @pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
    def test_it_stops(self, loss: float, capsys: pytest.CaptureFixture[str]) -> None:
        model = Trained()
        callbacks = CallbackList(TerminateOnNaN(), model=model)
        callbacks.on_train_batch_end(2, {"loss": gpudl.convert_to_tensor(1.0)})
        callbacks.on_train_batch_end(3, {"accuracy": loss})
        assert not model.stop_training
        callbacks.on_train_batch_end(4, {"loss": gpudl.convert_to_tensor(loss)})
        assert model.stop_training
        assert capsys.readouterr().out == "Batch 4: Invalid loss, terminating training\n"

    def test_it_raises_on_demand(self) -> None:
        with pytest.raises(RuntimeError, match=r"the loss was nan after batch 4\. Lower the learning rate"):
            CallbackList(TerminateOnNaN(raise_error=True)).on_train_batch_end(4, {"loss": float("nan")})


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["min", "max", "auto"])
@pytest.mark.parametrize("restore_best_weights", [False, True])
def test_early_stopping_is_keras(keras: ModuleType, mode: str, restore_best_weights: bool) -> None:
    draw = np.random.default_rng(0)
    grid = itertools.product([0, 1, 3], [0, 0.25, -0.5], [None, 0.5], [0, 2])
    for patience, min_delta, baseline, start_from_epoch in grid:
        options = {
            "patience": patience,
            "min_delta": min_delta,
            "baseline": baseline,
            "start_from_epoch": start_from_epoch,
            "mode": mode,
            "restore_best_weights": restore_best_weights,
        }
        for _ in range(3):
            # Eighths are exact in float32, which Keras compares in.
            values = [float(v) for v in draw.integers(0, 16, 10) / 8]
            values[draw.integers(10)] = float("nan")
            ours, theirs = EarlyStopping(**options), keras.callbacks.EarlyStopping(**options)
            (our_model, our_epochs), (their_model, their_epochs) = train(ours, values), train(theirs, values)
            assert our_epochs == their_epochs, (options, values)
            assert our_model.weights == their_model.weights, (options, values)
            for name in ("wait", "stopped_epoch", "best_epoch", "best"):
                assert str(getattr(ours, name)) == str(getattr(theirs, name)), (name, options, values)
