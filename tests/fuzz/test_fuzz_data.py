"""Random ways to give data to fit, evaluate and predict, beside a training loop written out in NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd

import gpudl
from fuzz.plain_loop import Batch, Counts, Passes, Plain, batches_of
from fuzz.programs import Program, assert_near, run

NAMES = ("loss", "metric", "weighted_metric")


class Indexed:
    """Batches by number, in the same order each time."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Any:
        if number >= len(self.batches):
            raise IndexError
        return self.batches[number]


class Again:
    """Batches one after another, from the first one again at each pass; how many is not known before."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def _random_data(p: Program, classes: int | None, features: int, outputs: int) -> Batch:
    """Return samples, targets and perhaps weights, in float64, all of them exact in float16."""
    n = p.integer(1, 23)
    x = (
        np.round(p.normal(n, features, dtype=np.float64) * 4) / 4
        if p.chance(0.7)
        else p.rng.integers(0, 4, (n, features))
    )
    y = np.round(p.normal(n, outputs, dtype=np.float64) * 4) / 4 if classes is None else p.rng.integers(0, classes, n)
    weight = p.rng.integers(0, 8, n) / 4 if p.chance(0.4) else None
    return x, y, weight


def _dressed(p: Program, array: np.ndarray) -> Any:
    """Return an array as a user might have it."""
    whole = bool((array == np.round(array)).all() and (array >= 0).all())
    dtypes = ["float32", "float64", "float16", ">f4", *(["int8", "uint8", "int32", "int64", "uint16"] if whole else [])]
    if array.dtype.kind in "iu":
        dtypes = ["int8", "uint8", "int16", "int32", "int64", "float32"]
    typed = array.astype(p.one_of(dtypes))
    padded = np.repeat(typed, 2, axis=0)[::2]  # not contiguous
    forms: list[Callable[[], Any]] = [
        lambda: typed,
        lambda: np.asfortranarray(typed),
        lambda: padded,
        lambda: array.astype("float32" if array.dtype.kind == "f" else "int64").tolist(),
        lambda: gpudl.convert_to_tensor(typed.astype(typed.dtype.newbyteorder("="))),
    ]
    if typed.dtype.isnative:
        forms.append(lambda: pd.Series(typed) if typed.ndim == 1 else pd.DataFrame(typed))
    made = p.one_of(forms)()
    p.say(f"  {type(made).__name__} of {typed.dtype}{list(typed.shape)}")
    return made


class Given:
    """Data in the form that fit gets them, and the passes over them that this must come to.

    Args:
        p: what to choose by.
        data: samples, targets, weights.
        counts: the weight of each class.
        seed: of NumPy's generator, where the samples are shuffled; None for their own order.
        steps: steps of an epoch.
    """

    def __init__(
        self,
        p: Program,
        data: Batch,
        by_class: dict[int, float] | None,
        seed: int | None,
        steps: int | None,
        epochs: int,
    ) -> None:
        n = len(data[0])
        kind = p.one_of(("arrays", "arrays", "indexed", "again", "generator"))
        self.arrays = kind == "arrays" or by_class is not None or seed is not None
        self.batch_size = p.one_of((None, p.integer(1, n + 3)))
        if by_class is not None:
            data = (data[0], data[1], np.array([by_class.get(int(label), 1.0) for label in data[1]]))
        if self.arrays:
            size = self.batch_size or (32 if steps is None else -(-n // steps))
            self.sizes = [min(size, n - start) for start in range(0, n, size)]
            rng = np.random.RandomState(seed) if seed is not None else None
            orders = (None if rng is None else rng.permutation(n) for _ in repeat(None))
            self.passes: Iterator[list[Batch]] = (batches_of(data, self.sizes, order) for order in orders)
            p.say(f"arrays of {n} samples, batch_size={self.batch_size}:")
            self.x = _dressed(p, data[0])
            self.y = _dressed(p, data[1])
            self.weight = None if data[2] is None or by_class is not None else _dressed(p, data[2])
            return
        cuts = sorted(p.rng.permutation(max(n - 1, 0))[: p.integer(0, 4)] + 1)
        self.sizes = [int(size) for size in np.diff([0, *cuts, n])]
        batches = batches_of(data, self.sizes)
        p.say(f"{kind}, batches of {self.sizes}:")
        dressed = [tuple(_dressed(p, part) for part in batch if part is not None) for batch in batches]
        self.y = self.weight = None
        if kind == "indexed":
            self.x: Any = Indexed(dressed)
            self.passes = repeat(batches)
        elif kind == "again" and steps is None:
            self.x = Again(dressed)
            self.passes = repeat(batches)
        else:
            total = epochs * (len(batches) if steps is None else steps)
            self.passes = iter([[batches[i % len(batches)] for i in range(total)]])
            self.x = (dressed[i % len(batches)] for i in range(total))
            self.needs_steps = len(batches) if steps is None else steps

    needs_steps: int | None = None

    @property
    def used_up(self) -> bool:
        """Whether the data can be gone through only once."""
        return isinstance(self.x, Iterator)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of fit, evaluate and predict that say what the data are."""
        return {"x": self.x, "batch_size": self.batch_size} if self.arrays else {"x": self.x}


def _model(p: Program, plain: Plain) -> gpudl.Sequential:
    units = plain.kernel.shape[1]
    activation = "softmax" if plain.classifies else None
    model = gpudl.Sequential([gpudl.layers.Dense(units, activation=activation, input_shape=(len(plain.kernel),))])
    model.set_weights([plain.kernel, plain.bias])
    metric = "accuracy" if plain.classifies else "mae"
    model.compile(
        gpudl.optimizers.SGD(plain.rate),
        "sparse_categorical_crossentropy" if plain.classifies else "mse",
        metrics=[metric],
        weighted_metrics=[metric],
        run_eagerly=p.chance(0.2),
    )
    return model


