"""A network of two dense layers on MNIST (the text of seed 001)."""

from gpudl.datasets import mnist

(train_images, train_labels), (test_images, test_labels) = mnist.load_data()

print(len(train_labels))
print(train_images.shape)
print(train_images[0].shape)
print(test_images.shape)

# grab any train or test image
digit = train_images[4]

import matplotlib.pyplot as plt  # noqa: E402 (where the tutorial has it)

plt.imshow(digit, cmap=plt.cm.binary)
plt.show()

train_images = train_images.reshape((60000, 28 * 28))
train_images = train_images.astype("float32") / 255
test_images = test_images.reshape((10000, 28 * 28))
test_images = test_images.astype("float32") / 255

from gpudl import layers, models  # noqa: E402

model = models.Sequential()
model.add(layers.Dense(512, activation="relu", input_shape=(28 * 28,)))
model.add(layers.Dense(10, activation="softmax"))
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])

from gpudl.utils import to_categorical  # noqa: E402

train_labels = to_categorical(train_labels)
test_labels = to_categorical(test_labels)

model.fit(train_images, train_labels, epochs=5, batch_size=128)
test_loss, test_acc = model.evaluate(test_images, test_labels)
print("test_acc:", test_acc)
print("test_loss:", test_loss)
