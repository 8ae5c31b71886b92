"""A small GPT learns the license of this repository, character by character, and writes it down again."""

from pathlib import Path

import numpy as np

import gpudl as keras
from gpudl import layers

STEPS, WIDTH, HEADS, BLOCKS = 32, 64, 4, 2  # characters that it sees at a time, and its sizes

text = " ".join((Path(__file__).resolve().parents[1] / "LICENSE").read_text("utf-8").split())
letters = sorted(set(text))
numbers = np.array([letters.index(c) for c in text], "int32")
windows = np.lib.stride_tricks.sliding_window_view(numbers, STEPS + 1)


class Positions(layers.Layer):
    """Add a trainable vector for each place."""

    def build(self, input_shape):
        """Create the vectors."""
        self.vectors = self.add_weight(input_shape[1:], initializer="uniform", name="vectors")

    def call(self, x):
        """Return x with the vectors of its places."""
        return x + self.vectors


def block(x):
    """Return x after attention to what came before, and a network for each place."""
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y, use_causal_mask=True)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(4 * WIDTH, activation="gelu")(y)
    return layers.Add()([x, layers.Dense(WIDTH)(y)])


inputs = keras.Input((STEPS,), dtype="int32")
x = Positions()(layers.Embedding(len(letters), WIDTH)(inputs))
for _ in range(BLOCKS):
    x = block(x)
outputs = layers.Dense(len(letters))(layers.LayerNormalization()(x))

model = keras.Model(inputs, outputs, name="gpt")
model.compile(
    optimizer=keras.optimizers.Adam(0.005),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = model.fit(windows[:, :-1], windows[:, 1:], batch_size=32, epochs=8)
loss = history.history["loss"][-1]
print(f"loss: {loss:.3f}, of a guess: {np.log(len(letters)):.3f}")

# It continues the first characters with the likeliest one each time.
written = list(numbers[:STEPS])
while len(written) < 4 * STEPS:
    scores = model.predict(np.array([written[-STEPS:]]), verbose=0)
    written.append(int(scores[0, -1].argmax()))
print("".join(letters[number] for number in written))
