"""The optimizers of Keras 2, which neither Keras 3 nor gpudl has: each says so when it is made."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]


class Optimizer:
    """What stands for each legacy optimizer.

    Raises:
        ImportError: always.
    """

    def __new__(cls, *args: object, **kwargs: object) -> NoReturn:
        """Raise."""
        raise ImportError(
            "the optimizers of Keras 2 in optimizers.legacy are not supported, as in Keras 3. Take the one of the same "
            "name in gpudl.optimizers: its arguments are the same but for lr, which is learning_rate, and decay, for "
            "which there are optimizers.schedules."
        )


SGD = Adagrad = Adam = Ftrl = RMSprop = Optimizer
