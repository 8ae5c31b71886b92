"""What programs use of TensorFlow itself: input pipelines, tapes, constants, devices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import gpudl
from gpudl.compat import tensorflow as tf
from gpudl.compat.tensorflow.data import Dataset

X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.arange(6)


def numbers(data: Dataset) -> list[object]:
    return [np.asarray(each).tolist() for each in data.as_numpy_iterator()]


@pytest.mark.parametrize("rows", [True, False])
def test_batches_and_their_number(rows: bool) -> None:
    data = Dataset.range(5) if rows else Dataset.range(5).map(lambda n: n)
    assert numbers(data.batch(2)) == [[0, 1], [2, 3], [4]]
    assert numbers(data.batch(2, drop_remainder=True)) == [[0, 1], [2, 3]]
    assert (len(data.batch(2)), len(data.batch(2, drop_remainder=True)), len(data)) == (3, 2, 5)
    assert numbers(data.take(2)) == [0, 1]
    assert numbers(data.take(9)) == numbers(data.take(-1)) == numbers(data) == [0, 1, 2, 3, 4]
    assert numbers(data.skip(3)) == [3, 4]
    assert numbers(data.skip(-1)) == []
    assert numbers(data.repeat(2).skip(4)) == [4, 0, 1, 2, 3, 4]
    assert numbers(data.repeat().take(7).skip(5)) == [0, 1]
    assert numbers(data.filter(lambda n: n % 2 == 1)) == [1, 3]
    assert numbers(data.concatenate(Dataset.range(7, 9))) == [0, 1, 2, 3, 4, 7, 8]
    assert numbers(data.batch(2).unbatch()) == [0, 1, 2, 3, 4]
    assert [(int(n), int(each)) for n, each in data.skip(3).enumerate(1)] == [(1, 3), (2, 4)]


def test_elements_are_tensors_in_the_nest_that_was_given() -> None:
    (first, *_) = Dataset.from_tensor_slices({"x": X, "y": (Y, [1.0] * 6)})
    assert isinstance(first["x"], gpudl.Tensor)
    assert first["x"].numpy().tolist() == [0, 1]
    assert isinstance(first["y"], tuple)
    (one,) = Dataset.from_tensors((X, Y)).as_numpy_iterator()
    assert one[0].shape == (6, 2)
    pairs = Dataset.zip(Dataset.range(2), Dataset.range(5, 9))
    assert [(int(a), int(b)) for a, b in pairs] == [(0, 5), (1, 6)]
    assert len(pairs) == 2


def test_cardinality_where_there_is_no_end_or_it_is_not_known() -> None:
    assert Dataset.range(3).cardinality() == 3
    for data, number, word in (
        (Dataset.range(3).repeat().batch(2), tf.data.INFINITE_CARDINALITY, "infinite"),
        (Dataset.range(3).filter(lambda n: n > 1), tf.data.UNKNOWN_CARDINALITY, "unknown"),
    ):
        assert data.cardinality() == number
        with pytest.raises(TypeError, match=f"The dataset is of {word} length. Use cardinality"):
            len(data)


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("size", [1, 4, 20, 100])
def test_shuffles_draw_from_the_buffer(rows: bool, size: int) -> None:
    data = Dataset.range(20) if rows else Dataset.range(20).map(lambda n: n)
    shuffled = data.shuffle(size, seed=3)
    first, second = numbers(shuffled), numbers(shuffled)
    assert sorted(map(int, first)) == list(range(20))
    assert all(int(each) < place + size for place, each in enumerate(first))
    assert (first == second) == (size == 1)
    assert first == numbers(data.shuffle(size, seed=3))
    same = data.shuffle(size, seed=3, reshuffle_each_iteration=False)
    assert numbers(same) == numbers(same)


def test_caches_keep_a_complete_pass() -> None:
    made = []

    def generate() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    data = Dataset.from_generator(generate).cache()
    assert len(list(data.take(2))) == 2
    assert [numbers(data), numbers(data)] == [[0, 1, 2]] * 2
    assert made == [0, 1, 0, 1, 2]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"the same number of rows, got shapes \(6, 2\), \(5,\)\."):
        Dataset.from_tensor_slices((X, Y[:5]))
    with pytest.raises(ValueError, match=r"the same number of rows, got shapes \(\)\."):
        Dataset.from_tensor_slices(3)
    for method, name in (("batch", "batch_size"), ("shuffle", "buffer_size")):
        with pytest.raises(ValueError, match=f"Dataset.{method}: {name} must be a whole number above 0, got 0."):
            getattr(Dataset.range(3), method)(0)


def test_a_model_trains_on_a_pipeline() -> None:
    data = Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (tf.cast(x, tf.float32) / 12.0, y))
    model = gpudl.Sequential([gpudl.layers.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(data.shuffle(6).batch(4).prefetch(tf.data.AUTOTUNE), epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    endless = model.fit(data.batch(4).repeat(), epochs=2, steps_per_epoch=3, verbose=0)
    assert len(endless.history["loss"]) == 2


def test_words_of_tensorflow() -> None:
    assert tf.constant([1, 2], dtype=tf.float32).dtype == tf.float32
    assert tf.constant(2.0, shape=[2, 2]).shape == (2, 2)
    assert tf.constant([1, 2, 3, 4], shape=(2, 2)).numpy().tolist() == [[1, 2], [3, 4]]
    assert float(tf.reduce_mean(tf.constant([1.0, 3.0]))) == 2
    assert float(tf.math.log(tf.constant(1.0))) == float(tf.nn.relu(tf.constant(-1.0))) == 0
    assert tf.bool == np.dtype(bool)
    weight = tf.Variable(3.0)

    @tf.function(jit_compile=True)
    def squared() -> gpudl.Tensor:
        return weight * weight

    with tf.GradientTape() as tape:
        loss = squared()
    assert float(tape.gradient(loss, weight)) == 6
    assert tf.function(squared) is squared
    with pytest.raises(AttributeError, match="has no attribute 'quux'"):
        tf.quux  # noqa: B018


def test_random_numbers_and_devices() -> None:
    tf.random.set_seed(1)
    first = tf.random.normal([2, 3]).numpy()
    tf.random.set_seed(1)
    assert (first == tf.random.normal([2, 3]).numpy()).all()
    assert tf.random.uniform([1000], 2, 3, dtype="float64").numpy().min() >= 2
    (cpu,) = tf.config.list_physical_devices("CPU")
    assert (cpu.name, cpu.device_type) == ("/physical_device:CPU:0", "CPU")
    for card in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(card, True)
