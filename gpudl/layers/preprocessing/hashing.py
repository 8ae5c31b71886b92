"""Hashing of values, and of combinations of them, into a fixed number of bins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, Unpack

import numpy as np

from gpudl import config
from gpudl.engine.symbol import OpenShape
from gpudl.engine.tree import Nest
from gpudl.layers.base.options import Common, DtypeLike
from gpudl.layers.preprocessing.encoding import encoded_on_host, encoded_shape
from gpudl.layers.preprocessing.encoding import output_mode as checked_mode
from gpudl.layers.preprocessing.fingerprints import farm_hash, joined, sip_hash
from gpudl.layers.preprocessing.has_vocabulary import salted
from gpudl.layers.preprocessing.host import HostLayer, array_of, each, shape_of
from gpudl.utils.checks import positive

__all__ = ["HashedCrossing", "Hashing"]

Value: TypeAlias = str | bytes | int | float
_CROSS_KEY = 0xDECAFCAFFE
_MODES = ("int", "one_hot", "multi_hot", "count")


class Hashing(HostLayer):
    """Put text or integers in bins by a hash, so that no vocabulary is needed.

    Args:
        num_bins: the number of bins; with `mask_value` the first is that value's alone.
        mask_value: the value that stands for padding.
        salt: the key of the hash, an integer or two, which makes it SipHash; None for FarmHash.
        output_mode: ``"int"`` for the numbers of bins, or ``"one_hot"``, ``"multi_hot"`` or ``"count"`` of them, as for
            `StringLookup`.
        sparse: not supported.
        **kwargs: those of `Layer`; the dtype is int64 in the mode ``"int"``.

    Raises:
        ValueError: an argument that is not supported, or values that are neither text nor numbers.

    Example:
        >>> layer = gpudl.layers.Hashing(num_bins=3)
        >>> layer(np.array([["A"], ["B"], ["C"], ["D"], ["E"]])).numpy().ravel()
        array([1, 0, 1, 1, 2])
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: str | int | None = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Unpack[Common],
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else config.floatx()
        super().__init__(**kwargs)
        self.num_bins = positive("Hashing", num_bins=num_bins)
        self.output_mode = checked_mode(self._who(), output_mode, *_MODES, sparse=sparse)
        self.mask_value = mask_value
        self.salt = salted(self._who(), salt)
        if self.output_mode == "int" and self.dtype not in ("int32", "int64"):
            raise ValueError(
                f"{self._who()}: output_mode='int' needs the dtype 'int32' or 'int64', got {self.dtype!r}."
            )

    @property
    def result_dtype(self) -> str:  # type: ignore[override]
        """The dtype of the results."""
        return self.dtype

    def result_shape(self, input_shape: Nest[int | None]) -> OpenShape:
        """Return the shape of the results for values of `input_shape`."""
        return encoded_shape(shape_of(input_shape), self.output_mode, self.num_bins)

    def call(self, inputs: np.ndarray) -> np.ndarray:
        """Return the bins of values, or what `output_mode` makes of them."""
        if inputs.dtype.kind not in "fiuSUO":
            raise ValueError(f"{self._who()} takes text or numbers, got dtype {inputs.dtype}.")
        reserved = int(self.mask_value is not None and self.num_bins > 1)
        bins = self.num_bins - reserved
        mask = _bytes(self.mask_value) if isinstance(self.mask_value, str) else self.mask_value
        whole: Callable[[Value], object] = (
            int if inputs.dtype.kind == "f" else _unchanged
        )  # so that 3.0 has the bin of 3

        def bin_of(value: Value) -> int:
            if reserved and (_bytes(value) if isinstance(value, str) else value) == mask:
                return 0
            text = _bytes(whole(value))
            return (farm_hash(text) if self.salt is None else sip_hash(text, self.salt)) % bins + reserved

        return encoded_on_host(each(bin_of, inputs, np.int64), self.output_mode, self.num_bins, self.dtype)


class HashedCrossing(HostLayer):
    """Put combinations of the values of several features in bins, by a hash.

    It is called on a list of arrays of text or integers of one shape, ``()``, ``(batch,)`` or ``(batch, 1)``.

    Args:
        num_bins: the number of bins.
        output_mode: ``"int"`` for the numbers of bins, or ``"one_hot"``.
        sparse: not supported.
        name: a name.
        dtype: dtype of the results; int64 in the mode ``"int"``.
        trainable: accepted; there is nothing to train.

    Raises:
        ValueError: fewer than two arrays, shapes that differ or have more axes, or values that are neither text nor
            integers.

    Example:
        >>> layer = gpudl.layers.HashedCrossing(num_bins=5)
        >>> layer([np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])]).numpy()
        array([1, 4, 1, 1, 3])
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: DtypeLike = None,
        trainable: bool = True,
    ) -> None:
        dtype = "int64" if output_mode == "int" and dtype is None else dtype
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.num_bins = positive("HashedCrossing", num_bins=num_bins)
        self.output_mode = checked_mode(self._who(), output_mode, "int", "one_hot", sparse=sparse)

    @property
    def result_dtype(self) -> str:  # type: ignore[override]
        """The dtype of the results."""
        return self.dtype

    def _given(self, value: object) -> list[np.ndarray]:
        if not isinstance(value, list | tuple) or len(value) < 2:
            raise ValueError(f"{self._who()} takes a list of at least two arrays, got {value!r}.")
        arrays = [array_of(each, self._who()) for each in value]
        self._check_shapes([array.shape for array in arrays])
        for array in arrays:
            if array.dtype.kind not in "iuSUO":
                raise ValueError(f"{self._who()} takes text or integers, got dtype {array.dtype}.")
        return arrays

    def _check_shapes(self, shapes: Sequence[tuple[int | None, ...]]) -> None:
        first, *others = shapes
        if len(first) > 2 or (len(first) == 2 and first[-1] != 1) or any(shape != first for shape in others):
            raise ValueError(
                f"{self._who()} takes arrays of one shape, (), (batch,) or (batch, 1), got "
                f"{', '.join(map(str, shapes))}."
            )

    def result_shape(self, input_shape: Nest[int | None]) -> OpenShape:
        """Return the shape of the results for arrays of these shapes."""
        shapes = [shape_of(shape) for shape in input_shape]  # type: ignore[union-attr]
        self._check_shapes(shapes)
        return encoded_shape(shapes[0], self.output_mode, self.num_bins)

    def call(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the bins of combinations, or one-hot rows of them."""
        columns = [[_fingerprint(value) for value in array.ravel().tolist()] for array in inputs]
        found = np.empty(len(columns[0]), np.int64)
        for row, values in enumerate(zip(*columns, strict=True)):
            key = _CROSS_KEY
            for value in values:
                key = joined(key, value)
            found[row] = key % self.num_bins
        return encoded_on_host(found.reshape(inputs[0].shape), self.output_mode, self.num_bins, self.dtype)


def _unchanged(value: object) -> object:
    return value


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _fingerprint(value: object) -> int:
    return value & (2**64 - 1) if isinstance(value, int) else farm_hash(_bytes(value))
