"""Threads: how many, the same bits for any number, and no change for the rest of the program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpudl.kernels import deterministic, team

import gpudl
from gpudl import layers
from gpudl.config import get_num_threads, set_num_threads
from gpudl.engine.op import registry

TRAINING = """
import hashlib, sys
import numpy as np
import gpudl
from gpudl import layers

kind, dtype = sys.argv[1:3]
gpudl.config.set_floatx(dtype)
if dtype == "float64":
    gpudl.config.enable_op_determinism()
gpudl.utils.set_random_seed(3)
if kind == "cnn":
    net = [layers.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2)]
    net += [layers.Conv2D(16, 3, activation="relu"), layers.Flatten(), layers.Dropout(0.5)]
else:
    net = [layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(300, activation="relu")]
    net += [layers.BatchNormalization()]
model = gpudl.Sequential([*net, layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
x = np.random.rand(320, 28, 28, 1)
model.fit(x, (x.sum(axis=(1, 2, 3)) % 10).astype(int), batch_size=64, epochs=4, verbose=0)
print(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    chosen, needed = list(team._chosen), team._deterministic[0]
    yield
    team._chosen[:], team._deterministic[0] = chosen, needed


def run(program: str, *arguments: str, fails: bool = False, **environment: str) -> tuple[str, str]:
    """Return standard output and the errors of a Python that runs `program`."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) is fails, done.stderr
    return done.stdout.strip(), done.stderr.strip()


class TestCount:
    def test_by_default_it_is_what_the_process_may_run_on(self) -> None:
        program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import gpudl; "
        program += "print(gpudl.config.get_num_threads())"
        if hasattr(os, "sched_setaffinity"):
            assert run(program, NUMBA_NUM_THREADS="")[0] == "1"

    @pytest.mark.parametrize(
        ("written", "count"),
        [
            (("150000 100000\n",), 2),
            (("max 100000\n",), None),
            (("100000", "50000"), 2),
            (("-1", "50000"), None),
            (("10000 100000",), 1),
            ((), None),
        ],
    )
    def test_a_container_may_have_fewer(
        self, written: tuple[str, ...], count: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = [tmp_path / str(number) for number in range(len(written))]
        for path, text in zip(paths, written, strict=True):
            path.write_text(text)
        monkeypatch.setattr(team, "_QUOTAS", (("/no/such/file",), tuple(map(str, paths))))
        assert team.quota() == count
        monkeypatch.setattr(team, "most", lambda: 8)
        monkeypatch.delenv("GPUDL_NUM_THREADS", raising=False)
        team._chosen.clear()
        assert get_num_threads() == (count or 8)

    @pytest.mark.parametrize("count", [0, -1, 3, 2.0, True, "2", None])
    def test_what_cannot_be(self, count: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(team, "most", lambda: 2)
        set_num_threads(2)
        with pytest.raises(ValueError, match=rf"expected an integer from 1 to 2, the processors .*, got {count!r}\."):
            set_num_threads(count)
        assert get_num_threads() == 2

    def test_the_environment_has_a_say(self) -> None:
        ask = "import gpudl; print(gpudl.config.get_num_threads())"
        assert run(ask, NUMBA_NUM_THREADS="4", GPUDL_NUM_THREADS="3")[0] == "3"
        errors = run(ask, fails=True, NUMBA_NUM_THREADS="4", GPUDL_NUM_THREADS="many")[1]
        assert "GPUDL_NUM_THREADS expected an integer from 1 to 4" in errors
        assert errors.endswith("got 'many'.")

    def test_choosing_loads_no_library(self) -> None:
        program = "import sys, gpudl; gpudl.config.set_num_threads(1); gpudl.config.enable_op_determinism(); "
        assert run(program + "print('numba' in sys.modules)")[0] == "False"

    def test_kernels_obey_and_the_users_own_do_not_notice(self) -> None:
        program = """
import os
import numpy as np
before = dict(os.environ)
import numba, gpudl
from gpudl.kernels.cpu.machine import prebound, threads
def note(worker, workers, out):
    out[worker] = workers
kernel = prebound.ParallelLoop(note)
seen = []
def workers(work):
    out = np.zeros(16, np.int64)
    kernel(work, out)
    prebound.bound(lambda: kernel(work, out), None)()
    seen.append(out.tolist())
numba.set_num_threads(3)
for count in (1, 2, 4):
    gpudl.config.set_num_threads(count)
    workers(threads.PARALLEL_FROM)
    workers(threads.PARALLEL_FROM - 1)
    assert numba.get_num_threads() == 3
alone = [1] + [0] * 15  # else four workers to a thread
print(seen == [alone, alone, [8] * 8 + [0] * 8, alone, [16] * 16, alone])
print(dict(os.environ) == before)
"""
        assert run(program, NUMBA_NUM_THREADS="4")[0] == "True\nTrue"


class TestTheRestOfTheProgram:
    def test_training_leaves_blas_and_the_environment_alone(self) -> None:
        program = """
import ctypes, os, re
import numpy as np
before = dict(os.environ)
def blas():
    with open("/proc/self/maps") as maps:
        found = re.search(r"/\\S*openblas\\S*", maps.read())
    library = found and ctypes.CDLL(found[0])
    for name in ("scipy_openblas_get_num_threads64_", "scipy_openblas_get_num_threads", "openblas_get_num_threads"):
        if library and hasattr(library, name):
            return getattr(library, name)()
count = blas()
import gpudl
gpudl.config.set_num_threads(1)
gpudl.config.enable_op_determinism()
model = gpudl.Sequential([gpudl.layers.Dense(4)])
model.compile("sgd", "mse")
model.fit(np.ones((64, 3)), np.ones((64, 4)), verbose=0)
print(dict(os.environ) == before, blas() == count, count)
"""
        if not Path("/proc/self/maps").exists():
            pytest.skip("there is no list of the loaded libraries here")
        same_environment, same_count, count = run(program, OPENBLAS_NUM_THREADS="2")[0].split()
        assert same_environment == same_count == "True"
        assert count in ("None", "2", "1")  # none where NumPy has another BLAS, one where there is one processor


class TestDeterminism:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("kind", ["cnn", "mlp"])
    def test_one_thread_and_two_train_to_the_same_bits(self, kind: str, dtype: str) -> None:
        weights = {
            run(TRAINING, kind, dtype, NUMBA_NUM_THREADS="2", GPUDL_NUM_THREADS=kernels, OPENBLAS_NUM_THREADS=blas)[0]
            for kernels, blas in (("1", "1"), ("2", "2"))
        }
        assert len(weights) == 1

    def test_nothing_is_left_to_blas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = gpudl.Sequential(
            [layers.Conv2D(2, 3, dtype="float64"), layers.Flatten(), layers.Dense(2, dtype="float64")]
        )
        model.compile("sgd", "mse")
        data = np.random.rand(8, 6, 6, 1), np.random.rand(8, 2)

        def multiplied(*args: Any, **options: Any) -> None:
            raise AssertionError("BLAS was called")

        monkeypatch.setattr(np, "matmul", multiplied)
        gpudl.config.set_floatx("float64")
        try:
            with pytest.raises(AssertionError, match="BLAS was called"):
                model.fit(*data, verbose=0)
            gpudl.config.enable_op_determinism()
            model.fit(*data, verbose=0)
        finally:
            gpudl.config.set_floatx("float32")

    def test_it_is_asked_for(self) -> None:
        assert not gpudl.config.op_determinism_enabled()
        gpudl.config.enable_op_determinism()
        assert gpudl.config.op_determinism_enabled()

    def test_plans_from_before_are_not_replayed(self) -> None:
        step = gpudl.traced(lambda x: x @ x)
        x = gpudl.convert_to_tensor(np.eye(3))
        step(x)
        gpudl.config.enable_op_determinism()
        step(x)
        assert len(step.entries) == 2

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize(
        ("a", "b", "static"),
        [
            ((5, 7), (7, 3), {}),
            ((7, 5), (3, 7), {"transpose_a": True, "transpose_b": True}),
            ((2, 1, 7, 5), (4, 7, 3), {"transpose_a": True}),
            ((0, 7), (7, 3), {}),
            ((5, 0), (0, 3), {}),
            ((90, 80), (80, 70), {}),
        ],
    )
    def test_products(self, a: Any, b: Any, static: dict[str, bool], dtype: str) -> None:
        rng = np.random.default_rng(0)
        left, right = rng.standard_normal(a).astype(dtype), rng.standard_normal(b).astype(dtype)
        shown = ("ji" if "transpose_a" in static else "ij"), ("kj" if "transpose_b" in static else "jk")
        expected = np.einsum(
            f"...{shown[0]},...{shown[1]}->...ik", left.astype(np.longdouble), right.astype(np.longdouble)
        )
        for order in (np.ascontiguousarray, np.asfortranarray):
            out = np.full(expected.shape, np.nan, dtype)
            deterministic.matmul(out, order(left), order(right), **static)
            np.testing.assert_allclose(out, expected.astype(dtype), rtol=0, atol=100 * np.finfo(dtype).eps)

    def test_gradients_of_rows_that_were_taken(self) -> None:
        gpudl.config.enable_op_determinism()
        g, indices = np.arange(12.0).reshape(2, 3, 2), np.array([[0, 3, 0], [3, 3, 0]])
        expected = np.zeros((5, 2))
        for at, row in np.ndenumerate(indices):
            expected[row] += g[at]
        np.testing.assert_array_equal(registry["take_grad"](g, indices, rows=5).numpy(), expected)


class TestFirstCompilation:
    PROGRAM = """
import numba, numpy as np, gpudl
numba.njit(lambda x: x + 1)(1)
for rows in (np.arange(2), np.arange(2, dtype=np.int32)):  # two kernels
    print(gpudl.ops.take(np.ones((3, 2), np.float32), rows, axis=0).shape)
"""

    def test_a_line_says_so_once(self, tmp_path: Path) -> None:
        folder = str(tmp_path)
        said = "gpudl: compiling kernels for this machine, once; later starts take them from the cache ("
        printed, errors = run(self.PROGRAM, NUMBA_CACHE_DIR=folder)
        assert printed == "(2, 2)\n(2, 2)"
        assert errors.startswith(said + folder)
        assert errors.count("\n") == 0
        assert run(self.PROGRAM, NUMBA_CACHE_DIR=folder) == (printed, "")

    def test_it_can_be_silenced(self, tmp_path: Path) -> None:
        quiet = "import logging; logging.getLogger('gpudl').setLevel(logging.ERROR)\n"
        assert run(quiet + self.PROGRAM, NUMBA_CACHE_DIR=str(tmp_path))[1] == ""
