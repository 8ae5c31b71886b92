"""A network of MobileNet's blocks on MNIST: depthwise convolutions, each followed by a 1 x 1 one, with augmentation."""

import gpudl as keras
from gpudl import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()


def block(x, filters, strides=1):
    """Return x after a depthwise convolution and a 1 x 1 one."""
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(filters, 1, use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))


inputs = keras.Input((28, 28, 1))
x = layers.RandomTranslation(0.1, 0.1, fill_mode="constant")(inputs)  # in training only
x = layers.RandomRotation(0.03, fill_mode="constant")(x)
x = layers.Rescaling(1 / 255)(x)
x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
for filters, strides in ((16, 1), (32, 2), (32, 1)):
    x = block(x, filters, strides)
outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))

model = keras.Model(inputs, outputs, name="mobile")
model.summary()
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train[..., None].astype("float32"), y_train, epochs=2, batch_size=64)
test_loss, test_acc = model.evaluate(x_test[..., None].astype("float32"), y_test)
print("test accuracy:", test_acc)
