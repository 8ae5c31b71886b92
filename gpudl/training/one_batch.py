"""Training, evaluation and prediction of one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpudl.engine.tree import map_leaves
from gpudl.layers.base.derived import derived
from gpudl.training.data.arrays import ClassWeight, Data
from gpudl.training.data.mapped import mapped
from gpudl.training.data.sources import StreamBatches, batches, by_class
from gpudl.training.loop import Loop
from gpudl.training.results import Logs, Predictions, Values

OfIterator = Callable[[Iterator[object]], Logs]
_WHOLE = 2**31  # a batch size that takes all there is


class Trainer(Loop):
    """The training interface of a model: the loops, and single batches for the user's own loops."""

    def train_on_batch(
        self,
        x: object,
        y: object = None,
        sample_weight: object = None,
        class_weight: ClassWeight | None = None,
        return_dict: bool = False,
    ) -> Values:
        """Train on one batch; return its loss, or a list of its loss and metrics.

        The metrics are reset first, so that a call inside `fit` resets those of the epoch.

        Args:
            x: inputs, as for `fit`, of one batch.
            y: targets.
            sample_weight: a weight for each sample.
            class_weight: a weight for each class, as for `fit`.
            return_dict: return a dict by name instead.
        """
        self._require_compiled("train_on_batch")
        source = by_class(batches(mapped(x, self._preparation()), y, sample_weight, batch_size=_WHOLE), class_weight)
        return self._on_batch(self._train, source, True, return_dict)

    def test_on_batch(
        self, x: object, y: object = None, sample_weight: object = None, return_dict: bool = False
    ) -> Values:
        """Evaluate one batch; return its loss, or a list of its loss and metrics, which are reset first."""
        self._require_compiled("test_on_batch")
        return self._on_batch(
            self._test, batches(mapped(x, self._preparation()), y, sample_weight, batch_size=_WHOLE), False, return_dict
        )

    def predict_on_batch(self, x: object) -> Predictions:
        """Return the outputs for one batch, as NumPy arrays."""
        ((batch, _),) = batches(mapped(x, self._preparation()), batch_size=_WHOLE).epoch()
        return _on_host(self._ready(self._predict, batch)())

    def make_train_function(self, force: bool = False) -> OfIterator:
        """Return a function that trains on the next batch of an iterator, and returns the metrics so far by name.

        `fit` does not need it: it is for loops of the user's own. The batch is x, (x, y) or (x, y, sample_weight).

        Args:
            force: accepted, without effect.

        Example:
            >>> model = gpudl.Sequential([gpudl.layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
            >>> model.compile("sgd", "mae")
            >>> model.make_train_function()(iter([(np.ones((4, 1)), np.zeros((4, 1)))]))
            {'loss': 1.0}
        """
        self._require_compiled("make_train_function")

        def train(iterator: Iterator[object]) -> Logs:
            source = StreamBatches(mapped(iter([next(iterator)]), self._preparation()))
            self._try_first(source, training=True)
            self._build_optimizer()
            return self._logs(self._train, source)

        return train

    def make_test_function(self, force: bool = False) -> OfIterator:
        """Return a function that evaluates the next batch of an iterator, and returns the metrics so far by name."""
        self._require_compiled("make_test_function")

        def test(iterator: Iterator[object]) -> Logs:
            source = StreamBatches(mapped(iter([next(iterator)]), self._preparation()))
            self._try_first(source, training=False)
            return self._logs(self._test, source)

        return test

    def make_predict_function(self, force: bool = False) -> Callable[[Iterator[object]], Predictions]:
        """Return a function that returns the outputs for the next batch of an iterator, as NumPy arrays."""

        def predict(iterator: Iterator[object]) -> Predictions:
            ((batch, _),) = StreamBatches(mapped(iter([next(iterator)]), self._preparation())).epoch()
            return _on_host(self._ready(self._predict, batch)())

        return predict

    train_function = derived(make_train_function)
    test_function = derived(make_test_function)
    predict_function = derived(make_predict_function)


def _on_host(outputs: Data) -> Predictions:
    return map_leaves(lambda t: t.numpy(), outputs)
