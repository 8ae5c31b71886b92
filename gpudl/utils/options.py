"""Arguments that the classes of a family share, said once, as a ``TypedDict`` that constructors take with ``Unpack``.

What is annotated with a default, ``Annotated[int, -1]``, can also be given by position, in the order of the class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps

Constructor = Callable[..., None]
_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def defaults(options: type) -> dict[str, object]:
    """Return the arguments that a class of options gives a default, in its order.

    Example:
        >>> from typing import Annotated, TypedDict
        >>> Sized = TypedDict("Sized", {"size": Annotated[int, 3], "name": str})
        >>> defaults(Sized)
        {'size': 3}
    """
    kinds = options.__annotations__.items()
    return {name: kind.__metadata__[0] for name, kind in kinds if hasattr(kind, "__metadata__")}


def spelled_out(init: Constructor, options: Mapping[str, object], others: bool = True) -> Constructor:
    """Return a constructor that takes `options`, with their defaults, by position too, and shows them in its signature.

    Args:
        init: the constructor, with arguments of its own and ``**options``; it is given every option. Those of its own
            that are by keyword only come after the options.
        options: the defaults by name.
        others: whether the signature says that there are further arguments.
    """
    *own, rest = inspect.signature(init).parameters.values()
    later = [name for name, parameter in inspect.signature(init).parameters.items() if parameter.kind is _BY_NAME]
    spelled = [inspect.Parameter(name, rest.POSITIONAL_OR_KEYWORD, default=value) for name, value in options.items()]
    count = len(own) - 1 - len(later)
    order = [*options, *later]

    @wraps(init)
    def taking_all(self: object, *args: object, **kwargs: object) -> None:
        named = dict(zip(order, args[count:], strict=False))
        missing = {name: value for name, value in options.items() if name not in named and name not in kwargs}
        init(self, *args[:count], *args[count + len(order) :], **missing, **named, **kwargs)

    behind = [parameter.replace(kind=rest.POSITIONAL_OR_KEYWORD) for parameter in own[count + 1 :]]
    shown = [*own[: count + 1], *spelled, *behind, *([rest.replace(name="kwargs")] if others else [])]
    vars(taking_all)["__signature__"] = inspect.Signature(shown, return_annotation=None)
    return taking_all
