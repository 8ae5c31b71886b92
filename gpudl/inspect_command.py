"""``gpudl inspect FILE``: prints what is inside a file of a model or of weights, without making it."""

from __future__ import annotations

from gpudl.saving.inspection import Contents, contents_of


def show(path: str) -> int:
    """Print what a file has, and return the exit status."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def plain(text: str) -> Text:  # what a file says is neither markup nor an order to the terminal
        return Text("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))

    found = contents_of(path)
    console = Console(soft_wrap=True, highlight=False)
    facts = Table("what", "found", title="gpudl inspect", title_justify="left")
    for name, value in {"file": path, "kind": found.kind, **found.facts, **_sums(found)}.items():
        facts.add_row(plain(name), plain(value))
    console.print(facts)
    if found.parts:
        layers = Table("layer", "class", "arguments")
        for part in found.parts:
            layers.add_row(plain("  " * part.depth + part.name), plain(part.kind), plain(part.arguments))
        console.print(layers)
    weights = Table("weight", "shape", "dtype", "bytes")
    for weight in found.weights:
        weights.add_row(plain(weight.path), str(weight.shape), weight.dtype, f"{weight.bytes:,}")
    console.print(weights)
    return 0


def _sums(found: Contents) -> dict[str, str]:
    size = sum(weight.bytes for weight in found.weights)
    return {"weights": f"{len(found.weights)} arrays, {size:,} bytes"}
