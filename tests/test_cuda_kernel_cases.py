"""Every twin on the GPU does what its op's case says, whatever the order of threads, on a strict double of CuPy."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
from chain_cases import CASES, Stages
from contract_cases import CONTRACTS, Sample
from contract_cases.check import assert_close, assert_same, dirty, tensors
from cuda_batch import Batch
from cuda_cpu import same_in_any_order
from cuda_cpu.sanitized import sanitized
from cuda_twins import Placed, run, samples
from gpudl.kernels import registry as kernels
from gpudl.kernels.cuda import elementwise, launch, program
from gpudl.kernels.cuda.program import compile_run
from strict_cupy import installed
from strict_cupy.raw import RawKernel

from gpudl import backend, convert_to_tensor
from gpudl.engine.op import registry
from gpudl.engine.spec import Spec
from gpudl.engine.state import reference_only

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")

Arrays = tuple[np.ndarray, ...]
SEEDS = range(8)
FEW = 3


def every(chains: bool) -> Any:
    """Return the twins that claim several ops, or one, as parameters of a test."""
    found = [
        pytest.param(twin, id=f"{name}-{number}")
        for name, twins in kernels.twins("cuda").items()
        if ("+" in name) == chains
        for number, twin in enumerate(twins)
    ]
    return pytest.mark.parametrize("twin", found)


def taken(twin: kernels.Twin) -> Iterator[tuple[Sample, str, Arrays, Arrays]]:
    """Yield the samples for which the registry gives this twin: with a dtype, dirty outs and inputs."""
    for sample, dtype in samples(twin.op):
        inputs = sample.cast(dtype)
        outs = dirty(registry[twin.op].specs(tensors(inputs), sample.static))
        placed = tuple(Placed(a).array for a in (*outs, *inputs))
        if kernels.find(twin.op, "cuda", placed, sample.static) is twin.run:
            yield sample, dtype, outs, inputs


def taken_chains(twin: kernels.Twin) -> Iterator[tuple[Stages, Arrays, Arrays]]:
    """Yield random arrays for which the registry gives this twin: with static arguments, dirty outs and inputs."""
    for seed in SEEDS:
        inputs, stages = CASES[twin.op].draw(np.random.default_rng(seed), "auto")
        with backend.scope("numpy"):
            outs = dirty(tuple(Spec(a.shape, a.dtype) for a in CASES[twin.op].composed(inputs, stages)))
        placed = tuple(Placed(a).array for a in (*outs, *inputs))
        if kernels.find(twin.op, "cuda", placed, {"stages": stages}) is twin.run:
            yield stages, outs, inputs


def calls(twin: kernels.Twin) -> Iterator[tuple[dict[str, Any], Arrays, Arrays]]:
    """Yield static arguments, outs and inputs of calls of a twin."""
    if "+" in twin.op:
        yield from (({"stages": stages}, outs, inputs) for stages, outs, inputs in taken_chains(twin))
    else:
        yield from ((sample.static, outs, inputs) for sample, _, outs, inputs in taken(twin))


def compile_for(twin: kernels.Twin, most: int | None = None) -> None:
    """Make the calls of a twin once, without a launch: its kernels lie ready then; what fails does so in its test."""
    with suppress(Exception):
        for static, outs, inputs in islice(calls(twin), most):
            run(twin.run, outs, inputs, static, writes(twin))


def writes(twin: kernels.Twin) -> int:
    return 0 if "+" in twin.op else registry[twin.op].writes


@contextmanager
def long_indices() -> Iterator[None]:
    """Let every array need indices of 64 bits inside of a `with` block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "_MOST_INT", -1)
        forget_numbers()
        yield
    forget_numbers()


