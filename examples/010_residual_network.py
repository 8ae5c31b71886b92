"""A small residual network on MNIST, made of functions of symbols: blocks whose inputs are added to their outputs."""

import gpudl as keras
from gpudl import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train[..., None].astype("float32") / 255
x_test = x_test[..., None].astype("float32") / 255


def residual_block(x, filters, strides=1):
    """Return x plus what two convolutions make of it."""
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization(momentum=0.9)(y)
    y = layers.Activation("relu")(y)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization(momentum=0.9)(y)
    if strides > 1:
        x = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
    return layers.Activation("relu")(layers.Add()([x, y]))


inputs = keras.Input((28, 28, 1))
x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
x = residual_block(x, 8)
x = residual_block(x, 16, strides=2)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(10, activation="softmax")(x)

model = keras.Model(inputs, outputs, name="residual")
model.summary()
model.compile(optimizer=keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=3, batch_size=64)
test_loss, test_acc = model.evaluate(x_test, y_test)
print("test accuracy:", test_acc)

# What lies inside is a model too: the 16 features from which the digit is told.
features = keras.Model(model.input, model.layers[-2].output)
print("features:", features.predict(x_test[:100], verbose=0).shape)
