"""Curves and histograms for TensorBoard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from gpudl.callbacks.base import Callback, Logs
from gpudl.callbacks.monitor import note_rates


class _Writer(Protocol):
    """A file of events, as the package `tensorboard` writes it."""

    def add_event(self, event: object) -> None: ...

    def close(self) -> None: ...


class TensorBoard(Callback):
    """Writes the metrics of a training for TensorBoard; show them by ``tensorboard --logdir logs``.

    It needs the package `tensorboard` (the extra ``tensorboard``). The metrics of training go to the folder ``train``,
    those of validation to ``validation``, as ``epoch_loss`` and so on. The graph of the model is not written:
    `model.summary()` and `utils.plot_model` show it.

    Args:
        log_dir: the folder.
        histogram_freq: after how many epochs histograms of the weights are written; 0 for none.
        write_graph: without effect.
        write_images: must be false.
        write_steps_per_second: whether the number of steps a second is written for each epoch.
        update_freq: ``"epoch"``, or after how many batches the metrics up to there are written too; ``"batch"`` is 1.
        profile_batch: must be 0; `model.profile` tells what each kernel takes.
        embeddings_freq: must be 0.
        embeddings_metadata: must be None.

    Raises:
        ImportError: `tensorboard` is not installed.
        NotImplementedError: an argument that must be 0, false or None is not.
        ValueError: another `update_freq`.
    """

    _kept = ("_train_step", "_test_step")

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: object = None,
    ) -> None:
        absent = {
            "write_images": write_images,
            "profile_batch": profile_batch,
            "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }
        for name, value in absent.items():
            if value:
                raise NotImplementedError(f"TensorBoard: {name}={value!r} is not supported. Leave it out.")
        if update_freq not in ("epoch", "batch") and (not isinstance(update_freq, int) or update_freq < 1):
            raise ValueError(
                f"TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches, got {update_freq!r}."
            )
        try:
            import tensorboard  # noqa: F401 (before a training and not in its midst)
        except ImportError:
            raise ImportError(
                'TensorBoard needs the package tensorboard: install gpudl with the extra "tensorboard".'
            ) from None
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._writers: dict[str, _Writer] = {}
        self._train_step = 0
        self._test_step = 0
        self._began = 0.0, 0
        self._trains = False

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin to count steps."""
        self._train_step = self._test_step = 0
        self._trains = True

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time."""
        self._began = time.perf_counter(), self._train_step

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write the metrics up to this batch, if that is wanted."""
        self._train_step += 1
        if isinstance(self.update_freq, int) and self._train_step % self.update_freq == 0:
            self._write("train", {f"batch_{name}": value for name, value in (logs or {}).items()}, self._train_step)

    def on_test_end(self, logs: Logs = None) -> None:
        """Write the results of an evaluation over the steps of training, as Keras does."""
        values = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
        self._write("validation", values, self._train_step)
        if not self._trains:
            self._close()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the metrics of the epoch."""
        logs = dict(logs or {})
        note_rates("TensorBoard", self.model, logs)
        train = {f"epoch_{name}": value for name, value in logs.items() if not name.startswith("val_")}
        if self.write_steps_per_second:
            began, first = self._began
            train["epoch_steps_per_second"] = (self._train_step - first) / (time.perf_counter() - began)
        self._write("train", train, epoch)
        validation = {f"epoch_{name[4:]}": value for name, value in logs.items() if name.startswith("val_")}
        self._write("validation", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the files."""
        self._trains = False
        self._close()

    def _wants_batches(self, phase: str) -> bool:
        return phase == "train" and (isinstance(self.update_freq, int) or self.write_steps_per_second)

    def _write(self, folder: str, values: Mapping[str, object], step: int) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        for name, value in values.items():
            if isinstance(value, int | float | np.number):
                self._add(folder, scalar_pb(name, np.float32(value)), step)

    def _write_weights(self, epoch: int) -> None:
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        for variable in self.model.weights:
            self._add("train", histogram_pb(f"{variable.path}/histogram", variable.numpy()), epoch)

    def _add(self, folder: str, summary: object, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if folder not in self._writers:
            self._writers[folder] = EventFileWriter(os.path.join(self.log_dir, folder))
        self._writers[folder].add_event(Event(step=step, wall_time=time.time(), summary=summary))

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
