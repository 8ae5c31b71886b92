"""Two lists of dense layers, and a training on small data (the text of seed 003)."""

import numpy as np

from gpudl.layers import Dense
from gpudl.models import Sequential

rng = np.random.default_rng(0)

# Height in cm and weight in kg, as z-scores; the class is whether the body mass index is above 25.
height, weight = rng.normal(172, 9, 500), rng.normal(74, 14, 500)
people = np.stack([(height - 172) / 9, (weight - 74) / 14], axis=1)
overweight = (weight / (height / 100) ** 2 > 25).astype(int)

layers = [
    Dense(3, input_shape=(2,), activation='relu'),
    Dense(2, activation='softmax')
]

model = Sequential(layers)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(people, overweight, batch_size=16, epochs=40, verbose=0)
print("two features, accuracy:", model.evaluate(people, overweight, verbose=0)[1])

# Eight features in four groups.
samples = rng.normal(size=(400, 8))
group = (samples[:, 0] > 0) * 2 + (samples[:, 1] + samples[:, 2] > 0)

layers = [
    # first hidden layer: needs to have input shape specified
    Dense(6, input_shape=(8,), activation='relu'),
    Dense(6, activation='relu'),
    Dense(4, activation='softmax')
]

model = Sequential(layers)
model.summary()
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(samples, group, batch_size=16, epochs=60, verbose=0)
print("eight features, accuracy:", model.evaluate(samples, group, verbose=0)[1])
