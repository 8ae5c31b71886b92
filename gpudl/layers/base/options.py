"""The arguments that layers of a family share, declared once.

A layer accepts them as ``**options: Unpack[KernelOptions]`` and passes them to `Layer`, which sets them as attributes.
Options with a default can also be passed by position, in the order of the class here.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypedDict

from gpudl import activations, constraints, initializers, regularizers
from gpudl.dtype_policies import DtypeLike as DtypeLike
from gpudl.registry import Identifier

_LOOK_UP: dict[str, Callable[[Any], Any]] = {
    "activation": activations.get,
    "initializer": initializers.get,
    "regularizer": regularizers.get,
    "constraint": constraints.get,
}


class Common(TypedDict, total=False):
    """The keyword arguments of all layers."""

    name: str | None
    trainable: bool
    dtype: DtypeLike
    autocast: bool
    input_shape: Iterable[int | None] | None


class LayerOptions(Common, total=False):
    """The arguments of `Layer`."""

    activity_regularizer: Identifier
    input_dim: int | None


class NameLast(TypedDict, total=False):
    """What layers that take their name by position, behind their own arguments, say as their ``options``."""

    name: Annotated[str | None, None]


class KernelOptions(Common, total=False):
    """The arguments of layers with a kernel and a bias."""

    kernel_initializer: Annotated[Identifier, "glorot_uniform"]
    bias_initializer: Annotated[Identifier, "zeros"]
    kernel_regularizer: Annotated[Identifier, None]
    bias_regularizer: Annotated[Identifier, None]
    activity_regularizer: Annotated[Identifier, None]
    kernel_constraint: Annotated[Identifier, None]
    bias_constraint: Annotated[Identifier, None]
    input_dim: int | None


class LowRankOptions(TypedDict, total=False):
    """The arguments of layers whose matrix can get an update of low rank."""

    lora_rank: Annotated[int | None, None]
    lora_alpha: Annotated[float | None, None]


class DenseOptions(KernelOptions, LowRankOptions, total=False):
    """The arguments of `Dense` for kernel and bias."""


class _EinsumWeights(LayerOptions, total=False):
    kernel_initializer: Annotated[Identifier, "glorot_uniform"]
    bias_initializer: Annotated[Identifier, "zeros"]
    kernel_regularizer: Annotated[Identifier, None]
    bias_regularizer: Annotated[Identifier, None]
    kernel_constraint: Annotated[Identifier, None]
    bias_constraint: Annotated[Identifier, None]


class EinsumOptions(_EinsumWeights, LowRankOptions, total=False):
    """The arguments of `EinsumDense` for kernel and bias."""


class HeadOptions(KernelOptions, total=False):
    """The arguments of layers with several heads of attention."""

    use_gate: Annotated[bool, False]
    seed: Annotated[int | None, None]


class DepthwiseOptions(Common, total=False):
    """The arguments of layers with a kernel for each channel, and a bias."""

    depthwise_initializer: Annotated[Identifier, "glorot_uniform"]
    bias_initializer: Annotated[Identifier, "zeros"]
    depthwise_regularizer: Annotated[Identifier, None]
    bias_regularizer: Annotated[Identifier, None]
    activity_regularizer: Annotated[Identifier, None]
    depthwise_constraint: Annotated[Identifier, None]
    bias_constraint: Annotated[Identifier, None]
    input_dim: int | None


class SeparableOptions(Common, total=False):
    """The arguments of layers with a kernel for each channel, a kernel that mixes channels, and a bias."""

    depthwise_initializer: Annotated[Identifier, "glorot_uniform"]
    pointwise_initializer: Annotated[Identifier, "glorot_uniform"]
    bias_initializer: Annotated[Identifier, "zeros"]
    depthwise_regularizer: Annotated[Identifier, None]
    pointwise_regularizer: Annotated[Identifier, None]
    bias_regularizer: Annotated[Identifier, None]
    activity_regularizer: Annotated[Identifier, None]
    depthwise_constraint: Annotated[Identifier, None]
    pointwise_constraint: Annotated[Identifier, None]
    bias_constraint: Annotated[Identifier, None]
    input_dim: int | None


class _ScaleAndShift(LayerOptions, total=False):
    beta_initializer: Annotated[Identifier, "zeros"]
    gamma_initializer: Annotated[Identifier, "ones"]


class _MovingAverages(_ScaleAndShift, total=False):
    moving_mean_initializer: Annotated[Identifier, "zeros"]
    moving_variance_initializer: Annotated[Identifier, "ones"]


class _Penalties(TypedDict, total=False):
    beta_regularizer: Annotated[Identifier, None]
    gamma_regularizer: Annotated[Identifier, None]
    beta_constraint: Annotated[Identifier, None]
    gamma_constraint: Annotated[Identifier, None]


class LayerNormOptions(_ScaleAndShift, _Penalties, total=False):
    """The arguments of `LayerNormalization` for gamma and beta."""


class BatchNormOptions(_MovingAverages, _Penalties, total=False):
    """The arguments of `BatchNormalization` for gamma, beta and the moving averages."""

    renorm: Annotated[bool, False]
    renorm_clipping: Annotated[dict[str, float] | None, None]
    renorm_momentum: Annotated[float, 0.99]
    synchronized: Annotated[bool, False]


def looked_up(name: str, value: Any) -> Any:
    """Return the object of an option: for ``kernel_initializer`` an initializer, and so on; others unchanged."""
    find = _LOOK_UP.get(name.rpartition("_")[2])
    return value if find is None else find(value)
