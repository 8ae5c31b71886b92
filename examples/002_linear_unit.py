"""A linear unit on a table of cereals, then dropout and batch normalization (the text of seed 002)."""

import numpy as np
import pandas as pd

import gpudl as keras
from gpudl import layers

# A small table like "80 Cereals": calories follow sugars, fiber and protein, with some noise.
rng = np.random.default_rng(0)
cereals = pd.DataFrame(
    {
        "sugars": rng.integers(0, 16, 80),
        "fiber": rng.integers(0, 8, 80),
        "protein": rng.integers(1, 7, 80),
    }
)
cereals["calories"] = (
    90 + 2.5 * cereals["sugars"] - 3.0 * cereals["fiber"] + 1.5 * cereals["protein"] + rng.normal(0, 2, 80)
)
features, calories = cereals[["sugars", "fiber", "protein"]], cereals["calories"]

# Create a network with 1 linear unit
model = keras.Sequential([
    layers.Dense(units=1, input_shape=[3])])

model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.005), loss="mse")
model.fit(features, calories, batch_size=8, epochs=600, verbose=0)
weights, bias = model.get_weights()
terms = [f"{weight:.2f} {name}" for weight, name in zip(weights[:, 0], features, strict=True)]
print("calories =", " + ".join(terms), f"+ {bias[0]:.1f}")
print("mean squared error:", model.evaluate(features, calories, verbose=0))

# "improve performance with dropout, batch normalization, and other techniques"
model = keras.Sequential([
    layers.BatchNormalization(input_shape=[3]),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.1),
    layers.BatchNormalization(),
    layers.Dense(units=1),
])
model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.01), loss="mae")
history = model.fit(features, calories, batch_size=16, epochs=200, validation_split=0.2, verbose=0)
print("mean absolute error:", history.history["loss"][0], "->", history.history["loss"][-1])
