"""Preprocessing layers of tables and text return what Keras's were recorded to return."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from preprocessing_recorded import COUNT, FILE, LAYERS, called, made

from gpudl import layers

CASES = json.loads(FILE.read_text(encoding="utf-8"))


def test_there_are_enough_cases_of_each_layer() -> None:
    assert Counter(case["layer"] for case in CASES) == dict.fromkeys(LAYERS, COUNT)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_return_what_keras_returned(name: str) -> None:
    wrong = [said for case in CASES if case["layer"] == name and (said := _difference(case))]
    assert not wrong, "\n\n".join(wrong)


def _difference(case: dict[str, Any]) -> str:
    """Return how the layer of a case differs from the record, in words; nothing where it does not."""
    layer = made(layers, case)
    again = type(layer).from_config(layer.get_config()) if "adapt" not in case and "batches" not in case else layer
    wanted = np.array(case["result"], None if case["dtype"] == "string" else case["dtype"]).reshape(case["shape"])
    for one in (layer, again):
        found = called(one, case)
        values = np.asarray(found)
        text = found.dtype.kind == "U"
        dtype = "string" if text else str(found.dtype)
        same = values.tolist() == wanted.tolist() if text else np.allclose(values, wanted, rtol=1e-5, atol=1e-6)
        if dtype != case["dtype"] or values.shape != wanted.shape or not same:
            return f"{case}\n{dtype} {values.shape} {values.tolist()}"
        if "vocabulary" in case and one.get_vocabulary() != case["vocabulary"]:
            return f"{case}\n{one.get_vocabulary()}"
    return ""
