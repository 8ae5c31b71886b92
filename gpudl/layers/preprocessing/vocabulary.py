"""The words of a lookup layer, and what is counted until they are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

import numpy as np

Token: TypeAlias = "str | int"
Tokens: TypeAlias = "Sequence[Token] | np.ndarray | str | PathLike[str]"
"""Words: a sequence or an array of them, or the path of a file with one in each line."""


class Vocabulary:
    """Words and their indices, which begin at `start`.

    Example:
        >>> words = Vocabulary(["and", "or"], 1)
        >>> words.index["or"], words.tokens
        (2, ('and', 'or'))
    """

    def __init__(self, tokens: Iterable[Token], start: int) -> None:
        self.tokens = tuple(tokens)
        self.start = start
        self.index = {token: number for number, token in enumerate(self.tokens, start)}

    def at(self, index: int, other: Token | None) -> Token | None:
        """Return the word with an index, and `other` for an index that none has."""
        number = index - self.start
        return self.tokens[number] if 0 <= number < len(self.tokens) else other


class Counts:
    """How often words were seen, and in how many documents."""

    def __init__(self) -> None:
        self.tokens: Counter[Token] = Counter()
        self.documents: Counter[Token] = Counter()
        self.document_count = 0

    def add(self, documents: Iterable[Sequence[Token]]) -> None:
        """Count the words of documents."""
        documents = list(documents)
        self.tokens.update(chain.from_iterable(documents))
        self.documents.update(chain.from_iterable(map(set, documents)))
        self.document_count += len(documents)

    def ranked(self, without: Iterable[Token | None], most: int | None) -> list[Token]:
        """Return the words, the most frequent first, and of those the last in the order of their bytes first."""
        left = [(n, token) for token, n in self.tokens.items() if token not in set(without)]
        key = {token: token.encode() if isinstance(token, str) else token for _, token in left}
        left.sort(key=lambda item: (item[0], key[item[1]]), reverse=True)
        return [token for _, token in left[:most]]

    def inverse_frequencies(self, tokens: Sequence[Token]) -> np.ndarray:
        """Return log(1 + documents / (1 + documents with the word)) for each word."""
        found = np.array([self.documents[token] for token in tokens], np.float64)
        return np.log(1 + self.document_count / (1 + found)).astype(np.float32)


def words_of_file(who: str, path: str | PathLike[str], kind: type, encoding: str) -> list[Token]:
    """Return the words of a file, one from each line.

    Raises:
        ValueError: there is no such file, it is not text in the encoding, or a line is no integer where all must be.
    """
    file = Path(fspath(path))
    if not file.is_file():
        raise ValueError(f"{who}: there is no vocabulary file {fspath(path)!r}. It has one word in each line.")
    try:
        text = file.read_bytes().decode(encoding)
        if "\0" in text:
            raise ValueError("there is a byte of zero in it")
        lines = text.split("\n")
        lines = [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
        return [kind(line) for line in lines]
    except ValueError as error:
        wanted = "whole numbers" if kind is int else f"text in the encoding {encoding!r}"
        raise ValueError(
            f"{who}: the vocabulary file {fspath(path)!r} is not {wanted}, one in each line: {error}."
        ) from error
