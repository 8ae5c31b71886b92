"""The arguments that losses and metrics share, said once, with their defaults in Keras's order."""

from typing import Annotated, TypedDict

from gpudl.dtype_policies import DtypeLike


class MetricOptions(TypedDict, total=False):
    """The arguments of `Metric`, and the last ones of most losses; a class's own name is its default."""

    name: Annotated[str | None, None]
    dtype: Annotated[DtypeLike, None]


class _Reduced(TypedDict, total=False):
    reduction: Annotated[str | None, "sum_over_batch_size"]


class LossOptions(_Reduced, MetricOptions, total=False):
    """The arguments of `Loss`."""


class _Axis(TypedDict, total=False):
    axis: Annotated[int, -1]


class _Probabilities(TypedDict, total=False):
    from_logits: Annotated[bool, False]
    label_smoothing: Annotated[float, 0.0]


class CrossentropyOptions(_Probabilities, _Axis, LossOptions, total=False):
    """The arguments of cross-entropies as losses."""


class OverlapOptions(TypedDict, total=False):
    """The arguments of losses for how far two sets overlap."""

    reduction: Annotated[str | None, "sum_over_batch_size"]
    name: Annotated[str | None, None]
    axis: Annotated[int | tuple[int, ...] | None, None]
    dtype: Annotated[DtypeLike, None]


class AxisMetricOptions(MetricOptions, _Axis, total=False):
    """The arguments of metrics along an axis."""


class ThresholdsOptions(TypedDict, total=False):
    """The arguments of metrics at the best of many thresholds."""

    num_thresholds: Annotated[int, 200]
    class_id: Annotated[int | None, None]
    name: Annotated[str | None, None]
    dtype: Annotated[DtypeLike, None]
