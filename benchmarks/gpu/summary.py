"""What became of a run, from the lines that it wrote: the same while it runs, after it was cut, and from its file.

The first line of a file says what the run was (`head`). Each other one says what a part found under a key, of which the
last counts, or how the part ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu.claims import judged, table

Line = dict[str, Any]
Results = dict[str, dict[str, Any]]
"""By section and part: `"found"`, and `"seconds"`, `"error"` or both once it has ended."""


def folded(lines: Iterable[Line]) -> Results:
    """Return by section and part what lines say."""
    results: Results = {}
    for line in lines:
        if "section" not in line:
            continue
        part = results.setdefault(line["section"], {}).setdefault(line["part"], {"found": {}})
        if "key" in line:
            part["found"][line["key"]] = line["value"]
        else:
            part |= {key: line[key] for key in ("seconds", "error") if key in line}
    return results


def read(file: Path) -> list[Line]:
    """Return the lines of a file; the last one may have been cut."""
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def record(lines: Iterable[Line]) -> dict[str, Any]:
    """Return the record of a run: what it was, what it found and what that says about the claims."""
    lines = list(lines)
    head = next((line["head"] for line in lines if "head" in line), {})
    results = folded(lines)
    probed = results.get("probe", {})
    return {
        **head,
        **probed.get("usable", {}).get("found", {}).get("circumstances", {}),
        "clocks": probed.get("card", {}).get("found", {}).get("fields"),
        "stopped": next((line["stopped"] for line in lines if "stopped" in line), None),
        "claims": judged({} if head.get("size") == "tiny" else results),  # what is tiny measures nothing
        "sections": results,
    }


def outcome(part: Mapping[str, Any]) -> str:
    """Return in a few words what became of a part."""
    seconds = f" in {part['seconds']:.1f} s" if "seconds" in part else ""
    if "error" in part:
        return f"FAILED{seconds}: {str(part['error']).strip().splitlines()[-1][:150]}"
    return f"done{seconds}" if seconds else "CUT: the run ended in it"


def show(made: Mapping[str, Any]) -> bool:
    """Print the table of claims and what did not run; return whether everything that was asked for ran."""
    from benchmarks.compare import show as print_table

    title = ", ".join(str(made.get(key)) for key in ("card", "date", "size"))
    print_table(table(made["claims"], title))
    sections = made["sections"]
    parts = {f"{name}/{part}": found for name, section in sections.items() for part, found in section.items()}
    said = {name: outcome(part) for name, part in parts.items()}
    wrong = [f"{name}: {words}" for name, words in said.items() if not words.startswith("done")]
    missing = [f"{name}: not run" for name in made.get("asked", []) if name not in sections]
    for line in [*wrong, *missing]:
        print(line)
    print(f"{len(parts) - len(wrong)} of {len(parts)} parts ran" + (f"; {made['stopped']}" if made["stopped"] else ""))
    return not wrong and not missing and not made["stopped"]
