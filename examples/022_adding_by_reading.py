"""An encoder-decoder with attention learns to add numbers that are written as text: "27+58" becomes "85"."""

import numpy as np

import gpudl as keras
from gpudl import layers, ops

SIGNS = " 0123456789+"
UNITS = 48
rng = np.random.default_rng(0)


def encoded(texts):
    """Return texts of one length as numbers, one a sign."""
    return np.array([[SIGNS.index(sign) for sign in text] for text in texts])


pairs = rng.permutation([(a, b) for a in range(100) for b in range(100)])
questions = encoded([f"{a:2}+{b:2}" for a, b in pairs])
answers = encoded([f"{a + b:3}" for a, b in pairs])
x_train, y_train, x_test, y_test = questions[:9000], answers[:9000], questions[9000:], answers[9000:]

read = keras.Input((5,), dtype="int32")
signs = layers.Embedding(len(SIGNS), 16)(read)
remembered, h, c = layers.LSTM(UNITS, return_sequences=True, return_state=True)(signs)
written = layers.LSTM(UNITS, return_sequences=True)(layers.RepeatVector(3)(h), initial_state=[h, c])

# Each sign that is written attends to those that were read.
weights = ops.softmax(ops.matmul(layers.Dense(UNITS)(written), ops.transpose(remembered, (0, 2, 1))))
attended = layers.Concatenate()([written, ops.matmul(weights, remembered)])
model = keras.Model(read, layers.Dense(len(SIGNS), activation="softmax")(attended))

model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=100, epochs=12, verbose=0)

told = model.predict(x_test, verbose=0).argmax(axis=2)
right = (told == y_test).all(axis=1).mean()
for question, answer in zip(x_test[:5], told[:5], strict=True):
    print("".join(SIGNS[n] for n in question), "=", "".join(SIGNS[n] for n in answer))
print(f"sums of numbers that it has not seen together: {right:.2f} are right")
