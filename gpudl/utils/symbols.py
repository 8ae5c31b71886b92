"""Questions about the symbols of functional models."""

from __future__ import annotations

from gpudl.engine.calls import Call
from gpudl.engine.symbol import KerasTensor


def is_keras_tensor(x: object) -> bool:
    """Return whether something is a symbol, as `Input` returns it.

    Example:
        >>> is_keras_tensor(gpudl.Input((3,))), is_keras_tensor(np.zeros(3))
        (True, False)
    """
    return isinstance(x, KerasTensor)


def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """Return the inputs that a symbol is computed from, each once.

    Raises:
        TypeError: it is no symbol.

    Example:
        >>> x, y = gpudl.Input((3,), name="x"), gpudl.Input((3,), name="y")
        >>> [each.name for each in get_source_inputs(gpudl.ops.exp(x) + y)]
        ['x', 'y']
    """
    if not is_keras_tensor(tensor):
        raise TypeError(f"get_source_inputs takes a symbol, as Input returns it, got {type(tensor).__name__}.")
    found: dict[tuple[int, int], KerasTensor] = {}
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        symbol = waiting.pop()
        call: Call | None = symbol.call
        if call is None or not call.inputs:
            found.setdefault(symbol.key, symbol)
        elif id(call) not in seen:
            seen.add(id(call))
            waiting.extend(reversed(list(call.inputs)))
    return list(found.values())
