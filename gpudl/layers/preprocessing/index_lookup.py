"""What lookups of text and of integers share: words to indices, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gpudl import config
from gpudl.engine.symbol import OpenShape
from gpudl.engine.tree import Nest
from gpudl.layers.preprocessing.encoding import encoded_on_host, encoded_shape, rows_on_host
from gpudl.layers.preprocessing.fingerprints import farm_hash, sip_hash
from gpudl.layers.preprocessing.has_vocabulary import HasVocabulary
from gpudl.layers.preprocessing.host import shape_of
from gpudl.layers.preprocessing.vocabulary import Token

_MASKED = np.iinfo(np.int64).max  # an index that no encoding counts
_SHOWN = 5


class IndexLookup(HasVocabulary):
    """The base of lookups: a word has the index of its place in a vocabulary, behind those for masks and for others."""

    @property
    def result_dtype(self) -> str:  # type: ignore[override]
        """The dtype of the results."""
        if self.invert:
            return "string" if self.kind is str else "int64"
        return config.floatx() if self.output_mode == "tf_idf" else "int64"

    @property
    def _depth(self) -> int:
        return (
            self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self._start + len(self._known().tokens)
        )

    def result_shape(self, input_shape: Nest[int | None]) -> OpenShape:
        """Return the shape of the results."""
        depth = None if self.output_mode == "int" else self._depth
        return encoded_shape(shape_of(input_shape), self.output_mode, depth)

    def call(self, inputs: np.ndarray) -> np.ndarray:
        """Return indices, or what `output_mode` makes of them; words for indices, if the layer is inverted."""
        if self.invert:
            return self._words(inputs)
        return self._weighted(encoded_on_host, self.indices(inputs))

    def encoded_documents(self, documents: Sequence[Sequence[Token]]) -> np.ndarray:
        """Return a row for each document of words, in a mode that is not ``"int"``."""
        made = self.indices(np.array([token for document in documents for token in document], object))
        ends = np.cumsum([len(document) for document in documents])[:-1]
        return self._weighted(rows_on_host, np.split(made, ends) if documents else [])

    def _weighted(self, encode: Callable[..., np.ndarray], indices: object) -> np.ndarray:
        if self.output_mode != "tf_idf":
            return encode(indices, self.output_mode, 0 if self.output_mode == "int" else self._depth, "int64")
        counts = encode(indices, "count", self._depth, config.floatx())
        assert self._idf is not None
        weighted: np.ndarray = counts * self._idf.astype(counts.dtype)
        return weighted

    def indices(self, words: np.ndarray) -> np.ndarray:
        """Return the index of each word.

        Raises:
            RuntimeError: there is no vocabulary.
            ValueError: a word is not in the vocabulary, and there is no index for others.
        """
        known = self._known().index
        keys = self._keys(words)
        flat = keys.ravel().tolist()
        found = np.fromiter((known.get(key, -1) for key in flat), np.int64, len(flat))
        others = np.flatnonzero(found < 0).tolist()
        masked = [at for at in others if flat[at] == self.mask_token] if self.mask_token is not None else []
        found[masked] = 0 if self.output_mode == "int" else _MASKED
        others = [at for at in others if found[at] < 0]
        if others and not self.num_oov_indices:
            raise ValueError(
                f"{self._who()}: {[flat[at] for at in others[:_SHOWN]]} are not in the vocabulary, and there is no "
                "index for other words. Set num_oov_indices=1, or leave them out."
            )
        found[others] = [self._first_other + self._bucket(flat[at]) for at in others]
        return found.reshape(keys.shape)

    def _bucket(self, word: Token) -> int:
        """Return the number of a word that is not in the vocabulary, among the indices for such."""
        if self.num_oov_indices == 1:
            return 0
        if self.kind is int and self.oov_method == "floormod":
            return int(word) % self.num_oov_indices
        text = str(word).encode()
        return (farm_hash(text) if self.salt is None else sip_hash(text, self.salt)) % self.num_oov_indices

    def _words(self, indices: np.ndarray) -> np.ndarray:
        known = self._known()
        masked = {0: self.mask_token} if self.mask_token is not None else {}
        flat = indices.astype(np.int64).ravel().tolist()
        found = [masked.get(index, known.at(index, self.oov_token)) for index in flat]
        return np.array(found, np.int64 if self.kind is int else str).reshape(indices.shape)
