"""What optimizers compute, once more: in float64 and without the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from optimizer_tools import EPS, STEPS, first_values, gradients_of

# The formulas once more, in float64 and without the engine. Each takes the weights, the gradient, the
# number of the update and a dict that starts empty, and returns the step to subtract.


def sgd_step(g: Any, t: int, s: dict[str, Any], *, lr: float, momentum: float = 0, nesterov: bool = False) -> Any:
    s["m"] = momentum * s.get("m", 0) + lr * g
    return momentum * s["m"] + lr * g if nesterov else s["m"]


def rmsprop_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    rho: float = 0.9,
    momentum: float = 0,
    epsilon: float = 1e-7,
    centered: bool = False,
) -> Any:
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    s["mean"] = rho * s.get("mean", 0) + (1 - rho) * g
    variance = s["v"] - s["mean"] ** 2 if centered else s["v"]
    s["m"] = momentum * s.get("m", 0) + lr * g / np.sqrt(variance + epsilon)
    return s["m"]


def adam_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
) -> Any:
    s["m"] = beta_1 * s.get("m", 0) + (1 - beta_1) * g
    s["v"] = beta_2 * s.get("v", 0) + (1 - beta_2) * g**2
    s["largest"] = np.maximum(s.get("largest", 0), s["v"])
    root = np.sqrt(s["largest"] if amsgrad else s["v"])
    return lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * s["m"] / (root + epsilon)


def adagrad_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
) -> Any:
    s["a"] = s.get("a", initial_accumulator_value) + g**2
    return lr * g / np.sqrt(s["a"] + epsilon)


def adadelta_step(g: Any, t: int, s: dict[str, Any], *, lr: float, rho: float = 0.95, epsilon: float = 1e-7) -> Any:
    s["g2"] = rho * s.get("g2", 0) + (1 - rho) * g**2
    step = np.sqrt(s.get("d2", 0) + epsilon) / np.sqrt(s["g2"] + epsilon) * g
    s["d2"] = rho * s.get("d2", 0) + (1 - rho) * step**2
    return lr * step


def adamax_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> Any:
    s["m"] = beta_1 * s.get("m", 0) + (1 - beta_1) * g
    s["u"] = np.maximum(beta_2 * s.get("u", 0), abs(g))
    return lr / (1 - beta_1**t) * s["m"] / (s["u"] + epsilon)


def corrected(g: Any, t: int, s: dict[str, Any], beta_1: float, beta_2: float) -> tuple[Any, Any]:
    """Return Adam's two means without their bias."""
    s["m"] = beta_1 * s.get("m", 0) + (1 - beta_1) * g
    s["v"] = beta_2 * s.get("v", 0) + (1 - beta_2) * g**2
    return s["m"] / (1 - beta_1**t), s["v"] / (1 - beta_2**t)


def nadam_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> Any:
    _, v = corrected(g, t, s, beta_1, beta_2)
    u = [beta_1 * (1 - 0.96**k / 2) for k in range(1, t + 2)]
    m = u[-1] * s["m"] / (1 - np.prod(u)) + (1 - u[-2]) * g / (1 - np.prod(u[:-1]))
    return lr * m / (np.sqrt(v) + epsilon)


def lion_step(g: Any, t: int, s: dict[str, Any], *, lr: float, beta_1: float = 0.9, beta_2: float = 0.99) -> Any:
    step = lr * np.sign(beta_1 * s.get("m", 0) + (1 - beta_1) * g)
    s["m"] = beta_2 * s.get("m", 0) + (1 - beta_2) * g
    return step


def lamb_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> Any:
    m, v = corrected(g, t, s, beta_1, beta_2)
    step = m / (np.sqrt(v) + epsilon)
    return lr * step * np.linalg.norm(s["w"]) / np.linalg.norm(step)


def ftrl_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    learning_rate_power: float = -0.5,
    initial_accumulator_value: float = 0.1,
    l1_regularization_strength: float = 0,
    l2_regularization_strength: float = 0,
    l2_shrinkage_regularization_strength: float = 0,
    beta: float = 0,
) -> Any:
    w, n, power = s["w"], s.get("n", initial_accumulator_value), -learning_rate_power
    s["n"] = n + g**2
    shrunk = g + 2 * l2_shrinkage_regularization_strength * w
    s["z"] = s.get("z", 0) + shrunk - (s["n"] ** power - n**power) / lr * w
    curvature = (s["n"] ** power + beta) / lr + 2 * l2_regularization_strength
    limit = l1_regularization_strength
    return w - (np.clip(s["z"], -limit, limit) - s["z"]) / curvature


def schedule_free_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    warmup_steps: int = 0,
) -> Any:
    w = s["w"]
    z = s.get("z", w)
    x = (w - (1 - beta_1) * z) / beta_1
    s["v"] = beta_2 * s.get("v", 0) + (1 - beta_2) * g**2
    rate = lr * min(1, t / warmup_steps) if warmup_steps else lr
    s["z"] = z - rate * g / (np.sqrt(s["v"] / (1 - beta_2**t)) + epsilon)
    return w - (1 - beta_1) * s["z"] - beta_1 * ((1 - 1 / t) * x + s["z"] / t)


