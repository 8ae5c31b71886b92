"""What binds a training step on the card: its kernels one by one, and the time in which none of them runs."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from functools import partial
from typing import Any

from benchmarks.gpu.parts import Found, Options, Part, Section
from benchmarks.workloads.networks import BATCH_SIZES, batch, keras_model

STEPS = 64  # that are looked at


def _ready(network: str, options: Options, size: int, steps: int) -> tuple[Any, Any, Any]:
    """Return a model that has trained, and data on the device for `steps` batches of `size`."""
    import numpy as np

    import gpudl

    model = keras_model(gpudl, network)
    on = gpudl.backend.current()
    x, y = (on.asarray(np.concatenate([a] * steps)) for a in batch(network, size))
    model.fit(x, y, batch_size=size, verbose=0)
    return model, x, y


def steps(network: str, options: Options) -> Found:
    """Measure a step within a pass of `fit`, at the tutorial's batch size and larger ones."""
    for times in options.pick((1, 4, 16), (1, 4), (1,)):
        size = BATCH_SIZES[network] * times
        count = options.pick(1024, 512, 4) // times
        model, x, y = _ready(network, options, size, count)
        taken = []
        for _ in range(options.pick(5, 3, 1)):
            begin = time.perf_counter()
            model.fit(x, y, batch_size=size, verbose=0)
            taken.append((time.perf_counter() - begin) / count)
        yield f"us a step of {size}", statistics.median(taken) * 1e6


def kernels(network: str, options: Options) -> Found:
    """Say what the plan of a step is, and time each of its instructions by itself."""
    size = BATCH_SIZES[network]
    model, x, y = _ready(network, options, size, 2)
    said: list[str] = []
    model.explain(x, y, batch_size=size, print_fn=said.append)
    yield "plan", "\n".join(said).splitlines()
    profile = model.profile(x, y, batch_size=size, repeats=options.pick(50, 20, 2), print_fn=lambda text: None)
    yield "seconds of all, one by one", profile.seconds
    yield "instructions", [{"op": row.op, "from": row.layer, "us": row.seconds * 1e6} for row in profile.rows]


def timeline(network: str, options: Options) -> Found:
    """Let PyTorch's profiler, which sees every kernel of the process, look at some steps of gpudl."""
    import torch

    size = BATCH_SIZES[network]
    model, x, y = _ready(network, options, size, STEPS)
    kind = torch.profiler.ProfilerActivity
    activities = [kind.CUDA] if options.device == "cuda" else [kind.CPU]
    with torch.profiler.profile(activities=activities) as profiler:
        begin = time.perf_counter()
        model.fit(x, y, batch_size=size, verbose=0)
        whole = time.perf_counter() - begin
    events = [
        (event.time_range.start, event.time_range.end, event.name)
        for event in profiler.events() or ()
        if event.device_type == torch.autograd.DeviceType.CUDA
    ]
    yield from summed(events, whole).items()


def summed(events: list[tuple[float, float, str]], whole: float) -> dict[str, Any]:
    """Return what kernels (begin, end, name), in microseconds, say about `STEPS` steps that took `whole` seconds."""
    each: dict[str, list[float]] = defaultdict(list)
    busy, until, gaps = 0.0, None, []
    for begin, end, name in sorted(events):
        each[name].append(end - begin)
        if until is not None and begin > until:
            gaps.append(begin - until)
        busy += max(0.0, end - max(begin, until or begin))
        until = max(end, until or end)
    rows = sorted(each.items(), key=lambda item: -sum(item[1]))
    return {
        "us a step, profiled": whole / STEPS * 1e6,
        "us a step in which a kernel runs": busy / STEPS,
        "kernels a step": len(events) / STEPS,
        "median us between kernels": statistics.median(gaps) if gaps else None,
        "us a step between kernels": sum(gaps) / STEPS,
        "by kernel": [
            {"name": name, "a step": len(us) / STEPS, "median us": statistics.median(us), "us a step": sum(us) / STEPS}
            for name, us in rows[:60]
        ],
    }


SECTION = Section(
    "a training step: kernels, and the time between them",
    50,
    {
        f"{network} {name}": Part(partial(function, network), 20)
        for name, function in (("timeline", timeline), ("kernels", kernels), ("steps", steps))
        for network in ("mnist-cnn", "mnist-mlp")
    },
)
