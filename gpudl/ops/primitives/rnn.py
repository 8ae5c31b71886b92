"""LSTM and GRU over a whole sequence, with the loop over time inside.

The inputs of all steps are projected beforehand, by one product: x (batch, time, 4 or 3 * units) is what they add
to the gates. A bias is added to the product of the state and the recurrent kernel, which costs nothing there. A step
that is masked keeps the state. The states are results too: that after each step, also a masked one, and the last.

With `reverse` the last step comes first; results of all steps stay in the order of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from gpudl.backend import Array
from gpudl.engine.grad import Gradients, carried_back, next_order
from gpudl.engine.spec import Spec
from gpudl.engine.state import gradients, state
from gpudl.engine.tensor import Tensor, faces
from gpudl.ops.primitives.activation import sigmoid, tanh
from gpudl.ops.primitives.declare import op
from gpudl.ops.primitives.elementwise import cast_like, where, zeros_like
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.rnn_grad import gru_grad, lstm_grad, recurrent_kernel_grad
from gpudl.ops.primitives.rnn_steps import alike, biased, flops, multiplied, sequence, squashed, steps_of
from gpudl.ops.primitives.shape import concatenate, reshape, transpose

Several = tuple[Tensor, ...]


def _lstm(
    x: Spec, kernel: Spec, bias: Spec, h0: Spec, c0: Spec, mask: Spec, *, reverse: bool = False
) -> tuple[Spec, Spec, Spec, Spec, Spec]:
    states, last = (biased(each, kernel, bias) for each in sequence(x, kernel, mask, 4, h0, c0))
    return states, last, last, states.with_shape(x.shape), states


@op(_lstm, outs=5, flops=flops(1))
def lstm(
    xp: ModuleType,
    hs: Array,
    h_last: Array,
    c_last: Array,
    gates: Array,
    cells: Array,
    x: Array,
    kernel: Array,
    bias: Array,
    h0: Array,
    c0: Array,
    mask: Array,
    *,
    reverse: bool = False,
) -> None:
    """Return the states h of all steps, the last h and c, and what the gradient needs: the gates, and c of all steps.

    With z = x[:, t] + h @ kernel + bias in four blocks, the gates are i, f and o, the sigmoids of the first, the second
    and the last, and g, the tanh of the third; then c = f * c + i * g, and h = o * tanh(c).

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; the gate f is that of Gers et al., 2000.
    """
    kernel, h, c = alike(hs, kernel, h0, c0)
    units = h.shape[1]
    for t in steps_of(x.shape[1], reverse):
        z = x[:, t] + multiplied(xp, h, kernel) + bias
        gates[:, t] = squashed(xp, z)
        gates[:, t, 2 * units : 3 * units] = xp.tanh(z[:, 2 * units : 3 * units])
        i, f, g, o = xp.split(gates[:, t], 4, axis=1)
        counts = mask[:, t, None]
        c = xp.where(counts, f * c + i * g, c)
        h = xp.where(counts, o * xp.tanh(c), h)
        hs[:, t], cells[:, t] = h, c
    h_last[...], c_last[...] = h, c


def _gru(x: Spec, kernel: Spec, bias: Spec, h0: Spec, mask: Spec, *, reverse: bool = False) -> tuple[Spec, Spec, Spec]:
    states, last = (biased(each, kernel, bias) for each in sequence(x, kernel, mask, 3, h0))
    return states, last, states.with_shape((*states.shape[:2], 4 * states.shape[2]))


@op(_gru, outs=3, flops=flops(1))
def gru(
    xp: ModuleType,
    hs: Array,
    h_last: Array,
    gates: Array,
    x: Array,
    kernel: Array,
    bias: Array,
    h0: Array,
    mask: Array,
    *,
    reverse: bool = False,
) -> None:
    """Return the states of all steps, the last one, and what the gradient needs of all steps.

    With y = h @ kernel + bias in three blocks, as x[:, t], the gates are z and r, the sigmoids of the sums of the
    first and of the second blocks, and the candidate is the tanh of the third of x plus r times the third of y; then
    h = z * h + (1 - z) * candidate. Kept are z, r, the third block of y and the candidate.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, with r applied after the
    product, as in cuDNN.
    """
    kernel, h = alike(hs, kernel, h0)
    units = h.shape[1]
    for t in steps_of(x.shape[1], reverse):
        y = multiplied(xp, h, kernel) + bias
        y[:, : 2 * units] = squashed(xp, x[:, t, : 2 * units] + y[:, : 2 * units])
        z, r, inner = xp.split(y, 3, axis=1)
        candidate = xp.tanh(x[:, t, 2 * units :] + r * inner)
        gates[:, t] = xp.concatenate((y, candidate), axis=1)
        h = xp.where(mask[:, t, None], z * h + (1 - z) * candidate, h)
        hs[:, t] = h
    h_last[...] = h


def _kept_by_mask(counts: Tensor, news: Several, olds: Several) -> Several:
    return tuple(where(counts, new, old) for new, old in zip(news, olds, strict=True))


def _lstm_step(state: Several, row: Several, kernel: Tensor, bias: Tensor) -> tuple[Several, Several]:
    """Return the states after a step, and what `lstm` returns of it, in ops that have gradients themselves."""
    (h, c), (x, counts), units = state, row, kernel.shape[0]
    z = x + matmul(h, kernel) + bias
    i, f, o = (sigmoid(z[:, block * units : (block + 1) * units]) for block in (0, 1, 3))
    g = tanh(z[:, 2 * units : 3 * units])
    new = f * c + i * g
    after = _kept_by_mask(counts, (o * tanh(new), new), (h, c))
    return after, (after[0], concatenate(i, f, g, o, axis=1), after[1])


def _gru_step(state: Several, row: Several, kernel: Tensor, bias: Tensor) -> tuple[Several, Several]:
    """Return the state after a step, and what `gru` returns of it, in ops that have gradients themselves."""
    (h,), (x, counts), units = state, row, kernel.shape[0]
    y = matmul(h, kernel) + bias
    both, inner = sigmoid(x[:, : 2 * units] + y[:, : 2 * units]), y[:, 2 * units :]
    z, r = both[:, :units], both[:, units:]
    candidate = tanh(x[:, 2 * units :] + r * inner)
    after = _kept_by_mask(counts, (z * h + (1 - z) * candidate,), (h,))
    return after, (*after, concatenate(both, inner, candidate, axis=1))


def _swapped(x: Tensor) -> Tensor:
    return transpose(x, axes=(1, 0, *range(2, x.ndim)))


def _slopes_in_ops(
    step: Callable[..., tuple[Several, Several]],
    given: Several,
    g: Gradients,
    reverse: bool,
) -> Gradients:
    """Return the gradients with respect to x, the weights and the states, all inputs but the mask, which is the last.

    They are the gradients of a loop of ops, so that they have gradients again, and take those of all results. The
    first result of a step is the first of the op, then come the last states, then the other results of the steps.

    Args:
        step: the function of one step, of the states, the rows and the weights.
        given: the inputs of the op: x, the kernel, the bias, the states and the mask.
        g: the gradients of the results of the op.
        reverse: begin with the last step.
    """
    begin = next_order()
    x, kernel, bias, *first, mask = given
    slope = next(each for each in g if each is not None)
    with gradients(True):
        rows = _swapped(x), reshape(_swapped(mask), (*mask.shape[::-1], 1))
        states = tuple(cast_like(each, slope) for each in first)
        last, each = faces["scan"](lambda now, row: step(now, row, kernel, bias), states, rows, reverse=reverse)
        ys = [_swapped(y) for y in each]
    results = zip((ys[0], *last, *ys[1:]), g, strict=True)
    ends = [(result, slope) for result, slope in results if slope is not None]
    return tuple(each.value() for each in carried_back(ends, given[:-1], after=begin))


def _given(g: Tensor | None, state: Tensor) -> Tensor:
    return zeros_like(state) if g is None else g


def _present(g: Tensor | None) -> Several:
    return () if g is None else (g,)


def _lstm_slopes(wanted: set[str], g: Gradients, y: Several, *given: Tensor, reverse: bool = False) -> Gradients:
    if state.gradients or any(each is not None for each in g[3:]):
        return _slopes_in_ops(_lstm_step, given, g, reverse)
    (_, kernel, _, h0, c0, mask), (hs, h_last, c_last, gates, cells) = given, y
    ends = _given(g[1], h_last), _given(g[2], c_last)
    dx, dbias, dh0, dc0 = lstm_grad(*ends, kernel, gates, cells, c0, mask, *_present(g[0]), reverse=reverse)
    return dx, recurrent_kernel_grad(hs, h0, dx, reverse=reverse) if "kernel" in wanted else None, dbias, dh0, dc0


def _gru_slopes(wanted: set[str], g: Gradients, y: Several, *given: Tensor, reverse: bool = False) -> Gradients:
    if state.gradients or g[2] is not None:
        return _slopes_in_ops(_gru_step, given, g, reverse)
    (_, kernel, _, h0, mask), (hs, h_last, gates) = given, y
    g_h, gs = _given(g[1], h_last), _present(g[0])
    dx, dy, dbias, dh0 = gru_grad(g_h, kernel, gates, hs, h0, mask, *gs, reverse=reverse)
    return dx, recurrent_kernel_grad(hs, h0, dy, reverse=reverse) if "kernel" in wanted else None, dbias, dh0


lstm.joint_vjp(("x", "kernel", "bias", "h0", "c0"), _lstm_slopes)
gru.joint_vjp(("x", "kernel", "bias", "h0"), _gru_slopes)
