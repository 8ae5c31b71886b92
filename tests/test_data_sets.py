"""Data sets that make their batches: `PyDataset`, alone and with workers, and those of other libraries, by doubles."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_models import digits, line, mlp, same, state_of

import gpudl
from gpudl import utils

pytestmark = [
    pytest.mark.host,
    # of JAX, which tests with Keras in the same process have imported; the children do not call it
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
]
WORKERS: list[dict[str, Any]] = [{}, {"workers": 2}, {"workers": 2, "use_multiprocessing": True, "max_queue_size": 2}]


class Rows(utils.PyDataset):
    """Five batches of two rows, whose numbers are the values; notes what it is asked for."""

    def __init__(self, batches: int | None = 5, fails_at: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.batches, self.fails_at = batches, fails_at
        self.asked: list[Any] = []
        self.made_by: set[Any] = set()

    @property
    def num_batches(self) -> int | None:
        return self.batches

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        self.made_by.add(threading.get_ident())
        if index == self.fails_at:
            raise KeyError("the file of this batch")
        return np.full((2, 1), float(index)), np.zeros((2, 1))

    def on_epoch_begin(self) -> None:
        self.asked.append("begin")

    def on_epoch_end(self) -> None:
        self.asked.append("end")


def seen_by(model: Any, data: Any, **options: Any) -> list[float]:
    """Return the inputs of each batch in the order in which the model was trained on them."""
    seen: list[float] = []
    total = [0.0]

    def note(batch: int, logs: Any) -> None:
        now = logs["loss"] * (batch + 1)
        seen.append(round(now - (total[0] if batch else 0.0), 3))
        total[0] = now

    listener = gpudl.callbacks.LambdaCallback(on_train_batch_end=note)
    model.fit(data, verbose=0, callbacks=[listener], **options)
    return seen


def still() -> Any:
    return line(optimizer=gpudl.optimizers.SGD(0.0), loss="mae")


class TestPyDataset:
    @pytest.mark.parametrize("workers", WORKERS)
    def test_batches_come_in_order_whoever_makes_them(self, workers: dict[str, Any]) -> None:
        data = Rows(**workers)
        assert seen_by(still(), data, epochs=2, shuffle=False) == [0, 1, 2, 3, 4] * 2
        if not workers:  # the first batch is looked at before anything begins
            assert data.asked == [0, *["begin", 0, 1, 2, 3, 4, "end"] * 2]
        elif "use_multiprocessing" in workers:
            assert [what for what in data.asked if what != 0] == ["begin", "end"] * 2
        else:
            assert threading.get_ident() in data.made_by  # for the first look
            assert len(data.made_by) > 1

    @pytest.mark.parametrize("workers", WORKERS)
    def test_fit_takes_them_in_a_new_order_each_epoch(self, workers: dict[str, Any]) -> None:
        np.random.seed(0)
        seen = seen_by(still(), Rows(**workers), epochs=3)
        passes = [seen[:5], seen[5:10], seen[10:]]
        assert all(sorted(one) == [0, 1, 2, 3, 4] for one in passes)
        assert passes[0] != passes[1]
        data = Rows(**workers)
        assert still().evaluate(data, verbose=0) == 2.0
        assert still().predict(data, verbose=0)[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]

    @pytest.mark.parametrize("workers", WORKERS)
    def test_endless_ones_go_on_from_epoch_to_epoch(self, workers: dict[str, Any]) -> None:
        data = Rows(None, **workers)
        assert seen_by(still(), data, epochs=2, steps_per_epoch=3) == [0, 1, 2, 3, 4, 5]
        assert len(data.asked) < 30  # no more than the queue was made ahead

    @pytest.mark.parametrize("workers", WORKERS)
    def test_what_fails_in_a_worker_fails_in_fit(self, workers: dict[str, Any]) -> None:
        model = still()
        with pytest.raises(KeyError, match="the file of this batch") as caught:
            model.fit(Rows(fails_at=3, **workers), shuffle=False, epochs=2, verbose=0)
        assert caught.value.__notes__ == [
            "This was batch 4 of a pass over the data, a Rows.",
            "fit stopped after 0 whole epochs, which are in model.history; the model is as the last finished step "
            "left it.",
        ]
        assert model.fit(Rows(**workers), verbose=0).epoch == [0]

    def test_workers_end_with_the_training(self) -> None:
        class Stop(gpudl.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.model.stop_training = True

        before = threading.active_count()
        still().fit(Rows(None, workers=3), callbacks=[Stop()], verbose=0)
        assert threading.active_count() == before

    def test_processes_draw_other_numbers_and_leave_the_data_set_alone(self) -> None:
        class Drawn(Rows):
            def __getitem__(self, index: int) -> Any:
                time.sleep(0.05)  # so that each process has its turn
                self.batches = 17
                return np.array([[float(os.getpid())], [np.random.random()]]), np.zeros((2, 1))

        data = Drawn(4, workers=2, use_multiprocessing=True)
        drawn = still().predict(data, verbose=0).reshape(-1, 2)
        assert len(set(drawn[:, 0])) == 2
        assert len(set(drawn[:, 1])) == 4
        assert data.batches == 4

    def test_class_weights_and_validation(self) -> None:
        x, y = digits()

        class Digits(utils.Sequence):
            def __len__(self) -> int:
                return 2

            def __getitem__(self, index: int) -> Any:
                rows = slice(35 * index, 35 * index + 35)
                return x[rows], y[rows]

        weights = {0: 2.0, 1: 0.5}
        models = mlp(), mlp()
        first = models[0].fit(Digits(), validation_data=Digits(), class_weight=weights, shuffle=False, verbose=0)
        options: dict[str, Any] = {"class_weight": weights, "batch_size": 35, "shuffle": False, "verbose": 0}
        assert first.history == models[1].fit(x, y, validation_data=(x, y), **options).history
        assert same(state_of(models[0]), state_of(models[1]))

    def test_what_is_missing_or_wrong(self) -> None:
        class Unfinished(utils.PyDataset):
            pass

        with pytest.raises(NotImplementedError, match=r"Unfinished must define __getitem__\(self, index\)"):
            Unfinished()[0]
        with pytest.raises(NotImplementedError, match=r"Unfinished must define __len__\(self\), the number of batches"):
            still().fit(Unfinished(), verbose=0)
        with pytest.raises(ValueError, match="Rows: workers must be 0 or a positive integer, got -1"):
            Rows(workers=-1)
        with pytest.raises(ValueError, match="there is no data: the Rows brought no batch"):
            still().fit(Rows(0), verbose=0)
        with pytest.raises(ValueError, match="y cannot be given beside a generator"):
            still().fit(Rows(), np.zeros(3), verbose=0)


class TorchTensor:
    """What gpudl sees of a tensor of PyTorch: it becomes an array only when it is detached."""

    def __init__(self, array: np.ndarray, wants_gradients: bool = True) -> None:
        self.array, self.requires_grad = array, wants_gradients
        self.shape, self.dtype = array.shape, "torch.float32"

    def detach(self) -> TorchTensor:
        return TorchTensor(self.array, False)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.array


class Loader:
    """A loader of an iterable data set: batches as lists of tensors, and a length that it does not know."""

    def __init__(self, rows: int = 3) -> None:
        self.dataset = object()
        self.rows = rows

    def __iter__(self) -> Iterator[list[TorchTensor]]:
        for number in range(self.rows):
            yield [TorchTensor(np.full((2, 1), float(number), "f")), TorchTensor(np.zeros((2, 1), "f"))]

    def __len__(self) -> int:
        raise TypeError("object of type 'IterableDataset' has no len()")


class TestOtherLibraries:
    def test_a_loader_of_lists_of_tensors(self) -> None:
        assert seen_by(still(), Loader(), epochs=2) == [0, 1, 2] * 2
        assert still().evaluate(Loader(), verbose=0) == 1.0
        assert still().predict(Loader(), verbose=0).shape == (6, 1)

    def test_tensors_alone(self) -> None:
        x = TorchTensor(np.ones((4, 1), "f"))
        assert still().fit(x, x, verbose=0).history == {"loss": [0.0]}

    def test_dicts_and_tuples_in_a_batch(self) -> None:
        class Summed(gpudl.Model):
            def call(self, x: Any) -> Any:
                return x["a"] + x["b"][0]

        class Dicts(Loader):
            def __iter__(self) -> Iterator[Any]:
                return (({"a": x, "b": (x,)}, y, np.ones(2)) for x, y in super().__iter__())

        model = Summed()
        model.compile(None, "mae")
        assert model.evaluate(Dicts(), verbose=0) == 2.0

    def test_real_loaders_of_torch(self) -> None:
        data = pytest.importorskip("torch.utils.data")
        torch = pytest.importorskip("torch")
        x = torch.arange(6.0)[:, None].requires_grad_()
        whole = data.TensorDataset(x, torch.zeros(6, 1))

        class Endless(data.IterableDataset):  # type: ignore[misc]
            def __iter__(self) -> Iterator[Any]:
                while True:
                    yield from whole

        assert seen_by(still(), data.DataLoader(whole, batch_size=2)) == [0.5, 2.5, 4.5]
        assert seen_by(still(), data.DataLoader(Endless(), 2), steps_per_epoch=4) == [0.5, 2.5, 4.5, 0.5]

    @pytest.mark.filterwarnings("ignore")
    def test_real_data_sets_of_tensorflow(self) -> None:
        tf = pytest.importorskip("tensorflow")
        x = np.arange(6.0, dtype="f")[:, None]
        data = tf.data.Dataset.from_tensor_slices((x, 0 * x)).batch(2)
        assert seen_by(still(), data) == [0.5, 2.5, 4.5]
        assert seen_by(still(), data.filter(lambda x, y: True), epochs=2) == [0.5, 2.5, 4.5] * 2
        assert seen_by(still(), data.repeat(), steps_per_epoch=4) == [0.5, 2.5, 4.5, 0.5]

    def test_real_tables_of_polars(self) -> None:
        polars = pytest.importorskip("polars")
        x, y = digits()
        table = polars.DataFrame(x, schema=list("abcd"))
        models = mlp(), mlp()
        models[0].fit(table, polars.Series(y), shuffle=False, verbose=0)
        models[1].fit(x, y, shuffle=False, verbose=0)
        assert same(state_of(models[0]), state_of(models[1]))
