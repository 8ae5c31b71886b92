"""What is compiled by NVRTC without a GPU, and what is said of it; CI runs it with CuPy's own code where it can."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cuda_cpu import cupy_compiler, nvrtc

ONE, OTHER, SLOW = (("text", ("-DA=1",)), ("text", ("-DA=2",)), ("slow", ()))
STUB = """
import json, sys, time
file, out, first, by, arch = sys.argv[1:]
with open(out, "w") as lines:
    for text, options, name in json.load(open(file))[int(first)::int(by)]:
        if text == "slow": time.sleep(60)
        if text == "dies": raise SystemExit("no such library")
        said = "error: what?" if name == "wrong" else ""
        lines.write(json.dumps({"name": name, "options": " ".join(options), "said": said, "by": "a stub"}) + "\\n")
        lines.flush()
"""


def told(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **sources: Any) -> None:
    (tmp_path / "stub.py").write_text(text)
    monkeypatch.setattr(nvrtc, "COMPILER", tmp_path / "stub.py")
    monkeypatch.setattr(nvrtc, "sources", lambda: sources["wanted"])


def test_a_source_that_is_refused_is_named_and_so_is_what_there_was_no_time_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(STUB, monkeypatch, tmp_path, wanted={ONE: "matmul", OTHER: "wrong", SLOW: "run_add"})
    assert nvrtc.main(["--python", sys.executable, "--minutes", "0.07"]) == 1
    said = capsys.readouterr().out
    assert "wrong -DA=2\nerror: what?" in said
    assert "2 of 3 sources compiled for sm_90 by a stub in " in said
    assert ", 1 of them refused or warned of." in said
    assert "not compiled in time: run_add (1)" in said


def test_all_is_well_where_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(STUB, monkeypatch, tmp_path, wanted={ONE: "matmul", OTHER: "right"})
    assert nvrtc.main(["--python", sys.executable, "--minutes", "1"]) == 0
    assert "2 of 2 sources compiled" in capsys.readouterr().out


def test_a_compiler_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told(STUB, monkeypatch, tmp_path, wanted={("dies", ()): "matmul"})
    with pytest.raises(RuntimeError, match=r"exit status 1:\nno such library"):
        nvrtc.main(["--python", sys.executable, "--minutes", "1"])


def test_what_each_process_writes(tmp_path: Path) -> None:
    (tmp_path / "sources").write_text(json.dumps([("good", ["-DA"], "add"), ("skipped", [], "x"), ("bad", [], "y")]))

    def compile_one(text: str, options: list[str], arch: str) -> str:
        if text == "bad":
            raise ValueError(f"refused for sm_{arch}")
        return ""

    arguments = [str(tmp_path / "sources"), str(tmp_path / "out"), "0", "2", "90"]
    cupy_compiler.main(arguments, ("a stub", compile_one))
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert lines == [
        {"name": "add", "options": "-DA", "said": "", "by": "a stub"},
        {"name": "y", "options": "", "said": "refused for sm_90", "by": "a stub"},
    ]


def test_every_file_and_every_tile_is_among_the_sources() -> None:
    names = {name for _, _, name in nvrtc.tiles()}
    assert names == {"matmul", "conv2d", "conv2d_input_grad", "conv2d_weight_grad"}
    assert len(nvrtc.tiles()) == len(names) * (4 + 2 + 3 * 6)  # float32, float64, tensor cores
