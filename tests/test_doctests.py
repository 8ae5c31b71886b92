"""The examples in the docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import gpudl.kernels
import numpy as np
import pytest

import gpudl
from gpudl.engine.op import registry
from gpudl.names import clear_names


def modules() -> Iterator[str]:
    yield "gpudl"
    names = {
        info.name
        for package in (gpudl, gpudl.kernels)
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    }
    yield from sorted(names - {"gpudl.__main__", "gpudl.as_keras"})


def examples() -> Iterator[doctest.DocTest]:
    names = {"gpudl": gpudl, "np": np}
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in modules():
        module = importlib.import_module(name)
        for test in finder.find(module, extraglobs=names):
            if test.examples:
                yield test
    for op in registry.values():  # objects, which the finder does not look at
        test = doctest.DocTestParser().get_doctest(op.__doc__ or "", {**vars(gpudl.ops), **names}, op.name, None, 0)
        if test.examples:
            yield test


@pytest.mark.parametrize("example", [pytest.param(test, id=test.name) for test in examples()])
def test_example(example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clear_names()
    said: list[str] = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert not said, "".join(said)
