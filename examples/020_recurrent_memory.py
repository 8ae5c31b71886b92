"""Recurrent networks that remember: an LSTM and a GRU add the two marked numbers of a long sequence."""

import numpy as np

import gpudl as keras
from gpudl import layers

STEPS = 24
rng = np.random.default_rng(0)


def sequences(count):
    """Return sequences of numbers with two of them marked, and the sums of these."""
    numbers, marks = rng.random((count, STEPS)), np.zeros((count, STEPS))
    for row, two in enumerate(rng.random((count, STEPS)).argsort(axis=1)[:, :2]):
        marks[row, two] = 1
    sums = (numbers * marks).sum(axis=1, keepdims=True)
    return np.stack([numbers, marks], axis=2).astype("float32"), sums.astype("float32")


x_train, y_train = sequences(6000)
x_test, y_test = sequences(1000)
blind = y_test.var()
print(f"mean squared error of the mean of all sums: {blind:.4f}")

errors = {}
for kind in (layers.LSTM, layers.GRU):
    model = keras.Sequential([kind(32), layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    model.fit(x_train, y_train, batch_size=100, epochs=6, verbose=0)
    errors[kind.__name__] = model.evaluate(x_test, y_test, verbose=0)
    print(f"mean squared error of {kind.__name__}: {errors[kind.__name__]:.4f}")
