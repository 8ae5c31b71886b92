"""Which instructions of a recorded step may be joined into one kernel, and which exchanged, with the same results.

None of these rules changes a number that float32 kernels on the CPU compute: what they leave out is adding zeros. (With
windows that overlap the sign of a zero can change, and a NaN in a pixel that no window chose gets the gradient 0.)
"""

from __future__ import annotations

from dataclasses import replace

from gpudl.engine.plan.ir import Instruction, Slot
from gpudl.engine.plan.rewrite import Graph, rewrites
from gpudl.kernels.geometry import Window
from gpudl.ops.activation import activation_grad, bias_activation
from gpudl.ops.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from gpudl.ops.pool import max_pool_grad
from gpudl.ops.reduce import sum_to


@rewrites("activation_grad")
def pool_last(graph: Graph, step: Instruction) -> None:
    """Go back through an activation before the max-pooling after it, where there are fewer numbers.

    The pixels that won have the value of their maximum, so their slopes are the same; all others get 0 either way.
    """
    spread = graph.maker(step.ins[0], "max_pool_grad")
    pool = None if spread is None else graph.maker(spread.ins[1], "max_pool")
    if spread is None or pool is None or pool.ins[0].value is not step.ins[1].value:
        return
    window: Window = spread.static["window"]
    apart = all(s >= e for s, e in zip(window.strides, window.extent, strict=True))
    if graph.only_user(spread.outs[0], "activation_grad") is None or not (apart or step.static["activation"] == "relu"):
        return
    first = graph.applied(activation_grad, (spread.ins[0], pool.outs[0]), step.static, step)
    second = Instruction(max_pool_grad, step.outs, (first.outs[0], spread.ins[1]), spread.static, spread.origin)
    graph.replace([spread, step], [first, second], spread)


_POOLED = "conv2d+bias_activation+max_pool"


@rewrites("conv2d")
def convolve_what_is_pooled(graph: Graph, step: Instruction) -> None:
    """Join convolution, bias, activation and max-pooling, and leave out the pixels that no pooling window looks at."""
    biased = graph.only_user(step.outs[0], "bias_activation")
    pool = None if biased is None else graph.only_user(biased.outs[0], "max_pool")
    if biased is None or pool is None or biased.ins[0].value is not step.outs[0]:
        return
    chain = [step, biased, pool]
    small = _cropped(graph, chain)
    backward = _backward(graph, step, pool)
    if small and backward is not None and graph.kernel(small, _POOLED) is not None:
        pairs = dict(zip(chain, small, strict=True))
        for spread, users in backward.items():
            shape = {**spread.static, "shape": small[0].outs[0].spec.shape}
            pairs[spread] = graph.applied(max_pool_grad, spread.ins, shape, spread)
            for user in users:
                pairs[user] = _on_cropped(user, spread.outs[0], pairs[spread].outs[0], small[0].static["window"])
        graph.exchange(pairs)
        chain = small
    graph.fuse(chain, _POOLED)


def _cropped(graph: Graph, chain: list[Instruction]) -> list[Instruction]:
    """Return convolution, bias and pooling without the last rows and columns that no pooling window looks at."""
    conv, biased, pool = chain
    window, outer = conv.static["window"], pool.static["window"]
    size = conv.outs[0].spec.shape[1:3]
    needed = ((o - 1) * s + e for o, s, e in zip(outer.output(size), outer.strides, outer.extent, strict=True))
    crop = tuple(n - used for n, used in zip(size, needed, strict=True))
    if outer.padding != "valid" or any(window.crop) or not any(crop):
        return []
    first = graph.applied(conv2d, conv.ins, {**conv.static, "window": replace(window, crop=crop)}, conv)
    second = graph.applied(bias_activation, (first.outs[0], biased.ins[1]), biased.static, biased)
    return [first, second, Instruction(pool.op, pool.outs, second.outs, pool.static, pool.origin)]


def _backward(graph: Graph, conv: Instruction, pool: Instruction) -> dict[Instruction, list[Instruction]] | None:
    """Return what spreads the gradient of the maxima, each with those who read it; None if others than gradients do."""
    found = {}
    for spread in graph.users(pool.outs[1]):
        users = graph.users(spread.outs[0])
        if spread.op is not max_pool_grad or graph.kept(spread.outs[0]):
            return None
        if not all(_takes_cropped(user, spread.outs[0], conv) for user in users):
            return None
        found[spread] = users
    return found


def _takes_cropped(user: Instruction, g: Slot, conv: Instruction) -> bool:
    if user.op is sum_to:
        return bool(user.static["shape"] == g.spec.shape[-1:])
    place = {conv2d_input_grad: 0, conv2d_weight_grad: 1}.get(user.op)
    return _only_at(user, place, g) and user.static["window"] == conv.static["window"]


def _only_at(user: Instruction, place: int | None, slot: Slot) -> bool:
    return [at for at, given in enumerate(user.ins) if given.value is slot] == [place]


def _on_cropped(user: Instruction, g: Slot, small: Slot, window: Window) -> Instruction:
    ins = tuple(small if slot.value is g else slot for slot in user.ins)
    static = user.static if user.op is sum_to else {**user.static, "window": window}
    return Instruction(user.op, user.outs, ins, static, user.origin)


@rewrites("conv2d")
@rewrites("matmul")
def add_the_bias_at_once(graph: Graph, step: Instruction) -> None:
    """Join a convolution or a matrix product with its bias and activation."""
    biased = graph.only_user(step.outs[0], "bias_activation")
    if biased is not None and biased.ins[0].value is step.outs[0]:
        graph.fuse([step, biased], f"{step.op.name}+bias_activation")


@rewrites("softmax")
def share_the_softmax(graph: Graph, step: Instruction) -> None:
    """Take the probabilities that a cross-entropy of the same logits leaves behind: kernels compute them alike."""
    for user in graph.users(step.ins[0]):
        if user.op.name in ("softmax_cross_entropy", "sparse_softmax_cross_entropy") and all(
            map(graph.has_twin, (user, step))
        ):
            graph.substitute(step, user, user.outs[1])
            return


@rewrites("max_pool_grad")
def spread_within(graph: Graph, step: Instruction) -> None:
    """Join the gradients of an activation and of the max-pooling before it with what reads them, if that is all."""
    slope = graph.maker(step.ins[0], "activation_grad")
    if slope is None:
        return
    users = graph.users(step.outs[0])
    if [user.op for user in users] == [sum_to, conv2d_weight_grad] and _only_at(users[1], 1, step.outs[0]):
        graph.fuse([slope, step, *users], "activation_grad+max_pool_grad+(sum_to,conv2d_weight_grad)")
    if graph.maker(step.outs[0], "max_pool_grad") is step:
        graph.fuse([slope, step], "activation_grad+max_pool_grad")
