"""Losses in a nest of another form than the outputs: several for one part of them, or one for a whole part.

A part is a single output, or a list, tuple or dict of outputs, which a loss gets as it is, with targets of the same
form. Where a list stands for a part that is no list, each of its entries is for all of the part: ``[f, {"b": g}]``, for
outputs that are a dict, has `f` compare the whole dict, and `g` its ``"b"``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gpudl.training.outputs import Outputs, Path, is_nest, leaves


class LossPart(NamedTuple):
    """A loss as `compile` got it, with the path of the part of the outputs that it is for, and its weight."""

    path: Path
    loss: object
    weight: object


def loss_parts(given: object, weights: object, outputs: Outputs) -> list[LossPart]:
    """Return the losses of a nest, in its order.

    Args:
        given: the nest of losses, which can be functions of a whole part; a name is for a single output.
        weights: one for all, None, or as many in whatever nest as there are losses.
        outputs: the outputs of the model.

    Raises:
        ValueError: a nest that does not fit the outputs, or another number of weights.

    Example:
        >>> two = Outputs({"a": 0, "b": 0})
        >>> loss_parts([min, {"b": "mse"}], [1.0, 0.5], two) == [((), min, 1.0), (("b",), "mse", 0.5)]
        True
    """
    paths = [path for path, _ in leaves(given)]
    factors = [weight for _, weight in leaves(weights)] if is_nest(weights) else [weights] * len(paths)
    if len(factors) != len(paths):
        raise ValueError(f"loss_weights must have one number for each loss, got {len(factors)} for {len(paths)}.")
    found = _placed(given, (), outputs.nest, ()) if is_nest(outputs.nest) else None
    if found is None:
        raise outputs.misfit("loss", given)
    weight_of = dict(zip(paths, factors, strict=True))
    return [LossPart(path, loss, weight_of[at]) for at, path, loss in found if loss is not None]


def _placed(given: object, at: Path, part: Any, path: Path) -> list[tuple[Path, Path, object]] | None:
    """Return the path in the argument, the path in the outputs, and the loss, of each loss; None where they misfit."""
    if not is_nest(given):
        return None if isinstance(given, str) and is_nest(part) else [(at, path, given)]
    places = _places(given, part)
    if places is None:
        return None
    found = []
    for key, child, below in places:
        inner = part
        for step in below:
            inner = inner[step]
        one = _placed(child, (*at, key), inner, (*path, *below))
        if one is None:
            return None
        found += one
    return found


def _places(given: object, part: object) -> list[tuple[object, object, Path]] | None:
    """Return the key of each entry of a nest, the entry, and the path from `part` to the outputs it is for."""
    if isinstance(given, dict):
        fits = isinstance(part, dict) and given.keys() <= part.keys()
        return [(key, child, (key,)) for key, child in given.items()] if fits else None
    if not isinstance(given, list | tuple):
        return None
    each = [path for path, _ in leaves(part)]
    if len(given) != len(each) or any(map(is_nest, given)):
        if not isinstance(part, type(given)):
            each = [()] * len(given)
        elif len(given) == len(part):
            each = [(number,) for number in range(len(part))]
        else:
            return None
    return [(number, child, below) for number, (child, below) in enumerate(zip(given, each, strict=True))]
