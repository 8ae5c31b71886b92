"""A generative adversarial network with a training step of its own: it learns to draw points on a ring."""

import numpy as np

import gpudl as keras
from gpudl import GradientTape, layers, ops

LATENT = 4

discriminator = keras.Sequential([
    layers.Dense(32, activation="leaky_relu", input_shape=(2,)),
    layers.Dense(32, activation="leaky_relu"),
    layers.Dense(1),
], name="discriminator")

generator = keras.Sequential([
    layers.Dense(32, activation="leaky_relu", input_shape=(LATENT,)),
    layers.Dense(32, activation="leaky_relu"),
    layers.Dense(2),
], name="generator")


class GAN(keras.Model):
    """A generator and the discriminator that it has to convince."""

    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
        self.seed_generator = keras.random.SeedGenerator(1337)

    @property
    def metrics(self):
        """What is reset before each epoch."""
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer, g_optimizer, loss_fn, **kwargs):
        """Take an optimizer for each of the two."""
        super().compile(**kwargs)
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    def noise(self, count):
        """Return what points are generated from."""
        return keras.random.normal((count, self.latent_dim), seed=self.seed_generator)

    def train_step(self, real):
        """Train both on one batch."""
        batch_size = real.shape[0]

        # The discriminator tells what was generated (1) from what is real (0).
        points = ops.concatenate([self.generator(self.noise(batch_size)), real], axis=0)
        labels = ops.concatenate([ops.ones_like(real[:, :1]), ops.zeros_like(real[:, :1])], axis=0)
        with GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(points))
        grads = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(zip(grads, self.discriminator.trainable_weights, strict=True))

        # The generator learns what the discriminator takes for real.
        noise = self.noise(batch_size)
        with GradientTape() as tape:
            predictions = self.discriminator(self.generator(noise))
            g_loss = self.loss_fn(ops.zeros_like(predictions), predictions)
        grads = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(grads, self.generator.trainable_weights, strict=True))

        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}


def radii(points):
    """Return how far each point lies from the middle."""
    return np.hypot(points[:, 0], points[:, 1])


rng = np.random.default_rng(0)
angles = rng.uniform(0, 2 * np.pi, 4096)
ring = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.normal(2, 0.05, (4096, 1))

gan = GAN(discriminator, generator, LATENT)
gan.compile(
    d_optimizer=keras.optimizers.Adam(learning_rate=0.002, beta_1=0.5),
    g_optimizer=keras.optimizers.Adam(learning_rate=0.001, beta_1=0.5),
    loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
)
latent = rng.normal(size=(1000, LATENT))
before = generator.predict(latent, verbose=0)
gan.fit(ring.astype("float32"), batch_size=128, epochs=60, verbose=0)
after = generator.predict(latent, verbose=0)
for name, points in (("before", before), ("after", after)):
    print(f"{name}: radius {radii(points).mean():.2f} +- {radii(points).std():.2f} (the ring has 2.00 +- 0.05)")
