"""Every layer in an ONNX file: onnxruntime computes what it does here, or a sentence says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from export_cases import ALL, INSIDE, ON_HOST
from export_page import PAGE, page
from export_tools import assert_agrees
from public_names import classes

from gpudl import Model, layers

KINDS = sorted({case.kind for case in ALL})


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_computes_what_the_layer_does(kind: str, tmp_path: Path) -> None:
    for case in (each for each in ALL if each.kind == kind):
        assert_agrees(case.make(), tmp_path, *case.xs)


@pytest.mark.parametrize("make", ON_HOST.values(), ids=list(ON_HOST))
def test_a_layer_on_the_host_is_refused(make: Callable[[], Model], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it begins with layers that work on the host, .* ONNX has no operators"):
        make().export(tmp_path / "model.onnx", verbose=False)
    assert not list(tmp_path.iterdir())


def test_every_layer_is_in_one_of_the_lists() -> None:
    assert classes(layers, layers.Layer) - set(INSIDE) == {*KINDS, *ON_HOST}


def test_the_page_has_the_tables_of_now() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python tests/export_page.py`, which writes docs/onnx.md"
