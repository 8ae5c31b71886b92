"""Load MNIST and look at a digit (the text of seed 000)."""

import gpudl as keras

print(keras.__version__)

mnist = keras.datasets.mnist
(x_train, y_train), (x_test, y_test) = mnist.load_data()

print(x_train[0])

import matplotlib.pyplot as plt  # noqa: E402 (where the tutorial has it)

plt.imshow(x_train[0], cmap=plt.cm.binary)
plt.show()
