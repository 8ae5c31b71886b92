"""What the README and the documents promise: the commands, the program, links that lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from digit_files import REPOSITORY
from example_runs import limited, run_source

COMMANDS = ["pip install . && gpudl train mnist-cnn", 'pip install ".[test]" && pytest']
README = REPOSITORY / "README.md"
PAGES = [README, *sorted((REPOSITORY / "docs").glob("*.md"))]


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    relative = [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]
    missing = [target for target in relative if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_the_text_exist(page: Path) -> None:
    named = re.findall(r"`((?:gpudl|kernels|tests|docs|examples|benchmarks)/[\w/.]*\w/?)`", page.read_text("utf-8"))
    missing = [path for path in named if not (REPOSITORY / path).exists()]
    assert not missing


def repository_texts() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        pytest.skip("this is no git checkout")
    asked = subprocess.run(
        [git, "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=False,
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        pytest.skip(f"git does not list the files: {asked.stderr.strip()}")
    return [REPOSITORY / name for name in asked.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(rb"(^|[^A-Za-z0-9_.])/(work|root|tmp)/", re.MULTILINE)
    texts = {path: path.read_bytes() for path in repository_texts()}
    found = [
        f"{path.relative_to(REPOSITORY)}: {match.group().decode()}"
        for path, text in texts.items()
        if b"\0" not in text
        for match in place.finditer(text)
    ]
    assert not found
