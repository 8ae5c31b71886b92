"""The tables of `docs/onnx.md`: which layers and ops a file says; run this to write them."""

from __future__ import annotations

from textwrap import wrap

from contract_cases import CONTRACTS
from digit_files import REPOSITORY
from export_cases import ALL, INSIDE, ON_HOST
from test_export_ops import NONE

from gpudl.engine.op import registry

PAGE = REPOSITORY / "docs" / "onnx.md"
BEGIN = "## Layers\n"


def page() -> str:
    """Return the text of the page, with the tables of now."""
    kinds = {case.kind for case in ALL} | {kind for kind, why in INSIDE.items() if why == "in an RNN"}
    lines = [BEGIN]
    lines += [_listed("A file says each of these as it computes here, within 1e-4, run by onnxruntime:", sorted(kinds))]
    lines += ["", _listed("These work on the host, and are refused:", sorted(ON_HOST))]
    lines += ["", "A layer of your own is said by the ops that it calls.", "", "## Ops", ""]
    said = sorted(name for name in CONTRACTS if name not in NONE and not registry[name].update)
    lines += [_listed("A file says these ops, of which all functions in `gpudl.ops` are made:", said)]
    lines += ["", "It does not say the others, which are refused by a sentence that names the op and the layer:", ""]
    reasons = dict.fromkeys(NONE.values())
    lines += [_listed(f"- {why}:", sorted(n for n, w in NONE.items() if w == why), "  ") for why in reasons]
    lines += ["- updates of variables: a file has none that could change, so that it has no stateful layers either."]
    return PAGE.read_text("utf-8").split(BEGIN)[0] + "\n".join(lines) + "\n"


def _listed(head: str, names: list[str], indent: str = "") -> str:
    text = f"{head} {', '.join(f'`{name}`' for name in names)}."
    return "\n".join(wrap(text, 120, subsequent_indent=indent, break_on_hyphens=False))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
