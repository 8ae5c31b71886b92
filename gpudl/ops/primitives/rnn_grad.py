"""The gradients of LSTM and GRU: one loop back over the steps each; that of the kernel is one product afterwards."""

from __future__ import annotations

from types import ModuleType

from gpudl.backend import Array
from gpudl.engine.spec import ShapeError, Spec, promote
from gpudl.ops.primitives import reduce
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.rnn_steps import alike, before, flops, multiplied, sequence, steps_of


def _checked(states: Spec, kept: Spec, gs: tuple[Spec, ...]) -> None:
    """Raise ShapeError for what is kept of all states, or the gradients of these, if they do not fit."""
    if len(gs) > 1 or any(each.shape != states.shape for each in (kept, *gs)):
        raise ShapeError(f"expected states of all steps, and at most one gradient of them, {list(states.shape)}.")


def _lstm_grad(
    g_h: Spec, g_c: Spec, kernel: Spec, gates: Spec, cells: Spec, c0: Spec, mask: Spec, *gs: Spec, reverse: bool = False
) -> tuple[Spec, Spec, Spec, Spec]:
    states, last = sequence(gates, kernel, mask, 4, g_h, g_c, c0)
    _checked(states, cells, gs)
    return states.with_shape(gates.shape), last.with_shape(kernel.shape[1:]), last, last


@op(_lstm_grad, outs=4, flops=flops(2))
def lstm_grad(
    xp: ModuleType,
    dx: Array,
    dbias: Array,
    dh0: Array,
    dc0: Array,
    g_h: Array,
    g_c: Array,
    kernel: Array,
    gates: Array,
    cells: Array,
    c0: Array,
    mask: Array,
    *gs: Array,
    reverse: bool = False,
) -> None:
    """Return the gradients of `lstm` with respect to x, the bias, h0 and c0, from those of all h and the last h and c.

    `gs` is that of all h, or nothing where the loss depends on the last states only.
    """
    kernel, dh, dc, c0 = alike(dx, kernel, g_h, g_c, c0)
    steps = steps_of(gates.shape[1], reverse)
    for t in reversed(steps):
        i, f, candidate, o = xp.split(gates[:, t], 4, axis=1)
        for g in gs:
            dh = dh + g[:, t]
        squashed = xp.tanh(cells[:, t])
        slope = dc + dh * o * (1 - squashed * squashed)
        blocks = (
            slope * candidate * i * (1 - i),
            slope * before(t, steps, cells, c0) * f * (1 - f),
            slope * i * (1 - candidate * candidate),
            dh * squashed * o * (1 - o),
        )
        counts = mask[:, t, None]
        dx[:, t] = dz = xp.where(counts, xp.concatenate(blocks, axis=1), dx.dtype.type(0))
        dh = xp.where(counts, multiplied(xp, dz, kernel, transpose_b=True), dh)
        dc = xp.where(counts, slope * f, dc)
    dbias[...], dh0[...], dc0[...] = reduce.added(xp, dx, (0, 1)), dh, dc


def _gru_grad(
    g_h: Spec, kernel: Spec, gates: Spec, hs: Spec, h0: Spec, mask: Spec, *gs: Spec, reverse: bool = False
) -> tuple[Spec, Spec, Spec, Spec]:
    units = kernel.shape[0] if kernel.ndim else 0
    if gates.ndim != 3 or gates.shape[2] != 4 * units:
        raise ShapeError(f"expected what a GRU of {units} units keeps, (batch, time, 4 * units).")
    states, last = sequence(gates.with_shape((*gates.shape[:2], 3 * units)), kernel, mask, 3, g_h, h0)
    _checked(states, hs, gs)
    dx = states.with_shape((*states.shape[:2], 3 * units))
    return dx, dx, last.with_shape(kernel.shape[1:]), last


@op(_gru_grad, outs=4, flops=flops(1))
def gru_grad(
    xp: ModuleType,
    dx: Array,
    dy: Array,
    dbias: Array,
    dh0: Array,
    g_h: Array,
    kernel: Array,
    gates: Array,
    hs: Array,
    h0: Array,
    mask: Array,
    *gs: Array,
    reverse: bool = False,
) -> None:
    """Return the gradients of `gru` with respect to x, to h @ kernel of each step, to the bias and to h0.

    `gs` is the gradient of all states, or nothing where the loss depends on the last one only.
    """
    kernel, dh, h0 = alike(dx, kernel, g_h, h0)
    steps = steps_of(gates.shape[1], reverse)
    none = dx.dtype.type(0)
    for t in reversed(steps):
        z, r, inner, candidate = xp.split(gates[:, t], 4, axis=1)
        for g in gs:
            dh = dh + g[:, t]
        for_candidate = dh * (1 - z) * (1 - candidate * candidate)
        for_z = dh * (before(t, steps, hs, h0) - candidate) * z * (1 - z)
        for_r = for_candidate * inner * r * (1 - r)
        counts = mask[:, t, None]
        dx[:, t] = xp.where(counts, xp.concatenate((for_z, for_r, for_candidate), axis=1), none)
        dy[:, t] = after = xp.where(counts, xp.concatenate((for_z, for_r, for_candidate * r), axis=1), none)
        dh = xp.where(counts, dh * z + multiplied(xp, after, kernel, transpose_b=True), dh)
    dbias[...], dh0[...] = reduce.added(xp, dy, (0, 1)), dh


def _recurrent_kernel_grad(hs: Spec, h0: Spec, slopes: Spec, *, reverse: bool = False) -> Spec:
    if hs.ndim != 3 or slopes.shape[:-1] != hs.shape[:-1] or h0.shape != (hs.shape[0], hs.shape[2]):
        raise ShapeError("expected states (batch, time, units), the first (batch, units), and as many gradients.")
    return Spec((hs.shape[2], slopes.shape[2]), promote(hs.dtype, h0.dtype, slopes.dtype))


@op(_recurrent_kernel_grad, flops=lambda outs, ins, static: 2 * outs[0].shape[0] * ins[2].size)
def recurrent_kernel_grad(
    xp: ModuleType, out: Array, hs: Array, h0: Array, slopes: Array, *, reverse: bool = False
) -> None:
    """Return the gradient of a recurrent kernel: the product of the states before all steps and the slopes after it.

    `hs` are the states after all steps, `h0` is that before the first, and `slopes` are the gradients of the products.
    """
    before = xp.empty(hs.shape, out.dtype)
    if reverse:
        before[:, -1], before[:, :-1] = h0, hs[:, 1:]
    else:
        before[:, 0], before[:, 1:] = h0, hs[:, :-1]
    rows = (each.reshape(-1, each.shape[2]) for each in (before, *alike(out, slopes)))
    matmul.run((out,), tuple(rows), {"transpose_a": True})
