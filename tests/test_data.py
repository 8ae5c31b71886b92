"""What fit, evaluate and predict take as data: every kind gives the same as plain NumPy arrays."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strict_cupy
from small_models import SAMPLES, digits, line, mlp, same, state_of

import gpudl
from gpudl import Sequential, layers
from gpudl.engine.state import reference_only
from gpudl.training.data.epochs import Epochs
from gpudl.training.data.sources import batches

pd = pytest.importorskip("pandas")


class Batches:
    """A sequence of batches, with a length, that can begin again."""

    def __init__(self, x: Any, y: Any, size: int = 32) -> None:
        self.x, self.y, self.size = x, y, size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return (len(self.x) + self.size - 1) // self.size

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        self.asked.append(number)
        rows = slice(number * self.size, (number + 1) * self.size)
        return self.x[rows], self.y[rows]


class Stream:
    """An iterable without a length that can begin again."""

    def __init__(self, source: Batches) -> None:
        self.source = source

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self.source[i] for i in range(len(self.source)))


def forever(x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    source = Batches(x, y)
    while True:
        yield from Stream(source)


def trained(x: Any, y: Any = None, epochs: int = 2, shuffle: bool = False, **arguments: Any) -> tuple[Any, ...]:
    model = mlp()
    history = model.fit(x, y, epochs=epochs, shuffle=shuffle, verbose=0, **arguments).history
    return history, state_of(model)


def misaligned(x: np.ndarray) -> np.ndarray:
    held = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    held[...] = x
    assert not held.flags.aligned
    return held


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def strided(x: np.ndarray) -> np.ndarray:
    return np.repeat(x, 2, axis=0)[::2]


def in_bytes_the_other_way_round(x: np.ndarray) -> np.ndarray:
    return x.astype(x.dtype.newbyteorder("S"))


AWKWARD = (misaligned, read_only, strided, np.asfortranarray, in_bytes_the_other_way_round, lambda x: x[::-1][::-1])


def assert_same(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    assert first[0] == second[0]
    assert same(first[1], second[1])


class TestArrays:
    @pytest.mark.parametrize(
        "convert",
        [
            lambda x: x.astype(np.float64),
            lambda x: x.tolist(),
            lambda x: [list(row) for row in x],
            lambda x: [tuple(row) for row in x.tolist()],
            pd.DataFrame,
            lambda x: pd.DataFrame(x.astype(np.float64), columns=list("abcd"), index=range(5, 5 + len(x))),
            gpudl.convert_to_tensor,
            np.asfortranarray,
            lambda x: np.repeat(x, 2, axis=0)[::2],
        ],
    )
    def test_inputs_in_every_clothing(self, convert: Any) -> None:
        x, y = digits()
        assert_same(trained(convert(x), y), trained(x, y))

    @pytest.mark.parametrize(
        "convert",
        [
            *(lambda y, kind=kind: y.astype(kind) for kind in (np.uint8, np.int32, np.int64, np.float32, np.float64)),
            lambda y: y.tolist(),
            lambda y: y[:, None],
            lambda y: pd.Series(y, index=range(3, 3 + len(y))),
            lambda y: pd.DataFrame({"label": y}),
            gpudl.convert_to_tensor,
        ],
    )
    def test_labels_in_every_clothing(self, convert: Any) -> None:
        x, y = digits()
        assert_same(trained(x, convert(y)), trained(x, y))

    @pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.bool_, np.float16])
    def test_numbers_that_are_not_float32(self, kind: Any) -> None:
        x, y = digits()
        x = (10 * abs(x)).astype(kind)
        model, reference = mlp(), mlp()
        model.fit(x, y, verbose=0, shuffle=False)
        reference.fit(x.astype(np.float32), y, verbose=0, shuffle=False)
        assert same(state_of(model), state_of(reference))
        assert model.predict(x, verbose=0).dtype == np.float32

    @pytest.mark.parametrize("shuffle", [False, True])
    @pytest.mark.parametrize(
        ("awkward", "kind"),
        [
            (awkward, kind)
            for awkward in AWKWARD
            for kind in (np.uint8, np.int64, np.float32, np.float64)
            if (awkward, kind) != (misaligned, np.uint8)  # a byte is always aligned
        ],
    )
    def test_memory_of_every_shape(self, awkward: Any, kind: Any, shuffle: bool) -> None:
        x, y = digits()
        x, y = (10 * abs(x)).astype(kind), y.astype(np.int64)
        assert_same(trained(awkward(x), awkward(y), shuffle=shuffle), trained(x, y, shuffle=shuffle))
        model = mlp()
        assert same([model.predict(awkward(x), verbose=0)], [model.predict(x, verbose=0)])

    def test_a_file_mapped_into_memory(self, tmp_path: Path) -> None:
        x, y = digits()
        file = np.memmap(tmp_path / "x", x.dtype, "w+", shape=x.shape)
        file[...] = x
        assert_same(trained(file, y, shuffle=True), trained(x, y, shuffle=True))

    @pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, ">f8"])
    @pytest.mark.parametrize("awkward", [read_only, strided])
    @pytest.mark.host
    def test_the_data_are_not_copied(self, awkward: Any, kind: Any) -> None:
        # The order of 10,000 samples takes 80 KB, beside some batches; x has 1.3 MB or more.
        assert self._peak(awkward, kind, shuffle=True) < 500_000

    @pytest.mark.host
    def test_a_table_by_columns_is_copied_only_to_be_shuffled(self) -> None:
        assert self._peak(np.asfortranarray, np.float64, shuffle=False) < 500_000
        # Once, in float32.
        assert 20_000 * 64 * 4 < self._peak(np.asfortranarray, np.float64, shuffle=True) < 500_000 + 20_000 * 64 * 4

    @staticmethod
    def _peak(awkward: Any, kind: Any, *, shuffle: bool) -> int:
        rng = np.random.default_rng(0)
        x = awkward(rng.integers(0, 2, (20_000, 64)).astype(kind))
        y = rng.random((20_000, 3))
        model = Sequential([layers.Dense(3, input_shape=(64,))])
        model.compile("sgd", "mse")

        def use(samples: int) -> None:
            data = x[:samples], y[:samples]
            model.fit(*data, batch_size=100, validation_split=0.5, shuffle=shuffle, verbose=0)
            model.evaluate(*data, batch_size=100, verbose=0)
            model.predict(data[0][:1000], batch_size=100, verbose=0)

        use(2000)  # compiles and records
        tracemalloc.start()
        try:
            use(len(x))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("size", [SAMPLES, SAMPLES + 1, 2**31, 10**12])
    def test_a_batch_larger_than_the_data(self, size: int) -> None:
        x, y = digits()
        assert_same(trained(x, y, batch_size=size), trained(x, y, batch_size=SAMPLES))

    def test_no_samples(self) -> None:
        model = mlp()
        before = state_of(model)
        for x in (np.zeros((0, 4)), np.zeros((0, 4), np.uint8)[::2], []):
            for use in (model.fit, model.evaluate):
                with pytest.raises(ValueError, match=r"x has shape \(0.*\): expected at least one sample"):
                    use(x, np.zeros(0), verbose=0)
            with pytest.raises(ValueError, match=r"x has shape \(0.*\): expected at least one sample"):
                model.predict(x, verbose=0)
        assert same(state_of(model), before)

    def test_the_caller_keeps_his_arrays(self) -> None:
        x, y = digits()
        before = x.copy(), y.copy()
        x.flags.writeable = y.flags.writeable = False
        mlp().fit(x, y, verbose=0)
        assert same([x, y], list(before))

    def test_weights_in_every_clothing(self) -> None:
        x, y = digits()
        weights = np.linspace(0, 2, SAMPLES)
        expected = trained(x, y, sample_weight=weights)
        assert_same(trained(x, y, sample_weight=weights.tolist()), expected)
        assert_same(trained(x, y, sample_weight=pd.Series(weights)), expected)
        assert_same(trained(x, y, sample_weight=weights[:, None]), expected)

    def test_a_list_of_one_input(self) -> None:
        x, y = digits()
        assert_same(trained([x], y), trained(x, y))
        model = mlp()
        assert same([model.predict([x], verbose=0)], [model.predict(x, verbose=0)])

    def test_one_sample(self) -> None:
        x, y = digits()
        assert_same(trained(x[:1], y[:1]), trained(x[:1].tolist(), y[:1].tolist()))

    def test_samples_of_one_number(self) -> None:
        for x in (np.arange(4.0), [0.0, 1.0, 2.0, 3.0], pd.Series(np.arange(4.0))):
            assert line().evaluate(x, np.arange(4.0), verbose=0) == 0.0

    def test_a_nest_of_inputs(self) -> None:
        class Sum(gpudl.Model):
            def __init__(self) -> None:
                super().__init__()
                self.top = layers.Dense(1, kernel_initializer="ones")

            def call(self, inputs: Any) -> Any:
                return self.top(inputs["a"] + inputs["b"])

        model = Sum()
        model.compile("sgd", "mse")
        x = {"a": np.ones((40, 2)), "b": np.full((40, 2), 2.0)}
        assert model.evaluate(x, np.full((40, 1), 6.0), verbose=0) == 0
        np.testing.assert_array_equal(model.predict(x, verbose=0), np.full((40, 1), 6.0))
        model.fit(x, np.zeros((40, 1)), verbose=0)
        with pytest.raises(ValueError, match=r"differ in their numbers of samples: x has 40, x has 39"):
            model.predict({**x, "b": np.ones((39, 2))}, verbose=0)

    def test_several_outputs_of_predict(self) -> None:
        class Two(gpudl.Model):
            def call(self, x: Any) -> Any:
                return {"twice": x * 2, "both": (x, x + 1)}

        x = np.arange(70, dtype=np.float32).reshape(35, 2)
        result = Two().predict(x, verbose=0)
        np.testing.assert_array_equal(result["twice"], x * 2)
        np.testing.assert_array_equal(result["both"][1], x + 1)


class TestStreams:
    @pytest.mark.parametrize("kind", ["sequence", "iterable", "generator", "steps"])
    def test_batches_train_as_the_whole_does(self, kind: str) -> None:
        x, y = digits()
        source = Batches(x, y)
        expected = trained(x, y)
        if kind == "sequence":
            assert_same(trained(source), expected)
        elif kind == "iterable":
            assert_same(trained(Stream(source)), expected)
        elif kind == "generator":
            assert_same(trained(forever(x, y), steps_per_epoch=3), expected)
        else:
            assert_same(trained(source, steps_per_epoch=3), expected)

    def test_batches_with_weights_as_lists_and_frames(self) -> None:
        x, y = digits()
        weights = np.linspace(0, 2, SAMPLES)
        model = mlp()
        model.fit(((x.astype(float), y.tolist(), weights) for _ in range(2)), verbose=0)
        fitted = mlp()
        fitted.fit(x, y, sample_weight=weights, batch_size=SAMPLES, epochs=2, shuffle=False, verbose=0)
        assert same(state_of(model), state_of(fitted))
        model = mlp()
        model.fit([[pd.DataFrame(x), pd.Series(y)]].__iter__(), verbose=0)
        assert int(model.optimizer.iterations) == 1

    def test_a_generator_is_used_up_one_batch_at_a_time(self) -> None:
        x, y = digits()
        taken = 0

        def counted() -> Iterator[Any]:
            nonlocal taken
            for batch in forever(x, y):
                taken += 1
                yield batch

        model = mlp()
        model.fit(counted(), steps_per_epoch=2, epochs=2, verbose=0)
        assert taken == 4
        assert int(model.optimizer.iterations) == 4

    def test_a_generator_that_ends_in_the_middle(self) -> None:
        x, y = digits()
        model = mlp()
        with pytest.warns(UserWarning, match=r"ended after 1 of 2 steps: a generator can be gone through only once"):
            history = model.fit(((x, y) for _ in range(3)), steps_per_epoch=2, epochs=2, verbose=0)
        assert int(model.optimizer.iterations) == 3
        assert history.epoch == [0, 1]

    def test_a_generator_for_several_epochs(self) -> None:
        x, y = digits()
        model = mlp()
        with pytest.warns(UserWarning, match="ended after 0 of the next steps"):
            history = model.fit(iter([(x, y)]), epochs=3, verbose=0)
        assert history.epoch == [0]
        assert int(model.optimizer.iterations) == 1
        with pytest.warns(UserWarning, match="ended after 0 of the next steps"):
            history = model.fit(x, y, validation_data=iter([(x, y)]), epochs=2, verbose=0).history
        assert (len(history["loss"]), len(history["val_loss"])) == (2, 1)

    @pytest.mark.parametrize("empty", [iter(()), (i for i in ()), Batches([], []), Stream(Batches([], []))])
    def test_empty(self, empty: Any) -> None:
        model = mlp()
        for use in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=r"there is no data: the \w+ brought no batch"):
                use(empty, verbose=0)
        assert model.history is None
        with (
            pytest.raises(ValueError, match="there is nothing to predict: the data brought no batch"),
            pytest.warns(UserWarning, match="ended after 0 of"),
        ):
            model.predict(iter(()), verbose=0)

    def test_evaluate_and_predict(self) -> None:
        x, y = digits()
        model = mlp()
        expected = model.evaluate(x, y, verbose=0), model.predict(x, verbose=0)
        source = Batches(x, y)
        for stream in (source, Stream(source), (source[i] for i in range(3))):
            assert model.evaluate(stream, verbose=0) == expected[0]
        for stream in (source, (source[i] for i in range(3)), (source[i][0] for i in range(3))):
            assert same([model.predict(stream, verbose=0)], [expected[1]])
        assert same([model.predict(forever(x, y), steps=3, verbose=0)], [expected[1]])
        assert model.evaluate(forever(x, y), steps=3, verbose=0) == expected[0]

    def test_a_batch_of_another_size_is_recorded_once(self) -> None:
        x, y = digits()
        model = mlp()
        model.fit(((x[:n], y[:n]) for n in (5, 7, 5, 7, 5)), verbose=0)
        assert len(model._train.entries) == 2

    def test_nothing_is_read_twice_from_a_sequence(self) -> None:
        x, y = digits()
        source = Batches(x, y)
        mlp().fit(source, epochs=2, verbose=0)
        assert source.asked == [0, 0, 1, 2, 0, 1, 2]  # the first time for its shapes

    def test_a_batch_that_does_not_fit(self) -> None:
        x, y = digits()
        model = mlp()
        with pytest.raises(ValueError, match="a batch is x, "):
            model.fit(iter([(x, y, y, y)]), verbose=0)
        with pytest.raises(ValueError, match=r"differ in their numbers of samples: x has 70, y has 69"):
            model.fit(iter([(x, y[1:])]), verbose=0)
        with pytest.raises(ValueError, match="y cannot be given beside a generator"):
            model.fit(iter([(x, y)]), y, verbose=0)
        with pytest.raises(ValueError, match="validation_split needs arrays"):
            model.fit(iter([(x, y)]), validation_split=0.5, verbose=0)
        for batch in ((x,), (x, y, np.ones(len(x)))):
            with pytest.raises(ValueError, match="class_weight needs y as an array, and cannot be given together with"):
                model.fit(iter([batch]), class_weight={0: 1.0}, verbose=0)


class TestEpochs:
    def test_one_pass_by_default(self) -> None:
        data = Epochs(batches(np.zeros((70, 2)), np.zeros(70)), None)
        assert data.steps == 3
        for _ in range(2):
            for most, expected in ((1, [[(32, 1)], [(32, 1)], [(6, 1)]]), (16, [[(32, 2), (6, 1)]])):
                taken = [[(batch[0].spec.shape[0], n) for batch, n in some] for some in data.next(most)]
                assert taken == expected

    @pytest.mark.host
    @pytest.mark.filterwarnings("ignore:the data ended after 2 of 3 steps")
    def test_an_epoch_of_steps_goes_on_where_the_last_one_ended(self) -> None:
        data = Epochs(batches(np.arange(70), batch_size=16), 3)
        seen: list[list[tuple[int, int]]] = []
        for most in (16, 1, 2):
            seen.append([])
            for batch, times in chain.from_iterable(data.next(most)):
                for _ in range(times):
                    out = np.empty(batch.spec.shape, int)
                    batch.write(out)
                    batch.cursor.advance()
                    seen[-1].append((int(out[0]), len(out)))
        assert seen == [[(0, 16), (16, 16), (32, 16)], [(48, 16), (64, 6)], [(0, 16), (16, 16), (32, 16)]]

    @pytest.mark.host
    def test_rows_write_themselves(self) -> None:
        x = np.arange(10.0, dtype=np.float32).reshape(5, 2)
        np.random.seed(0)
        ((batch, _),) = batches(x, batch_size=5, shuffle=True).epoch()
        out = np.full((5, 2), np.nan, np.float32)
        batch.write(out)
        assert sorted(map(tuple, out)) == sorted(map(tuple, x))
        assert not np.array_equal(out, x)

    def test_float64_does_not_reach_the_model(self) -> None:
        ((batch, _),) = batches(np.zeros((3, 2)), np.zeros(3), np.ones(3)).epoch()
        assert [part.spec.dtype.name for part in batch] == ["float32"] * 3


class TestOnAGpu:
    """The data lie on the device as a whole; a strict double of CuPy counts what crosses over."""

    @staticmethod
    def _net() -> Sequential:
        gpudl.utils.set_random_seed(5)
        model = Sequential([layers.Dense(8, activation="relu", input_shape=(4,)), layers.Dense(3)])
        model.compile("rmsprop", gpudl.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        return model

    def test_device_arrays_train_like_host_arrays(self) -> None:
        x, y = digits()
        with reference_only():
            expected = self._net()
            history = expected.fit(x, y, epochs=2, shuffle=False, verbose=0).history
            with strict_cupy.installed(), gpudl.backend.scope("cupy") as on:
                for data in ((x, y), (on.asarray(x), on.asarray(y)), (on.asarray(x.astype(float)), y.tolist())):
                    model = self._net()
                    assert model.fit(*data, epochs=2, shuffle=False, verbose=0).history == history
                    assert same(model.get_weights(), expected.get_weights())
                    assert isinstance(model.predict(data[0], verbose=0), np.ndarray)

    def test_steps_copy_nothing(self) -> None:
        x, y = digits(320)
        with reference_only(), strict_cupy.installed() as meter, gpudl.backend.scope("cupy"):
            model = self._net()
            model.fit(x, y, verbose=0)
            crossed = []
            for size in (32, 8):
                model.fit(x, y, batch_size=size, verbose=0)
                meter.reset()
                model.fit(x, y, batch_size=size, verbose=0)
                crossed.append((meter.host_to_device, meter.device_to_host))
        assert crossed[0] == crossed[1]  # 10 steps or 40
        assert crossed[0][0] <= 4  # x, y, the order of the rows, and nothing for each step


class TestNumbers:
    """Numbers of every width and kind are data, and give what float32 gives."""

    KINDS = (
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"),
        *("longdouble", ">f4", ">f8", ">i2", "object"),
    )

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_kinds(self, kind: str, shuffle: bool) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 9, (70, 4)), rng.integers(0, 3, 70)
        if kind == "float16":
            y = y.astype(kind)
        np.random.seed(1)
        expected = trained(x.astype(np.float32), y, shuffle=shuffle)
        np.random.seed(1)
        assert_same(trained(x.astype(kind), y if kind == "float16" else y.astype(kind), shuffle=shuffle), expected)

    def test_bools(self) -> None:
        x = np.random.default_rng(0).integers(0, 2, (70, 4))
        assert_same(trained(x.astype(bool), x[:, 0] > 0), trained(x.astype(np.float32), x[:, 0]))

    def test_objects_that_are_no_numbers(self) -> None:
        for x in (np.array([[1.0], [None]]), np.array([["1"], [2]], object), np.array([[1], [{}]])):
            with pytest.raises(ValueError, match=r"x has dtype object, expected numbers"):
                line().predict(x, verbose=0)

    @pytest.mark.parametrize("nest", [lambda x: tuple(map(tuple, x)), lambda x: [list(row) for row in x], list])
    def test_rows_as_tuples_and_lists(self, nest: Any) -> None:
        x, y = digits()
        assert_same(trained(nest(x.tolist()), tuple(y.tolist())), trained(x, y))

    def test_lists_inside_a_dict(self) -> None:
        class Both(gpudl.Model):
            def call(self, x: Any) -> Any:
                return x["a"] + x["b"]

        rows = {"a": [[1.0], [2.0]], "b": ((3.0,), (4.0,))}
        assert Both().predict(rows, verbose=0).tolist() == [[4], [6]]


class TestSparse:
    """Rows of a sparse matrix are made dense batch by batch."""

    @pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "coo_matrix", "csr_array"])
    @pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"validation_split": 0.3}, {"class_weight": {1: 2.0}}])
    def test_they_train_as_the_dense_do(self, kind: str, options: Any) -> None:
        sparse = pytest.importorskip("scipy.sparse")
        x, y = digits()
        x = np.where(x > 0, x, 0)
        np.random.seed(1)
        expected = trained(x, y, **options)
        np.random.seed(1)
        assert_same(trained(getattr(sparse, kind)(x), y, **options), expected)

    def test_other_calls_and_other_places(self) -> None:
        sparse = pytest.importorskip("scipy.sparse")
        x, y = digits()
        rows, model = sparse.csr_matrix(x.astype(np.float64)), mlp()
        assert same([model.predict(rows, verbose=0)], [model.predict(x, verbose=0)])
        assert model.evaluate(rows, y, verbose=0) == model.evaluate(x, y, verbose=0)
        assert same([model.predict_on_batch(rows)], [model.predict_on_batch(x)])
        assert model.test_on_batch(rows, y) == model.test_on_batch(x, y)
        dense, one_hot = mlp(loss="categorical_crossentropy"), gpudl.utils.to_categorical(y)
        dense.fit(x, one_hot, shuffle=False, verbose=0)
        for data in ((x, sparse.csr_matrix(one_hot)), (rows, sparse.csr_matrix(one_hot))):
            other = mlp(loss="categorical_crossentropy")
            other.fit(*data, shuffle=False, verbose=0)
            assert same(state_of(other), state_of(dense))
        streamed = mlp()
        streamed.fit(iter([(rows[:32], y[:32])]), verbose=0)
        assert int(streamed.optimizer.iterations) == 1

    def test_the_whole_is_never_dense(self) -> None:
        sparse = pytest.importorskip("scipy.sparse")
        made: list[int] = []

        class Watched(sparse.csr_matrix):  # type: ignore[misc]
            def toarray(self, *args: Any, **kwargs: Any) -> Any:
                made.append(self.shape[0])
                return super().toarray(*args, **kwargs)

        x, y = digits()
        mlp().fit(Watched(x), y, validation_data=(Watched(x), y), epochs=2, verbose=0)
        assert max(made) == 32

    def test_on_a_gpu(self) -> None:
        sparse = pytest.importorskip("scipy.sparse")
        x, y = digits()
        with strict_cupy.installed(), gpudl.backend.scope("cupy"):
            assert_same(trained(sparse.csr_matrix(x), y, epochs=1), trained(x, y, epochs=1))


def test_without_a_batch_size_arrays_are_divided_into_the_steps() -> None:
    sizes: list[int] = []

    class Noting(gpudl.Sequential):
        def call(self, x: Any, training: bool = False) -> Any:
            sizes.append(x.shape[0])
            return super().call(x, training=training)

    def rows(run: Any, **options: Any) -> set[int]:
        sizes.clear()
        run(**options, verbose=0)
        return set(sizes)

    model = Noting([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.ones((10, 2), np.float32), np.ones((10, 1), np.float32)
    assert rows(model.fit, x=x, y=y, steps_per_epoch=3) == {4, 2}
    assert rows(model.fit, x=x, y=y, steps_per_epoch=2, batch_size=5) == {5}
    assert rows(model.fit, x=x, y=y, steps_per_epoch=2, validation_split=0.4, validation_steps=4) == {3, 1}
    assert rows(model.fit, x=x, y=y, validation_data=(x, y), validation_steps=4) == {10, 3, 1}
    assert rows(model.evaluate, x=x, y=y, steps=2) == {5}
    assert rows(model.predict, x=x, steps=3) == {4, 2}
