"""How the proof with a card is run: nothing that was found is lost, whatever fails, hangs, is killed or cut."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
# At the end: the gpudl that is installed comes before that of the checkout.
sys.path.append(str(ROOT))
gpu = SimpleNamespace(
    **{
        name: importlib.import_module(f"benchmarks.gpu.{name}")
        for name in ("claims", "parts", "runner", "sections", "summary", "__main__")
    }
)
TINY = gpu.parts.Options(size="tiny", device="cpu", seconds=60)

# A module that stands in for the sections, in the processes that are started too.
FAKES = """
import os, time
from benchmarks.gpu.parts import Part, Section

def fine(options):
    yield "number", 7

def wrong(options):
    yield "before", 1
    raise ValueError("a part that fails")

def gone(options):
    yield "before", 2
    os._exit(9)

def slow(options):
    yield "before", 3
    time.sleep(60)

PARTS = {"fine": Part(fine), "wrong": Part(wrong), "gone": Part(gone)}
# No part that hangs is the first of its process: that one has the time to start, too.
PARTS |= {"started": Part(fine), "slow": Part(slow, 0.5), "last": Part(fine)}
BRIEF, AFTER = {"last": Part(fine)}, {"slow": Part(slow), "never": Part(fine)}
SECTIONS = {name: Section("fakes", 50, parts) for name, parts in (("probe", PARTS), ("brief", BRIEF), ("after", AFTER))}
"""


def sectioned(folder: Path, text: str, patch: pytest.MonkeyPatch) -> None:
    """Let the processes run a text as soon as they start."""
    (folder / "sitecustomize.py").write_text(text)
    patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")


@pytest.fixture
def faked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let the processes find the fakes in the place of the sections."""
    (tmp_path / "fakes.py").write_text(FAKES)
    sectioned(tmp_path, "import sys, fakes; sys.modules['benchmarks.gpu.sections'] = fakes\n", monkeypatch)
    monkeypatch.setattr(gpu.runner, "STARTING", 10.0)
    spec = importlib.util.spec_from_file_location("fakes", tmp_path / "fakes.py")
    assert spec is not None
    assert spec.loader is not None
    fakes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fakes)
    sections: dict[str, Any] = fakes.SECTIONS
    return sections


def test_a_part_that_fails_dies_or_hangs_is_noted_and_the_rest_goes_on(faked: dict[str, Any]) -> None:
    notes: list[dict[str, Any]] = []
    found = gpu.runner.run("probe", faked["probe"], TINY, notes.append, seconds=50, variables={})
    assert list(found) == ["fine", "wrong", "gone", "started", "slow", "last"]
    assert [part["found"].get("before", part["found"].get("number")) for part in found.values()] == [7, 1, 2, 7, 3, 7]
    assert not [name for name in ("fine", "started", "last") if "error" in found[name]]
    assert found["wrong"]["error"].endswith("ValueError: a part that fails\n")
    assert found["gone"]["error"].startswith("exit status 9\n")
    assert found["slow"]["error"].endswith("\nstopped: its time was over")
    assert {note["section"] for note in notes} == {"probe"}
    assert [note["part"] for note in notes if "key" not in note] == list(found)
    assert gpu.summary.folded(notes)["probe"] == found, "the lines alone say the same"


def test_a_process_that_takes_too_long_to_start_is_stopped(
    faked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu.runner, "STARTING", 0.1)
    short = replace(faked["after"], parts={"slow": replace(faked["after"].parts["slow"], seconds=0.1)})
    found = gpu.runner.run("after", short, TINY, lambda note: None, seconds=50, variables={})
    assert found["slow"]["error"].endswith("\nstopped: its time was over")


def test_what_there_is_no_time_for_is_not_run(faked: dict[str, Any]) -> None:
    found = gpu.runner.run("probe", faked["probe"], TINY, lambda note: None, seconds=1, variables={})
    assert {part["error"] for part in found.values()} == {"not run: the time for this section was over"}


