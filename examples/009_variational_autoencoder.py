"""A variational autoencoder on MNIST: digits as points of a plane, the divergence added by add_loss."""

import numpy as np

import gpudl
from gpudl import layers, ops
from gpudl.datasets import mnist


class Sampling(layers.Layer):
    """Draw a point for each sample from its normal distribution, and add the divergence of that to the loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = gpudl.random.SeedGenerator(1337)

    def call(self, mean, log_variance):
        """Return the points, (batch, 2)."""
        divergence = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1)
        self.add_loss(ops.mean(divergence) / 784)
        noise = gpudl.random.normal(mean.shape, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


pixels = gpudl.Input((784,), name="pixels")
hidden = layers.Dense(256, activation="relu")(pixels)
mean = layers.Dense(2, name="mean")(hidden)
log_variance = layers.Dense(2, name="log_variance")(hidden)
encoder = gpudl.Model(pixels, [mean, log_variance, Sampling()(mean, log_variance)], name="encoder")

point = gpudl.Input((2,), name="point")
drawn = layers.Dense(256, activation="relu")(point)
decoder = gpudl.Model(point, layers.Dense(784, activation="sigmoid")(drawn), name="decoder")

vae = gpudl.Model(pixels, decoder(encoder(pixels)[2]), name="vae")
vae.summary()

(images, _), (test_images, test_labels) = mnist.load_data()
images = images.reshape(-1, 784).astype("float32") / 255
test_images = test_images.reshape(-1, 784).astype("float32") / 255

vae.compile(optimizer="adam", loss="binary_crossentropy")
history = vae.fit(images, images, epochs=5, batch_size=128)

loss = vae.evaluate(test_images, test_images)
print("loss per pixel, with the divergence:", loss)
print("a digit drawn at the middle:")
middle = decoder.predict(np.zeros((1, 2)), verbose=0)
for row in middle.reshape(28, 28)[4:24:2]:
    print("".join(" .:-=+*#%@"[int(9.99 * ink)] for ink in row))
