"""The vocabulary of the code and the documents: words that must not come back, and the terms to use instead."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from digit_files import REPOSITORY

TERMS = {
    r"twins?": "kernel, or reference",
    r"tells? whether(?! more or less)": "return whether, check whether",
    r"shar(?:e|es|ed|ing) out": "split",
    r"side by side": "adjacent, contiguous, packed",
    r"laid (?:in|into|together|to|at|beside)": "packed, concatenated, assembled",
    r"lies? (?:in memory|in the|on the|at the|where)": "is in, is on, is at",
    r"anew": "again",
    r"made of": "from, consists of",
    r"asks? for|asked for": "requests, requires; infers, of shapes",
    r"nobody|somebody|anybody": "the passive, or the one who is meant",
    r"(?:no|have|has|is|finds|found) room": "memory, space",
    r"known by name": "registered",
    r"the way back": "the backward pass, the gradient",
    r"floats of 16 bits": "16-bit floats",
    r"whatever it is (?:made|given)": "any",
    r"takes? turns": "alternates, is double-buffered",
    r"a file a family|family a file": "one per",
    r"text offers": "message suggests",
    r"what (?:it|they) (?:is|are) given": "its arguments, its inputs",
    r"wants? gradients": "is updated in training, requires gradients",
    r"stands? in for": "replaces",
}
FORBIDDEN = {re.compile(rf"\b(?:{word})\b".replace(" ", "\\s+"), re.IGNORECASE): term for word, term in TERMS.items()}
CODE = re.compile(r"``[^`]*``|`[^`]*`|^\s*(?:>>>|\.\.\.).*$|^\s*\('nobody', 'somebody'\)$", re.MULTILINE)
ANY = re.compile("|".join(word.pattern for word in FORBIDDEN), re.IGNORECASE)
NAMES = re.compile(r"^ *\w+: ", re.MULTILINE)  # of arguments and attributes
SOURCES = [path for folder in ("gpudl", "kernels") for path in sorted((REPOSITORY / folder).rglob("*.*"))]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each comment, docstring and message of a file."""
    source = path.read_text("utf-8")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield node.lineno, node.value
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    elif path.suffix == ".md":
        yield 1, source
    else:
        yield from ((number, line.partition("//")[2]) for number, line in enumerate(source.splitlines(), 1))


def found(path: Path) -> Iterator[str]:
    """Yield a line for each word of a file that has a better term."""
    for first, text in texts(path):
        if not ANY.search(text):
            continue
        plain = NAMES.sub("", CODE.sub(lambda code: "\n" * code[0].count("\n"), text))
        for word, term in FORBIDDEN.items():
            for match in word.finditer(plain):
                line = first + plain.count("\n", 0, match.start())
                yield f"{path.relative_to(REPOSITORY)}:{line}: {' '.join(match[0].split())!r}: {term}"


def test_the_words_of_the_sources() -> None:
    paths = [path for path in SOURCES if path.suffix in (".py", ".cu", ".cuh")]
    assert len(paths) > 200
    assert not [line for path in paths for line in found(path)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_words_of_the_documents(page: Path) -> None:
    assert not list(found(page))


def test_a_word_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    text = '"""A page.\n\n    anew: `twin`, and a twin that nobody\n    asks\n    for.\n"""\nx = 1  # made of it\n'
    (tmp_path / "a.py").write_text(text, "utf-8")
    assert [line.partition(": ")[0] + " " + line.split("'")[1] for line in found(tmp_path / "a.py")] == [
        "a.py:3 twin",
        "a.py:4 asks for",
        "a.py:3 nobody",
        "a.py:7 made of",
    ]
    (tmp_path / "a.cu").write_text("int twins;  // shared out\n", "utf-8")
    assert list(found(tmp_path / "a.cu")) == ["a.cu:1: 'shared out': split"]
