"""Masks: made by layers, handed on, filled in where `call` asks for them, refused where they misfit."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_peer import keras_or_skip, parity

import gpudl
from gpudl import Input, Model, Sequential, layers
from gpudl.engine.symbol import KerasTensor
from gpudl.layers import Layer

IDS = np.array([[1, 2, 0], [3, 0, 0]])
MASK = IDS != 0
OTHER = np.array([[True, False, True], [True, False, False]])
X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)


def masked(x: np.ndarray = X, mask: Any = MASK) -> gpudl.Tensor:
    tensor = gpudl.convert_to_tensor(x) * 1
    tensor._keras_mask = None if mask is None else gpudl.convert_to_tensor(mask)
    return tensor


def told(mask: Any) -> Any:
    """Return masks as lists."""
    if isinstance(mask, list | tuple):
        return [told(one) for one in mask]
    return None if mask is None else np.asarray(mask).tolist()


class Says(Layer):
    """Notes the mask that its `call` gets."""

    supports_masking = True
    seen: Any = None

    def call(self, x: Any, mask: Any = None) -> Any:
        self.seen = mask
        return x * 1


class TestLayersThatMakeMasks:
    def test_embedding(self) -> None:
        layer = layers.Embedding(5, 2, mask_zero=True)
        assert layer.supports_masking
        assert told(layer(IDS).mask) == told(layer.compute_mask(gpudl.convert_to_tensor(IDS))) == MASK.tolist()
        plain = layers.Embedding(5, 2)
        assert not plain.supports_masking
        assert plain(IDS).mask is None
        assert plain.compute_mask(IDS) is None

    def test_masking(self) -> None:
        x = np.array([[[1.0, 2.0], [-1.0, -1.0], [-1.0, 2.0]]])
        y = layers.Masking(-1.0)(x)
        np.testing.assert_array_equal(y.numpy(), [[[1, 2], [0, 0], [-1, 2]]])
        assert told(y.mask) == [[True, False, True]]
        assert told(layers.Masking(np.nan)(x).mask) == [[True, True, True]]

    def test_lambda(self) -> None:
        assert layers.Lambda(lambda x: x * 1, mask=lambda x, mask: mask)(masked()).mask is not None
        assert told(layers.Lambda(lambda x: x * 1, mask=MASK)(X).mask) == MASK.tolist()
        got: list[Any] = []
        layers.Lambda(lambda x, mask: got.append(mask) or x, mask=MASK)(masked())
        assert told(got) == [MASK.tolist()]


HANDS_ON: list[Callable[[], Layer]] = [
    *(lambda: layers.Dense(2), lambda: layers.Activation("relu"), lambda: layers.Dropout(0.5), layers.ReLU),
    *(layers.LeakyReLU, layers.ELU, layers.BatchNormalization, layers.LayerNormalization, layers.Identity),
    *(lambda: layers.GaussianNoise(0.5), layers.ActivityRegularization, Says),
]


@pytest.mark.parametrize("make", HANDS_ON, ids=lambda make: make().name)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_layers_that_hand_masks_on(make: Callable[[], Layer], policy: str) -> None:
    layer = make()
    layer.dtype_policy = policy
    for training in (False, True):
        assert told(layer(masked(), training=training).mask) == MASK.tolist()
    assert layer(X).mask is None


@pytest.mark.parametrize("layer", [layers.Flatten(), layers.Reshape((12,)), layers.Lambda(lambda x: x * 1)])
def test_a_layer_that_loses_a_mask_says_so(layer: Layer) -> None:
    text = f'{type(layer).__name__} "{layer.name}" was given inputs with a mask and hands none on, for it does not'
    with pytest.warns(UserWarning, match=re.escape(text)):
        assert layer(masked()).mask is None
    layer(X)


def test_a_layer_of_the_users_own() -> None:
    class Own(Layer):
        def call(self, x: Any) -> Any:
            return x[:, ::2]

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return None if mask is None else mask[:, ::2]

    assert Own().supports_masking
    assert told(Own()(masked()).mask) == MASK[:, ::2].tolist()
    assert Own()(X).mask is None
    plain = Says()
    plain.supports_masking = False
    with pytest.warns(UserWarning, match="does not support masking"):
        plain(masked())
    assert told(plain.seen) == MASK.tolist()


def test_a_mask_that_call_takes_away_is_there_again_afterwards() -> None:
    class Quiet(Layer):
        supports_masking = True

        def call(self, x: Any) -> Any:
            x._keras_mask = None
            return x

    assert told(Quiet()(masked()).mask) == MASK.tolist()


class TestArguments:
    def seen(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        got: dict[str, Any] = {}

        class Asks(Layer):
            supports_masking = True

        layer = type("Asks", (Asks,), {"call": lambda self, *a, **k: None})
        layer.call = call  # type: ignore[attr-defined]
        made = layer()
        made.got = got
        made(*args, **kwargs)
        return {name: told(mask) for name, mask in made.got.items()}

    def test_mask_is_that_of_the_first_argument(self) -> None:
        def call(self: Any, x: Any, y: Any = None, mask: Any = None) -> Any:
            self.got["mask"] = mask
            return x if not isinstance(x, list) else x[0]

        assert self.seen(call, masked()) == {"mask": MASK.tolist()}
        assert self.seen(call, x=masked()) == {"mask": MASK.tolist()}
        assert self.seen(call, X) == {"mask": None}
        assert self.seen(call, masked(), masked(mask=OTHER)) == {"mask": MASK.tolist()}
        assert self.seen(call, X, masked()) == {"mask": None}
        assert self.seen(call, [masked(), X]) == {"mask": [MASK.tolist(), None]}
        assert self.seen(call, masked(), mask=OTHER) == {"mask": OTHER.tolist()}
        assert self.seen(call, masked(), None, gpudl.convert_to_tensor(OTHER)) == {"mask": OTHER.tolist()}

    def test_others_by_name(self) -> None:
        def call(self: Any, x: Any, y: Any, x_mask: Any = None, y_mask: Any = None, attention_mask: Any = None) -> Any:
            self.got.update(x_mask=x_mask, y_mask=y_mask, attention_mask=attention_mask)
            return y

        one, other = masked(), masked(mask=OTHER)
        every = {"x_mask": MASK.tolist(), "y_mask": OTHER.tolist(), "attention_mask": None}
        assert self.seen(call, one, other) == self.seen(call, one, y=other) == self.seen(call, x=one, y=other) == every
        assert self.seen(call, one, X) == {**every, "y_mask": None}
        assert self.seen(call, one, other, y_mask=MASK) == {**every, "y_mask": MASK.tolist()}
        assert self.seen(call, (one, one), X)["x_mask"] == [MASK.tolist()] * 2

    def test_a_mask_that_is_given_goes_on(self) -> None:
        assert told(Says()(X, mask=OTHER).mask) == OTHER.tolist()


def merged(kind: Any, axis: int | None, masks: list[Any]) -> Any:
    layer = kind() if axis is None else kind(axis=axis)
    return told(layer([masked(mask=mask) for mask in masks]).mask)


KINDS = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"]
EVERY = [[MASK, OTHER], [MASK, None], [None, OTHER], [None, None], [OTHER, OTHER]]


@parity
def test_merged_masks_are_those_of_keras() -> None:
    keras = keras_or_skip()
    for kind, axis in [*((kind, None) for kind in KINDS), *(("Concatenate", axis) for axis in (-1, 2, 1, -2))]:
        for masks in EVERY:
            peer = getattr(keras.layers, kind)(**({} if axis is None else {"axis": axis}))
            given = [keras.ops.convert_to_tensor(X) + 0 for _ in masks]
            for tensor, mask in zip(given, masks, strict=True):
                if mask is not None:
                    tensor._keras_mask = keras.ops.convert_to_tensor(mask)
            wanted = told(getattr(peer(given), "_keras_mask", None))
            assert merged(getattr(layers, kind), axis, masks) == wanted, (kind, axis, told(masks))


def test_merged_masks() -> None:
    assert merged(layers.Add, None, [MASK, OTHER]) == (MASK | OTHER).tolist()
    assert merged(layers.Add, None, [MASK, None]) is None
    assert merged(layers.Concatenate, 1, [MASK, None]) == np.concatenate([MASK, np.ones((2, 3), bool)], 1).tolist()
    assert layers.Dot(2)([masked(), masked()]).mask is None
    with pytest.raises(ValueError, match=r'"d" takes a mask, or None, for each of 2 inputs, got 1\.'):
        layers.Add(name="d").compute_mask([X, X], [MASK])


class TestModels:
    def test_sequential(self) -> None:
        last = Says()
        stack = [layers.Embedding(5, 4, mask_zero=True), layers.Dense(3), layers.Dropout(0.5), last]
        model = Sequential(stack)
        for _ in range(2):
            assert told(model(IDS).mask) == MASK.tolist()
            assert told(last.seen) == MASK.tolist()
        assert told(Sequential([Input((3,)), *stack])(IDS).mask) == MASK.tolist()

    def test_symbols_have_masks(self) -> None:
        x = Input((3,))
        y = layers.Dense(2)(layers.Embedding(5, 4, mask_zero=True)(x))
        assert isinstance(y._keras_mask, KerasTensor)
        assert y.mask.shape == (None, 3)
        assert told(Model(x, y.mask)(IDS)) == MASK.tolist()
        assert y.call.operation.output.mask is y.mask

    def test_a_mask_that_is_asked_for_is_a_part_of_the_graph(self) -> None:
        x = Input((3,), dtype="int32")
        last = Says()
        hidden = layers.Dense(2)(layers.Embedding(5, 4, mask_zero=True)(x))
        model = Model(x, last(hidden))
        assert [operation.name.rstrip("_0123456789") for operation in model.operations] == [
            *("input_layer", "embedding", "dense", "not_equal", "says"),
        ]
        assert told(model(IDS).mask) == told(last.seen) == MASK.tolist()

    def test_models_inside_models(self) -> None:
        x = Input((3,), dtype="int32")
        inner = Model(x, layers.Embedding(5, 4, mask_zero=True)(x))
        last = Says()
        outer = Model(x, last(inner(x)))
        assert told(outer(IDS).mask) == told(last.seen) == MASK.tolist()

    def test_inputs_of_a_model_may_be_masked(self) -> None:
        x, last = Input((3, 4)), Says()
        model = Model(x, last(layers.Dense(2)(x)))
        assert told(model(masked()).mask) == told(last.seen) == MASK.tolist()
        assert model(X).mask is None
        assert last.seen is None
        assert told(model(masked(X.astype(np.float64))).mask) == MASK.tolist()

    def test_the_mask_of_the_inputs_may_be_given(self) -> None:
        x, last = Input((3, 4)), Says()
        for model in (Model(x, last(x)), Sequential([last]), Sequential([Input((3, 4)), last])):
            given = masked(mask=OTHER)
            assert told(model(given, mask=MASK).mask) == told(last.seen) == MASK.tolist()
            assert told(given.mask) == OTHER.tolist()


class TestMisfits:
    def test_softmax(self) -> None:
        layer = layers.Softmax(name="s")
        np.testing.assert_array_equal(layer(np.zeros((2, 3)), mask=MASK).numpy(), [[0.5, 0.5, 0], [1, 0, 0]])
        text = r'^Softmax "s": the mask of shape \(2, 3\) does not broadcast to inputs of shape \(2, 3, 4\)'
        with pytest.raises(gpudl.ShapeError, match=text):
            layer(masked())

    def test_batch_normalization(self) -> None:
        layer = layers.BatchNormalization(name="b", momentum=0.5, epsilon=0.0)
        y = layer(masked(), training=True)
        np.testing.assert_allclose(layer.moving_mean.numpy(), X[MASK].mean(0) / 2, atol=1e-6)
        np.testing.assert_allclose(layer.moving_variance.numpy(), X[MASK].var(0) / 2 + 0.5, atol=1e-6)
        np.testing.assert_allclose(y.numpy(), (X - X[MASK].mean(0)) / X[MASK].std(0), atol=1e-5)
        text = r'^BatchNormalization "b": the mask of shape \(2, 4\) does not fit inputs of shape \(2, 3, 4\): it has'
        with pytest.raises(gpudl.ShapeError, match=text):
            layer(X, training=True, mask=np.ones((2, 4), bool))

    def test_concatenate(self) -> None:
        with pytest.raises(gpudl.ShapeError, match=r"the mask of shape \(2,\) does not fit inputs of"):
            layers.Concatenate()([masked(mask=MASK[:, 0]), masked()])


def test_a_step_without_masks_has_no_op_for_them() -> None:
    class Plain(Layer):
        def call(self, x: Any) -> Any:
            return x * 1

    counts = []
    for last in (Says(), Plain()):
        model = Sequential([Input((3, 4)), layers.Dense(2), layers.BatchNormalization(), last])
        model.compile("sgd", "mse")
        said: list[str] = []
        model.explain(X, np.ones((2, 3, 2)), print_fn=said.append)
        counts.append(len(said[0].splitlines()))
    assert counts[0] == counts[1]


def test_masks_are_copied_with_tensors() -> None:
    assert told(copy.deepcopy(masked()).mask) == MASK.tolist()
