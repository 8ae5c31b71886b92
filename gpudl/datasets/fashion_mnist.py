"""Fashion-MNIST: pictures of clothes in MNIST's format (Xiao, Rasul and Vollgraf, https://arxiv.org/abs/1708.07747)."""

from functools import partial

from gpudl.datasets._source import IMAGE, TEST, TRAIN, Array, Source, Split, labels, load, read_idx

_MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
# The authors publish MD5 sums only; these are the SHA-256 of the files that have them.
_SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
SOURCES = {
    name: Source(f"fashion-mnist/{name}", tuple(mirror + name for mirror in _MIRRORS), sha256)
    for name, sha256 in _SHA256.items()
}


def load_data() -> Split:
    """Return Fashion-MNIST's 60,000 training and 10,000 test images of clothes.

    The classes: 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag,
    9 ankle boot. The four files are looked for and kept in ``datasets/fashion-mnist``, below the same folders
    as MNIST's.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``, all uint8: images (60000, 28, 28) and (10000, 28, 28),
        labels (60000,) and (10000,) from 0 to 9.

    Raises:
        DatasetUnavailable: when a file is in no place and at no address.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_test.shape  # doctest: +SKIP
        (10000, 28, 28)
    """
    return _part("train", TRAIN), _part("t10k", TEST)


def _part(prefix: str, count: int) -> tuple[Array, Array]:
    images, classes = SOURCES[f"{prefix}-images-idx3-ubyte.gz"], SOURCES[f"{prefix}-labels-idx1-ubyte.gz"]
    return (
        load(images, partial(read_idx, shape=(count, *IMAGE))),
        load(classes, lambda path: labels(read_idx(path, (count,)))),
    )
