"""gpudl beside PyTorch on one card: each side in a process of its own, in turns, as in `benchmarks.compare`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks.children import Child, hold_to
from benchmarks.compare import measured, serve
from benchmarks.gpu.attentions import ATTENTIONS, PASSES, SMALL, gpudl_attention, torch_attention
from benchmarks.gpu.convolutions import CONVOLUTIONS, TINY, gpudl_convolution, torch_convolution
from benchmarks.gpu.peers import WAYS, torch_epoch
from benchmarks.gpu.sequences import RECURRENT, gpudl_sequences, torch_sequences
from benchmarks.gpu.settings import OnDevice, gpudl_precision
from benchmarks.workloads.base import Work, Workload
from benchmarks.workloads.convolutions import DIRECTIONS
from benchmarks.workloads.networks import BATCH_SIZES, digits, keras_model

LAYOUTS = {"": False, "-channels-last": True}


def gpudl_epoch(network: str, settings: OnDevice) -> Work:
    """Return one pass of `fit` on arrays that lie on the device."""
    import gpudl

    gpudl_precision(gpudl, settings.precision)
    on = gpudl.backend.current()
    x, y = map(on.asarray, digits(network, settings))
    model = keras_model(gpudl, network, settings.width)
    size = settings.batch_size or BATCH_SIZES[network]
    return Work(lambda: float(model.fit(x, y, batch_size=size, verbose=0).history["loss"][0]))


def _network(network: str) -> Workload:
    layouts = LAYOUTS if network == "mnist-cnn" else {"": False}
    sides: dict[str, Callable[..., Work]] = {"gpudl": partial(gpudl_epoch, network)}
    for way in WAYS:
        for suffix, last in layouts.items():
            sides[f"torch-{way}{suffix}"] = partial(torch_epoch, network, way, last)
    return Workload(network, "s", sides, reads_digits=True)


WORKLOADS = {
    **{network: _network(network) for network in BATCH_SIZES},
    **{
        f"{case.name}-{way}-{dtype}": Workload(
            f"{case.name}-{way}-{dtype}",
            "us",
            {"gpudl": partial(gpudl, case, way, dtype), "torch": partial(torch, case, way, dtype)},
        )
        for cases, ways, gpudl, torch in (
            ((*CONVOLUTIONS, TINY), DIRECTIONS, gpudl_convolution, torch_convolution),
            ((*ATTENTIONS, SMALL), PASSES, gpudl_attention, torch_attention),
        )
        for case in cases
        for way in ways
        for dtype in ("float32", "bfloat16")
    },
    **{
        name: Workload(
            name,
            "us/step",
            {
                "gpudl": partial(gpudl_sequences, case),
                "torch-eager": partial(torch_sequences, case, False),
                "torch-graph": partial(torch_sequences, case, True),
            },
        )
        for name, case in RECURRENT.items()
    },
}


class Sides(ExitStack):
    """A process for each side that is asked for, which lives until a ``with`` block ends or it has failed.

    Args:
        device: ``"cuda"`` or ``"cpu"``, of all of them.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self._backend = "cupy" if device == "cuda" else "numpy"
        self._children: dict[str, Child] = {}

    def _child(self, side: str) -> Child:
        if side not in self._children:
            child = Child("benchmarks.gpu.sides", side, variables={"GPUDL_BACKEND": self._backend})
            self._children[side] = self.enter_context(child)
        return self._children[side]

    def compared(
        self, name: str, sides: Sequence[str], settings: OnDevice, *, rounds: int, seconds: float
    ) -> Iterator[dict[str, Any]]:
        """Let the sides of a workload take turns; a side that cannot do it is left out, and the reason is kept.

        Yields:
            ``"errors"`` by side, alone at first and after each round with what `benchmarks.compare.measured` yields.
        """
        request = {"workload": name, "settings": asdict(settings), "seconds": seconds}
        children = {side: self._child(side) for side in sides}
        errors: dict[str, str] = {}

        def prepare(side: str) -> None:
            try:
                children[side].ask(request)
            except (RuntimeError, BrokenPipeError) as error:
                errors[side] = str(error)
                del self._children[side]

        with ThreadPoolExecutor(len(children)) as pool:  # importing and compiling take longest, and nobody counts them
            list(pool.map(prepare, children))
        able = {side: child for side, child in children.items() if side not in errors}
        yield {"errors": errors}
        if able:
            for result in measured(WORKLOADS[name], able, settings, rounds=rounds, seconds=seconds):
                yield {**result, "errors": errors}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve one side."""
    made = argparse.ArgumentParser(prog="benchmarks.gpu.sides")
    made.add_argument("--worker", required=True)
    side = made.parse_args(arguments).worker
    hold_to(None, side)
    serve(side, WORKLOADS, OnDevice)


if __name__ == "__main__":
    main()
