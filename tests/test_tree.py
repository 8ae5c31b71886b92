"""`gpudl.tree` beside `keras.tree`, and its errors."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from types import ModuleType

import pytest
from keras_peer import keras_or_skip, parity

from gpudl import tree

Pair = namedtuple("Pair", "x y")
NESTS = [
    *(
        1,
        None,
        "text",
        [],
        {},
        (),
        [[], {}, ()],
        {"b": 1, "a": (2, None, [3])},
        Pair(1, [2]),
        [1, {"a": Pair(2, None)}],
    ),
    *(OrderedDict(b=1, a=[2]), defaultdict(int, {"b": 1, "a": 2}), {2: 1, 1: [2]}, {"a": 1, 2: 3}, {1}),
]


def doubled(part: object) -> object:
    return 2 * part if isinstance(part, int | list) else None


CALLS: dict[str, Callable[[ModuleType, object], object]] = {
    "is_nested": lambda of, nest: of.is_nested(nest),
    "flatten": lambda of, nest: of.flatten(nest),
    "flatten_with_path": lambda of, nest: of.flatten_with_path(nest),
    "lists_to_tuples": lambda of, nest: of.lists_to_tuples(nest),
    "map_structure": lambda of, nest: of.map_structure(lambda leaf, other: (leaf, other), nest, nest),
    "none stays": lambda of, nest: of.map_structure(lambda leaf: "leaf", nest, none_is_leaf=False),
    "map_structure_up_to": lambda of, nest: of.map_structure_up_to([0, 0], repr, [nest, nest]),
    "map_shape_structure": lambda of, nest: of.map_shape_structure(repr, nest),
    "pack_sequence_as": lambda of, nest: of.pack_sequence_as(nest, range(len(of.flatten(nest)))),
    "traverse": lambda of, nest: of.traverse(doubled, nest),
    "from below": lambda of, nest: of.traverse(doubled, nest, top_down=False),
    "to none": lambda of, nest: of.traverse(lambda part: of.MAP_TO_NONE if part == 1 else None, nest),
}


@parity
@pytest.mark.parametrize("name", CALLS)
def test_results_are_those_of_keras(name: str) -> None:
    keras = keras_or_skip()
    for nest in NESTS:
        got, wanted = CALLS[name](tree, nest), CALLS[name](keras.tree, nest)
        assert (type(got), repr(got)) == (type(wanted), repr(wanted)), nest


@parity
@pytest.mark.parametrize("check", ["assert_same_structure", "assert_same_paths"])
def test_the_same_structures_are_taken_as_by_keras(check: str) -> None:
    keras = keras_or_skip()
    for one in NESTS:
        for other in [*NESTS, (1,), [2], {"a": 1, "b": (1,)}]:
            refused = []
            for module in (keras.tree, tree):
                try:
                    getattr(module, check)(one, other)
                    refused.append(False)
                except ValueError:
                    refused.append(True)
            assert refused[0] == refused[1], (one, other)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tree.pack_sequence_as([1, 2], [1]), "pack_sequence_as: the structure has 2 leaves, got 1."),
        (
            lambda: tree.assert_same_structure({"a": [1, (2,)]}, {"a": [1, [2]]}),
            "the structures differ at ['a'][1]: expected one like (2,), got [2].",
        ),
        (lambda: tree.map_structure(max, [1], [1, 2]), "the structures differ: expected one like [1], got [1, 2]."),
        (
            lambda: tree.map_structure(len),
            "map_structure: expected at least one structure, got none.",
        ),
        (
            lambda: tree.map_structure_up_to([0, [0]], len, [1, 2]),
            "the structures differ: expected one like [0], got 2.",
        ),
        (
            lambda: tree.assert_same_paths({"a": 1}, [1]),
            "the structures have different paths: only the first has [('a',)], only the second [(0,)].",
        ),
    ],
)
def test_an_error_says_where_the_structures_differ(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the whole text is compared)
        call()
    assert str(error.value) == text
