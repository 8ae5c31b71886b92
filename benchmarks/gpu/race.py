"""The race: from a model that knows nothing to 99 percent of MNIST's test images in as little time as possible.

The tutorial's network, larger batches, Adam, and a learning rate that rises and falls again within the run: the 1cycle
policy of Smith and Topin, "Super-convergence", 2017.
"""

from __future__ import annotations

import time
from math import cos, pi
from typing import Any

import numpy as np

from benchmarks.gpu.settings import gpudl_precision

BATCH = 256
PIECES = 4  # of an epoch: after each the rate changes, and in the second half of the run the test images are read
EPOCHS = 5
HIGHEST, LOWEST = 4e-3, 2e-5
RISING = 0.25  # share of the run in which the rate rises
GOAL = 0.99


def rate(share: float) -> float:
    """Return the learning rate after a share of the run: a line up, and half a cosine down."""
    if share < RISING:
        return LOWEST + (HIGHEST - LOWEST) * share / RISING
    return LOWEST + (HIGHEST - LOWEST) * 0.5 * (1 + cos(pi * (share - RISING) / (1 - RISING)))


def sprint(digits: tuple[np.ndarray, ...], precision: str, seed: int, most: int = EPOCHS * PIECES) -> dict[str, Any]:
    """Train until the goal is reached or the schedule has ended; return the seconds and the way there.

    Args:
        digits: training images and one-hot labels, test images and labels, on the host.
        precision: of products.
        seed: of weights and order.
        most: pieces of the schedule to run at most.
    """
    import gpudl
    from gpudl import layers

    gpudl_precision(gpudl, precision)
    gpudl.utils.set_random_seed(seed)
    x, y, x_test, y_test = digits
    begin = time.perf_counter()
    on = gpudl.backend.current()
    x, y, x_test, y_test = map(on.asarray, (x, y, x_test, y_test))
    model = gpudl.Sequential(
        [
            layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    way: list[dict[str, float]] = []

    class Piece(gpudl.callbacks.Callback):
        """Sets the rate of a piece; after one in the second half of the run reads the test images."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = rate((epoch + 0.5) / (EPOCHS * PIECES))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch + 1 < min(EPOCHS * PIECES // 2, most):
                return
            accuracy = self.model.evaluate(x_test, y_test, batch_size=2000, verbose=0)[1]
            way.append(
                {"seconds": time.perf_counter() - begin, "epochs": (epoch + 1) / PIECES, "accuracy": float(accuracy)}
            )
            self.model.stop_training = accuracy >= GOAL

    steps = max(1, len(x) // BATCH // PIECES)
    model.fit(x, y, batch_size=min(BATCH, len(x)), epochs=most, steps_per_epoch=steps, verbose=0, callbacks=[Piece()])
    last = way[-1]
    return {"seconds": last["seconds"], "reached": last["accuracy"] >= GOAL, "seed": seed, "way": way}
