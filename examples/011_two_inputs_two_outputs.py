"""Two inputs and two outputs: the picture of a digit and a table, told apart by class and priced by number."""

import numpy as np

import gpudl as keras
from gpudl import layers

(images, digits), _ = keras.datasets.mnist.load_data()
images, digits = images[:8000].astype("float32") / 255, digits[:8000]

# A parcel has its zone written on it as a digit; its price follows zone, weight in kg and length in m.
rng = np.random.default_rng(0)
table = np.stack([rng.uniform(0, 5, len(digits)), rng.uniform(0, 2, len(digits))], axis=1).astype("float32")
price = (1 + 0.5 * digits + 0.8 * table[:, 0] + 1.5 * table[:, 1])[:, None].astype("float32")

picture = keras.Input((28, 28), name="picture")
size = keras.Input((2,), name="size")

seen = layers.Dense(64, activation="relu")(layers.Flatten()(picture))
zone = layers.Dense(10, activation="softmax", name="zone")(seen)
both = layers.Concatenate()([zone, layers.Dense(8, activation="relu")(size), size])
cost = layers.Dense(1, name="cost")(both)

model = keras.Model({"picture": picture, "size": size}, {"zone": zone, "cost": cost})
model.summary()
model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss={"zone": "sparse_categorical_crossentropy", "cost": "mse"},
    loss_weights={"zone": 1.0, "cost": 0.5},
    metrics={"zone": ["accuracy"], "cost": ["mae"]},
)
inputs, targets = {"picture": images, "size": table}, {"zone": digits, "cost": price}
history = model.fit(inputs, targets, epochs=5, batch_size=64)
results = model.evaluate(inputs, targets, verbose=0, return_dict=True)
print("zones told apart:", results["zone_accuracy"], "mean error of the price:", results["cost_mae"])
