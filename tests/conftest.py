"""How tests are run: together on all processors, each on its backend and with the settings of a new process.

A run of the whole suite is shared out among processes, file by file, where pytest-xdist is installed; ``-n 0`` does
without. What names files or tests runs in one process, which starts sooner.

The backend is NumPy, unless the environment variable ``GPUDL_TEST_BACKEND`` says ``cupy``, for a machine with a GPU, or
``double``, for the strict double of CuPy.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cuda_cpu
import numpy as np
import pytest
import strict_cupy
from gpudl.kernels import precision, team

from gpudl import backend, config, dtype_policies
from gpudl.callbacks import progress
from gpudl.engine import default_float
from gpudl.engine.op import Op
from gpudl.engine.plan.record import Budget
from gpudl.engine.state import state
from gpudl.names import clear_names

# A Python that a test starts takes the package that is installed, not the folder that it is started in.
os.environ["PYTHONSAFEPATH"] = "1"
# Tests press Ctrl-C, which a shell lets programs in its background ignore.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
BACKEND = os.environ.get("GPUDL_TEST_BACKEND", "numpy")
TESTS = Path(__file__).parent
LONG = ("cuda", "gpu_run", "kernels_apart", "double", "threads_config", "parity", "test_layers.py")
SETTINGS = (
    *(config._settings, default_float._chosen, dtype_policies._chosen),
    *(precision._chosen, team._deterministic, progress._unfinished),
)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share a run of the whole suite out among processes, of one thread each; a debugger wants to be in this one."""
    options, whole = config.option, {TESTS, TESTS.parent} & {config.invocation_params.dir / arg for arg in config.args}
    alone = options.keyword or options.usepdb or options.collectonly or "PYTEST_XDIST_WORKER" in os.environ
    if config.pluginmanager.hasplugin("xdist") and options.numprocesses is None and whole and not alone:
        options.numprocesses = "auto"
    if getattr(options, "numprocesses", None):
        options.dist, options.loadscopereorder = "loadfile" if options.dist == "no" else options.dist, False
        options.benchmark_disable = True  # pytest-benchmark would do so too, with a warning
        os.environ.setdefault("GPUDL_NUM_THREADS", "1")
        cuda_cpu.folder()  # one for all processes


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: no process is to be left with one of them at the end."""
    items.sort(key=lambda item: not any(word in item.nodeid.partition("::")[0] for word in LONG))


@pytest.fixture(autouse=True)
def compared_at_each_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have recorded steps compared whenever a pass over data begins, and never because of the time that has passed."""
    monkeypatch.setattr(Budget, "left", lambda self: 1.0)
    monkeypatch.setattr(Budget, "is_ample", lambda self: False)


@pytest.fixture(autouse=True)
def _on_its_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    doubled = strict_cupy.is_installed()
    with ExitStack() as stack:
        if BACKEND == "double":
            stack.enter_context(strict_cupy.installed())
        if "gpu" not in request.keywords:
            stack.enter_context(backend.scope("numpy" if BACKEND == "numpy" else "cupy"))
        yield
    assert strict_cupy.is_installed() == doubled, "the test leaves the double of CuPy behind"
    assert state.recorder is None
    assert state.open_tapes == 0
    assert state.gradients
    assert state.kernels


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Draw the same in each run, where pytest-randomly is not installed, which would draw a seed and tell it."""
    if not request.config.pluginmanager.hasplugin("randomly"):
        random.seed(0)
        np.random.seed(0)


@pytest.fixture(autouse=True)
def _with_the_settings_of_a_new_process() -> Iterator[None]:
    """Put back what a test sets for the whole process: no test is to depend on those before it."""
    clear_names()
    before = [setting.copy() for setting in SETTINGS]
    yield
    for setting, values in zip(SETTINGS, before, strict=True):
        setting.clear()
        (setting.update if isinstance(setting, dict) else setting.extend)(values)


@pytest.fixture(autouse=True, scope="module")
def _without_what_xla_has_compiled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give back what Keras has compiled for a file: of all files it takes gigabytes."""
    yield
    jax = sys.modules.get("jax")
    if jax is not None and hasattr(request.module, "parity"):
        jax.clear_caches()
        gc.collect()
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # of glibc, which else keeps it


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the ops that are run."""
    names: list[str] = []
    run = Op.run

    def noting(op: Op, *args: object) -> None:
        names.append(op.name)
        run(op, *args)

    monkeypatch.setattr(Op, "run", noting)
    return names
