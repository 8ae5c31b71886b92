"""The page on Keras's names says what is true of the two packages; and what finds the differences finds them."""

from __future__ import annotations

import pytest
from keras_names import HOW, PAGE, Compared, reason, unused_reasons, written
from keras_peer import keras_or_skip, parity
from keras_signatures import methods_that_differ, signature_difference


@parity
def test_the_page_is_what_the_two_packages_give() -> None:
    keras_or_skip()
    _, text = written()
    assert PAGE.read_text("utf-8") == text, f"names have changed since docs/keras.md was written: run `{HOW}`"


def test_an_absent_name_needs_a_reason() -> None:
    assert reason("layers.MelSpectrogram") == "comes with audio"
    with pytest.raises(LookupError, match=r"keras\.no_such is not in gpudl: say why in ABSENT"):
        reason("no_such")


def test_reasons_for_names_that_are_there_are_found() -> None:
    found = {"layers": Compared(same=["LSTM"], absent={"comes with audio": ["MelSpectrogram"]})}
    unused = unused_reasons(found)
    assert {"wrappers.*", "distribution.*", "models.Model"} <= unused
    assert "layers.*Spectrogram" not in unused


def theirs(a: int, b: int = 1, *, c: float = 2.0) -> None: ...


def renamed(x: int, b: int = 1, *, c: float = 2.0) -> None: ...
def swapped(b: int, a: int = 1, *, c: float = 2.0) -> None: ...
def lacking(a: int, c: float = 3.0) -> None: ...
def keyword(a: int, *, b: int, c: float = 2.0) -> None: ...
def wider(a: int = 0, b: int = 1, c: float = 2, d: int = 0) -> None: ...


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (theirs, ""),
        (wider, ""),
        (lambda *args, **kwargs: None, ""),
        (renamed, "a is called x"),
        (swapped, "in the order b, a; b must be given"),
        (lacking, "without b; c=3.0 instead of 2.0"),
        (keyword, "b by keyword only; b must be given"),
    ],
)
def test_a_difference_of_signatures_is_said(ours: object, said: str) -> None:
    assert signature_difference(theirs, ours) == said


def test_a_difference_of_methods_is_said() -> None:
    base = type("Base", (), {"__module__": "keras.base", "handed": theirs})
    one = type("One", (base,), {"__module__": "keras.one", "kept": theirs, "gone": theirs, "other": theirs})
    two = type("Two", (), {"kept": theirs, "other": lacking})
    assert methods_that_differ(one, two, {base, one}) == "no gone; other(): without b; c=3.0 instead of 2.0"
    assert methods_that_differ(one, two, {one}) == "no gone, handed; other(): without b; c=3.0 instead of 2.0"
