"""What every op promises, checked for each op in the registry; an op without a case fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from contract_cases import CONTRACTS, Contract, Sample
from contract_cases.check import assert_close, assert_same, dirty, tensors
from gpudl.kernels import expression

import gpudl
from gpudl.engine.op import Op, registry
from gpudl.engine.spec import ShapeError, Spec
from gpudl.engine.state import reference_only
from gpudl.engine.tensor import Tensor
from gpudl.engine.variable import Variable

Arrays = tuple[np.ndarray, ...]
STEP = 1e-5  # of central differences: their error is about STEP**2 + eps / STEP, 1e-10 each
FLAT = 1e-7


def every_sample() -> Iterator[Any]:
    for name, contract in CONTRACTS.items():
        for dtype in contract.dtypes:
            yield pytest.param(contract, dtype, id=f"{name}-{dtype}")


def every_op() -> Iterator[Any]:
    return (pytest.param(contract, id=name) for name, contract in CONTRACTS.items())


samples = pytest.mark.parametrize(("contract", "dtype"), list(every_sample()))
ops = pytest.mark.parametrize("contract", list(every_op()))


def op_of(contract: Contract) -> Op:
    return registry[contract.op]


def run(op: Op, inputs: Arrays, static: dict[str, Any]) -> Arrays:
    """Run `op` on plain arrays and return what it computed or, for an update, what it wrote."""
    if op.alias:
        return (op.forward(np, *inputs, **static),)
    outs = dirty(op.specs(tensors(inputs), static))
    op.run(outs, inputs, static)
    return (*outs, *inputs[: op.writes])


def test_every_op_has_a_case() -> None:
    assert set(CONTRACTS) == set(registry)


@samples
def test_reference_agrees_with_the_oracle(contract: Contract, dtype: str) -> None:
    op = op_of(contract)
    for sample in contract.samples:
        inputs = sample.cast(dtype)
        work = sample.cast(dtype)
        with reference_only():
            got = run(op, work, sample.static)
        assert_close(got, contract, inputs, sample, dtype)
        assert_same(work[op.writes :], inputs[op.writes :])


@samples
def test_apply_gives_what_the_reference_gives(contract: Contract, dtype: str) -> None:
    op = op_of(contract)
    for sample in contract.samples:
        inputs, work = sample.cast(dtype), sample.cast(dtype)
        with reference_only():
            expected = run(op, inputs, sample.static)
            result = op(*tensors(work), **sample.static)
        if op.update:
            assert result is None
            assert_same(work[: op.writes], expected)
            continue
        results = result if isinstance(result, tuple) else (result,)
        assert_same(tuple(t.data for t in results), expected)
        for t in results:
            assert any(np.shares_memory(t.data, a) for a in work) == (op.alias and t.size > 0)


@samples
def test_symbolic_results_have_the_real_shapes(contract: Contract, dtype: str) -> None:
    op = op_of(contract)
    for sample in contract.samples:
        inputs = sample.cast(dtype)
        symbolic = op(*(Tensor(None, Spec(a.shape, a.dtype)) for a in inputs), **sample.static)
        if op.update:
            assert symbolic is None
            continue
        outs = symbolic if isinstance(symbolic, tuple) else (symbolic,)
        with reference_only():
            real = run(op, inputs, sample.static)
        assert [t.spec for t in outs] == [Spec(a.shape, a.dtype) for a in real]
        assert all(t.data is None for t in outs)


def apart(a: np.ndarray) -> np.ndarray:
    wide = np.repeat(a, 2, axis=-1)
    wide[..., 1::2] = 0
    return wide[..., ::2]


def backwards(a: np.ndarray) -> np.ndarray:
    return np.flip(np.flip(a).copy())


@pytest.mark.parametrize("lay", [apart, backwards])
@samples
def test_any_strides_will_do(contract: Contract, dtype: str, lay: Any) -> None:
    op = op_of(contract)
    for sample in contract.samples:
        inputs = sample.cast(dtype)
        work = tuple(lay(a) if a.ndim and not op.alias else a for a in sample.cast(dtype))
        assert_close(run(op, work, sample.static), contract, inputs, sample, dtype)
        assert_same(tuple(a.copy(order="C") for a in work[op.writes :]), inputs[op.writes :])


@ops
def test_wrong_inputs_are_named(contract: Contract) -> None:
    declared = expression.declared(contract.op)  # one of a single array takes any shape
    never = contract.op == "all_finite" or (declared is not None and len(declared.inputs) == 1)
    assert contract.wrong or contract.any_shape or never, f"{contract.op} has no sample of inputs that are wrong"
    for sample in contract.wrong:
        with pytest.raises(ShapeError, match=rf"^{contract.op}\(.+\): .+\.$"):
            op_of(contract)(*tensors(sample.cast("float64")), **sample.static)


def differentiated(contract: Contract, sample: Sample) -> list[int]:
    """Return the positions of the inputs that the sample is differentiated with respect to."""
    op = op_of(contract)
    if not sample.smooth:
        return []
    chosen = range(len(sample.inputs)) if sample.wrt is None else sample.wrt
    names = [op.inputs[min(i, len(op.inputs) - 1)] for i in range(len(sample.inputs))]
    return [i for i in chosen if names[i] in op.rules and sample.inputs[i].dtype == np.float64]


class Probe:
    """A sample in float64 with random directions, to compare rules with central differences.

    What is differentiated is the sum of the outs of floats, weighed at random; `only` says of which.
    """

    def __init__(self, contract: Contract, sample: Sample, wrt: list[int], only: Sequence[int] | None = None) -> None:
        self.op, self.sample, self.wrt = op_of(contract), sample, wrt
        rng = np.random.default_rng(3)
        self.inputs = sample.cast("float64")
        outs = self.op.specs(tensors(self.inputs), sample.static)
        weights = {number: np.asarray(rng.standard_normal(out.shape)) for number, out in enumerate(outs)}
        self.g = {number: weights[number] for number in (smooth_outs(outs) if only is None else only)}
        self.directions = [np.asarray(rng.standard_normal(self.inputs[i].shape)) for i in wrt]

    def value(self, inputs: list[Tensor]) -> Tensor:
        """Return the weighed sum of the outs."""
        result = self.op(*inputs, **self.sample.static)
        outs = result if isinstance(result, tuple) else (result,)
        parts = [gpudl.ops.sum(outs[number] * Tensor(g)) for number, g in self.g.items()]
        return sum(parts[1:], parts[0])

    def terms(self, inputs: list[Tensor]) -> np.ndarray:
        """Return what `value` sums."""
        result = self.op(*inputs, **self.sample.static)
        outs = result if isinstance(result, tuple) else (result,)
        return np.concatenate([(outs[number].data * g).ravel() for number, g in self.g.items()])

    def moved(self, step: float) -> list[Tensor]:
        """Return the inputs, those of `wrt` moved along their directions and watched."""
        arrays = list(self.inputs)
        for i, direction in zip(self.wrt, self.directions, strict=True):
            arrays[i] = arrays[i] + step * direction
        inputs = list(tensors(tuple(np.asarray(a) for a in arrays)))
        for i in self.wrt:
            inputs[i].requires_grad = True
        return inputs

    def slopes(self, inputs: list[Tensor], **options: Any) -> list[Tensor | None]:
        return gpudl.grad(self.value(inputs), [inputs[i] for i in self.wrt], **options)

    def along(self, slopes: list[Tensor | None]) -> tuple[float, float]:
        """Return the slope along the directions, and the size of its terms."""
        pairs = zip(slopes, self.directions, strict=True)
        terms = np.concatenate([(s.data * d).ravel() if s is not None else np.zeros(1) for s, d in pairs])
        return float(terms.sum()), float(np.abs(terms).sum())

    def difference(self, function: Any) -> tuple[float, float]:
        """Return the central difference of `function` of inputs, and the size of its terms."""
        ahead, behind = function(self.moved(STEP)), function(self.moved(-STEP))
        return float((ahead - behind).sum() / (2 * STEP)), float(np.abs(ahead).sum())


def smooth_outs(outs: Sequence[Spec]) -> list[int]:
    return [number for number, out in enumerate(outs) if out.dtype.kind == "f"]


def probes(contract: Contract, sample: Sample, wrt: list[int]) -> Iterator[Probe]:
    """Yield probes of all outs together, and of each by itself where there are several."""
    yield Probe(contract, sample, wrt)
    outs = smooth_outs(op_of(contract).specs(tensors(sample.cast("float64")), sample.static))
    for number in outs if len(outs) > 1 else ():
        yield Probe(contract, sample, wrt, [number])


@ops
def test_gradients_are_the_slopes(contract: Contract) -> None:
    op = op_of(contract)
    exercised = set()
    with reference_only():
        for sample in contract.samples:
            for i in differentiated(contract, sample):
                for probe in probes(contract, sample, [i]):
                    slopes = probe.slopes(probe.moved(0))
                    if sample.result in (None, "float64"):
                        assert slopes[0] is None or slopes[0].spec == Spec(probe.inputs[i].shape, np.dtype(float))
                    slope, size = probe.along(slopes)
                    expected, values = probe.difference(probe.terms)
                    assert slope == pytest.approx(expected, rel=0, abs=FLAT * (size + values))
                    exercised.add(op.inputs[min(i, len(op.inputs) - 1)])
    # What is differentiated between numbers and complex numbers is in test_maths_ops.py.
    assert exercised == set(op.rules) - ({"x"} if op.name == "reinterpret" else set())


@ops
def test_gradients_have_gradients(contract: Contract) -> None:
    with reference_only():
        for sample in contract.samples:
            wrt = differentiated(contract, sample)
            for probe in probes(contract, sample, wrt) if wrt else ():
                rng = np.random.default_rng(4)
                weights = [np.asarray(rng.standard_normal(probe.inputs[i].shape)) for i in wrt]

                def weighed(slopes: list[Tensor | None], weights: list[np.ndarray] = weights) -> Tensor:
                    terms = zip(slopes, weights, strict=True)
                    parts = [gpudl.ops.sum(s * Tensor(w)) for s, w in terms if s is not None]
                    return sum(parts[1:], parts[0] if parts else Tensor(np.zeros(())))

                inputs = probe.moved(0)
                total = weighed(probe.slopes(inputs, create_graph=True))
                slope, size = probe.along(gpudl.grad(total, [inputs[i] for i in wrt]))
                expected, values = probe.difference(
                    lambda inputs, p=probe, f=weighed: np.asarray(f(p.slopes(inputs)).data)
                )
                assert slope == pytest.approx(expected, rel=0, abs=FLAT * (size + values + 1))


@samples
def test_replay_repeats_the_eager_step(contract: Contract, dtype: str) -> None:
    op = op_of(contract)
    for sample in contract.samples:
        inputs = sample.cast(dtype)
        eager = tuple(a.copy() for a in inputs)
        variables = tuple(Variable(Tensor(a.copy()), trainable=False) for a in inputs[: op.writes])

        step = gpudl.traced(lambda *args, o=op, s=sample: o(*args, **s.static))
        arguments = (*variables, *tensors(inputs[op.writes :]))
        for replayed in (False, True):
            if replayed:
                entry = next(iter(step.entries.values()))
                entry.plan.poison()
            result = step(*arguments)
            expected = op(*tensors(eager), **sample.static)
            if op.update:
                assert_same(tuple(v.data for v in variables), eager[: op.writes])
                continue
            pairs = zip(*(r if isinstance(r, tuple) else (r,) for r in (result, expected)), strict=True)
            for got, wanted in pairs:
                assert_same((got.data,), (wanted.data,))
