"""Compiled code that is kept between processes: damaged, unwritable, outdated, or not wanted at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpudl.kernels import registry
from gpudl.kernels.cpu.machine import cache, prebound

PROGRAM = """
import numpy as np
from gpudl.kernels.cpu import update
from gpudl.kernels.cpu.machine import interpreter, tile
w, g = np.ones(3, np.float32), np.ones(3, np.float32)
update.sgd_(w, g, np.array(0.5, np.float32))
tile.compiled()
interpreter._interpreter()
print(w)
"""


def run(program: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for compiled code, of functions that are compiled from now on."""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_said", set())
    return tmp_path


def double(worker: int, workers: int, y: Any, x: Any) -> None:
    for k in range(worker, x.size, workers):
        y[k] = 2 * x[k]


def computed() -> Any:
    """Return what `double` computes, compiled or read from the folder; and how often it was read."""
    kernel, y = prebound.ParallelLoop(double), np.zeros(3)
    kernel(3, y, np.arange(3.0))
    np.testing.assert_array_equal(y, [0, 2, 4])
    return sum(kernel.body.stats.cache_hits.values())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(reversed(data)),
    "one bit": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
}


@pytest.mark.parametrize("which", ["*.nbc", "*.nbi"])
@pytest.mark.parametrize("how", [name for name in DAMAGE if name != "one bit"])
def test_a_damaged_file_is_made_anew(folder: Path, which: str, how: str, caplog: pytest.LogCaptureFixture) -> None:
    assert computed() == 0
    assert computed() == 1
    (file,) = folder.rglob(which)
    file.write_bytes(DAMAGE[how](file.read_bytes()))
    caplog.clear()
    assert computed() == 0
    (said,) = [r.getMessage() for r in caplog.records if "damaged" in r.getMessage()]
    assert said.startswith("gpudl: a file of compiled kernels is damaged and will be replaced")
    assert str(folder) in said
    assert computed() == 1


def test_one_wrong_bit_in_machine_code_is_found(folder: Path) -> None:
    computed()
    (file,) = folder.rglob("*.nbc")
    file.write_bytes(DAMAGE["one bit"](file.read_bytes()))
    assert computed() == 0
    assert computed() == 1


def test_a_full_disk_costs_only_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._File, "_save_data", full)
    assert computed() == 0
    assert computed() == 0
    (said,) = [r.getMessage() for r in caplog.records if "cannot be cached" in r.getMessage()]
    assert "compiled again at the next start" in said
    assert "No space left on device" in said
    assert str(folder) in said
    monkeypatch.undo()


def test_every_kind_of_compiled_function_survives_damage(tmp_path: Path) -> None:
    assert run(PROGRAM, NUMBA_CACHE_DIR=str(tmp_path))[0] == "[0.5 0.5 0.5]"
    files = [*tmp_path.rglob("*.nb[ci]")]
    assert {"update._sgd", "tile._one_row_1", "interpreter._interpret"} <= {f.name.partition("-")[0] for f in files}
    for file in files:
        file.write_bytes(file.read_bytes()[:20])
    printed, errors = run(PROGRAM, NUMBA_CACHE_DIR=str(tmp_path))
    assert printed == "[0.5 0.5 0.5]"
    assert errors.count("is damaged and will be replaced") == 1
    assert run(PROGRAM, NUMBA_CACHE_DIR=str(tmp_path)) == (printed, "")


def test_no_place_for_compiled_code_at_all() -> None:
    nowhere = "from numba.core import caching; caching.CompileResultCacheImpl._locator_classes = []\n"
    printed, errors = run(nowhere + PROGRAM)
    assert printed == "[0.5 0.5 0.5]"
    assert "at every start: set NUMBA_CACHE_DIR to a writable folder" in errors


def test_a_changed_helper_recompiles_what_uses_it(tmp_path: Path) -> None:
    kernels = tmp_path / "apart" / "kernels"
    shutil.copytree(Path(registry.__file__).parent, kernels, ignore=shutil.ignore_patterns("__pycache__", "cuda"))
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np
from apart.kernels.cpu import update
w, g = np.zeros(5000, np.float32), np.full(5000, -1, np.float32)
update.sgd_(w, g, np.array(1, np.float32))
print(int(w.sum()))
"""
    where = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(program, **where)[0] == run(program, **where)[0] == "5000"
    helper = kernels / "cpu" / "machine" / "threads.py"  # its `pieces` says how many blocks an array has
    text = helper.read_text()
    assert text.count("return (size + BLOCK - 1) // BLOCK") == 1
    helper.write_text(text.replace("return (size + BLOCK - 1) // BLOCK", "return size // BLOCK"))
    assert run(program, **where)[0] == "4096"


class TestNothingIsCompiled:
    PROGRAM = """
import sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import gpudl
    net = [gpudl.layers.Conv2D(2, 3, activation="relu"), gpudl.layers.Flatten(), gpudl.layers.Dense(2)]
    model = gpudl.Sequential(net)
    model.compile("adam", "mse", metrics=["mae"])
    x = np.random.default_rng(0).random((8, 6, 6, 1)).astype("f")
    y = model.predict(x, verbose=0)
    from gpudl.engine.state import reference_only
    with reference_only():
        print(np.array_equal(model(x).numpy(), y))
    model.fit(x, y, verbose=0)
print(*[str(w.message) for w in seen], sep="\\n")
"""
    SAID = "gpudl computes without its kernels for the CPU, with NumPy alone, which is much slower: "

    def test_numba_is_told_not_to(self) -> None:
        same, *said = run(self.PROGRAM, NUMBA_DISABLE_JIT="1")[0].splitlines()
        assert same == "True"
        assert said == [
            self.SAID + "Numba compiles nothing where NUMBA_DISABLE_JIT is set; remove that variable for full speed."
        ]

    def test_there_is_no_numba(self) -> None:
        same, *said = run("import sys; sys.modules['numba'] = None\n" + self.PROGRAM)[0].splitlines()
        assert same == "True"
        (line,) = said
        assert line.startswith(self.SAID)
        assert "numba" in line
