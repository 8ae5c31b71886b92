"""Benchmarks of the ops, a file for each family: ``pytest benchmarks --benchmark-only``."""
