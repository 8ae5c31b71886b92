"""Callbacks, whose hooks `fit`, `evaluate` and `predict` call."""

from gpudl.callbacks.base import Callback, LazyLogs
from gpudl.callbacks.callback_list import CallbackList
from gpudl.callbacks.early_stopping import EarlyStopping
from gpudl.callbacks.history import History
from gpudl.callbacks.progbar_logger import ProgbarLogger
from gpudl.callbacks.small import LambdaCallback, TerminateOnNaN

__all__ = [
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LazyLogs",
    "ProgbarLogger",
    "TerminateOnNaN",
]
