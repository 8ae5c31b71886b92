"""Sequences of several lengths in one array, and windows of one long sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gpudl.utils.elements import Element
from gpudl.utils.pipeline import Dataset


def pad_sequences(
    sequences: Sequence[Sequence[object] | NDArray[np.generic]],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float | str = 0.0,
) -> NDArray[np.generic]:
    """Return sequences as rows of one array, the shorter ones padded and the longer ones cut.

    Args:
        sequences: N lists of numbers, or of arrays of one shape.
        maxlen: the length of all; by default that of the longest.
        dtype: of the result; object for text of several lengths.
        padding: ``"pre"`` to pad before the sequence, ``"post"`` after it.
        truncating: ``"pre"`` to cut off the beginning, ``"post"`` the end.
        value: what to pad with.

    Returns:
        An array (N, maxlen), with the axes of an element after that.

    Raises:
        ValueError: no list of sequences, elements of several shapes, or text in a dtype of numbers.

    Example:
        >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
        array([[0, 1],
               [2, 3],
               [5, 6]], dtype=int32)
    """
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"pad_sequences takes a list of sequences, got {type(sequences).__name__}.")
    for name, chosen in (("padding", padding), ("truncating", truncating)):
        if chosen not in ("pre", "post"):
            raise ValueError(f'{name} must be "pre" or "post", got {chosen!r}.')
    single = next((one for one in sequences if not hasattr(one, "__len__")), None)
    if single is not None:
        raise ValueError(f"pad_sequences takes a list of sequences, but one of them is {single!r}.")
    if isinstance(value, str) and np.dtype(dtype).kind not in "OSU":
        raise ValueError(f"value={value!r} does not fit dtype {dtype}: pass dtype=object.")
    listed = [one for one in sequences if hasattr(one, "__len__")]
    most = max(map(len, listed)) if maxlen is None else maxlen
    shape = next((np.asarray(one).shape[1:] for one in listed if len(one)), ())
    result = np.full((len(listed), most, *shape), value, dtype=dtype)
    for number, one in enumerate(listed):
        if not len(one):
            continue
        kept = np.asarray(one[-most:] if truncating == "pre" else one[:most], dtype=dtype)
        if kept.shape[1:] != shape:
            raise ValueError(
                f"The elements of all sequences must have one shape: {shape} at first, "
                f"but {kept.shape[1:]} in sequence {number}."
            )
        if padding == "post":
            result[number, : len(kept)] = kept
        else:
            result[number, -len(kept) :] = kept
    return result


def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Return the windows of a series, and the target at the index where each starts.

    Args:
        data: steps along the first axis.
        targets: a target for each step, or None for windows alone.
        sequence_length: steps in a window.
        sequence_stride: steps from a window to the next.
        sampling_rate: steps of the series from one of the window to the next.
        batch_size: windows in a batch; None for single ones.
        shuffle: whether to take the windows in a random order, another in each pass.
        seed: of that order.
        start_index: leave out the steps before this one.
        end_index: leave out this step and those after it.
        format: ``"tf"`` or ``"grain"``, which here are the same.

    Raises:
        ValueError: an index, stride or rate out of range.

    Example:
        >>> windows = timeseries_dataset_from_array(np.arange(6), np.arange(6) * 10, 3, batch_size=2)
        >>> [y.tolist() for x, y in windows.as_numpy_iterator()]
        [[0, 10], [20, 30]]
    """
    series = np.asarray(data)
    count = len(series)
    if start_index and not 0 <= start_index < count:
        raise ValueError(f"start_index must be at least 0 and below the {count} steps of data, got {start_index}.")
    if end_index and not max(0, start_index or 0) < end_index < count:
        raise ValueError(
            f"end_index must be above start_index={start_index} and below the {count} steps of data, got {end_index}."
        )
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if not 0 < value < count:
            raise ValueError(f"{name} must be above 0 and below the {count} steps of data, got {value}.")
    require_format(format)
    first, last = start_index or 0, count if end_index is None else end_index
    windows = last - first - (sequence_length - 1) * sampling_rate
    wanted = None if targets is None else np.asarray(targets)
    if wanted is not None:
        windows = min(windows, len(wanted))
    starts = first + np.arange(0, max(windows, 0), sequence_stride)
    steps = np.arange(sequence_length) * sampling_rate

    def gathered(element: Element) -> Element:
        at: NDArray[np.int64] = np.asarray(element)
        inputs = series[np.expand_dims(at, -1) + steps]
        return inputs if wanted is None else (inputs, wanted[at])

    if shuffle:
        seed = np.random.randint(10**6) if seed is None else seed
        np.random.RandomState(seed).shuffle(starts)
    rows = Dataset.from_tensor_slices(starts)
    if shuffle:
        rows = rows.shuffle(max(len(starts), 1), seed=seed)
    if batch_size is not None:
        rows = rows.batch(batch_size)
    return Dataset(lambda: map(gathered, rows.as_numpy_iterator()), len(rows), batch_size)


def require_format(format: str) -> None:
    """Raise ValueError unless the format of a data set is one that Keras has."""
    if format not in ("tf", "grain"):
        raise ValueError(f'format must be "tf" or "grain", got {format!r}.')
