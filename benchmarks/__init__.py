"""Measurements: run them as modules from the top of the checkout, e.g. ``python -m benchmarks.accuracy``."""
