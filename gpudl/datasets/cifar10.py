"""CIFAR-10: small colour photographs of ten kinds of things (Krizhevsky, 2009)."""

import numpy as np

from gpudl.datasets._cifar import MAX_BYTES, batches
from gpudl.datasets._source import Source, Split, load

SOURCE = Source(
    "cifar-10-batches-py-target_archive",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    max_bytes=MAX_BYTES,
)
_FOLDER = "cifar-10-batches-py"
_TRAIN = tuple(f"{_FOLDER}/data_batch_{number}" for number in range(1, 6))


def load_data() -> Split:
    """Return CIFAR-10's 50,000 training and 10,000 test images.

    The classes: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck. The archive
    is looked for and kept in the same folders as MNIST's file, and never unpickled.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``, all uint8: images (50000, 32, 32, 3) and (10000, 32, 32, 3), or with
        the channels first where `config.image_data_format` says so, labels (50000, 1) and (10000, 1).

    Raises:
        DatasetUnavailable: when the archive is in no place and at no address.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_test.shape  # doctest: +SKIP
        (10000, 32, 32, 3)
    """
    (x_train, y_train), (x_test, y_test) = load(
        SOURCE, lambda path: [batches(path, names, "labels", 10) for names in (_TRAIN, (f"{_FOLDER}/test_batch",))]
    )
    return (x_train, y_train.astype(np.uint8)), (x_test, y_test.astype(np.uint8))
