"""A vocabulary of a layer: given as words or as a file, or learnt from data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from gpudl.engine.state import state
from gpudl.engine.tensor import Tensor
from gpudl.layers.preprocessing.adapting import batches_of, is_array
from gpudl.layers.preprocessing.encoding import output_mode as mode_of
from gpudl.layers.preprocessing.fingerprints import Pair
from gpudl.layers.preprocessing.host import HostLayer, array_of
from gpudl.layers.preprocessing.vocabulary import Counts, Token, Tokens, Vocabulary, words_of_file
from gpudl.registry import Config
from gpudl.utils.checks import require_whole

_SHOWN = 5
_DERIVED = ("vocabulary_size", "vocabulary_dtype", "dtype")


class HasVocabulary(HostLayer):
    """The base of layers with a vocabulary: words with indices, behind those of a mask and of other words."""

    kind: type
    encoding = "utf-8"

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Token | None,
        oov_token: Token | None,
        vocabulary: Tokens | None = None,
        idf_weights: ArrayLike | None = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        name: str | None = None,
        salt: int | Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._check_arguments(max_tokens, num_oov_indices, pad_to_max_tokens, invert, output_mode)
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = invert
        self.output_mode = mode_of(
            self._who(), output_mode, "int", "one_hot", "multi_hot", "count", "tf_idf", sparse=sparse
        )
        self.sparse = sparse
        self.pad_to_max_tokens = pad_to_max_tokens
        if oov_method not in ("floormod", "farmhash"):
            raise ValueError(f"{self._who()}: oov_method must be 'floormod' or 'farmhash', got {oov_method!r}.")
        self.oov_method = oov_method
        self.salt = salted(self._who(), salt)
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ValueError(f"{self._who()}: idf_weights are for output_mode='tf_idf', got {output_mode!r}.")
        self._idf: np.ndarray | None = None
        self._vocabulary: Vocabulary | None = None
        self._counts = Counts()
        self._fixed = vocabulary is not None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _check_arguments(self, max_tokens: int | None, others: int, padded: bool, invert: bool, mode: str) -> None:
        who = self._who()
        require_whole(who, 0, num_oov_indices=others)
        if max_tokens is not None:
            require_whole(who, 2, max_tokens=max_tokens)
        elif padded:
            raise ValueError(f"{who}: pad_to_max_tokens=True needs max_tokens, the number of columns.")
        if invert and mode != "int":
            raise ValueError(f"{who}: invert=True returns words, so output_mode must be 'int', got {mode!r}.")

    @property
    def compute_dtype(self) -> str:  # type: ignore[override]
        """The dtype of what it is called on: ``"string"`` for text."""
        return "string" if self.kind is str and not self.invert else "int64"

    @property
    def _first_other(self) -> int:
        """The index of the first word that is not in the vocabulary, behind that of the mask."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _start(self) -> int:
        return self._first_other + self.num_oov_indices

    @property
    def _special(self) -> list[Token | None]:
        """What stands before the words in `get_vocabulary`."""
        return [self.mask_token] * self._first_other + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Token | None]:
        """Return the words in the order of their indices, behind the mask's and those of other words."""
        words = self._vocabulary.tokens if self._vocabulary is not None else ()
        return [*(self._special if include_special_tokens else []), *words]

    def vocabulary_size(self) -> int:
        """Return the number of indices, those of the mask and of other words among them."""
        return len(self.get_vocabulary())

    def set_vocabulary(self, vocabulary: Tokens, idf_weights: ArrayLike | None = None) -> None:
        """Set the words, in the order of their indices.

        Args:
            vocabulary: a sequence or an array of words, or the path of a file with one in each line. They may begin
                with what `get_vocabulary` begins with.
            idf_weights: the inverse document frequency of each, for ``output_mode="tf_idf"`` and only then.

        Raises:
            ValueError: no words, a word twice, more than `max_tokens`, the mask among the words, weights of another
                number, or a file that is not there or is not text. The words are as they were.
        """
        who = self._who()
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            needed = "needs" if self.output_mode == "tf_idf" else "takes no"
            raise ValueError(f"{who}: output_mode={self.output_mode!r} {needed} idf_weights beside the vocabulary.")
        if isinstance(vocabulary, str | PathLike):
            if state.described:
                raise ValueError(
                    f"{who}: its config names the file {fspath(vocabulary)!r} as its vocabulary, and no file that a "
                    "config names is opened. Make the layer in your program, or give it the words."
                )
            given = words_of_file(who, vocabulary, self.kind, self.encoding)
        else:
            given = self._keys(array_of(vocabulary, who)).ravel().tolist()
        if not given:
            raise ValueError(f"{who}: a vocabulary has at least one word, got {vocabulary!r}.")
        whole = given[: self._start] == self._special
        words = given[self._start :] if whole else given
        self._check_words(words)
        weights = None
        if idf_weights is not None:
            weights = np.asarray(idf_weights, np.float32)
            if weights.shape != (len(given),):
                raise ValueError(
                    f"{who}: idf_weights has shape {weights.shape}, expected one for each of the {len(given)} words."
                )
            weights = weights if whole else np.concatenate([np.full(self._start, weights.mean()), weights])
        self._take(words, weights)

    def _check_words(self, words: list[Token]) -> None:
        who, reserved = self._who(), [self.mask_token] + [self.oov_token] * self.invert
        if len(set(words)) < len(words):
            twice = list(dict.fromkeys(word for word in words if words.count(word) > 1))[:_SHOWN]
            raise ValueError(f"{who}: each word of a vocabulary stands there once, and these repeat: {twice}.")
        for token in reserved:
            if token is not None and token in words:
                raise ValueError(
                    f"{who}: {token!r} is reserved, and stands among the words, at {words.index(token)}. Leave out "
                    f"what is reserved, or begin the vocabulary with all of it: {self._special}."
                )
        if self.max_tokens is not None and self._start + len(words) > self.max_tokens:
            raise ValueError(
                f"{who}: the vocabulary has {self._start + len(words)} words with the reserved ones, more than "
                f"max_tokens={self.max_tokens}."
            )

    def _take(self, words: Iterable[Token], weights: np.ndarray | None) -> None:
        made = Vocabulary(words, self._start)
        before = self._vocabulary
        fixed_size = self.output_mode != "int" and not self.pad_to_max_tokens
        if before is not None and fixed_size and len(before.tokens) != len(made.tokens):
            raise RuntimeError(
                f"{self._who()}: the results have {len(before.tokens) + self._start} columns, and a vocabulary of "
                f"{len(made.tokens) + self._start} would change that. Make another layer, or set pad_to_max_tokens."
            )
        self._vocabulary = made
        if weights is not None:
            short = (self.max_tokens or 0) - len(weights) if self.pad_to_max_tokens else 0
            self._idf = np.pad(weights, (0, max(short, 0)))

    def adapt(self, data: object, steps: int | None = None) -> None:
        """Take the words of `data` as the vocabulary, the most frequent first.

        Args:
            data: an array or list of words, or an iterable of batches, each sample of which is one document.
            steps: how many batches of an iterable are read; all of them for None.

        Raises:
            ValueError: the layer was given a vocabulary, or the data hold something else than words.
        """
        self.reset_state()
        for batch in batches_of(self._who(), data, steps):
            words = array_of(batch, self._who())
            self.update_state(words.reshape(-1, 1) if is_array(data) and words.ndim == 1 else words)
        self.finalize_state()

    def update_state(self, data: object) -> None:
        """Count the words of a batch, each row a document; `finalize_state` makes the vocabulary of them."""
        words = self._keys(array_of(data, self._who()))
        self.count_documents(words.reshape(len(words) if words.ndim > 1 else 1, -1).tolist())

    def count_documents(self, documents: Iterable[Sequence[Token]]) -> None:
        """Count the words of documents, each a list.

        Raises:
            ValueError: the layer was given a vocabulary.
        """
        if self._fixed:
            raise ValueError(
                f"{self._who()}: adapt() learns a vocabulary, and one was given. Leave out vocabulary=, or adapt()."
            )
        self._counts.add(documents)

    def finalize_state(self) -> None:
        """Make the vocabulary of the words that were counted."""
        if self._fixed or not self._counts.document_count:
            return
        most = self.max_tokens and max(self.max_tokens - self._start, 0)
        words = self._counts.ranked((self.mask_token, self.oov_token), most)
        weights = None
        if self.output_mode == "tf_idf":
            found = self._counts.inverse_frequencies(words)
            weights = np.concatenate([np.full(self._start, found.mean() if len(found) else 0, np.float32), found])
        self._take(words, weights)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted, not the vocabulary."""
        self._counts = Counts()

    def _known(self) -> Vocabulary:
        if self._vocabulary is None:
            raise RuntimeError(
                f"{self._who()} has no vocabulary: call adapt(data) with samples of the data first, or give "
                "vocabulary=."
            )
        return self._vocabulary

    def _keys(self, words: np.ndarray) -> np.ndarray:
        """Return words as the keys of the vocabulary."""
        raise NotImplementedError

    def get_config(self) -> Config:
        """Return the arguments as plain data: the vocabulary that was given, and what results take their size from."""
        plainly = {name: plain(value) for name, value in super().get_config().items() if name != "dtype"}
        return {**plainly, **self.known_words(plainly["vocabulary"])}

    def known_words(self, given: object) -> Config:
        """Return the words, and their weights, as arguments: of a file, and those learnt on which shapes depend."""
        sized = self._vocabulary is not None and self.output_mode != "int"
        if not (isinstance(given, str | PathLike) or (given is None and sized)):
            return {}
        return {"vocabulary": self.get_vocabulary(), "idf_weights": plain(self._idf)}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a layer with the arguments of `config`, without what Keras derives from them."""
        return super().from_config({name: value for name, value in config.items() if name not in _DERIVED})

    def save_assets(self, dir_path: str | PathLike[str]) -> None:
        """Write what `adapt` has learnt to a file in a folder, one word in each line."""
        if not self._fixed:
            text = "\n".join(map(str, self.get_vocabulary()))
            (Path(dir_path) / "vocabulary.txt").write_text(text, encoding="utf-8")

    def load_assets(self, dir_path: str | PathLike[str]) -> None:
        """Read the words that `save_assets` wrote."""
        if not self._fixed:
            path = Path(dir_path) / "vocabulary.txt"
            words = words_of_file(self._who(), path, self.kind, "utf-8")
            self._take(words[self._start :], self._idf)


def plain(value: object) -> object:
    """Return an array as a list, for a config, and anything else unchanged."""
    if isinstance(value, Tensor):
        value = value.numpy()
    return value.tolist() if isinstance(value, np.ndarray) else value


def salted(who: str, salt: int | Sequence[int] | None) -> Pair | None:
    """Return the key of a hash: two integers, or one twice.

    Example:
        >>> salted("Hashing", 3)
        (3, 3)
    """
    if salt is None:
        return None
    parts = (salt, salt) if isinstance(salt, int) else tuple(salt) if isinstance(salt, list | tuple) else ()
    if len(parts) != 2 or not all(isinstance(part, int) for part in parts):
        raise ValueError(f"{who}: salt must be an integer or two of them, got {salt!r}.")
    return parts
