"""What the README and the documents name exists: links, paths, modules, commands, and every other word of code."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import cache
from operator import attrgetter
from pathlib import Path

import pytest
from digit_files import REPOSITORY

import gpudl

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
FOLDERS = ("gpudl", "kernels", "tests", "benchmarks", "examples", "docs", ".ci")
PATH = re.compile(rf"[\w.*/-]+\.(?:py|cuh?|h|jsonl?|md|toml)|(?:{'|'.join(map(re.escape, FOLDERS))})/[\w.*/-]*|[\w/]+/")
MADE_WHEN_RUN = re.compile(r"\b[A-Z]{3,}\b")  # gpu-CARD-DATE.json
GIVEN = {"mnist.npz", "torch.compile"}  # by whoever runs the command
MARKER = re.compile(rb"^(?:<{7}|>{7}|\|{7}) ", re.MULTILINE)


@cache
def tree() -> dict[str, Path]:
    """Return the files and folders that documents may name, by their paths from the top."""
    below = [path for folder in FOLDERS for path in (REPOSITORY / folder, *(REPOSITORY / folder).rglob("*"))]
    kept = [path for path in (*below, *REPOSITORY.iterdir()) if "__pycache__" not in path.parts]
    return {path.relative_to(REPOSITORY).as_posix(): path for path in kept}


@cache
def words() -> set[str]:
    """Return every word of the programs' texts, and the names of the files."""
    other = {Path(__file__), *PAGES, REPOSITORY / "CHANGELOG.md", REPOSITORY / "LICENSE"}
    texts = [path for path in tree().values() if path.is_file() and path not in other]
    return {word for path in texts for word in (path.stem, *re.findall(r"\w+", path.read_text("utf-8")))}


@cache
def defined() -> dict[str, list[object]]:
    """Return gpudl's modules and what they hold by name; a class under its name in small letters too."""
    found: dict[str, list[object]] = defaultdict(list)
    for info in pkgutil.walk_packages(gpudl.__path__, "gpudl."):
        if not info.name.startswith("gpudl.kernels") and not info.name.endswith(("__main__", "as_keras")):
            module = importlib.import_module(info.name)
            for name, value in {**vars(module), info.name.rpartition(".")[2]: module}.items():
                found[name].append(value)
                if isinstance(value, type):
                    found[name.lower()].append(value)
    found["as_keras"].append(None)  # not imported, which would give other tests gpudl for Keras
    return found


