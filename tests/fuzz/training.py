"""Random trainings: a network with its loss, optimizer and data, made again and again from one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import gpudl
from fuzz.programs import Program
from fuzz.stacks import Stack, random_stack, random_weights

CLASSIFIES = ("sparse_categorical_crossentropy", "categorical_crossentropy")
COMPARES = ("mse", "mae", "huber", "log_cosh", "binary_crossentropy")


@dataclass
class Training:
    """What `model` needs to make the same compiled network with the same weights, and data for it.

    Attributes:
        weights: by layer; all that a layer keeps, its random generator left out.
        loss: its name.
        optimizer: the name of its class, and its arguments.
    """

    stack: Stack
    weights: list[list[np.ndarray]]
    loss: str
    optimizer: tuple[str, dict[str, Any]]
    dtype: str
    x: np.ndarray
    y: np.ndarray
    batch_size: int

    @property
    def metric(self) -> str:
        """The name of a metric that fits the loss."""
        return "accuracy" if self.loss in CLASSIFIES else "mae"

    def model(self, **compiled: Any) -> gpudl.Sequential:
        """Return the network, compiled, as it was before any training."""
        model = gpudl.Sequential([part.make(gpudl.layers, dtype=self.dtype) for part in self.stack.parts])
        model.build((None, *self.stack.input_shape))
        for layer, weights in zip(model.layers, self.weights, strict=True):
            layer.set_weights(weights)
        kind, options = self.optimizer
        chosen = getattr(gpudl.optimizers, kind)(**options)
        model.compile(**{"optimizer": chosen, "loss": self.loss, "metrics": [self.metric], **compiled})
        return model

    def fit(self, model: gpudl.Sequential, **options: Any) -> Any:
        """Train for two passes over the data, in order."""
        return model.fit(
            self.x, self.y, **{"batch_size": self.batch_size, "epochs": 2, "shuffle": False, "verbose": 0, **options}
        )


def state_of(model: gpudl.Sequential) -> list[np.ndarray]:
    """Return all that training changes."""
    return [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]


def random_optimizer(program: Program) -> tuple[str, dict[str, Any]]:
    """Return the name of an optimizer's class and random arguments for it."""
    p = program
    own: dict[str, dict[str, list[Any]]] = {
        "SGD": {"momentum": [0.9], "nesterov": [True]},
        "RMSprop": {"rho": [0.8], "momentum": [0.5], "centered": [True]},
        "Adam": {"beta_1": [0.8], "amsgrad": [True], "epsilon": [1e-3]},
        "AdamW": {"weight_decay": [0.1], "amsgrad": [True]},
        "Adagrad": {"initial_accumulator_value": [0.5]},
    }
    kind = p.one_of(sorted(own))
    options = {name: p.one_of(values) for name, values in own[kind].items() if p.chance(0.3)}
    if p.chance(0.4):
        clipping = p.one_of(("clipnorm", "clipvalue", "global_clipnorm"))
        options[clipping] = p.one_of((0.05, 1.0))
    if p.chance(0.2):
        options["weight_decay"] = 0.01
    return kind, {"learning_rate": p.one_of((0.01, 0.05)), **options}


def random_training(
    program: Program, *, dtypes: tuple[str, ...] = ("float32",), layers: int = 5, dropout: bool = True
) -> Training:
    """Return a random network with everything that its training needs."""
    p = program
    stack = random_stack(p, p.integer(1, layers), dropout=dropout)
    units, loss = p.integer(2, 4), p.one_of((*CLASSIFIES, *COMPARES))
    last = "softmax" if loss in CLASSIFIES else "sigmoid" if loss == "binary_crossentropy" else None
    stack.close(units, last)
    samples = p.integer(5, 14)
    x = p.normal(samples, *stack.input_shape)
    y: np.ndarray = p.rng.integers(0, units, samples)
    if loss == "categorical_crossentropy":
        y = np.eye(units, dtype=np.float32)[y]
    elif loss != "sparse_categorical_crossentropy":
        y = p.rng.random((samples, units)).astype(np.float32)
    model = gpudl.Sequential([part.make(gpudl.layers) for part in stack.parts])
    model.build((None, *stack.input_shape))
    training = Training(
        stack,
        [random_weights(p, layer) for layer in model.layers],
        loss,
        random_optimizer(p),
        p.one_of(dtypes),
        x,
        y,
        p.integer(2, 6),
    )
    program.say(f"{training.dtype}, {loss}, {training.optimizer}, x {x.shape}, batches of {training.batch_size}:")
    program.say(stack)
    return training
