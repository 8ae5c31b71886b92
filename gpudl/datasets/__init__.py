"""Data sets to start with: ``mnist``, ``fashion_mnist`` and, with no download, ``synthetic_digits``."""

from gpudl.datasets import fashion_mnist, mnist, synthetic_digits
from gpudl.datasets._source import DatasetUnavailable

__all__ = ["DatasetUnavailable", "fashion_mnist", "mnist", "synthetic_digits"]
