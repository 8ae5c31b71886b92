"""Export models, and run them by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpudl import Model
from gpudl.engine.spec import Spec
from gpudl.engine.tree import flatten
from gpudl.export import onnx_file, translation
from gpudl.export.graph import Graph
from gpudl.export.recording import pairs_of, recorded

Array = np.ndarray


def session(path: Path) -> Any:
    """Return a checked file, ready to run."""
    pytest.importorskip("onnx").checker.check_model(str(path), full_check=True)
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(str(path), options)


def exported(model: Model, folder: Path, **options: Any) -> Any:
    """Return the exported model, ready to run."""
    path = folder / "model.onnx"
    model.export(path, verbose=False, **options)
    return session(path)


def run(found: Any, *xs: Array) -> list[Array]:
    """Return what a file makes of arrays, given in the order of its inputs."""
    names = [each.name for each in found.get_inputs()]
    outs: list[Array] = found.run(None, dict(zip(names, xs, strict=True)))
    return outs


def assert_agrees(model: Model, folder: Path, *xs: Array, nest: Any = None, tolerance: float = 1e-4) -> Any:
    """Check that a file computes what the model does, for the batch that is given and for its first sample alone."""
    found = exported(model, folder)
    for batch in ([x[:1] for x in xs], list(xs)):
        given = nest(batch) if nest is not None else batch if len(batch) > 1 else batch[0]
        wanted = [np.asarray(y) for y in flatten(model(given, training=False))[0]]
        outs = run(found, *batch)
        for mine, theirs in zip(wanted, outs, strict=True):
            assert theirs.shape == mine.shape
            np.testing.assert_allclose(theirs.astype(float), mine.astype(float), rtol=tolerance, atol=tolerance)
    return found


def function_in_file(function: Any, path: Path, *xs: Array) -> list[Array]:
    """Return what a function of tensors computes, said in a file."""
    record = recorded(function, pairs_of([(x.shape, Spec(x.shape, x.dtype)) for x in xs], even=False))
    graph = Graph()
    steps = translation.Translation(graph, {})
    translation.inputs(graph, steps, record.inputs, [f"x{number}" for number in range(len(xs))])
    steps.run(record.steps, record.results)
    translation.outputs(graph, steps, record.results, [f"y{number}" for number in range(len(record.results))])
    onnx_file.write(graph, path, "function", onnx_file.OLDEST)
    return run(session(path), *xs)
