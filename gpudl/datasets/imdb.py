"""IMDB: reviews of films, good or bad, as numbers of words (Maas et al., 2011)."""

import os

import numpy as np

from gpudl.datasets._source import Source, load
from gpudl.datasets._texts import Part, begun, limited, mixed, objects, read_texts, read_words, shorter

_FOLDER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
SOURCE = Source("imdb.npz", (f"{_FOLDER}imdb.npz",), "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f")
WORDS = Source(
    "imdb_word_index.json", (f"{_FOLDER}imdb_word_index.json",), None, md5="bfafd718b763782e994055a2d397834f"
)


def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Part, Part]:
    """Return 25,000 training and 25,000 test reviews, as lists of numbers of words, the most frequent word first.

    Args:
        path: a file of your own, if it is absolute or exists; else a name below the ``datasets`` folders.
        num_words: keep the words with numbers below this one.
        skip_top: leave out the words with numbers below this one.
        maxlen: leave out reviews of this many words or more.
        seed: of the order of the reviews.
        start_char: the number in front of each review; None for nothing.
        oov_char: what stands for words that are left out; None for nothing.
        index_from: what is added to the number of each word; 0 is for padding.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: arrays of lists, and of labels, 1 for good and 0 for bad.

    Raises:
        ValueError: no review is shorter than `maxlen`.
        DatasetUnavailable: when the file is in no place and at no address.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data(num_words=10_000)  # doctest: +SKIP
        >>> x_train.shape  # doctest: +SKIP
        (25000,)
    """
    parts = load(SOURCE, lambda file: read_texts(file, ("x_train", "y_train"), ("x_test", "y_test")), path)
    rng = np.random.RandomState(seed)
    texts, labels = [], []
    for x, y in [mixed(x, y, rng) for x, y in parts]:
        kept, kept_labels = shorter(begun(x, start_char, index_from), y, maxlen)
        texts.append(kept)
        labels.append(kept_labels)
    words = limited(texts[0] + texts[1], num_words, skip_top, oov_char)
    at = len(texts[0])
    return (objects(words[:at]), labels[0]), (objects(words[at:]), labels[1])


def get_word_index(path: str | os.PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """Return the number of each word, without the 3 that `load_data` adds.

    Raises:
        DatasetUnavailable: when the file is in no place and at no address.
    """
    return load(WORDS, read_words, path)
