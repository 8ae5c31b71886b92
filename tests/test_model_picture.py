"""Pictures of models: the boxes and arrows of Keras's, files by Graphviz, and what is missing said."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import layers
from gpudl.utils import model_to_dot, plot_model

pydot = pytest.importorskip("pydot")

ALL = {"show_shapes": True, "show_dtype": True, "show_layer_activations": True, "show_trainable": True}
OPTIONS: list[dict[str, Any]] = [
    {},
    ALL,
    {"show_layer_names": False, "rankdir": "LR", "dpi": 60},
    {"expand_nested": True},
    {"expand_nested": True, **ALL},
]


def branches(of: Any) -> Any:
    a, b = of.Input((3,), name="a"), of.Input((4,), name="b", dtype="float32")
    x = of.layers.Dense(5, name="da", activation="relu")(a)
    y = of.layers.Dense(5, name="db", trainable=False)(b)
    return of.Model([a, b], {"o": x + y, "p": x * y}, name="m")


def nested(of: Any) -> Any:
    inner = branches(of)
    p, q = of.Input((3,), name="p"), of.Input((4,), name="q")
    found = inner([p, q])
    stack = of.Sequential([of.Input((10,)), of.layers.Dense(2, name="s1"), of.layers.Dense(2, name="s2")], name="s")
    joined = of.layers.Concatenate(name="cat")([found["p"], found["o"]])
    return of.Model([p, q], stack(joined), name="n")


def twice(of: Any) -> Any:
    layer, a = of.layers.Dense(3, name="d"), of.Input((3,), name="a")
    return of.Model(a, layer(layer(a)) + a, name="t")


def stack(of: Any) -> Any:
    inner = of.Sequential([of.layers.Dense(2, name="d1"), of.layers.Dense(2, name="d2")], name="inner")
    return of.Sequential([of.Input((3,)), inner, of.layers.Dense(2, name="d3")], name="outer")


MAKERS: list[Callable[[Any], Any]] = [branches, nested, twice, stack]


def drawn(picture: Any) -> tuple[list[str], list[tuple[str, str]], dict[str, Any]]:
    """Return what the boxes say, which are joined, and the frames with what is in them."""
    boxes: dict[str, str] = {}

    def collect(part: Any) -> dict[str, Any]:
        for node in part.get_nodes():
            if node.get_label():
                boxes[node.get_name()] = re.sub("(<[^<>]*>)+", "|", node.get_label()[1:-1])
        return {frame.get_label(): collect(frame) for frame in part.get_subgraphs()}

    def arrows(part: Any) -> list[tuple[str, str]]:
        own = [(boxes[str(e.get_source())], boxes[str(e.get_destination())]) for e in part.get_edges()]
        return own + [arrow for frame in part.get_subgraphs() for arrow in arrows(frame)]

    frames = collect(picture)
    return sorted(boxes.values()), sorted(set(arrows(picture))), frames


@parity
def test_boxes_arrows_and_frames_are_those_of_keras() -> None:
    keras = keras_or_skip()
    for make in MAKERS:
        ours, theirs = make(gpudl), make(keras)
        for options in OPTIONS:
            one, other = model_to_dot(ours, **options), keras.utils.model_to_dot(theirs, **options)
            assert [re.sub("_[0-9]+", "", text) for text in drawn(one)[0]] == [
                re.sub("_[0-9]+", "", text) for text in drawn(other)[0]
            ], (make.__name__, options)
            assert len(drawn(one)[1]) == len(drawn(other)[1]), (make.__name__, options)
            assert drawn(one)[2] == drawn(other)[2], (make.__name__, options)
            assert (one.get_rankdir(), one.get_dpi()) == (other.get_rankdir(), other.get_dpi())


def test_arrows_go_into_the_models_inside_and_out_of_them() -> None:
    gpudl.utils.set_random_seed(1)
    boxes, arrows, frames = drawn(model_to_dot(nested(gpudl), expand_nested=True))
    assert frames == {"m": {}, "s": {}}
    kinds = [tuple(re.sub(r"_[0-9]+|[|]", "", end) for end in arrow) for arrow in arrows]
    assert ("p (InputLayer)", "a (InputLayer)") in kinds
    assert ("multiply (Multiply)", "cat (Concatenate)") in kinds
    assert ("cat (Concatenate)", "s1 (Dense)") in kinds
    assert len(boxes) == 11


def test_a_file_is_written_by_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(
        pydot.Dot, "write", lambda self, path, format: Path(path).write_text(f"{format} {self.to_string()}")
    )
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    for name, kind in (("m.png", "png"), ("m.pdf", "pdf"), ("m", "png")):
        assert plot_model(branches(gpudl), tmp_path / name, show_shapes=True) is None
        text = (tmp_path / name).with_suffix(f".{kind}").read_text()
        assert text.startswith(f"{kind} digraph")
        assert "(None, 5)" in text
        assert "<b>Dense</b>" in text  # names are not shown unless asked for


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r'^Sequential "late" cannot be drawn: this model has not yet been built\.'):
        model_to_dot(gpudl.Sequential([layers.Dense(2)], name="late"))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ImportError, match=r"whose program dot is not installed\. Install Graphviz \(graphviz\.org"):
        plot_model(branches(gpudl))
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match=r"pydot, which is not installed\. Install it by `pip install gpudl\[plot\]`"):
        model_to_dot(branches(gpudl))


def test_a_model_of_an_own_class_is_one_box_and_a_part_is_a_frame() -> None:
    class Own(gpudl.Model):
        def call(self, x: Any) -> Any:
            return x

    model = Own(name="own")
    model(np.ones((1, 2)))
    assert drawn(model_to_dot(model, show_shapes=True))[0] == ["|own| (Own)|Input shape: |?|Output shape: |?|"]
    assert "subgraph cluster_m" in model_to_dot(branches(gpudl), subgraph=True).to_string()