def _assert_logs(logs: dict[str, Any], expected: list[float], what: str, prefix: str = "") -> None:
    ours = {name: value for name, value in logs.items() if name.startswith("val_") == bool(prefix)}
    weighted = [name for name in ours if "weighted" in name]
    plain = [name for name in ours if name not in weighted and not name.endswith("loss")]
    assert (len(weighted), len(plain)) == (1, 1), ours
    names = (f"{prefix}loss", plain[0], weighted[0])
    for name, value in zip(names, expected, strict=True):
        assert_near(ours[name], value, 1e-4, f"{what}: {name}")


def _check(p: Program) -> None:
    classes = p.one_of((None, p.integer(2, 4)))
    features, outputs = p.integer(1, 4), p.integer(1, 3)
    units = classes or outputs
    data = _random_data(p, classes, features, outputs)
    plain = Plain(p.normal(features, units, dtype=float) / 2, p.normal(units, dtype=float), classes is not None, 0.05)
    model = _model(p, plain)
    initial = p.integer(0, 1)
    epochs = initial + p.integer(1, 3)
    steps = p.one_of((None, None, p.integer(1, 6)))
    seed = p.one_of((None, p.seed))
    by_class = None
    if classes and data[2] is None and p.chance(0.4):
        by_class = {c: p.integer(0, 8) / 4 for c in range(-1, classes + 2) if p.chance(0.6)}
    given = Given(p, data, by_class or None, seed, steps, epochs - initial)
    steps = given.needs_steps or steps
    options: dict[str, Any] = {"epochs": epochs, "initial_epoch": initial, "steps_per_epoch": steps}
    validation = None
    if p.chance(0.5):
        other = _random_data(p, classes, features, outputs)
        validation_steps = p.one_of((None, None, p.integer(1, 3)))
        validation = Given(p, other, None, None, validation_steps, 99 if validation_steps else 1)
        if not validation.arrays and validation.used_up:
            validation = None
        else:
            arrays = tuple(a for a in (validation.x, validation.y, validation.weight) if a is not None)
            options |= {
                "validation_data": arrays if validation.arrays else validation.x,
                "validation_steps": validation_steps,
                "validation_batch_size": validation.batch_size if validation.arrays else None,
                "validation_freq": p.one_of((1, 2, [1, 3])),
            }
            if validation.arrays and validation.batch_size is None:
                size = given.batch_size if given.arrays else None
                n = len(other[0])
                size = size or (32 if validation_steps is None else -(-n // validation_steps))
                validation.passes = repeat(batches_of(other, [min(size, n - s) for s in range(0, n, size)]))
    p.say({name: value for name, value in options.items() if name != "validation_data"}, f"class_weight={by_class}")
    if given.arrays:
        options |= {"y": given.y, "sample_weight": given.weight, "class_weight": by_class or None}
    np.random.seed(p.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the data ended after|.*ran out of data")
        history = model.fit(**given.options, **options, shuffle=seed is not None, verbose=0)
    _compare(p, plain, model, history, given, steps, validation, options)
    _predict(p, plain, model, data)


def _compare(
    p: Program,
    plain: Plain,
    model: gpudl.Sequential,
    history: Any,
    given: Given,
    steps: int | None,
    validation: Given | None,
    options: dict[str, Any],
) -> None:
    passes = Passes(given.passes, steps)
    ran = list(range(options["initial_epoch"], options["epochs"]))
    assert history.epoch == ran
    tested = 0
    for position, epoch in enumerate(ran):
        counts = Counts()
        for batch in passes.epoch():
            plain.train(batch, counts)
        logs = {name: values[position] for name, values in history.history.items() if not name.startswith("val_")}
        _assert_logs(logs, counts.results(), f"epoch {epoch}")
        due = options.get("validation_freq", 1)
        if validation is not None and ((epoch + 1) % due == 0 if isinstance(due, int) else epoch + 1 in due):
            counts = Counts()
            for batch in Passes(validation.passes, options["validation_steps"]).epoch():
                counts.add(plain, batch)
            logs = {name: v[tested] for name, v in history.history.items() if name.startswith("val_")}
            _assert_logs(logs, counts.results(), f"validation after epoch {epoch}", "val_")
            tested += 1
    for ours, expected in zip(model.get_weights(), (plain.kernel, plain.bias), strict=True):
        assert_near(ours, expected, 1e-4, "the weights")


def _predict(p: Program, plain: Plain, model: gpudl.Sequential, data: Batch) -> None:
    """Compare predictions, an evaluation and single batches, in some form of the data."""
    given = Given(p, data, None, None, None, 1)
    if not given.used_up:
        assert_near(model.predict(**given.options, verbose=0), plain.outputs(data[0]), 1e-4, "the predictions")
    more = {"y": given.y, "sample_weight": given.weight} if given.arrays else {}
    logs = model.evaluate(**given.options, **more, verbose=0, return_dict=True)
    counts = Counts()
    for batch in next(given.passes):
        counts.add(plain, batch)
    _assert_logs(logs, counts.results(), "evaluate")
    for _ in range(p.integer(0, 2)):
        counts = Counts()
        plain.train(data, counts)
        logs = model.train_on_batch(_dressed(p, data[0]), _dressed(p, data[1]), sample_weight=data[2], return_dict=True)
        _assert_logs(logs, counts.results(), "train_on_batch")
    assert_near(model.predict_on_batch(_dressed(p, data[0])), plain.outputs(data[0]), 1e-4, "predict_on_batch")


def test_every_way_to_give_data_trains_alike() -> None:
    run(_check, count=40)
