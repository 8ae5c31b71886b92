"""Files of models that mean harm are refused with a sentence; nothing in them is run or opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from attack_files import KERNEL, Config, as_h5, changed, harmless, in_place, layer_of, refused, weights_with

from gpudl import models


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return harmless(tmp_path)


CODE: dict[str, tuple[Callable[[Config], object], str]] = {
    "CVE-2025-1550: a function of another module as a layer": (
        lambda c: layer_of(c).update(module="os", class_name="system", config={"command": "touch x"}),
        r"'system' of os is neither gpudl's nor registered",
    ),
    "CVE-2025-1550: a function of Python as a layer": (
        lambda c: layer_of(c).update(module="builtins", class_name="eval", config="1"),
        r"'eval' of builtins is neither gpudl's nor registered",
    ),
    "CVE-2025-9906: a function of Keras that is no layer": (
        lambda c: layer_of(c).update(module="keras.config", class_name="enable_unsafe_deserialization", config={}),
        r"Unknown layer: 'enable_unsafe_deserialization'|neither gpudl's nor registered",
    ),
    "CVE-2025-8747: a download as a layer": (
        lambda c: layer_of(c).update(
            module="keras.utils", class_name="get_file", config={"origin": "file:///etc/passwd"}
        ),
        r"Unknown layer: 'get_file'|neither gpudl's nor registered",
    ),
    "CVE-2024-3660: a lambda": (
        lambda c: layer_of(c).update(
            class_name="Lambda",
            config={"name": "l", "function": {"class_name": "__lambda__", "config": {"value": ["4w"]}}},
        ),
        r"code of a lambda, which is not run",
    ),
    "CVE-2024-3660: a lambda of Keras 2": (
        lambda c: layer_of(c).update(
            class_name="Lambda", config={"name": "l", "function_type": "lambda", "function": ["4wEAAA==", None, None]}
        ),
        r"code of a lambda, which is not run|no argument 'function_type'",
    ),
    "an activation of another module": (
        lambda c: layer_of(c)["config"].update(
            activation={"module": "os", "class_name": "function", "config": "system"}
        ),
        r"Unknown activation: 'system'",
    ),
    "an initializer that is a function of Python": (
        lambda c: layer_of(c)["config"].update(
            kernel_initializer={"module": "builtins", "class_name": "exec", "config": {"source": "1"}}
        ),
        r"'exec' of builtins is neither|Unknown initializer: 'exec'",
    ),
    "an optimizer of another module": (
        lambda c: c["compile_config"].update(
            optimizer={"module": "shutil", "class_name": "rmtree", "config": {"path": "/"}}
        ),
        r"'rmtree' of shutil is neither gpudl's nor registered",
    ),
    "a loss of another module": (
        lambda c: c["compile_config"].update(loss={"module": "os", "class_name": "function", "config": "remove"}),
        r"'remove' is neither gpudl's nor registered",
    ),
    "CVE-2025-12058: a file as a vocabulary": (
        lambda c: layer_of(c).update(
            class_name="StringLookup", config={"vocabulary": "/etc/hostname"}, build_config=None
        ),
        r"its config names the file '/etc/hostname' as its vocabulary, and no file that a config names is opened",
    ),
    "CVE-2025-12058: an address as a vocabulary": (
        lambda c: layer_of(c).update(
            class_name="TextVectorization", config={"vocabulary": "http://127.0.0.1:9/words"}, build_config=None
        ),
        r"its config names the file 'http://127.0.0.1:9/words' as its vocabulary",
    ),
    "a layer that is a number": (lambda c: c["config"]["layers"].append(3), "expected a layer or its name.*got 3"),
    "a layer without a class": (lambda c: layer_of(c).update(class_name=None), r"None"),
    "arguments that are none": (lambda c: layer_of(c).update(config=[1, 2]), r"config"),
    "an argument that is none": (lambda c: layer_of(c)["config"].update(no_such=1), r"no_such"),
    "sizes that are text": (lambda c: layer_of(c)["config"].update(units="many"), r"units"),
    "a config that never ends": (
        lambda c: layer_of(c)["config"].update(nest=nest(400)),
        r"nested more than 100 levels deep",
    ),
    "a model that is a number": (
        lambda c: (c.clear(), c.update(class_name="__numpy__", config={"value": 1, "dtype": "i4"})),
        r"no model",
    ),
    "no layers": (lambda c: c.update(config={"name": "s"}), r"layers"),
    "weights for another class": (lambda c: layer_of(c).update(class_name="Conv2D"), r"Conv2D"),
    "sizes that no memory has": (
        lambda c: layer_of(c)["config"].update(units=10**12),
        r"weight 'kernel' of shape \(3, 1000000000000\) needs 12,000,000,000,000 b",
    ),
    "sizes that are negative": (lambda c: layer_of(c)["config"].update(units=-1), r"units"),
}


def nest(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize("name", CODE)
def test_configs_that_mean_harm(name: str, file: Path) -> None:
    change, text = CODE[name]
    attack = changed(file, change)
    refused(attack, text)
    refused(as_h5(attack), text)  # CVE-2025-9905: the older format is no way round


def virtual(inside: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "a", (3, 2))
    inside.create_virtual_dataset(KERNEL, layout)


WEIGHTS: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "CVE-2026-1669: a file outside": (
        in_place(lambda h: h.create_dataset(KERNEL, (3, 2), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])),
        "is not an array of numbers within the file",
    ),
    "CVE-2026-1669: a link to another file": (
        in_place(lambda h: h["layers/dense/vars"].__setitem__("0", h5py.ExternalLink("x.h5", "/a"))),
        "is not an array of numbers within the file",
    ),
    "a soft link": (
        in_place(lambda h: h["layers/dense/vars"].__setitem__("0", h5py.SoftLink("/layers/dense_1/vars/0"))),
        "is not an array of numbers within the file",
    ),
    "CVE-2026-0897: a huge shape without data": (
        in_place(lambda h: h.create_dataset(KERNEL, (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))),
        "says that it has",
    ),
    "texts": (in_place(lambda h: h.create_dataset(KERNEL, data=["a", "b"])), "is not an array of numbers"),
    "objects": (
        in_place(lambda h: h.create_dataset(KERNEL, (2,), h5py.vlen_dtype(np.int32))),
        "is not an array of numbers",
    ),
    "another shape": (
        in_place(lambda h: h.create_dataset(KERNEL, data=np.ones((3, 3)))),
        r"the file has \(3, 3\), \(2,\)",
    ),
    "nothing": (lambda h: h.__delitem__("layers/dense"), "the file has none"),
    "whole numbers": (
        in_place(lambda h: h.create_dataset(KERNEL, data=np.ones((3, 2), "i4"))),
        r"the weight 'kernel' of Dense 'd' is float32, and the file has int32 at layers/dense, which are numbers of an",
    ),
    "complex numbers": (
        in_place(lambda h: h.create_dataset(KERNEL, data=np.ones((3, 2), "c8"))),
        "not an array of num",
    ),
    "records": (
        in_place(lambda h: h.create_dataset(KERNEL, data=np.ones((3, 2), [("a", "f4")]))),
        "is not an array of numbers",
    ),
    "an array without values": (
        in_place(lambda h: h.create_dataset(KERNEL, data=h5py.Empty("f4"))),
        "is not an array of numbers",
    ),
    "a view of another file": (in_place(virtual), "is not an array of numbers within the file"),
    "a huge array, compressed to nothing": (
        in_place(lambda h: h.create_dataset(KERNEL, (1 << 14, 1 << 14), "f4", chunks=True, compression="gzip")),
        "says that it has",
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_mean_harm(name: str, file: Path) -> None:
    change, text = WEIGHTS[name]
    refused(weights_with(file, change), text)


def test_weights_of_nan_are_weights(file: Path) -> None:
    """A model that has diverged is a model: what its numbers are is not for the reader to say."""
    nan = in_place(lambda h: h.create_dataset(KERNEL, data=np.full((3, 2), np.nan, "f4")))
    loaded = models.load_model(weights_with(file, nan))
    assert np.isnan(loaded.layers[0].kernel.numpy()).all()
