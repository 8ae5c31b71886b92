"""The tutorials' networks in PyTorch on a GPU, in every way that PyTorch has: eager, compiled, as a CUDA graph.

Data and the epoch's permutation lie on the device in all of them, and the counts of loss and accuracy are read once an
epoch, as gpudl does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.gpu.settings import OnDevice, torch_precision
from benchmarks.workloads.base import Work
from benchmarks.workloads.networks import BATCH_SIZES, digits, torch_model

WAYS = ("eager", "compiled", "reduce-overhead", "graph")


class Trainer:
    """One side's network, optimizer and data.

    Args:
        network: ``"mnist-mlp"`` or ``"mnist-cnn"``.
        settings: what to train on and how.
        way: one of `WAYS`.
        channels_last: the memory format of images and filters.
    """

    def __init__(self, network: str, settings: OnDevice, way: str, channels_last: bool) -> None:
        import torch

        self.torch = torch
        torch_precision(settings.precision)
        x, y = digits(network, settings)
        self.size = settings.batch_size or BATCH_SIZES[network]
        images = torch.from_numpy(x).to(settings.device)
        model = torch_model(network, settings.width).to(settings.device)
        if network == "mnist-cnn":
            layout = torch.channels_last if channels_last else torch.contiguous_format
            images = images.permute(0, 3, 1, 2).contiguous(memory_format=layout)
            model = model.to(memory_format=layout)
        self.images, self.labels = images, torch.from_numpy(y.argmax(axis=1)).to(settings.device)
        self.model = model
        on_card = settings.device == "cuda"
        self.optimizer = torch.optim.RMSprop(
            model.parameters(), lr=0.001, alpha=0.9, eps=1e-7, foreach=on_card, capturable=on_card and way == "graph"
        )
        self.loss_sum = torch.zeros((), device=settings.device)
        self.right = torch.zeros((), dtype=torch.int64, device=settings.device)
        self.order = torch.arange(len(images), device=settings.device)
        self.place = torch.zeros((), dtype=torch.int64, device=settings.device)  # of the batch in `order`
        self.scores: Callable[..., Any] = model
        if way in ("compiled", "reduce-overhead"):
            self.scores = torch.compile(model, mode="default" if way == "compiled" else way)
        self.marks = way == "reduce-overhead"
        self.graphs = way == "graph" and on_card
        self._captured: dict[int, Any] = {}

    def step(self, count: int) -> None:
        """Train on `count` images at the present place, and move the place on; nothing is read by the host."""
        torch = self.torch
        chosen = self.order.index_select(0, self.place + torch.arange(count, device=self.order.device))
        x, y = self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
        self.optimizer.zero_grad(set_to_none=True)
        if self.marks:
            torch.compiler.cudagraph_mark_step_begin()
        scores = self.scores(x)
        loss = torch.nn.functional.cross_entropy(scores, y)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.loss_sum += loss * count
            self.right += (scores.argmax(dim=1) == y).sum()
            self.place += count

    def captured(self, count: int) -> Callable[[], Any]:
        """Return the replay of a whole step of `count` images, captured after three that were not."""
        if count not in self._captured:
            torch = self.torch
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self.step(count)
                    self.place.zero_()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            self.optimizer.zero_grad(set_to_none=True)
            with torch.cuda.graph(graph):
                self.step(count)
            self._captured[count] = graph.replay
        return self._captured[count]

    def epoch(self) -> float:
        """Train on all images in a new order; return the mean loss, for which the device is waited for."""
        torch = self.torch
        whole, rest = divmod(len(self.images), self.size)
        counts = [self.size] * whole + [rest] * bool(rest)
        steps = {count: self.captured(count) if self.graphs else None for count in dict.fromkeys(counts)}
        self.order.copy_(torch.randperm(len(self.images), device=self.order.device))
        for counter in (self.loss_sum, self.right, self.place):
            counter.zero_()
        for count in counts:
            replay = steps[count]
            if replay is None:
                self.step(count)
            else:
                replay()
        return float(self.loss_sum) / len(self.images)


def torch_epoch(network: str, way: str, channels_last: bool, settings: OnDevice) -> Work:
    """Return one pass of training in PyTorch."""
    return Work(Trainer(network, settings, way, channels_last).epoch)
