"""Run code that builds and launches kernels in a process of its own, under AddressSanitizer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cuda_cpu import folder

FLAGS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-fsanitize-sections=cuda_shared")


def sanitized(code: str) -> subprocess.CompletedProcess[str]:
    """Return what a Python that runs `code`, with FLAGS for its kernels, said; a fault's return code is not 0."""
    asan = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    folder()
    environment = os.environ | {
        "CUDA_CPU_SANITIZE": " ".join(FLAGS),
        "LD_PRELOAD": asan.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)]),
    }
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