def code(text: str) -> list[str]:
    """Return what stands between backticks in a line."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def is_there(path: str) -> bool:
    """Tell whether a path from the top or from inside a folder, or a name alone, leads somewhere; ``*`` is any name."""
    pattern = re.compile(r"(?:.*/)?" + re.escape(path.rstrip("/")).replace(r"\*", "[^/]*"))
    return MADE_WHEN_RUN.search(path) is not None or any(map(pattern.fullmatch, tree()))


def resolves(name: str) -> bool:
    """Tell whether a dotted name is one of gpudl, or an attribute of what gpudl calls by its first part."""
    first, *rest = name.removeprefix("gpudl.").split(".")
    if first in ("kernels", "cuda_cpu"):  # the latter in the folder `tests`
        return is_there("/".join((first, *rest)) + ".py") or is_there("/".join((first, *rest)))
    return any(rest == [] or _has(value, ".".join(rest)) for value in defined()[first])


def _has(value: object, name: str) -> bool:
    try:
        attrgetter(name)(value)
    except AttributeError:
        return False
    return True


def missing_commands(text: str) -> list[str]:
    """Return the benchmarks that are not there, and the options that they do not know."""
    found = []
    for name, rest in re.findall(r"(?<![\w.])benchmarks\.(\w+)([^`\n]*)", text):
        sources = [f"benchmarks/{name}.py", f"benchmarks/{name}/__main__.py"]
        said = "".join(tree()[path].read_text("utf-8") for path in sources if path in tree())
        wanted = ["", *re.findall(r" --[\w-]+", rest)]
        found += [f"benchmarks.{name}{option}" for option in wanted if not said or option.strip() not in said]
    return found


def missing(text: str) -> list[str]:
    """Return the paths, names and words of code in a document that are nowhere in the tree."""
    found = missing_commands(text)
    for span in code(text):
        if PATH.fullmatch(span):
            found += [] if is_there(span) else [span]
            continue
        dotted = {*re.findall(r"(?<![\w./\"])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", span)} - GIVEN
        found += [name for name in dotted if not (name.startswith("benchmarks.") or is_there(name) or resolves(name))]
        found += [word for word in re.findall(r"[A-Za-z_]\w{2,}", span) if word not in words()]
    return found


@every_page
def test_what_a_page_names_exists(page: Path) -> None:
    assert not missing(page.read_text("utf-8"))


@pytest.mark.parametrize(
    "wrong",
    [
        *("ops/no_such.py", "kernels/cpu/no_such.py", "no_such.cu", "no_such/", "tests/no_such", "test_no_such.py"),
        *("gpudl.no_such", "gpudl.backend.no_such()", "model.no_such(x)", "Op.no_such", "gpudl.kernels.no_such"),
        *("no_such_word", "call(no_such_word)", "--no_such_word", "python -m benchmarks.no_such"),
        *("python -m cuda_cpu.no_such", "benchmarks.no_such", "python -m benchmarks.compare --no-such"),
    ],
)
def test_what_does_not_exist_is_found(wrong: str) -> None:
    assert missing(f"a line with `{wrong}` in it")


@every_page
def test_relative_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    relative = [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]
    assert not [target for target in relative if not (page.parent / target).exists()]


@cache
def repository_texts() -> dict[str, bytes]:
    """Return the texts that git keeps, or would keep."""
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        pytest.skip("this is no git checkout")
    command = [git, "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    if asked.returncode:
        pytest.skip(f"git does not list the files: {asked.stderr.strip()}")
    paths = {name: REPOSITORY / name for name in asked.stdout.split("\0") if name}
    contents = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
    return {name: text for name, text in contents.items() if b"\0" not in text}


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(rb"(^|[^A-Za-z0-9_.])/(work|root|tmp)/", re.MULTILINE)
    assert not {name: place.findall(text) for name, text in repository_texts().items() if place.search(text)}


def test_every_merge_is_resolved() -> None:
    assert not [name for name, text in repository_texts().items() if MARKER.search(text)]


@pytest.mark.parametrize("sign", "<>|")
def test_a_marker_is_seen(sign: str) -> None:
    assert MARKER.search(f"a line\n{sign * 7} a branch\n".encode())


def test_without_the_kernels_for_the_cpu_the_references_compute(tmp_path: Path) -> None:
    for source, folder in (("gpudl", "gpudl"), ("kernels", "gpudl/kernels")):
        no_kernels = shutil.ignore_patterns("__pycache__", "cpu")
        shutil.copytree(REPOSITORY / source, tmp_path / folder, ignore=no_kernels)
    program = """if True:
        import sys
        sys.path[:0] = sys.argv[1:]
        import numpy as np
        import gpudl
        from gpudl import layers
        gpudl.utils.set_random_seed(1)
        model = gpudl.Sequential([layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
                                  layers.Dropout(0.3), layers.Dense(4, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        x, y = np.arange(32 * 64, dtype="float32").reshape(32, 8, 8, 1) / 2048, np.arange(32) % 4
        print(*model.fit(x, y, epochs=2, batch_size=8, verbose=0).history["loss"], "numba" in sys.modules)
    """

    def losses(*start: str) -> list[str]:
        run = subprocess.run([sys.executable, *start], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout.split()

    # Without site-packages, where an installed gpudl would lend its kernels.
    *slow, numba = losses("-I", "-S", "-c", program, str(tmp_path), *filter(None, sys.path))
    assert numba == "False"
    *fast, numba = losses("-c", program)
    assert numba == "True"
    assert [float(loss) for loss in slow] == pytest.approx([float(loss) for loss in fast], rel=1e-4)
