"""The suite itself: what a test sets ends with it, and what is run in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

TESTS = Path(__file__).parent
SETTING = """
import gpudl
def test_that_sets():
    gpudl.config.set_floatx("float64")
    gpudl.config.set_dtype_policy("mixed_float16")
    gpudl.config.set_matmul_precision("high")
    gpudl.config.enable_op_determinism()
    gpudl.layers.Dense(1)
def test_that_finds_nothing_set():
    assert gpudl.config.dtype_policy().name == gpudl.config.floatx() == "float32"
    assert gpudl.config.matmul_precision() == "highest"
    assert not gpudl.config.op_determinism_enabled()
    assert gpudl.layers.Dense(1).name == "dense"
"""


def test_what_a_test_sets_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "test_setting.py").write_text(SETTING)
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(TESTS.parent / "pyproject.toml"), "-p", "conftest"]
    command += ["--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-p", "no:randomly", "test_setting.py"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("args", "options", "expected"),
    [
        (["tests"], {}, ("auto", "loadfile")),
        ([str(TESTS)], {}, ("auto", "loadfile")),
        ([], {}, (None, "no")),
        (["tests/test_suite.py"], {}, (None, "no")),
        (["tests"], {"keyword": "suite"}, (None, "no")),
        (["tests"], {"usepdb": True}, (None, "no")),
        (["tests"], {"numprocesses": 0}, (0, "no")),
        (["tests/gpu"], {"numprocesses": 3}, (3, "loadfile")),
        (["tests"], {"numprocesses": 3, "dist": "worksteal"}, (3, "worksteal")),
    ],
)
def test_a_run_of_everything_is_shared_out(
    args: list[str], options: Any, expected: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"keyword": "", "usepdb": False, "collectonly": False, "numprocesses": None, "dist": "no", **options}
    manager = SimpleNamespace(hasplugin=lambda name: True)
    option, started = SimpleNamespace(**given), SimpleNamespace(dir=TESTS.parent)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("GPUDL_NUM_THREADS", "1")
    conftest: Any = request.config.pluginmanager.get_plugin(str(TESTS / "conftest.py"))
    asked = SimpleNamespace(option=option, args=args, invocation_params=started, pluginmanager=manager)
    conftest.pytest_cmdline_main(asked)
    assert (option.numprocesses, option.dist) == expected
