"""Example data sets: ``mnist``, ``fashion_mnist`` and, without a download, ``synthetic_digits``."""

from gpudl.datasets import fashion_mnist, mnist, synthetic_digits
from gpudl.datasets._source import DatasetUnavailable

__all__ = ["DatasetUnavailable", "fashion_mnist", "mnist", "synthetic_digits"]
