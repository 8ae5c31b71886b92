"""Callbacks: what `fit`, `evaluate` and `predict` call before and after all they do."""

from gpudl.callbacks.base import Callback, LazyLogs
from gpudl.callbacks.callback_list import CallbackList, EarlyStopping, History, LambdaCallback, TerminateOnNaN
from gpudl.callbacks.progress import ProgbarLogger

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