def adafactor_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    beta_2_decay: float = -0.8,
    epsilon_1: float = 1e-30,
    epsilon_2: float = 1e-3,
    clip_threshold: float = 1.0,
    relative_step: bool = True,
) -> Any:
    beta, squares = 1 - t**beta_2_decay, g**2 + epsilon_1
    s["v"] = v = beta * s.get("v", 0) + (1 - beta) * squares
    if g.ndim > 1:  # the means by rows and columns are those of the whole mean
        v = v.mean(-1, keepdims=True) * v.mean(-2, keepdims=True) / v.mean((-2, -1), keepdims=True)
    step = g / np.sqrt(v)
    step = step / max(1, np.sqrt((step**2).mean()) / clip_threshold)
    return max(epsilon_2, np.sqrt((s["w"] ** 2).mean())) * min(lr, t**-0.5) * step


def muon_step(
    g: Any,
    t: int,
    s: dict[str, Any],
    *,
    lr: float,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_steps: int = 5,
    rms_rate: float | None = 0.2,
    adam_lr_ratio: float = 1,
) -> Any:
    if g.ndim != 2:
        return adam_step(g, t, s, lr=lr * adam_lr_ratio)
    s["m"] = momentum * s.get("m", 0) + g
    left, size, right = np.linalg.svd(g + momentum * s["m"] if nesterov else s["m"], full_matrices=False)
    size = size / np.linalg.norm(size)
    for _ in range(ns_steps):  # of a matrix the iteration changes the singular values alone
        size = 3.4445 * size - 4.775 * size**3 + 2.0315 * size**5
    scale = 1 if rms_rate is None else rms_rate * np.sqrt(max(g.shape))
    return lr * scale * (left * size) @ right


RULES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "SGD": (sgd_step, {"learning_rate": 0.01}),
    "RMSprop": (rmsprop_step, {"learning_rate": 0.001}),
    "Adam": (adam_step, {"learning_rate": 0.001}),
    "AdamW": (adam_step, {"learning_rate": 0.001, "weight_decay": 0.004}),
    "Adagrad": (adagrad_step, {"learning_rate": 0.001}),
    "Adadelta": (adadelta_step, {"learning_rate": 0.001}),
    "Adamax": (adamax_step, {"learning_rate": 0.001}),
    "Nadam": (nadam_step, {"learning_rate": 0.001}),
    "Lion": (lion_step, {"learning_rate": 0.001}),
    "Lamb": (lamb_step, {"learning_rate": 0.001}),
    "Ftrl": (ftrl_step, {"learning_rate": 0.001}),
    "ScheduleFreeAdamW": (schedule_free_step, {"learning_rate": 0.0025}),
    "Adafactor": (adafactor_step, {"learning_rate": 0.001}),
    "Muon": (muon_step, {"learning_rate": 0.001, "weight_decay": 0.004}),
}


def limited(grads: list[Any], clipnorm: Any, clipvalue: Any, global_clipnorm: Any) -> list[Any]:
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in grads]
    if clipnorm:
        return [g * min(1, clipnorm / np.sqrt((g**2).sum())) for g in grads]
    if global_clipnorm:
        total = np.sqrt(sum((g**2).sum() for g in grads))
        return [g * min(1, global_clipnorm / total) for g in grads]
    return grads


def exact(kind: str, options: dict[str, Any]) -> tuple[list[Any], float]:
    """Return the float64 weights after all the steps, and how far float32 may be from them."""
    rule, defaults = RULES[kind]
    settings = {**defaults, **options}
    lr, decay = settings.pop("learning_rate"), settings.pop("weight_decay", None) or 0
    clips = [settings.pop(name, None) for name in ("clipnorm", "clipvalue", "global_clipnorm")]
    weights = [w.astype(np.float64) for w in first_values()]
    states: list[dict[str, Any]] = [{} for _ in weights]
    largest_weight = largest_step = 0.0
    for t in range(1, STEPS + 1):
        grads = limited([g.astype(np.float64) for g in gradients_of(t)], *clips)
        for i, g in enumerate(grads):
            weights[i] = weights[i] * (1 - decay * lr)
            states[i]["w"] = weights[i]
            step = rule(g, t, states[i], lr=lr, **settings)
            weights[i] = weights[i] - step
            largest_weight = max(largest_weight, np.abs(weights[i]).max())
            largest_step = max(largest_step, np.abs(step).max())
    # Each update rounds the weight a few times, and a step of its own. What a step loses: momentum of 0.9
    # carries ten roundings along; Adam's 1 - beta_2**t is, in float32, uncertain by EPS / 2 / (1 - beta_2).
    lost = 16 + (1 / (1 - settings.get("beta_2", 0.999)) if kind.startswith("Adam") else 0)
    return weights, STEPS * EPS / 2 * (4 * largest_weight + lost * largest_step)
