"""Boston Housing: prices of houses around Boston in the 1970s (Harrison and Rubinfeld, 1978)."""

import os
from functools import partial

from gpudl.datasets._source import Source, load
from gpudl.datasets._tables import Table, read_table, require_share, split

SOURCE = Source(
    "boston_housing.npz",
    ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz",),
    "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
)


def load_data(
    path: str | os.PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Table, Table]:
    """Return 506 suburbs of Boston, with the median price of a house in each, in 1000 dollars.

    One of the 13 columns, B, assumes that people's colour bears on prices: choose `california_housing` for anything
    but a discussion of that.

    Args:
        path: a file of your own, if it is absolute or exists; else a name below the ``datasets`` folders.
        test_split: the share of rows for testing.
        seed: of the order of the rows.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x (N, 13) and y (N,), float64.

    Raises:
        ValueError: `test_split` is out of range.
        DatasetUnavailable: when the file is in no place and at no address.
    """
    require_share(test_split)
    return split(*load(SOURCE, partial(read_table, columns=13), path), test_split, seed)
