"""What the README promises: the commands, and the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from digit_files import REPOSITORY
from example_runs import limited, run_source

COMMANDS = ["pip install . && gpudl train mnist-cnn", 'pip install ".[test]" && pytest']
README = REPOSITORY / "README.md"


def code_blocks(text: str) -> list[str]:
    """Return what stands between fences, and what is indented by four spaces."""
    pieces = re.split(r"^```.*\n", text, flags=re.MULTILINE)
    blocks = pieces[1::2]
    for prose in pieces[::2]:
        indented = re.findall(r"(?:^ {4}.*\n(?:[ \t]*\n)*)+", prose, flags=re.MULTILINE)
        blocks += [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in indented]
    return blocks


def test_the_readme_has_the_two_set_up_commands_and_no_other() -> None:
    lines = [line.strip() for block in code_blocks(README.read_text("utf-8")) for line in block.splitlines()]
    assert [line for line in lines if line.startswith("pip ")] == COMMANDS


def test_the_first_program_of_the_readme_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = limited(monkeypatch, tmp_path)
    programs = [block for block in code_blocks(README.read_text("utf-8")) if "import" in block and "fit(" in block]
    assert programs, "the README shows no program that trains"
    run_source(programs[0], "the README's program")
    assert "loss" in capsys.readouterr().out
    assert limits.fits
