"""Text to indices or counts of its words."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Self, TypeAlias, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gpudl.custom_objects import get_registered_object
from gpudl.engine.symbol import OpenShape
from gpudl.engine.tree import Nest
from gpudl.layers.base.options import LayerOptions, NameLast
from gpudl.layers.preprocessing.adapting import batches_of
from gpudl.layers.preprocessing.has_vocabulary import plain
from gpudl.layers.preprocessing.host import HostLayer, array_of, each, shape_of, texts_of
from gpudl.layers.preprocessing.lookup import StringLookup
from gpudl.layers.preprocessing.vocabulary import Tokens
from gpudl.registry import Config

__all__ = ["TextVectorization"]

Words: TypeAlias = "Callable[[np.ndarray], Iterable[object]]"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # of ASCII alone, as TensorFlow has it
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_STANDARDIZE: dict[str, Callable[[str], str]] = {
    "lower": lambda text: text.translate(_LOWER),
    "strip_punctuation": lambda text: text.translate(_NO_PUNCTUATION),
    "lower_and_strip_punctuation": lambda text: text.translate(_LOWER).translate(_NO_PUNCTUATION),
}
_SPLIT: dict[str, Callable[[str], list[str]]] = {
    "whitespace": re.compile(r"[^ \t\n\r\f\v]+").findall,
    "character": list,
}


class TextVectorization(HostLayer, options=NameLast):
    """Standardize text, split it to words, and map these to indices or counts, by a vocabulary that `adapt` learns.

    Index 0 is padding, and index 1 stands for words that are not in the vocabulary; without ``output_mode="int"``
    there is no padding, and the first column is that of other words.

    Args:
        max_tokens: the most indices there are; None for any number.
        standardize: ``"lower_and_strip_punctuation"``, ``"lower"``, ``"strip_punctuation"``, None, or a function of an
            array of text that returns one.
        split: ``"whitespace"``, ``"character"``, None for words as they come along the last axis, or a function of an
            array of text that returns a list of words for each.
        ngrams: the lengths of groups of neighbouring words that are words too, a tuple, or the greatest of them.
        output_mode: ``"int"``, ``"one_hot"``, ``"multi_hot"``, ``"count"`` or ``"tf_idf"``, as for `StringLookup`.
        output_sequence_length: how many indices a sample has in the mode ``"int"``, cut off or padded by 0; None for
            those of the longest one.
        pad_to_max_tokens: whether rows have `max_tokens` columns, however many words there are.
        vocabulary: the words, or the path of a file with one in each line.
        idf_weights: the inverse document frequencies of the words, for ``output_mode="tf_idf"``.
        sparse: not supported.
        ragged: not supported: the rows of a result have one length.
        encoding: the encoding of bytes.
        **kwargs: those of `Layer`.

    Raises:
        RuntimeError: it was called before `adapt`, and no vocabulary was given.
        ValueError: an argument that is not supported, or the last axis of the text has several entries to split.

    Example:
        >>> layer = gpudl.layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
        >>> layer(np.array(["Foo qux bar!", "qux baz"])).numpy()
        array([[4, 1, 3, 0],
               [1, 2, 0, 0]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Words | None = "lower_and_strip_punctuation",
        split: str | Words | None = "whitespace",
        ngrams: int | tuple[int, ...] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Tokens | None = None,
        idf_weights: ArrayLike | None = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if ragged:
            raise ValueError(
                f"{self._who()}: ragged=True is not supported: the rows of an array have one length. Leave it out; "
                "shorter samples are padded by 0, which Embedding(mask_zero=True) leaves out."
            )
        for what, given, known in (("standardize", standardize, _STANDARDIZE), ("split", split, _SPLIT)):
            if given is not None and not callable(given) and given not in known:
                raise ValueError(
                    f"{self._who()}: {what} must be {', '.join(map(repr, known))}, None or a function, got {given!r}."
                )
        groups = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
        if groups is not None and not (isinstance(groups, tuple) and all(isinstance(n, int) for n in groups)):
            raise ValueError(f"{self._who()}: ngrams must be an integer, a tuple of integers or None, got {ngrams!r}.")
        length = output_sequence_length
        if length is not None and (output_mode != "int" or not isinstance(length, int)):
            raise ValueError(
                f"{self._who()}: output_sequence_length is an integer, and for output_mode='int' alone, got "
                f"{length!r} and {output_mode!r}."
            )
        self.standardize, self.split, self.ngrams = standardize, split, ngrams
        self.output_sequence_length = length
        self._groups = groups
        self._lookup = _Words(
            max_tokens,
            mask_token="",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            output_mode=output_mode,
            pad_to_max_tokens=pad_to_max_tokens,
            sparse=sparse,
            encoding=encoding,
            name=self.name,
        )
        self.output_mode = self._lookup.output_mode

    @property
    def compute_dtype(self) -> str:  # type: ignore[override]
        """The dtype of what it is called on, ``"string"``."""
        return "string"

    @property
    def result_dtype(self) -> str:  # type: ignore[override]
        """The dtype of the results."""
        return self._lookup.result_dtype

    def result_shape(self, input_shape: Nest[int | None]) -> OpenShape:
        """Return the shape of the results for text of `input_shape`."""
        shape = shape_of(input_shape)
        if self.split is not None:
            shape = (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), None)
        if self.output_mode != "int":
            return self._lookup.result_shape(shape)
        return (*shape[:-1], self.output_sequence_length) if self.output_sequence_length or self.split else shape

    def adapt(self, data: object, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take the words of `data` as the vocabulary, the most frequent first.

        Args:
            data: an array or list of text, or an iterable of batches; each text is a document.
            batch_size: accepted, without effect.
            steps: how many batches of an iterable are read; all of them for None.
        """
        self.reset_state()
        for batch in batches_of(self._who(), data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: object) -> None:
        """Count the words of a batch; `finalize_state` makes the vocabulary of them."""
        self._lookup.count_documents(self._documents(array_of(data, self._who()))[1])

    def finalize_state(self) -> None:
        """Make the vocabulary of the words that were counted."""
        self._lookup.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted, not the vocabulary."""
        self._lookup.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the words in the order of their indices, behind padding and other words."""
        return list(map(str, self._lookup.get_vocabulary(include_special_tokens)))

    def vocabulary_size(self) -> int:
        """Return the number of indices, those of padding and of other words among them."""
        return self._lookup.vocabulary_size()

    def set_vocabulary(self, vocabulary: Tokens, idf_weights: ArrayLike | None = None) -> None:
        """Set the words, as `StringLookup.set_vocabulary`."""
        self._lookup.set_vocabulary(vocabulary, idf_weights)

    def call(self, inputs: np.ndarray) -> np.ndarray:
        """Return indices, or what `output_mode` makes of them."""
        shape, documents = self._documents(inputs)
        if self.output_mode == "one_hot" and self.split is None:
            return self._lookup.call(np.array(documents, object).reshape(*shape, -1))
        if self.output_mode == "one_hot":
            raise ValueError(
                f"{self._who()}: output_mode='one_hot' needs split=None: the words of a text are several rows. Use "
                "'multi_hot'."
            )
        if self.output_mode != "int":
            return self._lookup.encoded_documents(documents).reshape(*shape, -1)
        length = self.output_sequence_length
        length = max(map(len, documents), default=0) if length is None else length
        padded = [[*words[:length], *[""] * (length - len(words))] for words in documents]
        words = np.array(padded, object).reshape(*shape, length)
        return self._lookup.indices(words) if words.size else np.zeros(words.shape, np.int64)

    def _documents(self, inputs: np.ndarray) -> tuple[tuple[int, ...], list[list[str]]]:
        """Return the words of each text, and the shape of the array of texts."""
        texts = texts_of(inputs, self._who(), self._lookup.encoding)
        if callable(self.standardize):
            texts = texts_of(np.asarray(self.standardize(texts.astype(str))), self._who())
        elif self.standardize is not None:
            texts = each(_STANDARDIZE[self.standardize], texts, object)
        if self.split is None:
            rows = texts.reshape(-1, texts.shape[-1]) if texts.ndim > 1 else texts.reshape(-1, 1)
            shape, documents = texts.shape[:-1] if texts.ndim > 1 else texts.shape, rows.tolist()
        else:
            texts = self._one_each(texts)
            shape, documents = texts.shape, self._split(texts)
        groups = self._groups
        return shape, documents if groups is None else [_grouped(words, groups) for words in documents]

    def _one_each(self, texts: np.ndarray) -> np.ndarray:
        if texts.ndim > 1 and texts.shape[-1] != 1:
            raise ValueError(
                f"{self._who()} splits one text of each sample: the last axis must be 1, got shape {texts.shape}. "
                "Join them, or give split=None for words."
            )
        return texts[..., 0] if texts.ndim > 1 else texts

    def _split(self, texts: np.ndarray) -> list[list[str]]:
        if not callable(self.split):
            return list(map(_SPLIT[str(self.split)], texts.ravel().tolist()))
        found = self.split(texts.ravel().astype(str))
        return [texts_of(np.asarray(words, object), self._who()).ravel().tolist() for words in found]

    def get_config(self) -> Config:
        """Return the arguments as plain data: the vocabulary that was given, and what results take their size from."""
        plainly = {name: plain(value) for name, value in super().get_config().items()}
        return {**plainly, **self._lookup.known_words(plainly["vocabulary"])}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return a layer with the arguments of `config`, functions by the names under which they were registered."""
        given = {name: value for name, value in config.items() if name != "vocabulary_size"}
        for name, known in (("standardize", _STANDARDIZE), ("split", _SPLIT)):
            value = given.get(name)
            if isinstance(value, str) and value not in known:
                given[name] = get_registered_object(value) or value
        if isinstance(given.get("ngrams"), list):
            given["ngrams"] = tuple(given["ngrams"])
        return super().from_config(given)

    def save_assets(self, dir_path: str | PathLike[str]) -> None:
        """Write what `adapt` has learnt to a file in a folder, one word in each line."""
        self._lookup.save_assets(dir_path)

    def load_assets(self, dir_path: str | PathLike[str]) -> None:
        """Read the words that `save_assets` wrote."""
        self._lookup.load_assets(dir_path)


class _Words(StringLookup):
    def _who(self) -> str:
        return f'TextVectorization "{self.name}"'


def _grouped(words: Sequence[str], lengths: tuple[int, ...]) -> list[str]:
    """Return all groups of neighbouring words of these lengths, each joined by spaces."""
    return [" ".join(words[at : at + n]) for n in lengths for at in range(len(words) - n + 1)]
