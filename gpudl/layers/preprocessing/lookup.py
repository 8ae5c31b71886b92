"""Lookups: words or integers to indices, by a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gpudl.layers.preprocessing.host import texts_of
from gpudl.layers.preprocessing.index_lookup import IndexLookup
from gpudl.layers.preprocessing.vocabulary import Tokens

__all__ = ["IntegerLookup", "StringLookup"]


class StringLookup(IndexLookup):
    """Map text to integers by a vocabulary, which is given or learnt by `adapt`; or, inverted, integers to text.

    The index of a word is its place in the vocabulary, behind `num_oov_indices` for words that are not in it, and with
    ``output_mode="int"`` behind that of `mask_token`.

    Args:
        max_tokens: the most indices there are; None for any number.
        num_oov_indices: how many indices words have that are not in the vocabulary, by their hash; with 0 they are an
            error.
        mask_token: the text that stands for padding; index 0 in the mode ``"int"``, counted nowhere in others.
        oov_token: the text of other words, in `get_vocabulary` and inverted.
        vocabulary: the words, or the path of a file with one in each line.
        idf_weights: the inverse document frequencies of the words, for ``output_mode="tf_idf"``.
        invert: whether integers become text.
        output_mode: ``"int"`` for indices; ``"one_hot"`` for a row for each word; ``"multi_hot"``, ``"count"`` and
            ``"tf_idf"`` for a row for each sample, whose words are along axis 1: which there are, how often, and that
            times their weight.
        pad_to_max_tokens: whether rows have `max_tokens` columns, however many words there are.
        sparse: not supported.
        encoding: the encoding of bytes.
        name: a name.
        salt: the key of the hash, an integer or two; None for a hash without one.
        trainable: accepted; there is nothing to train.
        dtype: accepted, without effect.

    Raises:
        RuntimeError: it was called before `adapt`, and no vocabulary was given.
        ValueError: an argument that is not supported, or a word without an index.

    Example:
        >>> layer = gpudl.layers.StringLookup(vocabulary=["ant", "bee"])
        >>> layer(np.array(["bee", "cow"])).numpy(), layer.get_vocabulary()
        (array([2, 0]), ['[UNK]', 'ant', 'bee'])
        >>> gpudl.layers.StringLookup(vocabulary=["ant", "bee"], invert=True)([1, 0])
        array(['ant', '[UNK]'], dtype='<U5')
    """

    kind = str

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Tokens | None = None,
        idf_weights: ArrayLike | None = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: int | Sequence[int] | None = None,
        trainable: bool = True,
        dtype: object = None,
    ) -> None:
        self.encoding = encoding
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            name=name,
            salt=salt,
            trainable=trainable,
        )

    def _keys(self, words: np.ndarray) -> np.ndarray:
        return texts_of(words, self._who(), self.encoding)


class IntegerLookup(IndexLookup):
    """Map integers to indices by a vocabulary, which is given or learnt by `adapt`; or, inverted, back.

    Args:
        max_tokens: the most indices there are; None for any number.
        num_oov_indices: how many indices integers have that are not in the vocabulary; with 0 they are an error.
        mask_token: the integer that stands for padding; index 0 in the mode ``"int"``, counted nowhere in others.
        oov_token: the integer for others, in `get_vocabulary` and inverted.
        vocabulary: the integers, or the path of a file with one in each line.
        vocabulary_dtype: the dtype of what the layer returns inverted, ``"int64"``.
        idf_weights: the inverse document frequencies, for ``output_mode="tf_idf"``.
        invert: whether indices become the integers of the vocabulary.
        output_mode: as for `StringLookup`.
        sparse: not supported.
        pad_to_max_tokens: whether rows have `max_tokens` columns, however many integers there are.
        oov_method: what chooses among several indices for others: ``"floormod"``, the rest of a division, or
            ``"farmhash"``, a hash.
        salt: the key of the hash, an integer or two.
        name: a name.
        trainable: accepted; there is nothing to train.
        dtype: accepted, without effect.

    Raises:
        RuntimeError: it was called before `adapt`, and no vocabulary was given.
        ValueError: an argument that is not supported, or an integer without an index.

    Example:
        >>> layer = gpudl.layers.IntegerLookup(vocabulary=[12, 36, 1138])
        >>> layer(np.array([[12, 1138, 7]])).numpy(), layer.vocabulary_size()
        (array([[1, 3, 0]]), 4)
    """

    kind = int

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Tokens | None = None,
        vocabulary_dtype: str = "int64",
        idf_weights: ArrayLike | None = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            oov_method,
            name,
            salt,
            trainable,
        )
        if vocabulary_dtype not in ("int64", "int32"):
            raise ValueError(f"{self._who()}: vocabulary_dtype must be 'int64' or 'int32', got {vocabulary_dtype!r}.")
        if salt is not None and oov_method != "farmhash":
            raise ValueError(f"{self._who()}: salt is for oov_method='farmhash', got {oov_method!r}.")

    def _keys(self, words: np.ndarray) -> np.ndarray:
        if words.dtype.kind not in "biuf" and words.size:
            raise ValueError(f"{self._who()} takes integers, got dtype {words.dtype}. StringLookup takes text.")
        return words.astype(np.int64)
