"""The rules by which instructions of a recorded step are fused or replaced, with the same results.

None of these rules changes a bit of the results of float32 kernels on the CPU: they only leave out additions of zeros.
(With overlapping windows the sign of a zero can change, and a NaN in a pixel that is no maximum gets the gradient 0.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

from gpudl.engine.op import AnyOp
from gpudl.engine.plan.ir import Applied, Instruction, applies
from gpudl.engine.plan.rewrite import Rewriter, rewrites
from gpudl.engine.value import Value
from gpudl.kernels.geometry import Window
from gpudl.ops.primitives.activation import activation_grad, bias_activation
from gpudl.ops.primitives.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from gpudl.ops.primitives.loss import softmax_cross_entropy, sparse_softmax_cross_entropy
from gpudl.ops.primitives.pool import max_pool_grad
from gpudl.ops.primitives.reduce import sum_to


@rewrites("activation_grad")
def pool_gradient_first(rewriter: Rewriter, instruction: Applied) -> None:
    """Apply the gradient of an activation before that of the max-pooling after it, where there are fewer elements.

    The pixels that are maxima have the value of the maximum, and so the same slope; all others get 0 in either order.
    """
    spread = rewriter.maker(instruction.ins[0], "max_pool_grad")
    pool = None if spread is None else rewriter.maker(spread.ins[1], "max_pool")
    if spread is None or pool is None or pool.ins[0] is not instruction.ins[1]:
        return
    window: Window = spread.static["window"]
    apart = all(s >= e for s, e in zip(window.strides, window.extent, strict=True))
    if rewriter.only_user(spread.outs[0], "activation_grad") is None or not (
        apart or instruction.static["activation"] == "relu"
    ):
        return
    first = rewriter.applied(activation_grad, (spread.ins[0], pool.outs[0]), instruction.static, instruction)
    second = Applied(max_pool_grad, instruction.outs, (first.outs[0], spread.ins[1]), spread.static, spread.origin)
    rewriter.replace([spread, instruction], [first, second], spread)


_POOLED = "conv2d+bias_activation+max_pool"


@rewrites("conv2d")
def fuse_pooled_convolution(rewriter: Rewriter, instruction: Applied) -> None:
    """Fuse convolution, bias, activation and max-pooling, without the pixels that no pooling window covers."""
    biased = _biased(rewriter, instruction)
    pool = None if biased is None else rewriter.only_user(biased.outs[0], "max_pool")
    if biased is None or pool is None:
        return
    chain = [instruction, biased, pool]
    small = _cropped(rewriter, chain)
    backward = _backward(rewriter, instruction, pool)
    if small and backward is not None and rewriter.kernel(small, _POOLED) is not None:
        pairs = dict(zip(chain, small, strict=True))
        for spread, users in backward.items():
            shape = {**spread.static, "shape": small[0].outs[0].spec.shape}
            pairs[spread] = rewriter.applied(max_pool_grad, spread.ins, shape, spread)
            for user in users:
                pairs[user] = _on_cropped(user, spread.outs[0], pairs[spread].outs[0], small[0].static["window"])
        rewriter.exchange(pairs)
        chain = small
    rewriter.fuse(chain, _POOLED)


def _cropped(rewriter: Rewriter, chain: list[Applied]) -> list[Applied]:
    """Return convolution, bias and pooling without the last rows and columns that no pooling window covers."""
    conv, biased, pool = chain
    window, outer = conv.static["window"], pool.static["window"]
    size = conv.outs[0].spec.shape[1:3]
    needed = ((o - 1) * s + e for o, s, e in zip(outer.output(size), outer.strides, outer.extent, strict=True))
    crop = tuple(n - used for n, used in zip(size, needed, strict=True))
    if outer.padding != "valid" or any(window.crop) or not any(crop):
        return []
    first = rewriter.applied(conv2d, conv.ins, {**conv.static, "window": replace(window, crop=crop)}, conv)
    second = rewriter.applied(bias_activation, (first.outs[0], biased.ins[1]), biased.static, biased)
    return [first, second, Applied(pool.op, pool.outs, second.outs, pool.static, pool.origin)]


def _backward(rewriter: Rewriter, conv: Applied, pool: Applied) -> dict[Applied, list[Applied]] | None:
    """Return the gradients of the pooling, each with the instructions that read it; None if any is no gradient."""
    found: dict[Applied, list[Applied]] = {}
    for spread in rewriter.users(pool.outs[1]):
        users = rewriter.users(spread.outs[0])
        if not applies(spread, max_pool_grad) or rewriter.kept(spread.outs[0]):
            return None
        found[spread] = [user for user in users if _supports_cropped(user, spread.outs[0], conv)]
        if len(found[spread]) != len(users):
            return None
    return found


def _supports_cropped(user: Instruction, g: Value, conv: Applied) -> TypeGuard[Applied]:
    if applies(user, sum_to):
        return bool(user.static["shape"] == g.spec.shape[-1:])
    return (_only_at(user, conv2d_input_grad, 0, g) or _only_at(user, conv2d_weight_grad, 1, g)) and (
        user.static["window"] == conv.static["window"]
    )


def _only_at(user: Instruction, op: AnyOp, place: int, value: Value) -> TypeGuard[Applied]:
    """Return whether an instruction is `op`, with `value` as input `place` and no other."""
    return applies(user, op) and [at for at, given in enumerate(user.ins) if given is value] == [place]


def _on_cropped(user: Applied, g: Value, small: Value, window: Window) -> Applied:
    ins = tuple(small if value is g else value for value in user.ins)
    static = user.static if user.op is sum_to else {**user.static, "window": window}
    return Applied(user.op, user.outs, ins, static, user.origin)


@rewrites("reshape_view")
def bias_before_reshape(rewriter: Rewriter, instruction: Applied) -> None:
    """Add the bias of a matrix product before its rows are divided into several axes, so that the two can be fused."""
    biased = _biased(rewriter, instruction)
    views: list[Instruction] = [instruction]
    while (before := rewriter.maker(views[-1].ins[0], instruction.name)) is not None:
        views.append(before)
    product = rewriter.maker(views[-1].ins[0], "matmul")
    if biased is None or product is None or any(rewriter.only_user(v.ins[0], v.name) is None for v in views):
        return
    result = biased.outs[0]
    if product.outs[0].spec.shape[-1:] != result.spec.shape[-1:] or rewriter.kept(result):
        return
    first = rewriter.applied(bias_activation, (product.outs[0], biased.ins[1]), biased.static, biased)
    second = Applied(instruction.op, (result,), first.outs, {"shape": result.spec.shape}, instruction.origin)
    rewriter.replace([*views, biased], [first, second], biased)
    rewriter.rest(result, first.outs[0])


def _biased(rewriter: Rewriter, instruction: Applied) -> Applied | None:
    """Return the bias and activation that alone read the out of an instruction, as what the bias is added to."""
    biased = rewriter.only_user(instruction.outs[0], "bias_activation")
    return biased if biased is not None and biased.ins[0] is instruction.outs[0] else None


_SPREADING, _ON_NUMBERS = (
    ("broadcast_to", "reshape_view"),
    ("add", "subtract", "multiply", "divide", "negative", "cast"),
)


@rewrites("broadcast_to")
def broadcast_last(rewriter: Rewriter, instruction: Applied) -> None:
    """Compute with one number instead of an array of which all elements are equal, such as the gradient of a mean.

    What reads the array is fused with the broadcast of a number, but not with one along an axis.
    """
    spread: list[Applied] = []
    numbers: list[Applied] = []
    number = _number(rewriter, instruction.ins[0], spread, numbers)
    if not spread or number is None or number.spec.ndim > instruction.outs[0].spec.ndim:
        return
    last = Applied(instruction.op, instruction.outs, (number,), instruction.static, instruction.origin)
    rewriter.replace([instruction], [*numbers, last], instruction)
    for unread in spread:
        if unread in rewriter and not rewriter.users(unread.outs[0]) and not rewriter.kept(unread.outs[0]):
            rewriter.replace([unread], [], unread)


def _number(rewriter: Rewriter, value: Value, spread: list[Applied], numbers: list[Applied]) -> Value | None:
    """Return a value of one element, to which each element of `value` is equal, or None.

    Args:
        rewriter: the record.
        value: an array.
        spread: to this is added what computes it, in the order from last to first.
        numbers: to this is added what computes the number, in order.
    """
    if value.spec.size == 1:
        return None if rewriter.updated(value) else value
    made = rewriter.maker(value, *_SPREADING, *_ON_NUMBERS)
    if made is None:
        return None
    spread.append(made)
    found = [_number(rewriter, given, spread, numbers) for given in made.ins]
    ins = [number for number in found if number is not None]
    if len(ins) < len(found):
        return None
    if made.name in _SPREADING:
        return ins[0]
    numbers.append(rewriter.applied(made.op, ins, made.static, made))
    return numbers[-1].outs[0]


@rewrites("conv2d")
@rewrites("conv2d_input_grad")
@rewrites("matmul")
def fuse_bias(rewriter: Rewriter, instruction: Applied) -> None:
    """Fuse a convolution, one that is transposed, or a matrix product with its bias and activation."""
    biased = _biased(rewriter, instruction)
    if biased is not None:
        rewriter.fuse([instruction, biased], f"{instruction.name}+bias_activation")


@rewrites("softmax")
def reuse_softmax(rewriter: Rewriter, instruction: Applied) -> None:
    """Replace a softmax by the probabilities that a cross-entropy of the same logits computes, with the same bits."""
    for user in rewriter.users(instruction.ins[0]):
        loss = applies(user, softmax_cross_entropy) or applies(user, sparse_softmax_cross_entropy)
        if loss and all(made.is_kernel(rewriter.on) for made in (user, instruction)):
            rewriter.substitute(instruction, user, user.outs[1])
            return


@rewrites("max_pool_grad")
def fuse_pooling_gradient(rewriter: Rewriter, instruction: Applied) -> None:
    """Fuse the gradients of an activation and a max-pooling, and those of bias and filters if only they read these."""
    slope = rewriter.maker(instruction.ins[0], "activation_grad")
    if slope is None:
        return
    users = rewriter.users(instruction.outs[0])
    if len(users) == 2 and applies(users[0], sum_to) and _only_at(users[1], conv2d_weight_grad, 1, instruction.outs[0]):
        rewriter.fuse(
            [slope, instruction, users[0], users[1]], "activation_grad+max_pool_grad+(sum_to,conv2d_weight_grad)"
        )
    if rewriter.maker(instruction.outs[0], "max_pool_grad") is instruction:
        rewriter.fuse([slope, instruction], "activation_grad+max_pool_grad")
