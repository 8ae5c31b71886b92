"""What a model is to other programs: a file in the format ONNX."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Unpack

from gpudl.engine.symbol import symbols
from gpudl.engine.tree import Nest
from gpudl.export import Options, export_onnx
from gpudl.export.signature import Seen, seen
from gpudl.layers.base.layer import Layer
from gpudl.models.state_tree import HasStateTree


class Exported(HasStateTree):
    """The base of models that implements their export."""

    _called_on: tuple[Nest[Seen], ...] | None = None

    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Sequence[Nest[object]] | None = None,
        **kwargs: Unpack[Options],
    ) -> None:
        """Write what the model computes at inference to an ONNX file, which other programs run without gpudl.

        The file takes a batch of any size, and has the names of the inputs and outputs. It says every op of the model
        in operators of ONNX, with the weights as constants. A 16-bit float is one in the file too, except bfloat16,
        which hardly any operator takes: its values are in float32.

        Args:
            filepath: the file; an old one is replaced when the new one is complete.
            format: ``"onnx"``, which is also what a path that ends in ``.onnx`` means; gpudl writes no other.
            verbose: whether to print where the file is, which is the default.
            input_signature: for each argument of a call a tensor, a symbol, an `InputSpec` with a shape and a dtype,
                or a nest of them; None in a shape is a size that may differ from run to run. By default the inputs of
                the model, or what it was first called on.
            **kwargs: ``opset_version``, the version of the set of operators, 18 by default.

        Raises:
            ImportError: the library `onnx` is not installed.
            ValueError: another format, an op that ONNX has no operator for, a layer that works on text, a size that
                the model must know, or a model whose inputs are not known.

        Example:
            >>> import tempfile
            >>> path = os.path.join(tempfile.mkdtemp(), "line.onnx")
            >>> model = gpudl.Sequential([gpudl.Input((3,), name="x"), gpudl.layers.Dense(1, name="line")])
            >>> model.export(path, verbose=False)
            >>> import onnxruntime
            >>> session = onnxruntime.InferenceSession(path)
            >>> session.run(["line"], {"x": np.ones((5, 3), np.float32)})[0].shape
            (5, 1)
        """
        who = f"{type(self).__name__} {self.name!r}"
        if format != "onnx" and not (format == "tf_saved_model" and os.fspath(filepath).endswith(".onnx")):
            raise ValueError(
                f'{who}: export writes ONNX files only: pass format="onnx", or a path that ends in .onnx; got '
                f"format={format!r}. Model.save writes files for gpudl and Keras."
            )
        if self._on_host():
            raise ValueError(
                f"{who}: it begins with layers that work on the host, such as those that read text, for which ONNX "
                "has no operators. Export a model of the layers behind them."
            )
        ends = symbols(self.output) if self._has_graph() and hasattr(self, "output") else []
        names = [symbol.call.operation.name for symbol in ends]
        export_onnx(self, filepath, self._signature(input_signature), names, **kwargs)
        if verbose is None or verbose:
            print(f"Saved artifact at '{os.fspath(filepath)}'.")

    def _signature(self, given: Sequence[Nest[object]] | None) -> Sequence[Nest[object]]:
        """Return what the arguments of a call are: as given, or as the model knows them."""
        if given is not None:
            return given if isinstance(given, list | tuple) else [given]
        known = getattr(self, "input", None) if self._has_graph() else None
        if known is not None:
            return [known]
        if self._called_on is None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: export must know the inputs. Call the model on data first, or "
                "pass input_signature, a list with an InputSpec(shape=(None, ...), dtype=...) for each argument."
            )
        return self._called_on

    def _has_graph(self) -> bool:
        """Return whether the model consists of calls on symbols, and not a subclass with a `call` of its own."""
        return self.saved_layers() is not None

    def saved_layers(self) -> list[Layer] | None:
        """Return the layers that files have by their numbers; None where they have the names of attributes."""
        return None

    def _called(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call the model, and remember what it was first called on."""
        results = super()._called(args, kwargs)
        if self._called_on is None:
            vars(self)["_called_on"] = seen(args)
        return results

    def _on_host(self) -> bool:
        """Return whether layers at the beginning work on the host."""
        return False
