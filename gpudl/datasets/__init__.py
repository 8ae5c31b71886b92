"""Example data sets, each with a ``load_data``; ``synthetic_digits`` needs no download."""

from gpudl.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
    synthetic_digits,
)
from gpudl.datasets._source import DatasetUnavailable

__all__ = [
    "DatasetUnavailable",
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
    "synthetic_digits",
]
