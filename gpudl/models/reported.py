"""What a model says about itself: its layers, its plans, and where the time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gpudl.reports import explain as reports
from gpudl.reports.summary import print_summary
from gpudl.reports.tables import PrintFn
from gpudl.training.data.arrays import Data
from gpudl.training.one_batch import Trainer


class Reported(Trainer):
    """The base of models that implements their reports."""

    def summary(
        self,
        line_length: int | None = None,
        positions: Iterable[float] | None = None,
        print_fn: Callable[[str], object] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
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
        self, x: Data = None, y: Data = None, step: str = "train", batch_size: int = 32, print_fn: PrintFn | None = None
    ) -> None:
        """Print the plan of a step: one line per instruction, with its cost.

        A line has the op of the instruction, its layer (``"dense gradient"`` is the backward pass of the layer
        ``"dense"``), its results, the bytes that it reads and writes, its arithmetic operations, and whether a kernel
        computes it or the portable reference. Ops joined by ``+`` are fused.

        Args:
            x: inputs, as for `fit`. The step is recorded for their first batch, and no weight, slot or metric of the
                model changes; an unbuilt model is built. Without data the plan that was last recorded is explained.
            y: targets.
            step: ``"train"``, ``"test"`` or ``"predict"``.
            batch_size: samples per step.
            print_fn: called with the whole text; by default it is printed.

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

    def profile(
        self, x: Data, y: Data = None, batch_size: int = 32, repeats: int = 20, print_fn: PrintFn | None = None
    ) -> reports.Profile:
        """Measure each instruction of a training step, print a profile, and return it as a `report.Profile`.

        The instructions of the step are run one by one on the first batch, `repeats` times, and timed separately; the
        times are medians. The model does not change, as in `explain`.

        Args:
            x: inputs, as for `fit`.
            y: targets.
            batch_size: samples a step.
            repeats: how many times the step is run.
            print_fn: called with the whole text; by default it is printed.

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
