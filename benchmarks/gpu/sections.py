"""All sections of the proof, in the order of their importance: what comes late may find that the time is over."""

from __future__ import annotations

from benchmarks.gpu import gaps, kernels, probe, sanitize, suite, train
from benchmarks.gpu.parts import Section

SECTIONS: dict[str, Section] = {
    "probe": probe.SECTION,
    "agree": suite.AGREE,
    "train": train.SECTION,
    "tests": suite.TESTS,
    "kernels": kernels.SECTION,
    "gaps": gaps.SECTION,
    "sanitize": sanitize.SECTION,
}
