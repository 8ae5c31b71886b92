"""A U-Net tells the pixels of a digit from a noisy background: it halves pictures twice, and doubles them again."""

import numpy as np

import gpudl as keras
from gpudl import layers

(x_train, _), (x_test, _) = keras.datasets.synthetic_digits.load_data(2000, 200)
rng = np.random.default_rng(1)


def noisy(digits):
    """Return pictures of digits under noise and a slope of light, and where their ink is."""
    ink = (digits[..., None] > 100).astype("float32")
    light = rng.uniform(0, 1, (len(digits), 1, 1, 1)) * np.linspace(-1, 1, 28)[:, None, None]
    pictures = 0.5 * digits[..., None] / 255 + 0.3 * light + rng.normal(0, 0.15, ink.shape)
    return pictures.astype("float32"), ink


def convolved(x, filters):
    """Return x after a convolution, its normalization and activation."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))


inputs = keras.Input((28, 28, 1))
fine = convolved(inputs, 8)
middle = convolved(layers.MaxPooling2D()(fine), 16)
x = convolved(layers.MaxPooling2D()(middle), 32)
for side, filters in ((middle, 16), (fine, 8)):
    x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
    x = convolved(layers.Concatenate()([x, side]), filters)  # what was halved away comes from the side
outputs = layers.Conv2D(1, 1, activation="sigmoid")(x)

model = keras.Model(inputs, outputs, name="unet")
model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
model.fit(*noisy(x_train), epochs=3, batch_size=32)

pictures, ink = noisy(x_test)
found = model.predict(pictures, verbose=0) > 0.5
overlap = np.logical_and(found, ink).sum() / np.logical_or(found, ink).sum()
# Without a network: the best of all thresholds.
by_light = max(
    np.logical_and(pictures > t, ink).sum() / np.logical_or(pictures > t, ink).sum() for t in np.linspace(0, 1, 21)
)
print(f"overlap of found and true ink: {overlap:.2f}, by a threshold: {by_light:.2f}")
