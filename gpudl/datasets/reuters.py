"""Reuters: newswires on 46 topics, as numbers of words."""

import os

import numpy as np

from gpudl.datasets._source import Source, load
from gpudl.datasets._texts import Part, begun, limited, mixed, objects, read_texts, read_words, shorter

_FOLDER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
SOURCE = Source(
    "reuters.npz", (f"{_FOLDER}reuters.npz",), "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
)
WORDS = Source(
    "reuters_word_index.json", (f"{_FOLDER}reuters_word_index.json",), None, md5="4d44cc38712099c9e383dc6e5f11a921"
)
_TOPICS = """
cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass crude
nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi iron-steel rubber
heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


def load_data(
    path: str | os.PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Part, Part]:
    """Return 11,228 newswires, as lists of numbers of words, the most frequent word first.

    Args:
        path: a file of your own, if it is absolute or exists; else a name below the ``datasets`` folders.
        num_words: keep the words with numbers below this one.
        skip_top: leave out the words with numbers below this one.
        maxlen: leave out newswires of this many words or more.
        test_split: the share of newswires for testing.
        seed: of the order of the newswires.
        start_char: the number in front of each newswire; None for nothing.
        oov_char: what stands for words that are left out; None for nothing.
        index_from: what is added to the number of each word; 0 is for padding.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: arrays of lists, and of labels, the numbers of `get_label_names`.

    Raises:
        ValueError: no newswire is shorter than `maxlen`.
        DatasetUnavailable: when the file is in no place and at no address.
    """
    ((x, y),) = load(SOURCE, lambda file: read_texts(file, ("x", "y")), path)
    x, y = mixed(x, y, np.random.RandomState(seed))
    x, y = shorter(begun(x, start_char, index_from), y, maxlen)
    words = limited(x, num_words, skip_top, oov_char)
    at = int(len(words) * (1 - test_split))
    return (objects(words[:at]), y[:at]), (objects(words[at:]), y[at:])


def get_word_index(path: str | os.PathLike[str] = "reuters_word_index.json") -> dict[str, int]:
    """Return the number of each word, without the 3 that `load_data` adds.

    Raises:
        DatasetUnavailable: when the file is in no place and at no address.
    """
    return load(WORDS, read_words, path)


def get_label_names() -> tuple[str, ...]:
    """Return the names of the 46 topics, in the order of their numbers.

    Example:
        >>> get_label_names()[:3]
        ('cocoa', 'grain', 'veg-oil')
    """
    return tuple(_TOPICS.split())
