"""What preprocessing layers of tables and text refuse, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpudl import layers
from gpudl.layers.preprocessing.fingerprints import farm_hash, sip_hash

String, Integer, Text = layers.StringLookup, layers.IntegerLookup, layers.TextVectorization
WORD = np.array(["a"])

CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "an unknown word without an index": (
        lambda: String(vocabulary=["a"], num_oov_indices=0)(["a", "zebra"]),
        r"\['zebra'\] are not in the vocabulary, and there is no index for other words\. Set num_oov_indices=1",
    ),
    "an unknown integer without an index": (
        lambda: Integer(vocabulary=[1], num_oov_indices=0)([1, 9]),
        r"\[9\] are not in the vocabulary, and there is no index",
    ),
    "no adapt": (lambda: String()(WORD), r'StringLookup "string_lookup\w*" has no vocabulary: call adapt\(data\)'),
    "no adapt of text": (lambda: Text()(WORD), r'TextVectorization "text_\w+" has no vocabulary: call adapt\(data\)'),
    "no adapt for columns": (lambda: Integer(output_mode="count")([1]), r"has no vocabulary: call adapt\(data\)"),
    "no adapt of bins": (lambda: layers.Discretization(num_bins=2)([1.0]), r"has no boundaries: call adapt\(data\) "),
    "adapt with a vocabulary": (
        lambda: String(vocabulary=["a"]).adapt(WORD),
        r"adapt\(\) learns a vocabulary, and one was given\. Leave out vocabulary=, or adapt\(\)",
    ),
    "adapt with boundaries": (
        lambda: layers.Discretization([0.0]).adapt(np.ones(3)),
        r"adapt\(\) learns boundaries, and bin_boundaries were given\. Give num_bins",
    ),
    "adapt with means": (
        lambda: layers.Normalization(mean=0.0, variance=1.0).adapt(np.ones((3, 1))),
        r"adapt\(\) learns mean and variance, and they were given",
    ),
    "adapt on one number": (lambda: String().adapt(3), r"takes an array, a list of values, or an iterable of batches"),
    "adapt on nothing": (lambda: layers.Normalization().adapt(iter([])), r"needs data, and the iterable had no batch"),
    "adapt on no numbers": (lambda: layers.Discretization(num_bins=2).adapt(np.ones(0)), r"the data had none"),
    "adapt on another shape": (
        lambda: layers.Normalization().adapt(iter([np.ones((2, 3)), np.ones((2, 4))])),
        r"adapt\(\) got data of shape \(2, 4\), expected \(None, 3\)",
    ),
    "numbers for text": (lambda: String(vocabulary=["a"])([1]), r"takes text, got dtype int64\. Convert numbers first"),
    "text for numbers": (
        lambda: Integer(vocabulary=[1])(WORD),
        r"takes integers, got dtype <U1\. StringLookup takes text",
    ),
    "an object": (lambda: String(vocabulary=["a"])(np.array([None])), r"takes text, got None of type NoneType"),
    "other bytes": (lambda: String(vocabulary=["a"])(np.array([b"\xff"])), r"in the encoding 'utf-8', got b'\\xff'"),
    "a word twice": (lambda: String(vocabulary=["a", "a"]), r"stands there once, and these repeat: \['a'\]"),
    "a mask among words": (
        lambda: String(vocabulary=["a", ""], mask_token=""),
        r"'' is reserved, and stands among the words, at 1\. .*all of it: \['', '\[UNK\]'\]",
    ),
    "no words": (lambda: String(vocabulary=[]), r"a vocabulary has at least one word, got \[\]"),
    "too many words": (lambda: String(3, vocabulary=["a", "b", "c"]), r"has 4 words .*more than max_tokens=3"),
    "weights in another mode": (lambda: String(idf_weights=[1.0]), r"idf_weights are for output_mode='tf_idf'"),
    "no weights": (lambda: String(vocabulary=["a"], output_mode="tf_idf"), r"needs idf_weights beside the vocabulary"),
    "other weights": (
        lambda: String(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1.0, 2.0]),
        r"idf_weights has shape \(2,\), expected one for each of the 1 words",
    ),
    "an unknown mode": (
        lambda: String(output_mode="hot"),
        r"output_mode must be one of 'int', 'one_hot', .* got 'hot'",
    ),
    "sparse": (lambda: layers.CategoryEncoding(3, sparse=True), r"sparse=True is not supported: the result is a dense"),
    "ragged": (lambda: Text(ragged=True), r"ragged=True is not supported: the rows of an array have one length"),
    "inverted columns": (lambda: String(invert=True, output_mode="count"), r"output_mode must be 'int', got 'count'"),
    "padding without a size": (lambda: String(pad_to_max_tokens=True), r"pad_to_max_tokens=True needs max_tokens"),
    "a small size": (lambda: String(max_tokens=1), r"max_tokens must be a whole number of at least 2, got 1"),
    "negative indices": (lambda: Integer(num_oov_indices=-1), r"num_oov_indices must be a whole number of at least 0"),
    "an unknown method": (lambda: Integer(oov_method="md5"), r"oov_method must be 'floormod' or 'farmhash', got 'md5'"),
    "a salt without a hash": (lambda: Integer(salt=3), r"salt is for oov_method='farmhash'"),
    "a salt of text": (lambda: layers.Hashing(3, salt="a"), r"salt must be an integer or two of them, got 'a'"),
    "an unknown way to split": (
        lambda: Text(split="words"),
        r"split must be 'whitespace', 'character', None or a func",
    ),
    "an unknown standard": (lambda: Text(standardize="upper"), r"standardize must be 'lower', .*None or a function"),
    "groups of text": (lambda: Text(ngrams="two"), r"ngrams must be an integer, a tuple of integers or None"),
    "a length of rows": (lambda: Text(output_mode="count", output_sequence_length=3), r"for output_mode='int' alone"),
    "several texts": (
        lambda: Text(vocabulary=["a"])([["a", "b"]]),
        r"splits one text of each sample: the last axis must be 1, got shape \(1, 2\)",
    ),
    "no categories": (
        layers.CategoryEncoding,
        r"needs num_tokens, the number of categories\. .*IntegerLookup",
    ),
    "weights of no count": (
        lambda: layers.CategoryEncoding(3)([0, 1], count_weights=[1.0, 2.0]),
        r"count_weights are for output_mode='count', got 'multi_hot'",
    ),
    "neither bins nor boundaries": (layers.Discretization, r"needs either bin_boundaries or num_bins"),
    "bins of floats": (
        lambda: layers.Hashing(3, dtype="float32"),
        r"needs the dtype 'int32' or 'int64', got 'float32'",
    ),
    "one feature to cross": (lambda: layers.HashedCrossing(3)([WORD]), r"takes a list of at least two arrays"),
    "crossed shapes": (lambda: layers.HashedCrossing(3)([WORD, ["a", "b"]]), r"of one shape, .* got \(1,\), \(2,\)"),
    "crossed floats": (lambda: layers.HashedCrossing(3)([WORD, [0.5]]), r"takes text or integers, got dtype float64"),
    "one moment": (lambda: layers.Normalization(mean=1.0), r"needs both mean and variance, of one shape, or neither"),
    "a mean of more axes": (
        lambda: layers.Normalization(axis=None, mean=[1.0], variance=[1.0]),
        r"mean has 1 axes, expected at most those of axis=\(\), 0",
    ),
    "an axis that is not there": (
        lambda: layers.Normalization(axis=3)(np.ones((2, 2))),
        r"axis=\(3,\) is out of range",
    ),
    "rows of other lengths": (lambda: String(vocabulary=["a"])([["a"], ["a", "b"]]), r"and rows of one length in it"),
}


@pytest.mark.parametrize(("call", "said"), CALLS.values(), ids=CALLS)
def test_what_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=said):
        call()


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"\x89PNG\xff\xfe", String, r"is not text in the encoding 'utf-8', one in each line: .*can't decode"),
        (b"a\x00b\n", String, r"is not text in the encoding 'utf-8', one in each line: there is a byte of zero"),
        (b"1\ntwo\n", Integer, r"is not whole numbers, one in each line: invalid literal .*'two'"),
        (None, String, r"there is no vocabulary file '.*words\.txt'\. It has one word in each line"),
    ],
    ids=["a picture", "zeros", "text for integers", "no file"],
)
def test_files_that_are_no_vocabulary(content: bytes | None, kind: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        kind(vocabulary=str(file))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_vocabulary_of_a_file(ending: str, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(ending.join(["bee", "élan", "two words", ""]).encode())
    assert String(vocabulary=file).get_vocabulary() == ["[UNK]", "bee", "élan", "two words"]
    file.write_text("4\n-7\n")
    assert Integer(vocabulary=str(file))([-7, 0]).numpy().tolist() == [2, 0]


def test_a_vocabulary_of_other_size_is_refused_where_columns_are_counted() -> None:
    layer = String(output_mode="multi_hot")
    layer.adapt(["a", "b"])
    with pytest.raises(RuntimeError, match=r"the results have 3 columns, and a vocabulary of 2 would change that"):
        layer.adapt(["a"])
    assert layer.get_vocabulary() == ["[UNK]", "b", "a"]


def test_learnt_words_are_written_and_read(tmp_path: Path) -> None:
    for layer in (String(), Text(), Integer()):
        layer.adapt([3, 5, 5] if isinstance(layer, Integer) else ["b", "a", "b"])
        layer.save_assets(tmp_path)
        other = type(layer).from_config(layer.get_config())
        other.load_assets(tmp_path)
        assert other.get_vocabulary() == layer.get_vocabulary()


def test_functions_standardize_and_split() -> None:
    layer = Text(standardize=np.char.upper, split=lambda texts: [text.split("-") for text in texts])
    layer.adapt(["a-b", "b"])
    assert layer.get_vocabulary() == ["", "[UNK]", "B", "A"]
    assert layer(["a-c-b"]).numpy().tolist() == [[3, 1, 2]]


def test_fingerprints_never_change() -> None:
    """The first hashes are those that FarmHash's and SipHash's own specifications have."""
    found = [farm_hash(b"a" * size) for size in (0, 1, 5, 10, 20, 40, 100)]
    assert [f"{value:016x}" for value in found] == [
        *("9ae16a3b2f90404f", "b3454265b6df75e3", "4abac566d60d37b7", "94be3abb0e2b6525"),
        *("d1128f7d2cdb832e", "1e17b601e177e8ef", "b68c63a9774614ea"),
    ]
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert sip_hash(bytes(range(15)), key) == 0xA129CA6149BE45E5
