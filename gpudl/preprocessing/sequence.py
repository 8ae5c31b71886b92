"""Sequences of one length."""

from gpudl.utils import pad_sequences

__all__ = ["pad_sequences"]
