"""A fully connected layer along any axes, said in Einstein's notation."""

from __future__ import annotations

import re
from math import prod
from typing import NamedTuple, Unpack

from gpudl import activations, ops
from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.layers._low_rank import LowRank
from gpudl.layers.base.input_spec import InputSpec, Shape
from gpudl.layers.base.options import EinsumOptions
from gpudl.registry import Identifier
from gpudl.utils.checks import sizes

__all__ = [
    "EinsumDense",
]

_EQUATION = re.compile(r"((?:\.\.\.)?[A-Za-z]+(?:\.\.\.)?),([A-Za-z]+)->((?:\.\.\.)?[A-Za-z]+(?:\.\.\.)?)")


class Labels(NamedTuple):
    """The letters of the axes, with a dot for the axes of ``...``.

    Attributes:
        inputs, kernel, outputs: of each tensor.
    """

    inputs: str
    kernel: str
    outputs: str


class EinsumDense(LowRank, options=EinsumOptions):
    """A fully connected layer: activation(einsum(equation, inputs, kernel) + bias).

    Args:
        equation: the letters of the axes of the inputs, the kernel and the outputs, such as ``"abc,cd->abd"``. ``...``
            stands for any number of axes, first or last.
        output_shape: the sizes of the outputs without the batch, or one size; None for a size of the inputs.
        activation: a name or function; None for none.
        bias_axes: the letters of the axes of the outputs that the bias has; None for no bias.
        kernel_initializer: initial values of the kernel.
        bias_initializer: initial values of the bias.
        kernel_regularizer: penalty of the kernel.
        bias_regularizer: penalty of the bias.
        kernel_constraint: projection of the kernel after each update.
        bias_constraint: projection of the bias after each update.
        lora_rank: the rank of a trainable update of the kernel, which is frozen then; see `enable_lora`.
        lora_alpha: the update is multiplied by lora_alpha / lora_rank; by default the rank.
        **options: those of `Layer`.

    Raises:
        ValueError: the equation cannot be read, or `bias_axes` has letters that the outputs do not have.
        ShapeError: the inputs, or `output_shape`, do not fit the equation.

    Example:
        >>> layer = gpudl.layers.EinsumDense("abc,cde->abde", (None, 4, 8), bias_axes="de")
        >>> layer(np.zeros((2, 3, 16))).shape, layer.kernel.shape, layer.bias.shape
        ((2, 3, 4, 8), (16, 4, 8), (4, 8))
    """

    def __init__(
        self,
        equation: str,
        output_shape: int | tuple[int | None, ...],
        activation: Identifier = None,
        bias_axes: str | None = None,
        **options: Unpack[EinsumOptions],
    ) -> None:
        super().__init__(**options)
        self.equation = equation
        self._labels = _labels(equation)
        given = (output_shape,) if isinstance(output_shape, int) else output_shape
        self.partial_output_shape = sizes("EinsumDense", "output_shape", given)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        unknown = sorted(set(bias_axes or "") - set(self._labels.outputs))
        if unknown:
            raise ValueError(
                f"EinsumDense: bias_axes {bias_axes!r} has {unknown[0]!r}, which is no axis of the outputs of "
                f"{equation!r}."
            )

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias for inputs of `input_shape`."""
        known = self._sizes(input_shape)
        self.kernel = self._add("kernel", [known[letter] for letter in self._labels.kernel])
        self.bias = None
        if self.bias_axes is not None:
            outputs = self._labels.outputs
            first = min((outputs.index(letter) for letter in self.bias_axes), default=len(outputs) - 1)
            axes = outputs[first:].replace(".", "." * (len(input_shape) - len(self._labels.inputs) + 1))
            self.bias = self._add("bias", [known[a] if a in self.bias_axes else 1 for a in axes])
        contracted = {
            axis - (len(self._labels.inputs) if self._labels.inputs[0] == "." else 0): known[letter]
            for axis, letter in enumerate(self._labels.inputs)
            if letter in self._labels.kernel
        }
        hint = "Every input must have the sizes of the first along these axes."
        self.input_spec = InputSpec(min_ndim=len(self._labels.inputs.replace(".", "")), axes=contracted, hint=hint)
        self._add_update()

    def call(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        y = ops.einsum(self.equation, self._floating(x), self._whole())
        if self.bias is None:
            return self.activation(y)
        if y.shape[y.ndim - self.bias.ndim :] != self.bias.shape:
            return self.activation(y + self.bias)
        if self.bias.ndim == 1:
            return activations.with_bias(y, self.bias, self.activation)
        # The bias is for all of the last axes: as one axis they take one pass.
        flat = ops.reshape(y, (*y.shape[: y.ndim - self.bias.ndim], prod(self.bias.shape)))
        return self.activation(ops.reshape(activations.with_bias(flat, ops.reshape(self.bias, -1), None), y.shape))

    def _sizes(self, input_shape: Shape) -> dict[str, int | None]:
        """Return the size of each letter."""
        inputs, kernel, outputs = self._labels
        dots = len(input_shape) - len(inputs) + 1
        if dots < 0 or ("." not in inputs and dots != 1):
            raise ShapeError(f"inputs of shape {input_shape} do not have the axes {inputs!r} of {self.equation!r}.")
        known = dict(zip(inputs.replace(".", "." * dots), input_shape, strict=True))
        wanted = (None, *self.partial_output_shape) if outputs[0] != "." else self.partial_output_shape
        letters = outputs[-len(wanted) :] if outputs[0] == "." else outputs[: len(wanted)]
        for letter, size in zip(letters[::-1], wanted[::-1], strict=False) if letters else ():
            if letter == "." or size is None:
                continue
            if known.setdefault(letter, size) not in (size, None):
                raise ShapeError(
                    f"output_shape {self.partial_output_shape} gives axis {letter!r} of {self.equation!r} the size "
                    f"{size}, but inputs of shape {input_shape} have {known[letter]} there. Write None for it."
                )
            known[letter] = size
        missing = next((letter for letter in kernel if known.get(letter) is None), None)
        if missing is not None:
            raise ShapeError(
                f"axis {missing!r} of the kernel of {self.equation!r} has no size: neither inputs of shape "
                f"{input_shape} nor output_shape {self.partial_output_shape} say it."
            )
        return known

    def get_config(self) -> dict[str, object]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "output_shape": self.partial_output_shape}


def _labels(equation: str) -> Labels:
    found = _EQUATION.fullmatch(equation.replace(" ", "")) if isinstance(equation, str) else None
    if found is None or any(part.count("...") > 1 for part in found.groups()):
        raise ValueError(
            f"EinsumDense: equation must have the axes of the inputs, the kernel and the outputs, such as "
            f"'abc,cd->abd' or '...x,xy->...y', got {equation!r}."
        )
    labels = Labels(*(part.replace("...", ".") for part in found.groups()))
    if ("." in labels.inputs) != ("." in labels.outputs) or (labels.inputs[0] == ".") != (labels.outputs[0] == "."):
        raise ValueError(f"EinsumDense: ... stands at the same end of inputs and outputs, got {equation!r}.")
    unknown = [a for a in labels.outputs if a not in labels.inputs + labels.kernel]
    if unknown or any(len(set(part)) < len(part) for part in labels):
        raise ValueError(
            f"EinsumDense: each axis of the outputs is one of the inputs or of the kernel, and no tensor has a letter "
            f"twice, got {equation!r}."
        )
    return labels
