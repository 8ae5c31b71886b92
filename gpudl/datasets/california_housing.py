"""California Housing: prices of houses in the census of 1990 (Pace and Barry, 1997)."""

import os
from functools import partial

from gpudl.datasets._source import Source, load
from gpudl.datasets._tables import Table, read_table, require_share, split

SOURCE = Source(
    "california_housing.npz",
    ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/california_housing.npz",),
    "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
)
_SMALL = 600


def load_data(
    version: str = "large",
    path: str | os.PathLike[str] = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[Table, Table]:
    """Return 20,640 districts of California, with the median price of a house in each, in dollars.

    The columns: median income, age of houses, rooms and bedrooms a household, population, people a household, latitude
    and longitude.

    Args:
        version: ``"large"``, or ``"small"`` for the first 600 rows.
        path: a file of your own, if it is absolute or exists; else a name below the ``datasets`` folders.
        test_split: the share of rows for testing.
        seed: of the order of the rows.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x (N, 8) and y (N,), as the file has them.

    Raises:
        ValueError: another version, or `test_split` is out of range.
        DatasetUnavailable: when the file is in no place and at no address.
    """
    require_share(test_split)
    if version not in ("small", "large"):
        raise ValueError(f'version must be "small" or "large", got {version!r}.')
    x, y = load(SOURCE, partial(read_table, columns=8), path)
    rows = _SMALL if version == "small" else None
    return split(x[:rows], y[:rows], test_split, seed)
