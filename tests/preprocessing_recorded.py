"""What Keras's preprocessing layers of tables and text return for drawn arguments, recorded once in a file of JSON.

Keras computes them by TensorFlow, which the tests do not need: `KERAS_BACKEND=tensorflow python
tests/preprocessing_recorded.py` writes the file again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")
WORDS = [
    "ant",
    "bee",
    "cow",
    "dog",
    "élan",
    "Fox",
    "gnu",
    "[UNK]",
    "",
    "a longer word that has more than sixty-four bytes in it, all told",
]
TEXTS = ["The ant, the bee;  and\tthe cow.", "Élan! a FOX", "", "bee bee-bee", "cow dog ant", "über_alles 'x'"]
MODES = ("int", "one_hot", "multi_hot", "count")

Draw = Callable[[random.Random], dict[str, Any]]


def lookup(draw: random.Random, words: list[Any], mask: Any, other: Any) -> dict[str, Any]:
    known = [word for word in words if word not in (mask, other)]
    mode = draw.choice([*MODES, "tf_idf", "tf_idf"])
    kwargs: dict[str, Any] = {"output_mode": mode, "num_oov_indices": draw.choice([0, 1, 1, 2, 5])}
    if draw.random() < 0.5:
        kwargs["mask_token"] = mask
    start = kwargs["num_oov_indices"] + (mode == "int" and "mask_token" in kwargs)
    if draw.random() < 0.3:
        kwargs["max_tokens"] = max(start + 4, 2)
        kwargs["pad_to_max_tokens"] = draw.random() < 0.5
    given = draw.random() < 0.5
    seen = draw.sample(known, 4)
    case: dict[str, Any] = {"kwargs": kwargs}
    if given:
        kwargs["vocabulary"] = seen
        if mode == "tf_idf":
            kwargs["idf_weights"] = [round(draw.random(), 2) for _ in seen]
    else:
        case["adapt"] = [[draw.choice(seen) for _ in range(3)] for _ in range(5)]
    pool = seen if kwargs["num_oov_indices"] == 0 and (given or "max_tokens" not in kwargs) else [*seen, *words]
    if not given and kwargs["num_oov_indices"] == 0:
        pool = [word for row in case["adapt"] for word in row][:1] if "max_tokens" not in kwargs else case["adapt"][0]
    case["inputs"] = nested(draw, pool)
    if mode == "int" and draw.random() < 0.4:
        kwargs["invert"] = True
        case["inputs"] = nested(draw, list(range(7)))
    return case


def nested(draw: random.Random, pool: list[Any]) -> Any:
    shape = draw.choice([(3,), (2, 1), (2, 3)])
    return [
        draw.choice(pool) if len(shape) == 1 else [draw.choice(pool) for _ in range(shape[1])] for _ in range(shape[0])
    ]


def string_lookup(draw: random.Random) -> dict[str, Any]:
    case = lookup(draw, WORDS, "", "[UNK]")
    if draw.random() < 0.3:
        case["kwargs"]["salt"] = draw.choice([7, [3, 2**40]])
    return case


def integer_lookup(draw: random.Random) -> dict[str, Any]:
    case = lookup(draw, [4, 0, -1, 17, 256, -9, 10**12, 33], 0, -1)
    method = draw.choice(["floormod", "farmhash"])
    case["kwargs"]["oov_method"] = method
    if method == "farmhash" and draw.random() < 0.5:
        case["kwargs"]["salt"] = [3, 4]
    return case


def text_vectorization(draw: random.Random) -> dict[str, Any]:
    mode = draw.choice(["int", "int", "multi_hot", "count", "tf_idf"])
    kwargs: dict[str, Any] = {
        "output_mode": mode,
        "standardize": draw.choice(["lower_and_strip_punctuation", "lower", "strip_punctuation", None]),
        "split": draw.choice(["whitespace", "whitespace", "character", None]),
        "ngrams": draw.choice([None, None, 2, (2, 3), (1, 3)]),
    }
    if mode == "int" and draw.random() < 0.5:
        kwargs["output_sequence_length"] = draw.choice([2, 5])
    if draw.random() < 0.3:
        kwargs["max_tokens"] = 6
        kwargs["pad_to_max_tokens"] = draw.random() < 0.5
    case: dict[str, Any] = {"kwargs": kwargs}
    if draw.random() < 0.4:
        kwargs["vocabulary"] = ["ant", "bee", "the", "cow"]
        if mode == "tf_idf":
            kwargs["idf_weights"] = [0.5, 0.25, 1.0, 2.0]
    else:
        case["adapt"] = draw.sample(TEXTS, 4)
    shape = draw.choice([(3,), (2, 1)])
    case["inputs"] = [draw.choice(TEXTS) if len(shape) == 1 else [draw.choice(TEXTS)] for _ in range(shape[0])]
    return case


def hashing(draw: random.Random) -> dict[str, Any]:
    values = draw.choice([WORDS, [0, 3, -8, 10**12, 55], [0.5, 3.9, -2.5]])
    kwargs = {"num_bins": draw.choice([1, 2, 7, 1000]), "output_mode": draw.choice(MODES)}
    if kwargs["num_bins"] == 1000:
        kwargs["output_mode"] = "int"
    if draw.random() < 0.4:
        kwargs["mask_value"] = values[0] if values[0] != 0.5 else 0.5
    if draw.random() < 0.4:
        kwargs["salt"] = draw.choice([133, [137, 138]])
    return {"kwargs": kwargs, "inputs": nested(draw, values)}


def hashed_crossing(draw: random.Random) -> dict[str, Any]:
    shape = draw.choice([(3,), (3, 1)])
    columns = [draw.choice([WORDS, [0, 3, -8, 10**12, 55]]) for _ in range(draw.choice([2, 3]))]
    inputs = [[draw.choice(c) if len(shape) == 1 else [draw.choice(c)] for _ in range(3)] for c in columns]
    return {
        "kwargs": {"num_bins": draw.choice([1, 5, 1000 * (shape == (3,)) or 9]), "output_mode": "int"},
        "inputs": inputs,
    }


def category_encoding(draw: random.Random) -> dict[str, Any]:
    mode = draw.choice(MODES[1:])
    case = {"kwargs": {"num_tokens": draw.choice([3, 5]), "output_mode": mode}, "inputs": nested(draw, [0, 1, 2])}
    if mode == "count" and draw.random() < 0.5:
        case["count_weights"] = [
            [draw.choice([0.5, 2.0]) for _ in row] if isinstance(row, list) else 0.5 for row in case["inputs"]
        ]
    return case


def discretization(draw: random.Random) -> dict[str, Any]:
    numbers = [round(draw.gauss(0, 3), 2) for _ in range(draw.choice([12, 400]))]
    kwargs: dict[str, Any] = {"output_mode": draw.choice(MODES)}
    case: dict[str, Any] = {"kwargs": kwargs, "inputs": nested(draw, [-2.0, 0.0, 0.5, 1.0, 7.0])}
    if draw.random() < 0.4:
        kwargs["bin_boundaries"] = draw.choice([[0.0], [-1.0, 0.5, 1.0]])
        return case
    kwargs |= {"num_bins": draw.choice([2, 3, 10]), "epsilon": draw.choice([0.01, 0.1])}
    half = len(numbers) // 2
    case["batches"] = [numbers[:half], numbers[half:]] if draw.random() < 0.5 else [numbers]
    return case


def normalization(draw: random.Random) -> dict[str, Any]:
    shape = draw.choice([(4, 3), (3, 2, 3)])
    axis = draw.choice([-1, None, [-1], *([[1, 2], 1] if len(shape) == 3 else [1])])
    kwargs: dict[str, Any] = {"axis": axis, "invert": draw.random() < 0.3}

    def numbers(*sizes: int) -> Any:
        return [numbers(*sizes[1:]) for _ in range(sizes[0])] if sizes else round(draw.gauss(1, 3), 2)

    case: dict[str, Any] = {"kwargs": kwargs, "inputs": numbers(*shape)}
    if draw.random() < 0.3:
        size = [] if axis is None else [shape[axis if isinstance(axis, int) else axis[-1]]]
        kwargs |= {"mean": numbers(*size), "variance": 4.0 if not size else [4.0] * size[0]}
    elif draw.random() < 0.8:
        case["batches"] = [numbers(*shape) for _ in range(draw.choice([1, 2]))]
    return case


LAYERS: dict[str, Draw] = {
    "StringLookup": string_lookup,
    "IntegerLookup": integer_lookup,
    "TextVectorization": text_vectorization,
    "Hashing": hashing,
    "HashedCrossing": hashed_crossing,
    "CategoryEncoding": category_encoding,
    "Discretization": discretization,
    "Normalization": normalization,
}
COUNT = 24


def array(value: Any) -> Any:
    import numpy as np

    found = np.array(value)
    return found.astype(np.float32) if found.dtype == np.float64 else found


def given(case: dict[str, Any]) -> Any:
    """Return the inputs of a case as arrays."""
    return [array(v) for v in case["inputs"]] if case["layer"] == "HashedCrossing" else array(case["inputs"])


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a case, lists for tuples that JSON does not have."""
    kwargs = dict(case["kwargs"])
    if isinstance(kwargs.get("ngrams"), list):
        kwargs["ngrams"] = tuple(kwargs["ngrams"])
    return kwargs


