"""Every op in an ONNX file: run by onnxruntime it computes what it does here, or it is in a list that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Sample
from export_tools import function_in_file

from gpudl.engine.op import registry
from gpudl.engine.tree import flatten
from gpudl.export.graph import NotExpressibleError

GRADIENTS = "gradients, which no model computes at inference"
LINEAR_ALGEBRA = "ONNX has no operators for decompositions"
RANDOM = "it draws random numbers, and a file has no seed"
NONE = {
    **{name: GRADIENTS for name in registry if name.endswith("_grad") and "input_grad" not in name},
    **dict.fromkeys(("max_pool_pick", "recurrence"), GRADIENTS),
    **dict.fromkeys(
        ("cholesky", "det", "eig", "eigh", "inv", "lu_factor", "pinv", "qr", "singular_values"), LINEAR_ALGEBRA
    ),
    **dict.fromkeys(("slogdet", "solve", "svd"), LINEAR_ALGEBRA),
    **dict.fromkeys(("random_integers", "random_normal", "random_uniform", "dropout"), RANDOM),
    **dict.fromkeys(("take_batch", "all_finite"), "parts of a training step"),
    **dict.fromkeys(("softmax_cross_entropy", "sparse_softmax_cross_entropy"), "losses"),
    **dict.fromkeys(("left_shift", "right_shift"), "ONNX shifts the bits of unsigned integers only"),
    **dict.fromkeys(("gcd", "lcm", "nextafter", "erfinv", "i0", "i1", "cumprod", "dft", "reinterpret"), "no operator"),
}
del NONE["gelu_grad"], NONE["activation_grad"], NONE["slice_grad"]  # expressions, and paddings
"""The ops that have no operators, and why."""
FIRST_ONLY = {"attention", "max_pool", "lstm", "gru"}
"""Ops of which a file has only the first result: the others are for gradients."""


def spread(part: Any) -> bool:
    """Return whether a part of a key leaves gaps, or turns the order."""
    return isinstance(part, int) or (isinstance(part, tuple) and part[2] not in (None, 1))


LEFT_OUT = {
    "avg_pool": lambda s: max(s.static["window"].dilation) > 1,  # means of windows with gaps
    "slice_grad": lambda s: any(spread(part) for key in s.static["keys"] for part in key),
    "arctan2": lambda s: not all(np.isfinite(x).all() and x.all() for x in s.inputs),  # signs of zeros
    "max_pool": lambda s: not np.isfinite(s.inputs[0]).all(),  # onnxruntime's maximum ignores NaN
}
"""Samples that a file says otherwise, or not at all."""


def samples() -> list[tuple[str, Sample]]:
    """Return two samples of each op, with elements, that a file says."""
    found = []
    for name, contract in CONTRACTS.items():
        op, left_out = registry[name], LEFT_OUT.get(name, lambda s: False)
        if op.update or name in NONE:
            continue
        kept = [s for s in contract.samples if not left_out(s)]
        kept = [s for s in kept if all(x.size for x in (*s.inputs, *results(name, s, s.cast("float32"))))]
        found += [(name, s) for s in (kept[:1] + kept[-1:])]
    return found


def results(name: str, sample: Sample, xs: tuple[Any, ...]) -> list[Any]:
    """Return the results of an op that a file has."""
    outs = flatten(registry[name](*xs, **sample.static))[0]
    return outs[:1] if name in FIRST_ONLY else outs


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_files_compute_what_the_ops_do(dtype: str, tmp_path: Path) -> None:
    chosen = [(name, s, s.cast(dtype)) for name, s in samples() if dtype in CONTRACTS[name].dtypes]
    assert len(chosen) > 150

    def every(tensors: list[Any]) -> list[Any]:
        given = iter(tensors)
        return [results(name, s, tuple(next(given) for _ in xs)) for name, s, xs in chosen]

    xs = [np.asarray(x) for _, _, each in chosen for x in each]
    found = iter(function_in_file(every, tmp_path / "ops.onnx", *xs))
    bound = {"float32": 1e-4, "float16": 2e-2}[dtype]
    for name, s, given in chosen:
        for wanted in results(name, s, given):
            said, mine = next(found), wanted.numpy()
            assert (said.shape, said.dtype) == (mine.shape, mine.dtype), name
            np.testing.assert_allclose(said.astype(float), mine.astype(float), rtol=bound, atol=bound, err_msg=name)


@pytest.mark.parametrize("name", NONE)
def test_an_op_without_operators_is_refused(name: str, tmp_path: Path) -> None:
    sample = next(s for s in CONTRACTS[name].samples if all(x.size for x in s.inputs))
    xs = [np.asarray(x) for x in sample.cast("float32")]
    with pytest.raises(NotExpressibleError, match=f"^the op '{name}' cannot be exported: "):
        function_in_file(lambda tensors: registry[name](*tensors, **sample.static), tmp_path / "op.onnx", *xs)
    assert not list(tmp_path.iterdir())
