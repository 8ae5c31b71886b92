"""How long files, layers, ops and `apply` may be, in lines that are neither docstrings nor comments."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE = 300
LONGEST = {
    ("gpudl/layers/core.py", "Dense"): 25,
    ("gpudl/layers/convolution.py", "Conv2D"): 40,
    ("gpudl/layers/regularization.py", "Dropout"): 20,
    ("gpudl/engine/op.py", "apply"): 30,
}
LONGEST_OP = 20
MOST_LINES_OF_ANY = 300
# Ops that are longer, and why.
LONG_OPS = {
    "attention_grad": "one pass over the blocks of scores gives the gradients of all three inputs",
    "layer_norm_grad": "one pass over the rows gives the gradients of all three inputs",
    **dict.fromkeys(("lstm", "lstm_grad", "gru", "gru_grad"), "a loop over time, of a dozen arrays"),
}

Definition = ast.ClassDef | ast.FunctionDef


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that are no docstring, no comment, and not blank."""
    found: set[int] = set()
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in empty:
            found |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found -= set(range(node.lineno, node.end_lineno + 1))  # type: ignore[operator]
    return found


def length(source: str, node: Definition) -> int:
    """Return how many lines of code a class or function has, without what decorates it."""
    return len(code_lines(source) & set(range(node.lineno, node.end_lineno + 1)))  # type: ignore[operator]


def named(source: str, name: str) -> Definition:
    """Return the class or function of that name, wherever it stands."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return next(node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds) and node.name == name)


def sources() -> dict[str, str]:
    """Return the texts of the package, Python and CUDA, by their paths from the top."""
    paths = [path for folder in ("gpudl", "kernels") for path in sorted((ROOT / folder).rglob("*"))]
    texts = [path for path in paths if path.suffix in (".py", ".cu", ".cuh")]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in texts}


def test_what_counts_as_code() -> None:
    source = '"""Text."""\n\n# why\nclass A:\n    """Text\n    goes on."""\n\n    x = """no\n    docstring"""  # why\n'
    assert code_lines(source) == {4, 8, 9}
    assert length(source, named(source, "A")) == 3


def test_no_file_is_too_long() -> None:
    long = {path for path, text in sources().items() if text.count("\n") > LONGEST_FILE}
    assert not long


@pytest.mark.parametrize(("path", "name"), LONGEST)
def test_what_everything_rests_on_is_short(path: str, name: str) -> None:
    source = (ROOT / path).read_text("utf-8")
    assert length(source, named(source, name)) <= LONGEST[path, name]


def ops() -> dict[str, int]:
    """Return how long the functions are that ops are made of, by name."""
    found = {}
    for path, source in sources().items():
        if path.startswith("gpudl/ops/"):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef) and any(_makes_an_op(d) for d in node.decorator_list):
                    found[node.name] = length(source, node)
    return found


def _makes_an_op(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id == "op"


def test_an_op_is_short_or_says_why_not() -> None:
    lengths = ops()
    assert len(lengths) > 20
    long = {name for name, lines in lengths.items() if lines > LONGEST_OP}
    assert long == LONG_OPS.keys()


def test_types_say_what_is_known() -> None:
    said = re.compile(r"\bAny\b")
    lines = [
        f"{path}: {line.strip()}"
        for path, text in sources().items()
        if path.endswith(".py")
        for line in text.splitlines()
        if said.search(line)
    ]
    assert len(lines) <= MOST_LINES_OF_ANY, lines
