"""A layer beside Keras's: outputs, gradients, weights and masks for constructor arguments at random."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import gpudl

CONFIGURATIONS = 20
Choices = Mapping[str, Sequence[Any]]


def configurations(name: str, arguments: Choices, count: int = CONFIGURATIONS) -> Iterator[dict[str, Any]]:
    """Yield arguments, each chosen from its values."""
    draw = random.Random(name)
    for _ in range(count):
        yield {key: draw.choice(list(values)) for key, values in arguments.items()}


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def flat(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def _close(mine: Any, theirs: Any, what: str, tolerance: float) -> None:
    np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance, err_msg=what)


def assert_like_keras(
    ours: Any,
    theirs: Any,
    inputs: Sequence[np.ndarray],
    given: Mapping[str, Any],
    together: bool = False,
    tolerance: float = 2e-5,
) -> None:
    """Compare two layers, of which ours gets random weights that are then given to Keras's.

    Args:
        ours: gpudl's layer.
        theirs: Keras's.
        inputs: the arrays that both are called on.
        given: further arguments of the call.
        together: whether the inputs are one argument, a list.
        tolerance: relative and absolute.
    """
    import jax

    said = f"{type(ours).__name__} {ours.get_config()} {dict(given)}"

    def called(layer: Any, arrays: Sequence[Any]) -> Any:
        return layer(list(arrays), **given) if together else layer(*arrays, **given)

    called(ours, inputs)
    with jax.disable_jit():  # which only builds it
        called(theirs, inputs)
    mine = [(w.path.partition("/")[2], tuple(w.shape), w.trainable) for w in ours.weights]
    assert mine == [(w.path.partition("/")[2], tuple(w.shape), w.trainable) for w in theirs.weights], said
    values = [noise(7 + n, *w.shape) / 2 for n, w in enumerate(ours.weights)]
    ours.set_weights(values)
    theirs.set_weights(values)
    fixed = [v.value for v in theirs.non_trainable_variables]

    def outputs(arrays: Any, trained: Any) -> list[Any]:
        args = [list(arrays)] if together else arrays
        return flat(theirs.stateless_call(trained, fixed, *args, **given)[0])

    trained = [v.value for v in theirs.trainable_variables]
    shapes = jax.eval_shape(outputs, list(inputs), trained)
    weights = [noise(99 + n, *w.shape) for n, w in enumerate(shapes)]

    def both(arrays: Any, trained: Any) -> Any:
        found, back = jax.vjp(outputs, arrays, trained)
        return found, back([jax.numpy.asarray(w) for w in weights])

    wanted, slopes = jax.jit(both)(list(inputs), trained)
    with gpudl.GradientTape() as tape:
        tensors = [gpudl.convert_to_tensor(x) for x in inputs]
        for tensor in tensors:
            tape.watch(tensor)
        found = flat(called(ours, tensors))
        loss = sum(gpudl.ops.sum(y * w) for y, w in zip(found, weights, strict=True))
    gradients = tape.gradient(loss, [*tensors, *ours.trainable_weights])
    for one, other in zip(found, wanted, strict=True):
        _close(one.numpy(), other, said, tolerance)
    for one, other in zip(gradients, [*slopes[0], *slopes[1]], strict=True):
        _close(0 if one is None else one.numpy(), other, f"gradient of {said}", 5 * tolerance)
