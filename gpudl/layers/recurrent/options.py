"""The arguments that recurrent layers and their cells share, in Keras's order."""

from typing import Annotated, TypedDict

from gpudl.layers.base.options import Common
from gpudl.registry import Identifier


class _Activation(TypedDict, total=False):
    activation: Annotated[Identifier, "tanh"]


class _Gates(_Activation, total=False):
    recurrent_activation: Annotated[Identifier, "sigmoid"]


class _Initializers(TypedDict, total=False):
    use_bias: Annotated[bool, True]
    kernel_initializer: Annotated[Identifier, "glorot_uniform"]
    recurrent_initializer: Annotated[Identifier, "orthogonal"]
    bias_initializer: Annotated[Identifier, "zeros"]


class _ForgetBias(TypedDict, total=False):
    unit_forget_bias: Annotated[bool, True]


class _Regularizers(TypedDict, total=False):
    kernel_regularizer: Annotated[Identifier, None]
    recurrent_regularizer: Annotated[Identifier, None]
    bias_regularizer: Annotated[Identifier, None]


class _Outputs(TypedDict, total=False):
    activity_regularizer: Annotated[Identifier, None]


class _Constraints(TypedDict, total=False):
    kernel_constraint: Annotated[Identifier, None]
    recurrent_constraint: Annotated[Identifier, None]
    bias_constraint: Annotated[Identifier, None]
    dropout: Annotated[float, 0.0]
    recurrent_dropout: Annotated[float, 0.0]


class _Seed(TypedDict, total=False):
    seed: Annotated[int | None, None]


class _ResetAfter(TypedDict, total=False):
    reset_after: Annotated[bool, True]


class _States(TypedDict, total=False):
    return_sequences: Annotated[bool, False]
    return_state: Annotated[bool, False]
    go_backwards: Annotated[bool, False]
    stateful: Annotated[bool, False]


class _Unroll(TypedDict, total=False):
    unroll: Annotated[bool, False]


class _Cudnn(TypedDict, total=False):
    use_cudnn: Annotated[bool | str, "auto"]


class _OfCells(Common, total=False):
    implementation: int


class RNNOptions(Common, total=False):
    """The arguments of `RNN` that are passed by keyword only."""

    activity_regularizer: Identifier
    input_dim: int | None


class _OfLayers(_OfCells, total=False):
    zero_output_for_mask: bool
    input_dim: int | None


class SimpleRNNCellOptions(_Activation, _Initializers, _Regularizers, _Constraints, _Seed, _OfCells, total=False):
    """The arguments of `SimpleRNNCell` after `units`."""


class LSTMCellOptions(_Gates, _Initializers, _ForgetBias, _Regularizers, _Constraints, _Seed, _OfCells, total=False):
    """The arguments of `LSTMCell` after `units`."""


class GRUCellOptions(_Gates, _Initializers, _Regularizers, _Constraints, _ResetAfter, _Seed, _OfCells, total=False):
    """The arguments of `GRUCell` after `units`."""


class SimpleRNNOptions(
    _Activation, _Initializers, _Regularizers, _Outputs, _Constraints, _States, _Unroll, _Seed, _OfLayers, total=False
):
    """The arguments of `SimpleRNN` after `units`."""


class _WithForgetBias(
    _Gates, _Initializers, _ForgetBias, _Regularizers, _Outputs, _Constraints, _Seed, _States, total=False
):
    pass


class LSTMOptions(_WithForgetBias, _Unroll, _Cudnn, _OfLayers, total=False):
    """The arguments of `LSTM` after `units`."""


class GRUOptions(
    _Gates, _Initializers, _Regularizers, _Outputs, _Constraints, _Seed, _States, _Unroll, _ResetAfter, _Cudnn,
    _OfLayers, total=False,
):  # fmt: skip
    """The arguments of `GRU` after `units`."""


class ConvLSTMOptions(_WithForgetBias, _OfLayers, total=False):
    """The arguments of `ConvLSTM2D` after `dilation_rate`."""

    unroll: bool
