"""Window geometry: the index arithmetic of convolution, of pooling and of reductions, in one place.

Every kernel, on the CPU and on the GPU, and every shape rule computes its indices with these functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
"""(before, after) along each spatial axis."""
Group = tuple[int, int, int]


class WindowError(ValueError):
    """A window that does not fit its input."""


@dataclass(frozen=True)
class Window:
    """A sliding window over the spatial axes of a channels-last array.

    Args:
        kernel: size along each spatial axis, e.g. ``(3, 3)``.
        strides: step along each spatial axis, in input positions.
        padding: ``"valid"`` (no padding) or ``"same"`` (output size ``ceil(input / stride)``; an odd
            total of padding puts the extra zero after the input, as in TensorFlow); or (before, after) along each
            spatial axis, where a negative number after the input leaves out positions.
        dilation: distance between the taps of the kernel, in input positions.
        crop: number of last output positions to leave out along each spatial axis, because they are not needed.

    Raises:
        WindowError: if a size is not positive, lengths differ, or the padding is unknown.

    Example:
        >>> Window((3, 3), (2, 2), "same").output((28, 28))
        (14, 14)
    """

    kernel: Ints
    strides: Ints
    padding: str | Pads = "valid"
    dilation: Ints = ()
    crop: Ints = ()

    def __post_init__(self) -> None:
        rank = len(self.kernel)
        if not self.dilation:
            object.__setattr__(self, "dilation", (1,) * rank)
        if not self.crop:
            object.__setattr__(self, "crop", (0,) * rank)
        if len(self.crop) != rank or any(c < 0 for c in self.crop):
            raise WindowError(f"crop must be {rank} integers that are not negative, got {self.crop}.")
        for name in ("kernel", "strides", "dilation"):
            value = getattr(self, name)
            if len(value) != rank or any(v < 1 for v in value):
                raise WindowError(f"{name} must be {rank} positive integers, got {value}.")
        if self.padding not in ("valid", "same") and not (
            isinstance(self.padding, tuple) and len(self.padding) == rank and all(p[0] >= 0 for p in self.padding)
        ):
            raise WindowError(f'padding must be "valid" or "same", got {self.padding!r}.')

    @property
    def taps(self) -> int:
        """Number of positions that the kernel covers."""
        return prod(self.kernel)

    @property
    def extent(self) -> Ints:
        """Number of input positions from the first to the last tap, both included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def output(self, size: Ints) -> Ints:
        """Return the output size along each spatial axis for an input of `size`."""
        whole = self._whole(size)
        if any(c >= o for c, o in zip(self.crop, whole, strict=True)):
            raise WindowError(f"crop={self.crop} leaves nothing of an output of {whole}.")
        return tuple(o - c for o, c in zip(whole, self.crop, strict=True))

    def _whole(self, size: Ints) -> Ints:
        if len(size) != len(self.kernel):
            raise WindowError(f"a window over {len(self.kernel)} axes cannot slide over a size {size}.")
        if self.padding == "same":
            return tuple(-(-n // s) for n, s in zip(size, self.strides, strict=True))
        padded = tuple(n + before + after for n, (before, after) in zip(size, self.pads(size), strict=True))
        if any(e > n for e, n in zip(self.extent, padded, strict=True)):
            raise WindowError(
                f"the window covers {self.extent} positions but its input has only {padded}. "
                'Use a smaller kernel or dilation, or padding="same".'
            )
        return tuple((n - e) // s + 1 for n, e, s in zip(padded, self.extent, self.strides, strict=True))

    def pads(self, size: Ints) -> Pads:
        """Return (before, after) padding along each spatial axis for an input of `size`."""
        if not isinstance(self.padding, str):
            return self.padding
        if self.padding == "valid":
            return ((0, 0),) * len(size)
        totals = (
            max((o - 1) * s + e - n, 0)
            for n, o, s, e in zip(size, self._whole(size), self.strides, self.extent, strict=True)
        )
        return tuple((t // 2, t - t // 2) for t in totals)

    def reach(self, size: Ints) -> Iterator[tuple[Ints, tuple[slice, ...], tuple[slice, ...]]]:
        """Yield (tap, outputs, inputs) for every tap, in row-major order of the kernel.

        `outputs` are the slices of the output positions whose tap falls inside an input of `size`, and
        `inputs` the slices of the input positions that it falls on; for a tap that falls only on padding
        the slices are empty.
        """
        axes = []
        for n, o, (before, _), k, s, d in zip(
            size,
            self.output(size),
            self.pads(size),
            self.kernel,
            self.strides,
            self.dilation,
            strict=True,
        ):
            spans = []
            for step in range(k):
                shift = step * d - before  # the input position that output 0 reads
                first = max(0, -(shift // s))
                last = min(o - 1, (n - 1 - shift) // s)
                count = max(last - first + 1, 0)
                start = shift + first * s
                stop = start + (count - 1) * s + 1 if count else start
                spans.append((slice(first, first + count), slice(start, stop, s)))
            axes.append(spans)
        for tap in product(*(range(k) for k in self.kernel)):
            chosen = [axes[axis][t] for axis, t in enumerate(tap)]
            yield tap, tuple(out for out, _ in chosen), tuple(into for _, into in chosen)


def grouped(shape: Ints, axes: Sequence[int]) -> Group | None:
    """Return (O, R, C), the shape of an array whose `axes` are merged into R, those before into O, those after into C.

    Returns:
        The sizes; None if more than three axes would be needed, or if the array has no elements.

    Example:
        >>> grouped((8, 28, 28, 16), (1, 2)), grouped((1, 10), (0,)), grouped((8, 28, 28, 16), (0, 2))
        ((8, 784, 16), (1, 1, 10), None)
    """
    chosen = sorted({a % len(shape) for a in axes if shape[a] != 1})
    if 0 in shape:
        return None
    if not chosen:
        return 1, 1, prod(shape)
    first, last = chosen[0], chosen[-1]
    along = prod(shape[a] for a in chosen)
    return (prod(shape[:first]), along, prod(shape[last + 1 :])) if along == prod(shape[first : last + 1]) else None


def along(shape: Ints, axis: int | Ints | None) -> Group | None:
    """Return (O, R, C) for a reduction along `axis`."""
    return grouped(shape, range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,))


def stretched(shape: Ints, narrow: Ints) -> Group | None:
    """Return (O, R, C) for an array of `shape`, where an array of shape `narrow` is broadcast to it along R."""
    lead = len(shape) - len(narrow)
    return grouped(shape, (*range(lead), *(i + lead for i, n in enumerate(narrow) if n == 1)))
