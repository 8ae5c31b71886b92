"""The progress line: Keras's layout on a terminal, plain lines in a log, by a clock the tests wind."""

import io
import os
import re
import sys
import warnings
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from small_models import line

from gpudl import ops
from gpudl.callbacks import Callback
from gpudl.callbacks.progbar_logger import ProgbarLogger
from gpudl.callbacks.progress import ProgressLine, end_line, say


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Return the lines a user sees: what a carriage return draws over is gone, colours have no width."""
        lines = []
        for written in self.getvalue().split("\n"):
            line = ""
            for drawn in re.sub(r"\x1b\[\d+m|\x08", "", written).split("\r"):
                line = drawn + line[len(drawn) :]
            lines.append(line.rstrip())
        return lines


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


class Unread(dict[str, float]):
    """Logs that must not be read."""

    def items(self) -> None:
        raise AssertionError("the logs were read")


def test_the_bar_is_drawn_over_and_ends_with_the_last_logs(terminal: Terminal, clock: Clock) -> None:
    line = ProgressLine(938, stream=terminal, clock=clock)
    clock.now += 0.5
    line.update(1, {"accuracy": 0.1094, "loss": 2.3026})
    assert terminal.screen() == ["  1/938 ━━━━━━━━━━━━━━━━━━━━ 7:48 500ms/step - accuracy: 0.1094 - loss: 2.3026"]
    clock.now += 468 * 0.004
    line.update(469, {"accuracy": 0.9, "loss": 0.0001})
    clock.now += 469 * 0.004
    line.finish(938, {"accuracy": 0.9256, "loss": 0.2504, "val_accuracy": 0.96})
    assert terminal.screen() == [
        "938/938 ━━━━━━━━━━━━━━━━━━━━ 4s 4ms/step - accuracy: 0.9256 - loss: 0.2504 - val_accuracy: 0.9600",
        "",
    ]
    assert "469/938 \x1b[0m" not in terminal.getvalue()
    assert "\x1b[1m469/938\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m━━━━━━━━━━\x1b[0m \x1b[1m1s\x1b[0m 4ms/step" in (
        terminal.getvalue()
    )
    assert " - loss: 1.0000e-04" in terminal.getvalue()


def test_a_shorter_line_leaves_nothing_of_a_longer_one(terminal: Terminal, clock: Clock) -> None:
    line = ProgressLine(10, stream=terminal, clock=clock)
    line.update(1, {"a_long_name": 1.0})
    clock.now += 1
    line.update(2)
    assert terminal.screen() == [" 2/10 ━━━━━━━━━━━━━━━━━━━━ 8s 1s/step"]


def test_between_two_drawings_only_the_clock_is_read(terminal: Terminal, clock: Clock) -> None:
    line = ProgressLine(1000, interval=0.1, stream=terminal, clock=clock)
    line.update(1, {"loss": 1.0})
    drawn = terminal.getvalue()
    for step in range(2, 100):
        clock.now += 0.001
        line.update(step, Unread(loss=1.0))
    assert terminal.getvalue() == drawn
    clock.now += 0.01
    line.update(100, {"loss": 0.5})
    assert "100/1000" in terminal.screen()[0]


def test_a_log_gets_one_plain_line(log: io.StringIO, clock: Clock) -> None:
    line = ProgressLine(4, stream=log, clock=clock)
    for step in range(1, 5):
        clock.now += 1
        line.update(step, Unread(loss=1.0))
    assert log.getvalue() == ""
    line.finish(4, {"loss": 0.5})
    assert log.getvalue() == "4/4 ━━━━━━━━━━━━━━━━━━━━ 4s 1s/step - loss: 0.5000\n"


def test_a_stream_without_unicode_gets_equals_signs(clock: Clock) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    ProgressLine(4, stream=stream, clock=clock).finish(2)
    assert stream.buffer.getvalue() == b"2/4 ==================== 0s 0s/step\n"  # type: ignore[attr-defined]


def test_colours_can_be_refused(terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    line = ProgressLine(2, stream=terminal, clock=clock)
    line.update(1)
    line.finish(2)
    assert "\x1b" not in terminal.getvalue()


def test_a_dumb_terminal_is_a_log(terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    line = ProgressLine(2, stream=terminal, clock=clock)
    line.update(1)
    line.finish(2)
    assert terminal.getvalue() == "2/2 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step\n"


def test_a_notebook_is_drawn_over_and_not_cut(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    notebook = type("OutStream", (Terminal,), {"__module__": "ipykernel.iostream", "isatty": lambda self: False})()
    line = ProgressLine(2, stream=notebook, clock=clock)
    line.update(1, {"loss": 1.0})
    line.update(1, {"loss": 1.0})
    assert notebook.screen() == ["1/2 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step - loss: 1.0000"]
    line.finish(2)


def test_a_narrow_terminal_never_wraps_before_the_end(
    terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    line = ProgressLine(10, stream=terminal, clock=clock)
    line.update(1, {"accuracy": 0.5, "loss": 1.0})
    (drawn,) = terminal.screen()
    assert drawn == " 1/10 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step - acc"[:39]
    line.finish(10, {"accuracy": 0.5, "loss": 1.0})
    assert terminal.screen()[0].endswith("- accuracy: 0.5000 - loss: 1.0000")


def test_an_unknown_number_of_steps_counts_up(terminal: Terminal, clock: Clock) -> None:
    line = ProgressLine(None, stream=terminal, clock=clock)
    clock.now += 2
    line.update(1, {"loss": 1.0})
    assert terminal.screen() == ["      1/Unknown 2s 2s/step - loss: 1.0000"]
    line.finish(7, {"loss": 0.5})
    assert terminal.screen()[0] == "7/7 ━━━━━━━━━━━━━━━━━━━━ 2s 0s/step - loss: 0.5000"


@pytest.mark.parametrize("target", [4, None])
def test_verbose_2_is_one_line(terminal: Terminal, clock: Clock, target: int | None) -> None:
    line = ProgressLine(target, verbose=2, stream=terminal, clock=clock)
    line.update(1, Unread())
    clock.now += 8
    line.finish(4, {"loss": 0.5})
    assert terminal.getvalue().startswith("4/4 - 8s - ")
    assert terminal.getvalue().endswith("s/step - loss: 0.5000\n")


def test_verbose_0_is_nothing(terminal: Terminal, clock: Clock) -> None:
    line = ProgressLine(4, verbose=0, stream=terminal, clock=clock)
    line.update(1, Unread())
    line.finish(4, Unread())
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "3s 3s"), (0.0123, "0s 12ms"), (45.6e-6, "0s 46us"), (61, "1:01 61s"), (3725, "1:02:05 3725s")],
)
def test_units_of_time(terminal: Terminal, clock: Clock, seconds: float, text: str) -> None:
    line = ProgressLine(2, unit_name="sample", stream=terminal, clock=clock)
    clock.now += seconds
    line.update(1)
    assert terminal.screen()[0].endswith(f"━ {text}/sample")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000e+00"),
        (-2.5, "-2.5000"),
        (5e-4, "5.0000e-04"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (np.array([1.0, 2.0]), "1.5000"),
        (3, "3.0000"),
        ("warm", "warm"),
    ],
)
def test_values(log: io.StringIO, clock: Clock, value: object, text: str) -> None:
    ProgressLine(1, verbose=2, stream=log, clock=clock).finish(1, {"v": value})
    assert log.getvalue() == f"1/1 - 0s - 0s/step - v: {text}\n"


def test_a_bar_left_in_the_middle_is_ended_once(terminal: Terminal, clock: Clock) -> None:
    ProgressLine(4, stream=terminal, clock=clock).update(1)
    end_line()
    end_line()
    assert terminal.screen() == ["1/4 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step", ""]


def test_what_is_said_stands_on_its_own_line(terminal: Terminal, clock: Clock) -> None:
    line = ProgressLine(4, stream=terminal, clock=clock)
    line.update(1)
    with redirect_stdout(terminal):
        say("hello")
    line.finish(4)
    assert [text[:5] for text in terminal.screen()] == ["1/4 ━", "hello", "4/4 ━", ""]


def test_no_stdout_and_a_bare_one(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    ProgressLine(1, clock=clock).finish(1)

    class Bare:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    bare = Bare()
    monkeypatch.setattr(sys, "stdout", bare)
    ProgressLine(1, clock=clock).finish(1)
    assert bare.text == "1/1 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step\n"


def fit(
    stream: io.StringIO, clock: Clock, epochs: int = 2, steps: int | None = 3, verbose: object = 1
) -> ProgbarLogger:
    """Play three batches an epoch, and validation, to a logger."""
    with redirect_stdout(stream):
        return _fit(clock, epochs, steps, verbose)


def _fit(clock: Clock, epochs: int, steps: int | None, verbose: object) -> ProgbarLogger:
    logger = ProgbarLogger(clock)
    logger.set_params({"verbose": verbose, "epochs": epochs, "steps": steps})
    logger.on_train_begin()
    for epoch in range(epochs):
        logger.on_epoch_begin(epoch)
        for batch in range(3):
            clock.now += 1
            if logger._wants_batches("train"):
                logger.on_train_batch_end(batch, {"loss": 1.0})
        logger.on_test_begin()
        assert not logger._wants_batches("test")
        logger.on_test_batch_end(0, {"loss": 9.0})
        logger.on_test_end({"loss": 9.0})
        logger.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 9.0})
    logger.on_train_end()
    return logger


@pytest.mark.parametrize("verbose", [1, "auto"])
def test_fit_on_a_terminal(terminal: Terminal, clock: Clock, verbose: object) -> None:
    fit(terminal, clock, verbose=verbose)
    line = "3/3 ━━━━━━━━━━━━━━━━━━━━ 3s 1s/step - loss: 0.5000 - val_loss: 9.0000"
    assert terminal.screen() == ["Epoch 1/2", line, "Epoch 2/2", line, ""]


@pytest.mark.parametrize(("verbose", "shown"), [(1, "3/3 ━━━━━━━━━━━━━━━━━━━━ 3s 1s/step"), (2, "3/3 - 3s - 1s/step")])
def test_fit_in_a_log_wants_no_batches(log: io.StringIO, clock: Clock, verbose: int, shown: str) -> None:
    logger = fit(log, clock, verbose=verbose)
    assert logger.seen == 0
    line = f"{shown} - loss: 0.5000 - val_loss: 9.0000"
    assert log.getvalue() == f"Epoch 1/2\n{line}\nEpoch 2/2\n{line}\n"


def test_one_epoch_has_no_headline(log: io.StringIO, clock: Clock) -> None:
    fit(log, clock, epochs=1, verbose=2)
    assert log.getvalue() == "3/3 - 3s - 1s/step - loss: 0.5000 - val_loss: 9.0000\n"


def test_silence(terminal: Terminal, clock: Clock) -> None:
    assert fit(terminal, clock, steps=None, verbose=0).seen == 0
    assert terminal.getvalue() == ""


def test_an_unknown_number_of_steps_is_counted_in_the_first_epoch(log: io.StringIO, clock: Clock) -> None:
    logger = fit(log, clock, steps=None, verbose=2)
    assert log.getvalue().count("3/3 - 3s - 1s/step") == 2
    assert logger.seen == 0


def test_an_epoch_that_was_cut_short_says_so(terminal: Terminal, clock: Clock) -> None:
    fit(terminal, clock, epochs=1, steps=6)
    assert terminal.screen()[0].startswith("3/6 ━")


@pytest.mark.parametrize("phase", ["test", "predict"])
def test_evaluate_and_predict(terminal: Terminal, clock: Clock, phase: str) -> None:
    with redirect_stdout(terminal):
        logger = ProgbarLogger(clock)
        logger.set_params({"verbose": 1, "steps": 2})
        assert logger._wants_batches(phase)
        getattr(logger, f"on_{phase}_begin")()
        for batch in range(2):
            clock.now += 1
            getattr(logger, f"on_{phase}_batch_end")(batch, {"loss": 1.0})
        getattr(logger, f"on_{phase}_end")({"loss": 1.0})
    logs = " - loss: 1.0000" if phase == "test" else ""
    assert terminal.screen() == [f"2/2 ━━━━━━━━━━━━━━━━━━━━ 2s 1s/step{logs}", ""]


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


@pytest.mark.parity
@pytest.mark.parametrize("target", [1, 9, 10, 938, None])
@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("pace", [3e-5, 0.02, 0.7, 75.0])
def test_every_drawing_is_keras(
    keras: ModuleType,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    terminal: Terminal,
    target: int | None,
    verbose: int,
    pace: float,
) -> None:
    monkeypatch.setattr("time.time", clock)
    theirs, ours = terminal, Terminal()
    monkeypatch.setattr(sys, "stdout", theirs)
    bar = keras.utils.Progbar(target, verbose=verbose, interval=0.05, stateless_metrics=set())
    line = ProgressLine(target, verbose=verbose, interval=0.05, stream=ours, clock=clock)
    steps = target or 50
    for step in range(1, steps + 1):
        clock.now += pace * (30 if step == 1 else 1)
        logs = {"accuracy": step / steps, "loss": 1e-3 * steps / step}
        # verbose=2 is where ours differs: it is not told about the batches, so the first one counts as well.
        if verbose == 1:
            bar.update(step, list(logs.items()), finalize=False)
            line.update(step, logs)
    clock.now += 1
    bar.target = steps
    bar.update(steps, list(logs.items()), finalize=True)
    line.finish(steps, logs)
    assert ours.screen() == theirs.screen()
    # The same drawings with the same colours; how the cursor goes back, and an empty coloured run, are Keras's own.
    own = re.compile(r"\x1b\[37m\x1b\[0m|[\x08\r]| +(?=$|[\x08\r\n])")
    assert own.sub("", ours.getvalue()) == own.sub("", theirs.getvalue())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("verbose", [1, 2])
def test_letters_that_a_stream_cannot_write_do_not_end_a_training(
    monkeypatch: pytest.MonkeyPatch, encoding: str, verbose: int
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)

    def größe_数(y_true: Any, y_pred: Any) -> Any:  # noqa: N802
        return ops.mean(y_pred)

    model = line(metrics=[größe_数])
    history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, verbose=verbose, callbacks=[Chatty()]).history
    assert sorted(history) == ["größe_数", "loss"]
    said = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    shown = "größe_数".encode(encoding, "replace").decode(encoding)
    assert f" - {shown}: " in said
    model.summary()
    model.explain(np.ones((4, 1)), step="predict")


@pytest.mark.parametrize("fault", ["broken", "closed"])
def test_a_training_goes_on_when_nobody_reads(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    class Broken(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    stream: Any = Broken() if fault == "broken" else io.StringIO()
    if fault == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    model = line()
    assert len(model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, callbacks=[Chatty()]).history["loss"]) == 2
    assert model.evaluate(np.ones((4, 1)), np.ones((4, 1))) == 0.0
    assert model.predict(np.ones((4, 1))).shape == (4, 1)


class Chatty(Callback):
    """Says something with letters of several alphabets at the end of each epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        say(f"Epoche {epoch}: größer als 数")
