"""All sections of the proof, in the order of their importance: what comes late may find that the time is over."""

from __future__ import annotations

from benchmarks.gpu import compiling, gaps, kernels, probe, recurrent, sanitize, suite, train
from benchmarks.gpu.parts import Section

SECTIONS: dict[str, Section] = {
    "probe": probe.SECTION,
    "compile": compiling.SECTION,
    "doctor": probe.DOCTOR,
    "first": train.FIRST,
    "agree": suite.AGREE,
    "tiles": suite.TILES,
    "epochs": train.EPOCHS,
    "gaps": gaps.SECTION,
    "ops": suite.OPS,
    "convolutions": kernels.CONVOLVED,
    "attention": kernels.ATTENDED,
    "bandwidth": kernels.MOVED_AT_ONCE,
    "recurrent": recurrent.SECTION,
    "tests": suite.TESTS,
    "more": train.MORE,
    "host": probe.HOST,
    "torch-compile": train.COMPILED,
    "sanitize": sanitize.SECTION,
}
