"""Random layers, alone and one after another, beside Keras in float64: values, gradients, and what training counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from fuzz.programs import Program, assert_near, run
from fuzz.stacks import Part, Stack, random_stack, random_weights

Arrays = list[np.ndarray]
TOLERANCE = {"float64": 1e-9, "float32": 5e-5, "float16": 2e-2, "bfloat16": 1e-1}

# Keras computes means in float32, whatever it is given.
OF_MEANS = ("BatchNormalization", "LayerNormalization", "GlobalAveragePooling2D")


def _floats(x: np.ndarray) -> bool:
    return x.dtype.kind not in "iu"


def _random_case(program: Program) -> tuple[Stack, np.ndarray]:
    batch = program.integer(1, 5)
    if program.chance(0.1):
        rows, length = program.integer(1, 9), program.integer(1, 4)
        stack = Stack(program, (length,))
        width = program.integer(1, 5)
        stack.add("Embedding", input_dim=rows, output_dim=width, shape=(length, width))
        stack.grow(program.integer(0, 2))
        dtype = program.one_of((np.int8, np.uint8, np.int32, np.int64))
        return stack, program.rng.integers(0, rows, (batch, length)).astype(dtype)
    stack = random_stack(program, 1 if program.chance(0.6) else program.integer(2, 4))
    return stack, program.normal(batch, *stack.input_shape, dtype=np.float64)


def _ours(parts: list[Part], program: Program, x: np.ndarray, dtype: str, training: bool) -> Any:
    """Return the layers, the output, and a function of its gradient that gives those of x and of all weights."""
    chain = [part.make(gpudl.layers, dtype=dtype) for part in parts]
    inputs = gpudl.Variable(x)
    value: Any = inputs
    for layer in chain:
        layer.build(value.shape)
        layer.set_weights(random_weights(program, layer))
        before = layer.get_weights()
        value = layer(value, training=training)
        layer.before = before
    wanted = [*([inputs] if _floats(x) else []), *(w for layer in chain for w in layer.trainable_weights)]
    return chain, value, lambda g: gpudl.grad(value, wanted, seed=gpudl.convert_to_tensor(g, dtype=value.dtype))


def _theirs(keras: Any, parts: list[Part], ours: Any, x: np.ndarray, g: np.ndarray, training: bool) -> Any:
    """Return Keras's output, its gradients, what the layers count, and whether some of it is in float32 after all."""
    import jax

    chain, shape = [part.make(keras.layers, dtype="float64") for part in parts], x.shape
    for layer, same in zip(chain, ours, strict=True):
        layer.build(shape)
        layer.set_weights([np.asarray(w, np.float64) for w in same.before])
        shape = layer.compute_output_shape(shape)
    trained = [[v.value for v in layer.trainable_variables] for layer in chain]
    narrow: list[bool] = []

    def call(x: Any, trained: Any) -> Any:
        counted = []
        for layer, values in zip(chain, trained, strict=True):
            kept = [v.value for v in layer.non_trainable_variables]
            options = {"training": training} if layer._call_has_training_arg else {}
            x, kept = layer.stateless_call(values, kept, x, **options)
            narrow.append(type(layer).__name__ in OF_MEANS or x.dtype != np.float64)
            x = x.astype(np.float64)
            counted += kept
        return x, counted

    if _floats(x):
        y, back, counted = jax.vjp(call, x, trained, has_aux=True)
        first, others = back(g)
    else:
        y, back, counted = jax.vjp(lambda trained: call(x, trained), trained, has_aux=True)
        (others,) = back(g)
    return y, [*([first] if _floats(x) else []), *(w for layer in others for w in layer)], counted, any(narrow)


def _check(program: Program, keras: Any) -> None:
    import jax

    stack, x = _random_case(program)
    dtype = program.one_of(("float32", "float32", "float64", "float16", "bfloat16"))
    if len(stack.parts) > 1 and dtype not in ("float32", "float64"):
        dtype = "float32"
    training = program.chance(0.5)
    program.say(f"{dtype}, training={training}, x {x.dtype}{list(x.shape)}:", stack)
    rounded = x.astype(gpudl.convert_to_tensor(0.0, dtype=dtype).dtype) if _floats(x) else x
    chain, value, gradient = _ours(stack.parts, program, rounded, dtype, training)
    assert value.dtype == dtype
    assert value.shape[1:] == stack.shape
    g = program.normal(*value.shape).astype(value.dtype)
    with jax.enable_x64(True):
        wide = rounded.astype(np.float64) if _floats(x) else x
        y, gradients, counted, narrow = _theirs(keras, stack.parts, chain, wide, g.astype(np.float64), training)
    tolerance = max(TOLERANCE[dtype], TOLERANCE["float32"] if narrow else 0.0)
    assert_near(value.numpy(), y, tolerance, "the output")
    for number, (mine, exact) in enumerate(zip(gradient(g), gradients, strict=True)):
        assert_near(
            np.zeros(exact.shape) if mine is None else mine.numpy(),
            exact,
            tolerance * np.sqrt(value.size),
            f"gradient {number}",
        )
    kept = [w for layer in chain for w in layer.non_trainable_weights]
    for mine, exact in zip(kept, counted, strict=False):
        assert_near(mine.numpy(), exact, tolerance, mine.path)


@parity
def test_layers_agree_with_keras() -> None:
    keras = keras_or_skip()
    pytest.importorskip("jax")
    run(lambda program: _check(program, keras), count=6)
