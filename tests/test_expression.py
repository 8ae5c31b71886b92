"""An elementwise op is declared by one expression, and its reference and kernels are read from that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gpudl.kernels import expression
from gpudl.kernels import registry as kernels
from gpudl.kernels.cpu import elementwise as on_cpu
from gpudl.kernels.cuda import elementwise as on_gpu
from gpudl.kernels.cuda import program
from gpudl.kernels.expression import Expression, typed
from gpudl.kernels.registry import Call
from replay_tools import plan_of
from strict_cupy import installed

from gpudl import convert_to_tensor, ops
from gpudl.engine.grad import grad
from gpudl.engine.op import Op, registry
from gpudl.engine.plan.trace import traced
from gpudl.engine.state import reference_only
from gpudl.ops.primitives.declare import elementwise
from gpudl.ops.primitives.elementwise import floating
from gpudl.ops.primitives.reference import reference

F4, F8, F2, I4, I8, U1, B = map(np.dtype, ("f4", "f8", "f2", "i4", "i8", "u1", "?"))


@pytest.fixture
def huber() -> Iterator[Op]:
    """Return an op that nothing knew of before: x * x / 2 up to 1, and then a straight line."""

    @elementwise(floating)
    def huber(x: Expression) -> Expression:
        """Return x**2 / 2 where |x| <= 1, |x| - 1/2 elsewhere."""
        size = expression.absolute(x)
        return expression.where(size <= 1, x * x * 0.5, size - 0.5)

    huber.vjp(x=lambda g, y, x: g * ops.clip(x, -1.0, 1.0))
    yield huber
    del registry["huber"], expression._declared["huber"], kernels.registered("cuda")["huber"]


X = np.array([-3, -1, -0.25, 0, 0.5, 1, 2, np.nan], np.float32)
EXPECTED = np.where(np.abs(X) <= 1, X * X / 2, np.abs(X) - 0.5)


def test_a_new_op_has_a_reference_and_a_gradient(huber: Op) -> None:
    np.testing.assert_array_equal(huber(X).numpy(), EXPECTED)
    assert huber.__doc__ == "Return x**2 / 2 where |x| <= 1, |x| - 1/2 elsewhere."
    x = convert_to_tensor(X[:-1])
    x.requires_grad = True
    (slope,) = grad(ops.sum(huber(x)), [x])
    np.testing.assert_array_equal(slope.numpy(), X[:-1].clip(-1, 1))


@pytest.mark.host
def test_a_new_op_becomes_part_of_a_run_on_the_cpu(huber: Op) -> None:
    step = traced(lambda x: huber(x + 1) * 2)
    for _ in range(2):
        np.testing.assert_array_equal(step(X).numpy(), (huber(convert_to_tensor(X) + 1) * 2).numpy())
    assert [type(i).__name__ for i in plan_of(step).instructions] == ["FusedElementwise"]


@pytest.mark.skipif(shutil.which("g++") is None, reason="the double compiles kernels with g++")
def test_a_new_op_has_a_kernel_on_the_gpu(huber: Op) -> None:
    with installed():
        import cupy

        x, y = cupy.asarray(X), cupy.empty(X.shape, np.float32)
        assert on_gpu.joins("huber", (y, x), {})
        on_gpu.compose([Call("huber", (1,), (0,))], [(F4, X.size)] * 2, (1, 0)).bind((y, x))()
        np.testing.assert_array_equal(cupy.asnumpy(y), EXPECTED)


def test_every_operator_has_a_meaning_everywhere() -> None:
    operators = {*expression.ARITHMETIC, *expression.COMPARISONS, "is_finite"}
    assert operators == on_gpu._OPERATORS.keys()
    assert not [name for name in operators - {"gate", "is_finite", "erf"} if not callable(getattr(np, name))]
    instructions = {name.split()[0] for name in on_cpu.CODES}
    library = {"power", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf"}  # whose last bits are NumPy's own
    quotients = {"floor_divide", "remainder"}  # which processors have no vector instructions for
    assert operators - instructions == library | quotients | {"is_finite"}


def test_what_several_parts_share_is_written_once() -> None:
    text = on_gpu.compose([Call("sigmoid", (1,), (0,))], [(F4, 9)] * 2, (1, 0)).text
    assert text.partition(program.BEGIN)[2].count("exp_of") == 1


def parts(op: str, *dtypes: Any, **static: Any) -> str:
    """Return the typed expression of an op as a text, with a cast as the dtype that it is to."""

    def text(x: Any) -> str:
        if x.name in ("input", "number"):
            return f"{x.name} {x.value}"
        inner = ", ".join(map(text, x.operands))
        return f"{x.dtype if x.name == 'cast' else x.name}({inner})"

    declared = expression.declared(op)
    assert declared is not None
    found = typed(declared, dtypes, declared.expressions(static))
    return "nothing" if found is None else "; ".join(map(text, found))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (parts("add", F4, F4, F4), "add(input 0, input 1)"),
        (parts("add", F4, I4, F4), "add(float32(input 0), input 1)"),
        (parts("less", B, I4, F4), "greater(float64(input 1), float64(input 0))"),
        (parts("relu", I4, B), "maximum(int32(input 0), number 0)"),
        (parts("where", F4, B, F4, I4), "where(input 0, input 1, float32(input 2))"),
        (parts("where", F4, U1, F4, F4), "nothing"),
        (parts("cast", F2, F4, dtype="f2"), "input 0"),  # rounded where an op ends
        (parts("cast", F2, I8, dtype="f2"), "float16(input 0)"),
        (parts("bitwise_not", I4, I4), "invert(input 0)"),
        (parts("bitwise_not", B, B), "equal(input 0, number 0)"),
        (parts("logical_and", B, F4, I4), "bitwise_and(not_equal(input 0, number 0), not_equal(input 1, number 0))"),
        (parts("assign_add_", F4, F8), "float32(add(float64(input 0), input 1))"),
        (parts("assign_add_", F4, F4), "add(input 0, input 1)"),
        (parts("note_nonfinite_", I8, F4, I8)[:49], "where(greater(number 0, input 0), where(is_finite"),
    ],
)
def test_every_cast_is_said(found: str, expected: str) -> None:
    assert found == expected


def test_zeros_of_both_signs_are_two_numbers() -> None:
    bounds = [parts("clip", F4, F4, low=low, high=1.0) for low in (0.0, -0.0)]
    assert bounds == ["minimum(maximum(input 0, number 0.0), number 1.0)", bounds[0].replace("number 0", "number -0")]


@pytest.mark.parametrize("low", [-np.inf, np.float32(-0.5), np.int64(0), True])
def test_any_number_can_be_a_bound(low: Any) -> None:
    x = np.array([-1, 0.25, np.nan], np.float32)
    with reference_only():
        np.testing.assert_array_equal(registry["clip"](x, low=low, high=np.inf).numpy(), np.maximum(x, float(low)))


def test_a_reference_reads_as_if_written_by_hand() -> None:
    decay = expression.declared("decay_")
    assert decay is not None
    assert reference(decay, decay.expressions({"rate": 0.5})).__doc__ == (
        "def decay_(xp, w, lr):\n"
        "    v0 = lr if lr.dtype == w.dtype else lr.astype(w.dtype)\n"
        "    xp.subtract(w, ((w * w.dtype.type(0.5)) * v0), out=w, dtype=w.dtype)\n"
    )


def test_an_expression_is_no_truth_value() -> None:
    x = Expression("input")
    with pytest.raises(TypeError, match=r"has no truth value: use `where` instead of `if`, `and` or `or`"):
        bool(x > 0)
