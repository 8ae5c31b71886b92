"""Updates that are undone in some steps: the device decides, so that all steps have the same kernels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gpudl import ops
from gpudl.engine.tensor import Tensor


@contextmanager
def kept_if(keep: Tensor, targets: Iterable[Tensor]) -> Iterator[None]:
    """Restore `targets` after a ``with`` block, unless `keep`, a bool on the device.

    Example:
        >>> w = gpudl.Variable([1.0])
        >>> for keep in (False, True):
        ...     with kept_if(gpudl.convert_to_tensor(keep), [w]):
        ...         w.assign_add([1.0])
        ...     print(w.numpy())
        [1.]
        [2.]
    """
    before = [(target, ops.copy(target)) for target in targets]
    yield
    for target, value in before:
        ops.restore_(target, value, keep)