def made(layers: Any, case: dict[str, Any]) -> Any:
    """Return the layer of a case, from one of the two packages, adapted."""
    layer = getattr(layers, case["layer"])(**arguments(case))
    if "adapt" in case:
        layer.adapt(array(case["adapt"]))
    if "batches" in case:
        parts = [array(part) for part in case["batches"]]
        layer.adapt(parts[0] if len(parts) == 1 else iter(parts))
    return layer


def called(layer: Any, case: dict[str, Any]) -> Any:
    """Return what the layer of a case returns."""
    weights = {"count_weights": array(case["count_weights"])} if "count_weights" in case else {}
    return layer(given(case), **weights)


def record() -> None:
    """Write the file, by Keras on TensorFlow."""
    import keras
    import numpy as np

    cases = []
    for name, draw in LAYERS.items():
        for number in range(COUNT):
            case = {"layer": name, **draw(random.Random(f"{name} {number}"))}
            try:
                layer = made(keras.layers, case)
                result = called(layer, case)
            except Exception as error:
                print(name, case, type(error).__name__, str(error)[-200:])
                continue
            found = np.asarray(result)
            if found.dtype == object:
                found = np.array([text.decode() for text in found.ravel()]).reshape(found.shape)
            case |= {"result": found.tolist(), "dtype": str(result.dtype.name), "shape": list(found.shape)}
            if hasattr(layer, "get_vocabulary"):
                case["vocabulary"] = [word if isinstance(word, str) else int(word) for word in layer.get_vocabulary()]
            cases.append(case)
    FILE.write_text(
        "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n", encoding="utf-8"
    )


if __name__ == "__main__":
    record()
