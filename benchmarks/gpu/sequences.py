"""Training steps of an LSTM and of a GRU on a GPU: gpudl's loop of kernels, and cuDNN through PyTorch."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu.settings import OnDevice, gpudl_precision, torch_precision
from benchmarks.workloads.base import Work
from benchmarks.workloads.recurrent import CASES, CLASSES, STEPS, UNITS, keras_model, sequences

Case = tuple[str, tuple[int, int, int]]
TINY: dict[str, Case] = {"lstm-tiny": ("LSTM", (2, 3, 4)), "gru-tiny": ("GRU", (2, 3, 4))}
RECURRENT: dict[str, Case] = {**CASES, **TINY}


def gpudl_sequences(case: Case, settings: OnDevice) -> Work:
    """Return a pass of `fit` on arrays that lie on the device."""
    import gpudl

    gpudl_precision(gpudl, settings.precision)
    kind, (batch, *shape) = case
    model, on = keras_model(gpudl, kind, *shape), gpudl.backend.current()
    x, y = map(on.asarray, sequences(batch, *shape))
    return Work(lambda: float(model.fit(x, y, batch_size=batch, verbose=0).history["loss"][0]), STEPS)


def torch_sequences(case: Case, graph: bool, settings: OnDevice) -> Work:
    """Return as many steps in PyTorch, each launched as a captured graph if wanted; the loss is read at the end."""
    import torch
    from torch import nn

    torch_precision(settings.precision)
    kind, (batch, _, features) = case
    x, y = (torch.from_numpy(a).to(settings.device) for a in sequences(*case[1]))
    layer, last = getattr(nn, kind)(features, UNITS, batch_first=True), nn.Linear(UNITS, CLASSES)
    weights = [each.to(settings.device) for each in (layer, last)]
    captured = graph and settings.device == "cuda"
    parameters = [parameter for each in weights for parameter in each.parameters()]
    optimizer = torch.optim.Adam(parameters, foreach=settings.device == "cuda", capturable=captured)
    chosen = torch.arange(batch, device=settings.device)
    loss_sum = torch.zeros((), device=settings.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(last(layer(x[chosen])[0][:, -1]), y[chosen])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            loss_sum.add_(loss)

    launch: Any = _captured(torch, step, optimizer) if captured else step

    def epoch() -> float:
        loss_sum.zero_()
        for rows in torch.randperm(len(x), device=settings.device).split(batch):
            chosen.copy_(rows)
            launch()
        return float(loss_sum) / STEPS

    return Work(epoch, STEPS)


def _captured(torch: Any, step: Any, optimizer: Any) -> Any:
    """Return the replay of a step, captured after three that were not."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        step()
    return graph.replay
