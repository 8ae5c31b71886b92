"""Every kernel on the GPU does what its op's case says, whatever the order of threads, on a strict double of CuPy."""

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
from cuda_kernels import Placed, run, samples
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
    """Return the kernels that claim several ops, or one, as parameters of a test."""
    found = [
        pytest.param(kernel, id=f"{name}-{number}")
        for name, entries in kernels.registered("cuda").items()
        if ("+" in name) == chains
        for number, kernel in enumerate(entries)
    ]
    return pytest.mark.parametrize("kernel", found)


def taken(kernel: kernels.Kernel) -> Iterator[tuple[Sample, str, Arrays, Arrays]]:
    """Yield the samples for which the registry gives this kernel: with a dtype, dirty outs and inputs."""
    for sample, dtype in samples(kernel.op):
        inputs = sample.cast(dtype)
        outs = dirty(registry[kernel.op].specs(tensors(inputs), sample.static))
        placed = tuple(Placed(a).array for a in (*outs, *inputs))
        if kernels.find(kernel.op, "cuda", placed, sample.static) is kernel.run:
            yield sample, dtype, outs, inputs


def taken_chains(kernel: kernels.Kernel) -> Iterator[tuple[Stages, Arrays, Arrays]]:
    """Yield random arrays for which the registry gives this kernel: with static arguments, dirty outs and inputs."""
    for seed in SEEDS:
        inputs, stages = CASES[kernel.op].draw(np.random.default_rng(seed), "auto")
        with backend.scope("numpy"):
            outs = dirty(tuple(Spec(a.shape, a.dtype) for a in CASES[kernel.op].composed(inputs, stages)))
        placed = tuple(Placed(a).array for a in (*outs, *inputs))
        if kernels.find(kernel.op, "cuda", placed, {"stages": stages}) is kernel.run:
            yield stages, outs, inputs


def calls(kernel: kernels.Kernel) -> Iterator[tuple[dict[str, Any], Arrays, Arrays]]:
    """Yield static arguments, outs and inputs of calls of a kernel."""
    if "+" in kernel.op:
        yield from (({"stages": stages}, outs, inputs) for stages, outs, inputs in taken_chains(kernel))
    else:
        yield from ((sample.static, outs, inputs) for sample, _, outs, inputs in taken(kernel))


def compile_for(kernel: kernels.Kernel, most: int | None = None) -> None:
    """Make the calls of a kernel once, without a launch, so that its code is compiled; a failure shows in its test."""
    with suppress(Exception):
        for static, outs, inputs in islice(calls(kernel), most):
            run(kernel.run, outs, inputs, static, writes(kernel))


def writes(kernel: kernels.Kernel) -> int:
    return 0 if "+" in kernel.op else registry[kernel.op].writes


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
def prepared(chosen: Collection[kernels.Kernel], *most: int | None) -> Iterator[None]:
    """Let CuPy be the double, with the code of `most` calls of each kernel compiled, by two processes at a time.

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
                    list(pool.map(partial(compile_for, most=count), chosen))
        if generated.wanted:
            generated.build()
        yield


@pytest.fixture(scope="module", autouse=True)
def _double(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile what the chosen tests need."""
    given = [item.callspec.params for item in request.session.items if item.path == request.path and has_kernel(item)]
    with prepared({id(each["kernel"]): each["kernel"] for each in given}.values(), None, FEW):
        yield


def has_kernel(item: pytest.Item) -> bool:
    return isinstance(getattr(item, "callspec", None) and item.callspec.params.get("kernel"), kernels.Kernel)


@every(chains=False)
def test_kernel_agrees_with_the_oracle(kernel: kernels.Kernel) -> None:
    count = 0
    for sample, dtype, outs, inputs in taken(kernel):
        call = both_orders(kernel.run, outs, inputs, sample.static, registry[kernel.op].writes)
        assert_close(call, CONTRACTS[kernel.op], inputs, sample, dtype)
        count += 1
    assert count, "no sample of the op's contract is given to this kernel: add one"


def both_orders(kernel: Any, outs: Arrays, inputs: Arrays, static: dict[str, Any], writes: int = 0) -> Arrays:
    return tuple(same_in_any_order(lambda: run(kernel, outs, inputs, static, writes)))


@every(chains=True)
def test_chain_agrees_with_its_ops(kernel: kernels.Kernel) -> None:
    case, count = CASES[kernel.op], 0
    for stages, outs, inputs in taken_chains(kernel):
        got = both_orders(kernel.run, outs, inputs, {"stages": stages})
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
    assert count, "no case of chain_cases.py is given to this kernel: add one"


@every(chains=False)
def test_kernel_computes_the_same_with_long_indices(kernel: kernels.Kernel) -> None:
    def some() -> list[Arrays]:
        return [
            run(kernel.run, outs, inputs, static, writes(kernel)) for static, outs, inputs in islice(calls(kernel), FEW)
        ]

    with long_indices():
        long = some()
    for one, other in zip(long, some(), strict=True):
        assert_same(one, other)


def run_with_nothing_around() -> None:
    """Run every kernel on arrays that end where their memory does; called in a process under AddressSanitizer."""
    chosen = [kernel for entries in kernels.registered("cuda").values() for kernel in entries]
    with prepared(chosen, FEW):
        import cupy

        for kernel in chosen:
            for static, outs, inputs in islice(calls(kernel), FEW):
                kernel.run(*map(cupy.asarray, (*outs, *inputs)), **static)


def test_no_access_is_out_of_bounds() -> None:
    done = sanitized("import test_cuda_kernel_cases; test_cuda_kernel_cases.run_with_nothing_around()")
    assert done.returncode == 0, done.stderr