def test_the_command_ends_with_a_table_and_a_record(
    faked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = gpu.__main__
    monkeypatch.setattr(main, "SECTIONS", {"probe": faked["probe"]})
    monkeypatch.setattr(main, "card", lambda: "NVIDIA Fake 9000")
    monkeypatch.setattr("benchmarks.gpu.claims.CLAIMS", gpu.claims.CLAIMS[:2])
    assert main.main(["--device", "cpu", "--tiny", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "not measured" in said
    assert "3 of 6 parts ran" in said
    assert "probe/wrong: FAILED" in said
    (file,) = (tmp_path / "out").glob("gpu-nvidia-fake-9000-*.json")
    record = json.loads(file.read_text())
    assert {"date", "card", "size", "minutes", "asked", "clocks", "stopped", "claims", "sections"} <= set(record)
    assert record["sections"]["probe"]["fine"]["found"] == {"number": 7}
    lines = file.with_suffix(".jsonl")
    assert {"section": "probe", "part": "slow", "key": "before", "value": 3} in gpu.summary.read(lines)
    # What was cut in the middle of a line makes a record too.
    whole = lines.read_text()
    lines.write_text(whole[: whole.index('"last"') + 3])
    file.unlink()
    assert main.main(["--from", str(lines)]) == 1
    again = json.loads(file.read_text())
    assert again["card"] == "NVIDIA Fake 9000"
    assert list(again["sections"]["probe"]) == ["fine", "wrong", "gone", "started", "slow"]


def test_arguments_that_do_not_do_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for arguments, sentence in (
        (["--data", str(tmp_path / "missing.npz"), "--out", str(tmp_path)], "--data: there is no file"),
        ([], "--out FOLDER is needed: what is found is written there as it comes."),
        (["--out", str(tmp_path / "file/below")], "cannot be written to: Not a directory. Name another folder."),
        (["--from", str(tmp_path / "missing.jsonl")], "--from: there is no file"),
    ):
        with pytest.raises(SystemExit):
            gpu.__main__.main(arguments)
        assert sentence in capsys.readouterr().err


def python(*arguments: str, executable: str = sys.executable) -> subprocess.Popen[str]:
    line = [executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_that_is_told_to_end_writes_its_record(faked: dict[str, Any], tmp_path: Path) -> None:
    only = ("--only", "brief", "--only", "after")
    run = python("--device", "cpu", "--tiny", *only, "--out", str(tmp_path / "out"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        texts = [file.read_text() for file in (tmp_path / "out").glob("*.jsonl")]
        if any('"before"' in text for text in texts):
            break
        time.sleep(0.1)
    before = [json.loads(file.read_text()) for file in (tmp_path / "out").glob("*.json")]
    run.send_signal(signal.SIGTERM)
    said, errors = run.communicate(timeout=30)
    assert run.returncode == 1, errors
    (file,) = (tmp_path / "out").glob("*.json")
    record = json.loads(file.read_text())
    assert record["stopped"] == "stopped by SIGTERM"
    assert record["sections"]["brief"]["last"]["found"] == {"number": 7}
    assert record["sections"]["after"] == {"slow": {"found": {"before": 3}}}
    assert "after/slow: CUT: the run ended in it" in said
    assert before[0]["sections"]["brief"] == record["sections"]["brief"], "the record is written after each section"


def test_it_starts_in_a_checkout_where_gpudl_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PYTHONPATH", "PYTHONSAFEPATH"):  # as a user starts it: the checkout comes first
        monkeypatch.delenv(variable, raising=False)
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    for package in Path(np.__file__).parents[1].iterdir():
        if "gpudl" not in package.name and package.suffix != ".pth":
            (site / package.name).symlink_to(package)
    executable = str(tmp_path / "venv/bin/python")
    bare = subprocess.run([executable, "-P", "-c", "import gpudl"], cwd=tmp_path, capture_output=True, check=False)
    assert bare.returncode == 1, "gpudl is not installed there"
    only = ("--only", "probe", "--only", "host")
    run = python("--device", "cpu", "--tiny", *only, "--out", str(tmp_path / "out"), executable=executable)
    said, errors = run.communicate(timeout=120)
    assert "the record is" in said, said + errors
    (file,) = (tmp_path / "out").glob("*.json")
    found = json.loads(file.read_text())["sections"]
    assert "error" not in found["probe"]["usable"], said + errors
    assert found["probe"]["usable"]["found"]["circumstances"]["versions"]["python"]
    assert "No module named 'cupy'" in found["host"]["captures"]["error"]


# The sections as they are, on the double of CuPy, but for what takes long there; three parts fail, each in its own way.
ON_THE_DOUBLE = """
import os, sys, time
sys.path += [{tests!r}]
import strict_cupy
double = strict_cupy.installed()
double.__enter__()

def light(options):
    yield "ran", True

def raises(options):
    yield "before", 1
    raise ValueError("injected")

def hangs(options):
    yield "before", 2
    time.sleep(600)

def killed(options):
    yield "before", 3
    os.kill(os.getpid(), 9)

def patch():
    from dataclasses import replace
    from benchmarks.gpu import sections
    heavy = {heavy!r}
    for name, section in sections.SECTIONS.items():
        parts = {{
            part: replace(made, run=light) if name in heavy and part != "op take" else made
            for part, made in section.parts.items()
        }}
        sections.SECTIONS[name] = replace(section, parts=parts)
    for name, part, run in (("first", "cnn", raises), ("more", "mlp", hangs), ("epochs", "cnn epochs", killed)):
        parts = sections.SECTIONS[name].parts
        parts[part] = replace(parts[part], run=run, seconds=2)

class Found:
    def find_spec(self, name, path=None, target=None):
        if name == "benchmarks.gpu.worker":
            sys.meta_path.remove(self)
            patch()
        if name == "benchmarks.gpu.__main__":
            from benchmarks.gpu import runner
            runner.STARTING = 10.0

sys.meta_path.insert(0, Found())
"""
HEAVY = ("first", "agree", "tiles", "epochs", "gaps", "ops", "convolutions", "bandwidth", "tests", "more")
HEAVY += ("recurrent", "attention", "torch-compile", "sanitize")
ABSENT = {"probe/card", "host/captures"}  # nvidia-smi, and what of CuPy gpudl does not use


def test_the_whole_run_goes_on_after_each_kind_of_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sectioned(tmp_path, ON_THE_DOUBLE.format(tests=str(ROOT / "tests"), heavy=HEAVY), monkeypatch)
    run = python("--tiny", "--out", str(tmp_path / "out"))
    said, errors = run.communicate(timeout=400)
    (file,) = (tmp_path / "out").glob("*.json")
    sections = json.loads(file.read_text())["sections"]
    assert list(sections) == list(gpu.sections.SECTIONS), errors
    assert sections["first"]["cnn"]["found"] == {"before": 1}
    assert sections["first"]["cnn"]["error"].endswith("ValueError: injected\n")
    assert sections["more"]["mlp"]["found"] == {"before": 2}
    assert sections["more"]["mlp"]["error"].endswith("stopped: its time was over")
    assert sections["epochs"]["cnn epochs"]["error"].startswith("exit status -9")
    failed = {f"{name}/{part}" for name, parts in sections.items() for part, found in parts.items() if "error" in found}
    assert failed - ABSENT == {"first/cnn", "more/mlp", "epochs/cnn epochs"}, said
    assert sections["compile"]["networks"]["found"]["kernels"] > 30
    assert sections["compile"]["networks"]["found"]["seconds of each"]
    assert sections["bandwidth"]["op take"]["found"]["GB/s"] > 0
    assert sections["epochs"]["mlp epochs"]["found"] == {"ran": True}
    assert sections["doctor"]["doctor"]["found"]["report"]
