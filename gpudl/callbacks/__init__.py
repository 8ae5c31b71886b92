"""Callbacks, whose hooks `fit`, `evaluate` and `predict` call."""

from gpudl.callbacks.backup_and_restore import BackupAndRestore
from gpudl.callbacks.base import Callback, LazyLogs
from gpudl.callbacks.callback_list import CallbackList
from gpudl.callbacks.csv_logger import CSVLogger
from gpudl.callbacks.early_stopping import EarlyStopping
from gpudl.callbacks.history import History
from gpudl.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from gpudl.callbacks.model_checkpoint import ModelCheckpoint
from gpudl.callbacks.progbar_logger import ProgbarLogger
from gpudl.callbacks.small import LambdaCallback, TerminateOnNaN
from gpudl.callbacks.swap_ema_weights import SwapEMAWeights
from gpudl.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LazyLogs",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
