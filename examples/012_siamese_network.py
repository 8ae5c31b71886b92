"""A siamese network: one tower, shared by two pictures, learns whether they show the same digit."""

import numpy as np

import gpudl as keras
from gpudl import layers, ops

(images, digits), _ = keras.datasets.mnist.load_data()
images, digits = images[:10000].astype("float32") / 255, digits[:10000]

# Half of the pairs show one digit twice.
rng = np.random.default_rng(0)
by_digit = [np.flatnonzero(digits == digit) for digit in range(10)]
first = rng.integers(len(digits), size=20000)
alike = rng.random(20000) < 0.5
second = np.array([
    rng.choice(by_digit[digits[i]]) if same else rng.integers(len(digits)) for i, same in zip(first, alike, strict=True)
])
same = (digits[first] == digits[second]).astype("float32")[:, None]

tower = keras.Sequential(
    [keras.Input((28, 28)), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(32)], name="tower"
)
left, right = keras.Input((28, 28), name="left"), keras.Input((28, 28), name="right")
distance = ops.absolute(tower(left) - tower(right))
model = keras.Model([left, right], layers.Dense(1, activation="sigmoid", name="same")(distance))
model.summary(expand_nested=True)

model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit([images[first], images[second]], same, epochs=5, batch_size=64)

# The tower alone: pictures of one digit lie closer to each other than those of different ones.
places = tower.predict(images[:500], verbose=0)
apart = np.abs(places[:, None] - places[None]).sum(axis=-1)
alike = digits[:500, None] == digits[None, :500]
closer = apart[alike].mean() / apart[~alike].mean()
print("distance between pictures of one digit, in that between different ones:", closer)
