"""The discrete Fourier transform of complex numbers, whose real and imaginary parts are two tensors."""

from __future__ import annotations

from types import ModuleType

from gpudl.backend import Array
from gpudl.engine.grad import Gradients
from gpudl.engine.spec import ShapeError, Spec, promote
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import floating, zeros_like

Pair = tuple[Tensor, Tensor]


def _transformed(real: Spec, imag: Spec, *, axes: int, inverse: bool = False) -> tuple[Spec, Spec]:
    if real.shape != imag.shape:
        raise ShapeError("real and imaginary parts must have one shape.")
    if real.ndim < axes or 0 in real.shape[real.ndim - axes :]:
        raise ShapeError(f"a transform along {axes} axes needs as many, with elements along them.")
    out = floating(real.with_dtype(promote(real.dtype, imag.dtype)))
    return out, out


@op(_transformed, outs=2)
def dft(xp: ModuleType, y: Array, z: Array, real: Array, imag: Array, *, axes: int, inverse: bool = False) -> None:
    """Return the discrete Fourier transform along the last axes, one or two; its inverse is not divided by their size.

    So each of the two is the adjoint of the other.
    """
    given = real.astype(y.dtype) + 1j * imag.astype(y.dtype)
    along = tuple(range(-axes, 0))
    made = xp.fft.ifftn(given, axes=along, norm="forward") if inverse else xp.fft.fftn(given, axes=along)
    y[...], z[...] = xp.real(made), xp.imag(made)


def _adjoint(
    wanted: set[str],
    g: Gradients,
    y: tuple[Tensor, Tensor],
    real: Tensor,
    imag: Tensor,
    axes: int,
    inverse: bool = False,
) -> Pair:
    first, second = (zeros_like(out) if each is None else each for each, out in zip(g, y, strict=True))
    return dft(first, second, axes=axes, inverse=not inverse)


dft.joint_vjp(("real", "imag"), _adjoint)
