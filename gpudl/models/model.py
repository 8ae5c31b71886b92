"""A model: a layer that can be trained and reports about itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gpudl.layers.layer import Layer, inferred_shape
from gpudl.reports import explain as reports
from gpudl.reports.summary import print_summary
from gpudl.training.one_batch import Trainer


class Model(Trainer):
    """A layer with a training loop. Subclasses write `__init__` with the layers they use, and `call`.

    `train_step`, `test_step`, `predict_step`, `compute_loss` and `compute_metrics` may be overridden; what they
    compute with tensors is still recorded once and replayed.

    Example:
        >>> class TwoLayers(gpudl.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = gpudl.layers.Dense(4, activation="relu")
        ...         self.out = gpudl.layers.Dense(1)
        ...
        ...     def call(self, x):
        ...         return self.out(self.hidden(x))
        >>> TwoLayers().predict(np.ones((3, 2)), verbose=0).shape
        (3, 1)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or {"inputs", "outputs"} & kwargs.keys():
            raise NotImplementedError(
                f"{type(self).__name__}(inputs, outputs) belongs to the functional API, which is not there yet. Stack "
                "layers in a Sequential, or derive a class from Model that makes its layers in __init__ and calls "
                "them in call()."
            )
        super().__init__(**kwargs)

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside."""
        return list(self._children)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or by index; raises ValueError when there is none."""
        layers = self.layers
        if index is None and name is None:
            raise ValueError("get_layer needs the name of a layer, or its index.")
        if index is not None:
            if not 0 <= index < len(layers):
                raise ValueError(f"the model has {len(layers)} layers, there is no layer {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(f"no layer is called {name!r}: there are {', '.join(la.name for la in layers)}.")

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before, self.built = self.built, True  # the layers inside build themselves as `call` reaches them
        try:
            return super()._called(args, kwargs)
        except BaseException:
            self.built = before
            raise

    def build(self, input_shape: Any) -> None:
        """Create the weights of every layer, by asking `call` for the shapes it would compute.

        Args:
            input_shape: shape of a batch; None stands for any batch size.
        """
        self.output_shape = inferred_shape(self, tuple(input_shape), self.dtype)

    def summary(
        self,
        line_length: int | None = None,
        positions: Iterable[float] | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers with their output shapes and numbers of weights, as a table."""
        print_summary(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )

    def explain(
        self, x: Any = None, y: Any = None, step: str = "train", batch_size: int = 32, print_fn: Any = None
    ) -> None:
        """Print the plan of a step: one line for each instruction, and what it costs.

        A line says what the instruction computes, for which layer (``"dense gradient"`` is the way back through the
        layer ``"dense"``), what comes out, the bytes that it reads and writes, its arithmetic operations, and whether
        a kernel computes it or the portable reference. Ops joined by ``+`` are one pass over memory.

        Args:
            x: inputs, as for `fit`. The step is recorded for their first batch, and the model stays as it was: no
                weight, slot or metric changes; an unbuilt model gets its weights. Without data the plan that was
                last recorded is explained.
            y: targets.
            step: ``"train"``, ``"test"`` or ``"predict"``.
            batch_size: samples a step.
            print_fn: takes the whole text; by default it is printed.

        Raises:
            ValueError: nothing has been recorded and there is no data, another `step`, or a model compiled with
                ``run_eagerly=True``, which has no plan.

        Example:
            >>> model = gpudl.Sequential([gpudl.layers.Dense(1, input_shape=(3,), name="line")])
            >>> said = []
            >>> model.explain(np.ones((4, 3)), step="predict", print_fn=said.append)
            >>> "matmul" in said[0], "line" in said[0]
            (True, True)
        """
        reports.explain(self, x, y, step, batch_size, print_fn)

    def profile(self, x: Any, y: Any = None, batch_size: int = 32, repeats: int = 20, print_fn: Any = None) -> Any:
        """Measure each instruction of a training step, print where the time goes, and return it as a `report.Profile`.

        The step's instructions run one after another on the first batch, `repeats` times, each by the clock; the
        times are medians. The model stays as it was, as in `explain`.

        Args:
            x: inputs, as for `fit`.
            y: targets.
            batch_size: samples a step.
            repeats: how often the step is run.
            print_fn: takes the whole text; by default it is printed.

        Raises:
            ValueError: a model that is not compiled, or compiled with ``run_eagerly=True``, which has no plan.

        Example:
            >>> model = gpudl.Sequential([gpudl.layers.Dense(1, input_shape=(3,), name="line")])
            >>> model.compile("sgd", "mse")
            >>> profile = model.profile(np.ones((4, 3)), np.ones((4, 1)), repeats=2, print_fn=lambda text: None)
            >>> "line" in [total.name for total in profile.by_layer()]
            True
        """
        return reports.profile(self, x, y, batch_size, repeats, print_fn)
