"""The claims that a record can support: what was asked, what was measured, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.kernels import ASKED

Results = Mapping[str, Mapping[str, Any]]
"""By section and part: ``"found"``, and the ``"error"`` of a part that failed."""


@dataclass(frozen=True)
class Claim:
    """A sentence with a number.

    Attributes:
        text: what is claimed.
        measure: returns the number, or None where it was not measured.
        asked: the number that is asked for.
        most: whether the number may be at most what is asked; else it must be at least that.
        unit: behind both numbers.
    """

    text: str
    measure: Callable[[Results], float | None]
    asked: float
    most: bool = False
    unit: str = ""

    def judged(self, results: Results) -> dict[str, Any]:
        """Return the claim with what was measured; ``"reached"`` is None where nothing was."""
        value = self.measure(results)
        reached = None if value is None else value <= self.asked if self.most else value >= self.asked
        bound = "at most" if self.most else "at least"
        return {"claim": self.text, "measured": value, "asked": self.asked, "bound": bound, "unit": self.unit} | {
            "reached": reached
        }


def found(results: Results, section: str, part: str, *keys: str) -> Any:
    """Return what a part found under nested keys, or None."""
    value: Any = results.get(section, {}).get(part, {}).get("found", {})
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def faster_than(part: str, way: str) -> Callable[[Results], float | None]:
    """Return a measure: how many times as long as gpudl the better layout of a way of PyTorch takes."""

    def measure(results: Results) -> float | None:
        times = found(results, "epochs", part, "times_first") or {}
        others = [value for side, value in times.items() if side.startswith(f"torch-{way}")]
        return min(others) if others and "gpudl" in times else None

    return measure


def share_of_copy(name: str) -> Callable[[Results], float | None]:
    """Return a measure: the share of the card's own copy that an op reaches."""

    def measure(results: Results) -> float | None:
        copied = found(results, "bandwidth", "copies", "copy of CUDA, GB/s")
        reached = found(results, "bandwidth", f"op {name}", "GB/s")
        return reached / copied if copied and reached else None

    return measure


def slowest_convolution(dtype: str) -> Callable[[Results], float | None]:
    """Return a measure: the least speed beside cuDNN's of all convolutions; None unless all were measured."""

    def measure(results: Results) -> float | None:
        cases = found(results, "convolutions", f"convolutions {dtype}") or {}
        speeds = [case.get("times_first", {}).get("torch") for case in cases.values()]
        return min(speeds) if len(speeds) == 9 and all(speeds) else None

    return measure


def first(key: str) -> Callable[[Results], float | None]:
    """Return a measure: what seed 004, trained as a whole, showed."""
    return lambda results: found(results, "first", "cnn", key)


def largest_difference(network: str) -> Callable[[Results], float | None]:
    """Return a measure: how far the card's weights are from the CPU's after 20 steps, as a share of their norm."""

    def measure(results: Results) -> float | None:
        recorded = found(results, "agree", "trainings", "recorded") or {}
        values = [
            seen["relative_difference"]
            for test, seen in recorded.items()
            if network in test and "relative_difference" in seen
        ]
        return max(values) if values else None

    return measure


def failed(section: str, part: str) -> Callable[[Results], float | None]:
    """Return a measure: how many tests of a part failed or could not run; None where the run was cut in it."""

    def measure(results: Results) -> float | None:
        counts = found(results, section, part, "counts")
        if not {"seconds", "error"} & results.get(section, {}).get(part, {}).keys():
            return None
        return counts["failed"] + counts["error"] if counts and counts["passed"] else None

    return measure


def race_seconds(results: Results) -> float | None:
    """Return the faster median time of the race to 99 percent, of the precisions in which every run arrived."""
    runs = (found(results, "more", "race") or {}).values()
    arrived = [each["median seconds"] for each in runs if all(run["reached"] for run in each["runs"])]
    return min(arrived, default=None)


CLAIMS = (
    Claim("tests of layers and models on CuPy that fail", failed("tests", "layers and models"), 0, most=True),
    Claim("ops and kernels beyond rounding", failed("ops", "ops"), 0, most=True),
    Claim("tiles of products beyond rounding", failed("tiles", "tiles"), 0, most=True),
    Claim("trainings that differ from replay, eager, CPU", failed("agree", "trainings"), 0, most=True),
    Claim("seed 001, 20 steps, CPU against GPU", largest_difference("mnist-mlp"), 1e-3, most=True),
    Claim("seed 004, 20 steps, CPU against GPU", largest_difference("mnist-cnn"), 1e-3, most=True),
    Claim("seed 004, 5 epochs and evaluation", first("median seconds"), 1.0, most=True, unit="s"),
    Claim("seed 004, lowest accuracy of the seeds", first("lowest accuracy"), 0.989),
    Claim("seed 004, an epoch against PyTorch eager", faster_than("cnn epochs", "eager"), 8, unit="times"),
    Claim("seed 004, an epoch against PyTorch's captured graph", faster_than("cnn epochs", "graph"), 1.2, unit="times"),
    Claim(
        "seed 004 in TF32, against PyTorch's captured graph",
        faster_than("cnn epochs in TF32", "graph"),
        1.2,
        unit="times",
    ),
    Claim("seed 001, an epoch against PyTorch eager", faster_than("mlp epochs", "eager"), 8, unit="times"),
    Claim("first 99.0 % of the test images", race_seconds, 0.5, most=True, unit="s"),
    *(Claim(f"{name}, share of the copy's bandwidth", share_of_copy(name), 0.8) for name in ASKED),
    Claim("slowest convolution in TF32, speed beside cuDNN", slowest_convolution("float32"), 0.8, unit="times"),
    Claim("slowest convolution in bfloat16, speed beside cuDNN", slowest_convolution("bfloat16"), 0.8, unit="times"),
)


def judged(results: Results) -> list[dict[str, Any]]:
    """Return all claims with what was measured."""
    return [claim.judged(results) for claim in CLAIMS]


def table(claims: list[dict[str, Any]], title: str) -> Any:
    """Return a rich table: a claim a row."""
    from rich.table import Table

    made = Table("claim", title=title)
    for column in ("measured", "asked", "reached"):
        made.add_column(column, justify="right", no_wrap=True)
    words = {True: "yes", False: "NO", None: "not measured"}
    for claim in claims:
        value = claim["measured"]
        measured = "" if value is None else f"{value:.4g} {claim['unit']}".rstrip()
        asked = f"{claim['bound']} {claim['asked']:g} {claim['unit']}".rstrip()
        made.add_row(claim["claim"], measured, asked, words[claim["reached"]])
    return made
