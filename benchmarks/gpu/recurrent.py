"""LSTM and GRU on a card: training steps beside cuDNN's, and the kernels of a step one by one."""

from __future__ import annotations

from functools import partial

from benchmarks.gpu.parts import Found, Options, Part, Section
from benchmarks.gpu.sequences import RECURRENT, TINY
from benchmarks.gpu.settings import OnDevice
from benchmarks.gpu.sides import Sides
from benchmarks.workloads.recurrent import keras_model, sequences


def steps(precision: str, options: Options) -> Found:
    """Let gpudl and PyTorch, eager and as a captured graph, take turns at training steps."""
    settings = OnDevice(device=options.device, precision=precision)
    rounds, turn = options.pick(7, 3, 1), options.pick(0.1, 0.05, 0.001)
    names = options.pick([name for name in RECURRENT if name not in TINY], ["lstm-100x64", "gru-100x64"], [*TINY])
    with Sides(options.device) as sides:
        for name in names:
            asked = ("gpudl", "torch-eager", "torch-graph")
            for result in sides.compared(name, asked, settings, rounds=rounds, seconds=turn):
                yield name, result


def instructions(name: str, options: Options) -> Found:
    """Time each instruction of a training step by itself."""
    import gpudl

    kind, (batch, *shape) = RECURRENT[options.pick(name, name, "lstm-tiny")]
    model, on = keras_model(gpudl, kind, *shape), gpudl.backend.current()
    x, y = map(on.asarray, sequences(batch, *shape))
    model.fit(x, y, batch_size=batch, verbose=0)
    profile = model.profile(x, y, batch_size=batch, repeats=options.pick(50, 20, 2), print_fn=lambda text: None)
    yield "seconds of all, one by one", profile.seconds
    yield "instructions", [{"op": row.op, "from": row.layer, "us": row.seconds * 1e6} for row in profile.rows]


SECTION = Section(
    "training steps of LSTM and GRU beside cuDNN",
    40,
    {
        "steps": Part(partial(steps, "highest"), 40),
        "instructions of lstm-100x64": Part(partial(instructions, "lstm-100x64"), 15),
        "instructions of gru-100x64": Part(partial(instructions, "gru-100x64"), 15),
    },
)
