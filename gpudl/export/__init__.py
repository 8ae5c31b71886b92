"""Models as files of other programs: ONNX.

A model is recorded (`recording`), as a training step is, for two sets of sizes, so that what depends on the size of
the batch is known. Each op is said in operators of ONNX (`translation`, with a table of functions for each family of
ops) in a graph (`graph`), which `onnx_file` writes.
"""

from gpudl.export.model import Options, export_onnx

__all__ = ["Options", "export_onnx"]
