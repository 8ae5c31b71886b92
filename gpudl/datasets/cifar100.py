"""CIFAR-100: small colour photographs of a hundred kinds of things (Krizhevsky, 2009)."""

import numpy as np
from numpy.typing import NDArray

from gpudl.datasets._cifar import MAX_BYTES, batches
from gpudl.datasets._source import Array, Source, load

SOURCE = Source(
    "cifar-100-python-target_archive",
    ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    max_bytes=MAX_BYTES,
)
_CLASSES = {"fine": 100, "coarse": 20}
Part = tuple[Array, NDArray[np.int64]]


def load_data(label_mode: str = "fine") -> tuple[Part, Part]:
    """Return CIFAR-100's 50,000 training and 10,000 test images.

    Args:
        label_mode: ``"fine"`` for the hundred classes, ``"coarse"`` for the twenty groups of them.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images (50000, 32, 32, 3) and (10000, 32, 32, 3), or with
        the channels first where `config.image_data_format` says so, int64 labels (50000, 1) and (10000, 1).

    Raises:
        ValueError: another `label_mode`.
        DatasetUnavailable: when the archive is in no place and at no address.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data("coarse")  # doctest: +SKIP
        >>> int(y_train.max())  # doctest: +SKIP
        19
    """
    if label_mode not in _CLASSES:
        raise ValueError(f'label_mode must be "fine" or "coarse", got {label_mode!r}.')
    label, classes = f"{label_mode}_labels", _CLASSES[label_mode]
    train, test = load(
        SOURCE,
        lambda path: [batches(path, (f"cifar-100-python/{name}",), label, classes) for name in ("train", "test")],
    )
    return train, test
