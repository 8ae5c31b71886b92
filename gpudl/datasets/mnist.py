"""MNIST: handwritten digits (LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/)."""

import os

from gpudl.datasets._source import Source, Split, load, read_npz

SOURCE = Source(
    "mnist.npz",
    (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        "https://s3.amazonaws.com/img-datasets/mnist.npz",
    ),
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> Split:
    """Return MNIST's 60,000 training and 10,000 test images of handwritten digits.

    The file is looked for in the ``datasets`` folder of ``$GPUDL_HOME`` (by default ``~/.gpudl``), then in
    that of ``$KERAS_HOME`` (``~/.keras``), and downloaded to the first of them when neither has it.

    Args:
        path: a file of your own, if it is absolute or exists; else a name below the ``datasets`` folders.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``, all uint8: images (60000, 28, 28) and (10000, 28, 28) with
        white (255) ink on black (0), labels (60000,) and (10000,) from 0 to 9.

    Raises:
        DatasetUnavailable: when the file is in no place and at no address, or a file of your own is damaged.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape, y_train[:3]  # doctest: +SKIP
        ((60000, 28, 28), array([5, 0, 4], dtype=uint8))
    """
    return load(SOURCE, read_npz, path)
