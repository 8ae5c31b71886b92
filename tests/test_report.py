"""What `explain` and `profile` say about a step's plan, against numbers by hand; and that they change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpudl.kernels.geometry import Window
from small_models import digits, mlp, same, state_of

import gpudl
from gpudl import layers, ops
from gpudl.engine.op import Op, registry
from gpudl.engine.plan import ir
from gpudl.engine.plan.ir import Applied, Fused
from gpudl.engine.plan.plan import Plan
from gpudl.engine.spec import Spec
from gpudl.engine.state import reference_only, state
from gpudl.engine.value import Recording, Value
from gpudl.reports.explain import Profile, Row

BATCH, SIZE, CLASSES = 8, 10, 10


def images(samples: int = 2 * BATCH) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((samples, SIZE, SIZE, 1), np.float32), rng.integers(CLASSES, size=samples)


def cnn(**compiled: Any) -> gpudl.Sequential:
    """Return a compiled network of 8 x 8 x 4 and, pooled, 4 x 4 x 4 features."""
    gpudl.utils.set_random_seed(3)
    model = gpudl.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(SIZE, SIZE, 1), name="eyes"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, seed=1, name="noise"),
            layers.Dense(CLASSES, name="out"),
        ]
    )
    loss = gpudl.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(**{"optimizer": "rmsprop", "loss": loss, "metrics": ["accuracy"], **compiled})
    return model


def plan_of(model: Any, step: str = "train") -> Plan:
    return list(getattr(model, f"_{step}").entries.values())[-1].plan


def value(spec: Spec) -> Value:
    return Value(spec, Recording(gpudl.backend.current()))


def parts(plan: Plan) -> list[Applied]:
    return [part for step in plan.instructions for part in ir.members(step)]


def explained(model: Any, *args: Any, **kwargs: Any) -> str:
    said: list[str] = []
    assert model.explain(*args, print_fn=said.append, **kwargs) is None
    (text,) = said
    return text


def profiled(model: Any, *args: Any, **kwargs: Any) -> tuple[Profile, str]:
    said: list[str] = []
    profile = model.profile(*args, print_fn=said.append, **kwargs)
    (text,) = said
    return profile, text


def test_every_instruction_of_a_training_step_says_where_it_comes_from() -> None:
    model = cnn()
    explained(model, *images(), batch_size=BATCH)
    found: dict[str, set[str]] = {}
    for part in parts(plan_of(model)):
        found.setdefault(part.origin, set()).add(part.op.name)
    assert found.keys() == {
        *("eyes", "pool", "flat", "noise", "out", "loss", "metrics", "optimizer"),
        *("loss gradient", "out gradient", "noise gradient", "flat gradient", "pool gradient", "eyes gradient"),
    }
    assert found["eyes"] == {"conv2d", "bias_activation"}
    assert found["eyes gradient"] == {"activation_grad", "sum_to", "conv2d_weight_grad"}
    assert found["pool"] == {"max_pool"}
    assert found["pool gradient"] == {"max_pool_grad"}
    assert found["noise"] == {"draw_key", "advance_", "dropout"}
    assert found["noise gradient"] == {"dropout"}
    assert found["out gradient"] == {"matmul", "sum_to"}
    assert "sparse_softmax_cross_entropy" in found["loss"]
    assert "sparse_softmax_cross_entropy_grad" in found["loss gradient"]
    assert found["optimizer"] == {"rmsprop_", "increment_"}
    assert "argmax" in found["metrics"]


def test_an_inner_layer_names_its_own_instructions() -> None:
    class Twice(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="twice")
            self.inner = layers.Dense(2, name="inner")

        def call(self, x: Any) -> Any:
            return ops.tanh(self.inner(ops.exp(x)))

    model = gpudl.Sequential([Twice()], name="outer")
    explained(model, np.ones((3, 2)), step="predict")
    origins = [(part.op.name, part.origin) for part in parts(plan_of(model, "predict")) if part.op.name != "reshape"]
    assert origins == [("exp", "twice"), ("matmul", "inner"), ("bias_activation", "inner"), ("tanh", "twice")]
    assert state.scope == ""


def test_a_layer_that_fails_leaves_no_name_behind() -> None:
    class Broken(layers.Layer):
        def call(self, x: Any) -> Any:
            raise KeyError("no")

    with pytest.raises(KeyError):
        Broken()(np.ones((2, 2)))
    assert state.scope == ""


def test_a_training_step_of_the_users_own_is_named_too() -> None:
    class Own(gpudl.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.out = layers.Dense(1, name="out")

        def call(self, x: Any) -> Any:
            return self.out(x) * 2

        def train_step(self, data: Any) -> Any:
            x, y = data
            with gpudl.GradientTape() as tape:
                loss = ops.exp(self.compute_loss(y=y, y_pred=self(x, training=True)))
            self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
            return {"loss": loss}

    model = Own()
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)
    model.train_on_batch(x, y)
    text = explained(model, x, y)
    origins = {(part.op.name, part.origin) for part in parts(plan_of(model))}
    assert {("matmul", "out"), ("multiply", "own"), ("matmul", "out gradient"), ("exp", ""), ("sgd_", "")} <= origins
    assert {origin for _, origin in origins} >= {"loss", "loss gradient", "own gradient", "gradient"}
    assert "train_step" in text


F32 = np.dtype(np.float32)
IMAGE, FILTERS, FEATURES = Spec((2, 9, 9, 3), F32), Spec((3, 3, 3, 5), F32), Spec((2, 4, 4, 5), F32)
STRIDED, POOL = {"window": Window((3, 3), (2, 2))}, {"window": Window((2, 2), (2, 2))}
ROWS = Spec((6, 10), F32)
WEIGHTS, SCALAR = Spec((100,), F32), Spec((), F32)


@pytest.mark.parametrize(
    ("op", "outs", "ins", "static", "expected"),
    [
        # Each of the 2 * 4 * 4 * 5 outputs is a sum of 27 products.
        ("conv2d", [FEATURES], [IMAGE, FILTERS], STRIDED, 160 * 54),
        ("conv2d_input_grad", [IMAGE], [FEATURES, FILTERS], {**STRIDED, "shape": IMAGE.shape}, 160 * 54),
        ("conv2d_weight_grad", [FILTERS], [IMAGE, FEATURES], STRIDED, 160 * 54),
        ("matmul", [Spec((6, 7), F32)], [ROWS, Spec((10, 7), F32)], {}, 6 * 7 * 20),
        ("matmul", [Spec((10, 7), F32)], [ROWS, Spec((6, 7), F32)], {"transpose_a": True}, 10 * 7 * 12),
        ("matmul", [Spec((4, 6, 7), F32)], [Spec((4, 6, 10), F32), Spec((7, 10), F32)], {"transpose_b": True}, 3360),
        ("max_pool", [Spec((2, 4, 4, 3), F32), Spec((2, 4, 4, 3), F32)], [IMAGE], POOL, 2 * 4 * 4 * 3 * 4),
        ("avg_pool", [Spec((2, 4, 4, 3), F32)], [IMAGE], POOL, 2 * 4 * 4 * 3 * 4),
        ("avg_pool_grad", [IMAGE], [Spec((2, 4, 4, 3), F32)], {**POOL, "shape": IMAGE.shape}, 2 * 4 * 4 * 3 * 4),
        ("sum", [SCALAR], [ROWS], {}, 60),
        ("argmax", [Spec((6,), np.dtype(np.int32))], [ROWS], {"axis": -1}, 60),
        ("add", [ROWS], [ROWS, Spec((10,), F32)], {}, 60),
        ("bias_activation", [ROWS], [ROWS, Spec((10,), F32)], {"activation": "relu"}, 120),
        ("bias_activation", [ROWS], [ROWS, Spec((10,), F32)], {"activation": "linear"}, 60),
        ("softmax", [ROWS], [ROWS], {}, 300),
        ("reshape_view", [Spec((60,), F32)], [ROWS], {"shape": (60,)}, 0),
        ("cast", [Spec((6, 10), np.dtype(np.int32))], [ROWS], {"dtype": "int32"}, 0),
        ("assign_", [], [ROWS, ROWS], {}, 0),
        ("assign_add_", [], [ROWS, ROWS], {}, 60),
        ("sgd_", [], [WEIGHTS, WEIGHTS, SCALAR], {}, 200),
        ("sgd_momentum_", [], [WEIGHTS] * 3 + [SCALAR], {"momentum": 0.9, "nesterov": True}, 600),
        ("adam_", [], [WEIGHTS] * 4 + [SCALAR] * 2, {}, 1200),
    ],
)
def test_operations_by_hand(op: str, outs: list[Spec], ins: list[Spec], static: dict[str, Any], expected: int) -> None:
    step = Applied(registry[op], tuple(map(value, outs)), tuple(map(value, ins)), static)
    assert ir.flops(step) == expected


def test_every_op_has_a_count() -> None:
    assert all(callable(op.flops) for op in registry.values() if isinstance(op, Op))


def test_bytes_by_hand() -> None:
    a, b, out = value(ROWS), value(Spec((10,), F32)), value(ROWS)
    view = Value(Spec((60,), F32), a.recording, base=a)
    assert ir.nbytes(Applied(registry["add"], (out,), (a, b), {})) == 240 + 40 + 240
    assert ir.nbytes(Applied(registry["multiply"], (out,), (a, a), {})) == 240 + 240
    assert ir.nbytes(Applied(registry["reshape_view"], (view,), (a,), {"shape": (60,)})) == 0
    w, g, lr = value(WEIGHTS), value(WEIGHTS), value(SCALAR)
    assert ir.nbytes(Applied(registry["sgd_"], (), (w, g, lr), {})) == 400 + 400 + 4 + 400


def test_of_what_is_chosen_from_only_that_counts() -> None:
    table, part = value(Spec((60_000, 10), F32)), value(ROWS)
    numbers, start = value(Spec((6,), np.dtype("int64"))), value(Spec((), np.dtype("int64")))
    order = value(Spec((60_000,), np.dtype("int64")))
    assert ir.nbytes(Applied(registry["take"], (part,), (table, numbers), {})) == 240 + 6 * 8 + 240
    assert ir.nbytes(Applied(registry["take_slice"], (part,), (table,), {"key": ((6,),)})) == 240 + 240
    assert ir.nbytes(Applied(registry["take_batch"], (part,), (table, order, start), {})) == 240 + 6 * 8 + 8 + 240


def test_a_joined_instruction_computes_what_its_members_do_and_moves_less() -> None:
    x, b, between, y = value(ROWS), value(Spec((10,), F32)), value(ROWS), value(SCALAR)
    first = Applied(registry["bias_activation"], (between,), (x, b), {"activation": "relu"}, "dense")
    second = Applied(registry["sum"], (y,), (between,), {}, "loss")
    joined = Fused("both", lambda *arrays, stages: None, (y,), (x, b), (first, second))
    assert (joined.name, joined.origin) == ("both", "dense")
    assert list(ir.members(joined)) == [first, second]
    assert ir.flops(joined) == 120 + 60
    assert ir.nbytes(joined) == 240 + 40 + 4


def test_explain_shows_a_line_for_each_instruction_and_the_sums() -> None:
    model = cnn()
    text = explained(model, *images(), batch_size=BATCH)
    plan = plan_of(model)
    lines = [line.split() for line in text.splitlines()]
    numbered = [line for line in lines if line and line[0].isdigit() and line[1] != "instructions"]
    assert [int(line[0]) for line in numbered[: len(plan.instructions)]] == list(range(1, len(plan.instructions) + 1))
    assert text.startswith(f"The train step of {model.name!r} for (8, 10, 10, 1) float32, (8,) int64\n")
    (forward,) = (line for line in text.splitlines() if "conv2d " in line)
    assert all(word in forward for word in ("eyes", "(8, ", ", 4) float32", "numba"))
    assert "without overlap; weights 2.76 kB." in text  # 40 + 650 numbers
    flops = sum(map(ir.flops, plan.instructions))
    assert f"{flops / 1e3:.3g} k FLOPs" in text
    assert f"{len(plan.instructions)} left, {len(plan.calls)} of them compute." in text


def test_the_matrix_products_and_convolutions_of_a_step_are_counted_whole() -> None:
    model = cnn()
    explained(model, *images(), batch_size=BATCH)
    heavy = {"conv2d", "conv2d_weight_grad", "conv2d_input_grad", "matmul"}
    total = sum(ir.flops(part) for part in parts(plan_of(model)) if part.op.name in heavy)
    # Images want no gradient: the convolution is computed forward and for its weights, the product three times.
    assert total == 2 * (2 * BATCH * 8 * 8 * 4 * 9) + 3 * (2 * BATCH * 64 * CLASSES)


def test_explain_tells_kernels_from_the_reference() -> None:
    model = cnn()
    assert "numba" in explained(model, *images(), batch_size=BATCH)
    with reference_only():
        text = explained(model, *images(), batch_size=BATCH)
    assert "numba" not in text
    assert text.count("numpy") == len(plan_of(model).calls)


def test_explain_shows_the_last_plan_when_there_is_no_data() -> None:
    model, (x, y) = mlp(), digits()
    model.fit(x, y, verbose=0)  # the last batch has six rows
    model.evaluate(x[:5], y[:5], verbose=0)
    model.predict(x[:2], verbose=0)
    for step, rows in (("train", 6), ("test", 5), ("predict", 2)):
        assert f"The {step} step of {model.name!r} for ({rows}, 4) float32" in explained(model, step=step)


def test_explain_prints_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    model = cnn()
    model.explain(*images())
    printed = capsys.readouterr().out
    assert printed == explained(model)
    assert max(map(len, printed.splitlines())) > 80  # no window cuts it here


def everything(model: Any) -> list[np.ndarray]:
    return [
        v.numpy()
        for v in [*model.variables, *model.optimizer.variables, *(w for m in model.metrics for w in m.variables)]
    ]


@pytest.mark.parametrize("how", ["explain", "profile"])
def test_a_look_changes_nothing(how: str) -> None:
    (x, y), looked, other = images(), cnn(), cnn()
    quiet = {"batch_size": BATCH, "print_fn": lambda text: None}

    def look() -> None:
        getattr(looked, how)(x, y, **quiet)

    weights = looked.get_weights()
    look()  # before any training
    assert same(weights, looked.get_weights())
    histories = []
    for _ in range(2):
        histories = [m.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, shuffle=False).history for m in (looked, other)]
        assert histories[0] == histories[1]
        assert same(state_of(looked), state_of(other))
        before = everything(looked)
        look()  # a plan that has run
        getattr(looked, how)(x[:5], y[:5], **quiet)  # and a new one
        assert same(before, everything(looked))
    assert looked.evaluate(x, y, verbose=0) == other.evaluate(x, y, verbose=0)


def test_a_profile_has_the_rows_of_the_plan_with_their_times() -> None:
    model = cnn()
    profile, text = profiled(model, *images(), batch_size=BATCH, repeats=3)
    plan = plan_of(model)
    assert len(profile.rows) == len(plan.calls)
    assert all(row.seconds > 0 for row in profile.rows)
    assert [row.op.split(" + ")[0] for row in profile.rows] == [
        next(ir.members(step)).name for step in plan.instructions if not step.alias
    ]
    for totals in (profile.by_layer(), profile.by_op()):
        assert sum(t.calls for t in totals) == len(profile.rows)
        assert sum(t.flops for t in totals) == sum(map(ir.flops, plan.instructions))
        assert sum(t.bytes for t in totals) == sum(map(ir.nbytes, plan.instructions))
        assert sum(t.seconds for t in totals) == pytest.approx(profile.seconds)
        assert [t.seconds for t in totals] == sorted((t.seconds for t in totals), reverse=True)
        assert all(t.name.split(" + ")[0] in text for t in totals)  # a long name goes on in the next line
    assert text.startswith(f"A train step of {model.name!r}, medians of 3")
    assert f"{len(profile.rows)} instructions in " in text


def test_totals_are_sums() -> None:
    rows = [
        Row("a", "x", "", 10, 1, "numba", 1.0),
        Row("b", "x", "", 5, 2, "numpy", 2.0),
        Row("a", "y", "", 1, 4, "numpy", 4.0),
    ]
    profile = Profile(rows)
    assert profile.seconds == 7.0
    assert [(t.name, t.calls, t.bytes, t.flops, t.seconds) for t in profile.by_op()] == [
        ("a", 2, 11, 5, 5.0),
        ("b", 1, 5, 2, 2.0),
    ]
    assert [(t.name, t.calls, t.seconds) for t in profile.by_layer()] == [("y", 1, 4.0), ("x", 2, 3.0)]


def test_an_interrupted_profile_puts_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = cnn(), images()
    model.fit(x, y, batch_size=BATCH, verbose=0)
    before = everything(model)

    def interrupted(plan: Plan, repeats: int) -> list[float]:
        plan.replay()
        assert not same(before, everything(model))
        raise KeyboardInterrupt

    monkeypatch.setattr("gpudl.reports.explain._times", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.profile(x, y, batch_size=BATCH)
    assert same(before, everything(model))


class TestErrors:
    def test_nothing_recorded(self) -> None:
        model = mlp()
        with pytest.raises(
            ValueError,
            match=rf"^no train step of the model '{model.name}' has been recorded yet: pass data, explain\(x, y\), or "
            r"call fit\(\) first\.$",
        ):
            model.explain()
        with pytest.raises(ValueError, match=r"^no test step .* or call evaluate\(\) first\.$"):
            model.explain(step="test")

    def test_no_such_step(self) -> None:
        with pytest.raises(ValueError, match=r'^step must be "train", "test" or "predict", got \'fit\'\.$'):
            mlp().explain(step="fit")

    @pytest.mark.parametrize("method", ["explain", "profile"])
    def test_an_eager_model(self, method: str) -> None:
        model = mlp(run_eagerly=True)
        with pytest.raises(
            ValueError,
            match=r"was compiled with run_eagerly=True: its steps are computed op by op and have no plan\. Compile it "
            r"without run_eagerly\.$",
        ):
            getattr(model, method)(*digits())

    def test_a_model_that_is_not_compiled(self) -> None:
        model = gpudl.Sequential([layers.Dense(1)])
        with pytest.raises(
            ValueError, match=r"^call compile\(optimizer=\.\.\., loss=\.\.\.\) before explain or profile"
        ):
            model.profile(np.ones((2, 2)), np.ones((2, 1)))

    def test_data_that_do_not_fit(self) -> None:
        model, (x, y) = mlp(), digits()
        before = state_of(model)
        with pytest.raises(ValueError, match="was built for inputs of shape"):
            model.explain(x[:, :2], y)
        with pytest.raises(ValueError, match="the loss compares predictions with targets, but no y was given"):
            model.explain(x)
        assert same(before, state_of(model))

    @pytest.mark.parametrize("repeats", [0, -1, 1.5, None])
    def test_no_repeats(self, repeats: Any) -> None:
        with pytest.raises(ValueError, match=rf"^repeats must be a positive integer, got {repeats}\.$"):
            mlp().profile(*digits(), repeats=repeats)

    def test_optimizers_that_are_not_built_yet(self) -> None:
        class Own(gpudl.Model):
            def __init__(self) -> None:
                super().__init__()
                self.out = layers.Dense(1)
                self.other = gpudl.optimizers.SGD(0.1)

            def call(self, x: Any) -> Any:
                return self.out(x)

            def train_step(self, data: Any) -> Any:
                loss = self.compute_loss(y=data[1], y_pred=self(data[0], training=True))
                self.other.apply(gpudl.grad(loss * gpudl.ops.sum(apart), [apart]), [apart])
                return {"loss": loss}

        apart = gpudl.Variable([1.0])  # no weight of the model
        model = Own()
        model.compile(loss="mse")
        x, y = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)
        with pytest.raises(
            ValueError, match=r"uses optimizers that are not built yet\. Train one step first, with train_"
        ):
            model.explain(x, y)
        model.train_on_batch(x, y)
        assert "sgd_" in explained(model, x, y)