def forget_numbers() -> None:
    """Forget what the launchers keep of the types of indices."""
    for name, module in list(sys.modules.items()):
        if name.startswith("gpudl.kernels.cuda."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


class Generated(Batch):
    """Compiles generated kernels together, and those that nobody asked for in time one by one."""

    def __call__(self, text: str, index: str = "int", width: int = 1) -> Any:
        if self.kernels and (text, index, width) not in self.kernels:
            return compile_run(text, index, width)
        return super().__call__(text, index, width)


@contextmanager
def prepared(twins: Collection[kernels.Twin], *most: int | None) -> Iterator[None]:
    """Let CuPy be the double, with the kernels of `most` calls of each twin compiled, by two processes at a time.

    A second number is of calls with long indices.
    """
    generated = Generated()
    with installed(), pytest.MonkeyPatch.context() as patch:
        for module in (elementwise, program):
            patch.setattr(module, "compile_run", generated)
        with ThreadPoolExecutor(2) as pool, pytest.MonkeyPatch.context() as unlaunched:
            unlaunched.setattr(RawKernel, "__call__", lambda *args, **options: None)
            for indices, count in zip((nullcontext, long_indices), most, strict=False):
                with indices():
                    list(pool.map(partial(compile_for, most=count), twins))
        if generated.wanted:
            generated.build()
        yield


@pytest.fixture(scope="module", autouse=True)
def _double(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile what the chosen tests need."""
    given = [item.callspec.params for item in request.session.items if item.path == request.path and has_twin(item)]
    with prepared({id(each["twin"]): each["twin"] for each in given}.values(), None, FEW):
        yield


def has_twin(item: pytest.Item) -> bool:
    return isinstance(getattr(item, "callspec", None) and item.callspec.params.get("twin"), kernels.Twin)


@every(chains=False)
def test_twin_agrees_with_the_oracle(twin: kernels.Twin) -> None:
    count = 0
    for sample, dtype, outs, inputs in taken(twin):
        call = both_orders(twin.run, outs, inputs, sample.static, registry[twin.op].writes)
        assert_close(call, CONTRACTS[twin.op], inputs, sample, dtype)
        count += 1
    assert count, "no sample of the op's contract is given to this twin: add one"


def both_orders(twin: Any, outs: Arrays, inputs: Arrays, static: dict[str, Any], writes: int = 0) -> Arrays:
    return tuple(same_in_any_order(lambda: run(twin, outs, inputs, static, writes)))


@every(chains=True)
def test_chain_agrees_with_its_ops(twin: kernels.Twin) -> None:
    case, count = CASES[twin.op], 0
    for stages, outs, inputs in taken_chains(twin):
        got = both_orders(twin.run, outs, inputs, {"stages": stages})
        count += 1
        if case.roundings is None:
            with backend.scope("cupy"):
                alone = case.ops(stages, *map(convert_to_tensor, inputs))
                assert_same(got, tuple(t.numpy() for t in (alone if isinstance(alone, tuple) else (alone,))))
            continue
        wide = tuple(a.astype(np.float64) if a.dtype == np.float32 else a for a in inputs)
        with reference_only():
            exact = case.composed(wide, stages)
            size = case.composed(tuple(map(np.abs, wide)), stages)
        limit = np.finfo(np.float32).eps * case.roundings(*inputs)
        for out, value, magnitude in zip(got, exact, size, strict=True):
            assert out.shape == value.shape
            assert (np.abs(out - value) <= limit * magnitude).all()
    assert count, "no case of chain_cases.py is given to this twin: add one"


@every(chains=False)
def test_twin_computes_the_same_with_long_indices(twin: kernels.Twin) -> None:
    def some() -> list[Arrays]:
        return [run(twin.run, outs, inputs, static, writes(twin)) for static, outs, inputs in islice(calls(twin), FEW)]

    with long_indices():
        long = some()
    for one, other in zip(long, some(), strict=True):
        assert_same(one, other)


def run_with_nothing_around() -> None:
    """Run every twin on arrays that end where their memory does; called in a process under AddressSanitizer."""
    twins = [twin for twins in kernels.twins("cuda").values() for twin in twins]
    with prepared(twins, FEW):
        import cupy

        for twin in twins:
            for static, outs, inputs in islice(calls(twin), FEW):
                twin.run(*map(cupy.asarray, (*outs, *inputs)), **static)


def test_no_access_is_out_of_bounds() -> None:
    done = sanitized("import test_cuda_twins; test_cuda_twins.run_with_nothing_around()")
    assert done.returncode == 0, done.stderr
