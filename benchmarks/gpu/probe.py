"""What machine this is, and what CuPy does there: what a capture takes, and what a launch costs the host."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.gpu.parts import Found, Options, Part, Section

TOOLS = ("nvcc", "compute-sanitizer", "nsys", "ncu", "gcc", "g++", "nvidia-smi")
_SMI = (
    "name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu,persistence_mode"
)


def usable(options: Options) -> Found:
    """Say what is here; raise RuntimeError with gpudl's own sentence where no GPU is usable."""
    from benchmarks.record import circumstances

    yield "tools", {tool: shutil.which(tool) for tool in TOOLS}
    yield "python", sys.version
    import gpudl

    reason = gpudl.backend.why_not_cupy() if options.device == "cuda" else None
    if reason is not None:
        raise RuntimeError(reason)
    yield "circumstances", circumstances("torch", "cupy-cuda13x", "cupy-cuda12x", "h5py", "triton")


def card(options: Options) -> Found:
    """Say which card it is and how fast it is clocked now; nothing is set."""
    said = _output("nvidia-smi", f"--query-gpu={_SMI}", "--format=csv,noheader").splitlines()[0].split(",")
    yield "fields", dict(zip(_SMI.split(","), map(str.strip, said), strict=True))
    yield "details", _output("nvidia-smi", "-q", "-d", "CLOCK,PERFORMANCE,POWER,MEMORY,ECC").splitlines()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def doctor(options: Options) -> Found:
    """Say what `gpudl doctor` says."""
    command = [sys.executable, "-P", "-m", "gpudl", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    try:
        yield "report", json.loads(done.stdout)
    except json.JSONDecodeError:
        yield "status", done.returncode
        yield "said", (done.stdout + done.stderr)[-4000:]


def captures(options: Options) -> Found:
    """Try to capture what gpudl needs captured, and what it believes that a capture refuses."""
    import cupy
    import numpy as np

    x = cupy.arange(2**16, dtype=np.float32).reshape(256, 256)
    out, rows = cupy.empty_like(x), cupy.arange(256)[::-1].copy()
    doubled = cupy.ElementwiseKernel("T a", "T b", "b = a * 2", "gpudl_doubled")
    plain = cupy.RawModule(code=_KERNEL).get_function("add_one")
    cupy.cuda.Device().synchronize()
    questions: dict[str, Callable[[], Any]] = {
        "ufunc into out": lambda: cupy.tanh(x, out=out),
        "ufunc into a new array": lambda: cupy.tanh(x) + x,
        "elementwise kernel": lambda: doubled(x, out),
        "kernel of a module": lambda: plain((256,), (256,), (out, np.int32(out.size))),
        "sum over all": x.sum,
        "sum over rows": lambda: x.sum(axis=0),
        "maximum of rows": lambda: x.max(axis=1),
        "position of the maximum": lambda: x.argmax(axis=1),
        "take": lambda: cupy.take(x, rows, axis=0, out=out),
        "index by an array": lambda: x[rows],
        "fill with zero": lambda: out.fill(0),
        "fill with a number": lambda: out.fill(3),
        "copy": lambda: cupy.copyto(out, x),
        "assign a part": lambda: out.__setitem__(slice(0, 4), x[4:8]),
        "copy of a transpose": lambda: cupy.ascontiguousarray(x.T),
        "cast to float16": lambda: x.astype(np.float16),
        "where": lambda: cupy.where(x > 3, x, 0),
        "new zeros": lambda: cupy.zeros((1000, 100), np.float32),
        "matrix product of CuPy": lambda: cupy.matmul(x, x, out=out),
        "copy from the host": lambda: cupy.asarray(np.ones(3)),
        "number to the host": lambda: x.sum().item(),
        "index by a mask": lambda: x[x > 3],
        "random numbers of CuPy": lambda: cupy.random.random(8),
    }
    for name, call in questions.items():
        yield name, _captured(cupy, call)


_KERNEL = """
extern "C" __global__ void add_one(float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += 1;
}
"""


def _captured(cupy: Any, call: Callable[[], Any]) -> str:
    """Return "yes" where a call can be captured and launched three times, else what was raised, in one line."""
    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    try:
        with stream, cupy.cuda.using_allocator(pool.malloc):
            call()
            stream.synchronize()
            stream.begin_capture()
            try:
                call()
            finally:
                graph = stream.end_capture()
            for _ in range(3):
                graph.launch(stream)
            stream.synchronize()
    except Exception as error:
        return f"no: {type(error).__name__}: {error}".splitlines()[0][:300]
    return "yes"


def launches(options: Options) -> Found:
    """Measure what a call costs the host, in microseconds; and a graph of 1 and of 30 kernels, host and device."""
    import cupy
    import numpy as np

    x, out, one = cupy.zeros(128, np.float32), cupy.zeros(128, np.float32), np.int32(128)
    plain = cupy.RawModule(code=_KERNEL).get_function("add_one")
    calls: dict[str, Callable[[], Any]] = {
        "kernel of a module": lambda: plain((1,), (128,), (x, one)),
        "ufunc into out": lambda: cupy.add(x, out, out=out),
        "ufunc into a new array": lambda: x + out,
        "sum": x.sum,
        "small matrix product": lambda: cupy.matmul(x.reshape(8, 16), x.reshape(16, 8)),
    }
    for name, call in calls.items():
        yield name, _host_cost(cupy, call)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        for count in (1, 30):
            stream.begin_capture()
            for _ in range(count):
                plain((1,), (128,), (x, one))
            graph = stream.end_capture()
            yield f"graph of {count} kernels, host", _host_cost(cupy, lambda graph=graph: graph.launch(stream))
            yield f"graph of {count} kernels, whole", _host_cost(cupy, lambda graph=graph: graph.launch(stream), True)


def _host_cost(cupy: Any, call: Callable[[], Any], whole: bool = False, count: int = 500) -> float:
    """Return the microseconds that a call takes; `whole` counts until the device has done it too."""
    call()
    cupy.cuda.Device().synchronize()
    begin = time.perf_counter()
    for _ in range(count):
        call()
    if whole:
        cupy.cuda.Device().synchronize()
    seconds = time.perf_counter() - begin
    cupy.cuda.Device().synchronize()
    return round(seconds / count * 1e6, 3)


SECTION = Section("the machine", 40, {"usable": Part(usable, 30), "card": Part(card, 15)})
DOCTOR = Section("what `gpudl doctor` says", 40, {"doctor": Part(doctor, 40)})
HOST = Section(
    "what a capture takes, and what a launch costs the host",
    30,
    {"captures": Part(captures, 20), "launches": Part(launches, 15)},
)
