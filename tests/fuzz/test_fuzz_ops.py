"""Random programs of ops on tensors, step by step beside NumPy, and the whole program recorded."""

from __future__ import annotations

from typing import Any

import gpudl
from fuzz.programs import Program, assert_same_bits, run
from fuzz.steps import Step, Steps


def _check(program: Program) -> None:
    steps = Steps(program)
    for _ in range(program.integer(1, 4)):
        program.say(f"v{len(steps.values)} = {steps.leaf()!r}")
    leaves = list(steps.values)
    done: list[Step] = []
    for _ in range(program.integer(1, 12)):
        step = steps.next()
        if step is None:
            continue
        program.say(f"v{len(steps.values)} = {step.text.format(*(f'v{i}' for i in step.takes))}")
        result = step.apply(*(steps.values[i] for i in step.takes))
        step.check(result)
        steps.values.append(result)
        done.append(step)

    def whole(*given: Any) -> list[Any]:
        values = list(given)
        for step in done:
            values.append(step.apply(*(values[i] for i in step.takes)))
        return values[len(given) :]

    if done:
        recorded = gpudl.traced(whole)
        for time in ("first", "second"):
            for number, (ours, expected) in enumerate(zip(recorded(*leaves), steps.values[len(leaves) :], strict=True)):
                assert_same_bits(ours.numpy(), expected.numpy(), f"v{len(leaves) + number}, recorded, {time} time,")


def test_programs_of_ops_compute_what_numpy_does() -> None:
    run(_check, count=60)
