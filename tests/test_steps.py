"""Which batches make an epoch: steps_per_epoch, steps of evaluation, steps_per_execution, and who may stop a loop."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_models import line

from gpudl import callbacks, optimizers


class Again:
    """Batches of one row each, of which nobody knows how many there are."""

    def __init__(self, rows: int, ended: Any = None) -> None:
        self.rows = rows
        if ended is not None:
            self.on_epoch_end = ended

    def __iter__(self) -> Iterator[Any]:
        return ((x[None], np.zeros((1, 1))) for x in values(self.rows))

    def __len__(self) -> int:
        raise TypeError("its length is not known")


def values(rows: int) -> np.ndarray:
    return np.arange(1.0, rows + 1)[:, None]


def followed(rows: int, feed: str = "arrays", together: int = 1, **options: Any) -> tuple[list[Any], Any, list[str]]:
    """Return the numbers and mean losses of the batches that callbacks saw, the history and the warnings."""
    seen: list[Any] = []
    model = line(optimizer=optimizers.SGD(0.0), loss="mae", steps_per_execution=together)
    listener = callbacks.LambdaCallback(
        on_train_batch_begin=lambda number, logs: seen.append(number),
        on_train_batch_end=lambda number, logs: seen.append((number, round(logs["loss"], 2))),
        on_epoch_end=lambda epoch, logs: seen.append("end"),
    )
    data: tuple[Any, ...] = (values(rows), np.zeros((rows, 1)))
    if feed != "arrays":
        data = (Again(rows),) if feed == "iterable" else (iter(Again(rows)),)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = {"batch_size": 1, "shuffle": False, "verbose": 0, **options}
        history = model.fit(*data, callbacks=[listener], **options)
    return seen, history, [str(w.message) for w in caught]


@pytest.mark.parametrize("feed", ["arrays", "iterable"])
class TestEpochsThatAreNoPass:
    def test_an_epoch_ends_with_the_data_and_the_next_one_begins_them_anew(self, feed: str) -> None:
        _, history, said = followed(5, feed, steps_per_epoch=7, epochs=3)
        assert history.history["loss"] == [3.0, 3.0, 3.0]
        assert len(said) == 3
        assert said[0].startswith("the data ended after 5 of 7 steps, and the epoch with them: the next one begins at")

    def test_an_epoch_goes_on_where_the_one_before_stopped(self, feed: str) -> None:
        seen, history, said = followed(3, feed, steps_per_epoch=2, epochs=4)
        assert history.history["loss"] == [1.5, 3.0, 1.5, 3.0]
        assert len(said) == 2
        assert seen == [0, (0, 1.0), 1, (1, 1.5), "end", 0, (0, 3.0), "end"] * 2

    def test_a_pass_that_ends_with_the_epoch_is_nothing_to_speak_of(self, feed: str) -> None:
        _, history, said = followed(4, feed, steps_per_epoch=2, epochs=4)
        assert history.history["loss"] == [1.5, 3.5, 1.5, 3.5]
        assert said == []

    def test_later_epochs_alone(self, feed: str) -> None:
        _, history, _ = followed(3, feed, epochs=4, initial_epoch=2)
        assert (history.epoch, history.history["loss"]) == ([2, 3], [2.0, 2.0])
        _, history, _ = followed(3, feed, epochs=2, initial_epoch=2)
        assert (history.epoch, history.history) == ([], {})


def test_each_pass_of_a_limited_epoch_is_shuffled_anew() -> None:
    seen, _, _ = followed(40, shuffle=True, steps_per_epoch=41, epochs=4)
    first = [part[1] for part in seen if isinstance(part, tuple) and part[0] == 0]
    assert len(first) == 4
    assert len(set(first)) > 1


def test_every_evaluation_begins_at_the_first_batch() -> None:
    zeros = np.zeros((3, 1))
    held = {"validation_data": (values(3), zeros), "validation_batch_size": 1}
    _, history, said = followed(3, epochs=3, validation_steps=2, **held)
    assert (history.history["val_loss"], said) == ([1.5] * 3, [])
    _, history, said = followed(3, epochs=2, validation_steps=5, **held)
    assert history.history["val_loss"] == [2.0] * 2
    assert said[0].startswith("the data ended after 3 of 5 steps, and the epoch with them")
    model = line(loss="mae")
    with pytest.warns(UserWarning, match="the data ended after 3 of 9 steps"):
        assert model.evaluate(values(3), zeros, batch_size=1, steps=9, verbose=0) == 2.0
    with pytest.warns(UserWarning, match="the data ended after 3 of 4 steps"):
        assert model.predict(values(3), batch_size=1, steps=4, verbose=0).shape == (3, 1)
    held["validation_data"] = iter(Again(5))  # a generator can only go on
    _, history, _ = followed(3, epochs=2, validation_steps=2, **held)
    assert history.history["val_loss"] == [1.5, 3.5]


class TestStepsPerExecution:
    def test_hooks_count_steps_and_hear_of_several_at_a_time(self) -> None:
        seen, _, _ = followed(5, together=2)
        assert seen == [0, (1, 1.5), 2, (3, 2.5), 4, (5, 3.0), "end"]
        seen, _, _ = followed(5, "generator", together=100)
        assert seen == [0, (99, 3.0), "end"]

    def test_with_steps_per_epoch(self) -> None:
        seen, history, said = followed(5, together=2, steps_per_epoch=4, epochs=2)
        assert seen == [0, (1, 1.5), 2, (3, 2.5), "end", 0, (1, 5.0), "end"]
        assert (history.history["loss"], len(said)) == ([2.5, 5.0], 1)
        seen, _, _ = followed(9, together=2, steps_per_epoch=3)  # whole executions, as many as the steps need
        assert seen == [0, (1, 1.5), 2, (3, 2.5), "end"]

    def test_nothing_else_changes(self) -> None:
        x = np.random.default_rng(0).random((70, 1))
        for listens in ([], [callbacks.LambdaCallback(on_train_batch_end=lambda number, logs: None)]):
            trained = []
            for together in (1, 3, 50):
                model = line(steps_per_execution=together)
                model.fit(x, 2 * x, epochs=2, shuffle=False, callbacks=listens, verbose=0)
                trained.append([*map(float, np.concatenate([w.ravel() for w in model.get_weights()]))])
            assert trained[0] == trained[1] == trained[2]

    def test_predict_and_evaluate(self) -> None:
        model = line(steps_per_execution=2)
        seen: list[Any] = []
        listener = callbacks.LambdaCallback(
            on_predict_batch_begin=lambda number, logs: seen.append(number),
            on_predict_batch_end=lambda number, logs: seen.append((number, len(logs["outputs"]))),
            on_test_batch_begin=lambda number, logs: seen.append(number),
            on_test_batch_end=lambda number, logs: seen.append(number),
        )
        x = values(5)
        alone = line().predict(x, verbose=0)
        np.testing.assert_array_equal(model.predict(x, batch_size=2, callbacks=[listener], verbose=0), alone)
        assert seen == [0, (1, 4), 2, (3, 1)]
        seen.clear()
        assert model.evaluate(x, x, batch_size=1, callbacks=[listener], verbose=0) == 0
        assert seen == [0, 1, 2, 3, 4, 5]

    @pytest.mark.parametrize("steps", [0, -1, 1.5, "two", None])
    def test_no_number_of_steps(self, steps: Any) -> None:
        with pytest.raises(ValueError, match=r"steps_per_execution must be a positive integer, got"):
            line(steps_per_execution=steps)


class TestStopping:
    def test_a_callback_may_stop_evaluate_and_predict(self) -> None:
        class Stop(callbacks.Callback):
            def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
                self.model.stop_evaluating = batch == 1

            def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
                self.model.stop_predicting = batch == 2

        model, x, zeros = line(loss="mae"), values(9), np.zeros((9, 1))
        for _ in range(2):  # what has been stopped can be begun again
            assert model.evaluate(x, zeros, batch_size=1, callbacks=[Stop()], verbose=0) == 1.5
            assert model.predict(x, batch_size=1, callbacks=[Stop()], verbose=0).tolist() == [[1], [2], [3]]
        assert model.evaluate(x, zeros, batch_size=1, verbose=0) == 5.0

    def test_a_stopped_validation_does_not_stop_the_training(self) -> None:
        class Stop(callbacks.Callback):
            def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
                self.model.stop_evaluating = True

        model, x = line(optimizer=optimizers.SGD(0.0), loss="mae"), values(4)
        fitted = model.fit(
            x, 0 * x, validation_data=(x, 0 * x), batch_size=1, epochs=2, callbacks=[Stop()], verbose=0
        ).history
        assert fitted == {"loss": [2.5, 2.5], "val_loss": [1.0, 1.0]}


class TestSources:
    def test_a_length_that_is_not_known(self) -> None:
        _, history, said = followed(3, "iterable", epochs=2)
        assert (history.history["loss"], said) == ([2.0, 2.0], [])

    def test_a_source_hears_of_the_end_of_each_epoch(self) -> None:
        ended: list[int] = []
        model = line()
        model.fit(Again(3, lambda: ended.append(1)), epochs=3, verbose=0)
        assert len(ended) == 3

    def test_the_bar_does_not_go_beyond_its_end(self, capsys: pytest.CaptureFixture[str]) -> None:
        model = line(steps_per_execution=4)
        model.fit(values(5), values(5), batch_size=1, verbose=1)
        assert "5/5" in capsys.readouterr().out
