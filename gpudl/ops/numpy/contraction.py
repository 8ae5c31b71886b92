"""Sums of products over labelled axes, computed as matrix products and, where nothing is summed, as broadcast ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from math import prod

from gpudl.engine.spec import ShapeError
from gpudl.engine.tensor import Tensor
from gpudl.ops.primitives import elementwise, reduce
from gpudl.ops.primitives.matmul import matmul
from gpudl.ops.primitives.shape import in_order, reshape, take_slice

Label = str | int
Labels = tuple[Label, ...]
Labelled = tuple[Tensor, Labels]


def contracted(tensors: Sequence[Tensor], terms: Sequence[Labels], result: Labels) -> Tensor:
    """Return the sum, over the labels that are not in `result`, of the products of the tensors.

    Args:
        tensors: the factors.
        terms: the labels of the axes of each; a label that one has twice stands for its diagonal. Axes of size 1
            broadcast to those of the same label.
        result: the labels of the axes of the result.

    Raises:
        ShapeError: axes of one label have different sizes.
    """
    sizes = _sizes(tensors, terms)
    left = [_own(*_diagonal(t, labels), sizes) for t, labels in zip(tensors, terms, strict=True)]
    while len(left) > 1:
        first, second = _next_pair([labels for _, labels in left], result, sizes)
        others = [x for at, x in enumerate(left) if at not in (first, second)]
        kept = {label for _, labels in others for label in labels} | set(result)
        pair = [_reduced(left[i], kept | set(left[j][1])) for i, j in ((first, second), (second, first))]
        left = [*others, _product(pair[0], pair[1], kept, result)]
    return _in_order(*_reduced(left[0], result), result)


def _sizes(tensors: Sequence[Tensor], terms: Sequence[Labels]) -> dict[Label, int]:
    sizes: dict[Label, int] = {}
    for t, labels in zip(tensors, terms, strict=True):
        for label, n in zip(labels, t.shape, strict=True):
            known = sizes.get(label, 1)
            if 1 not in (known, n) and known != n:
                raise ShapeError(f"axis {label!r} has size {known} in one operand and {n} in another.")
            sizes[label] = n if known == 1 else known
    return sizes


def _diagonal(x: Tensor, labels: Labels) -> Labelled:
    """Return x with one axis for each label."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            rest = [a for a in range(x.ndim) if a not in (i, j)]
            n = x.shape[i]
            if x.shape[j] != n:
                raise ShapeError(f"axis {label!r} has the sizes {n} and {x.shape[j]} in one operand.")
            x = in_order(x, (*rest, i, j))
            x = take_slice(reshape(x, (*x.shape[:-2], n * n)), key=(Ellipsis, (None, None, n + 1)))
            labels = (*(labels[a] for a in rest), label)
    return x, labels


def _own(x: Tensor, labels: Labels, sizes: dict[Label, int]) -> Labelled:
    """Return x without the axes of size 1 that broadcast to others."""
    kept = tuple(label for label, n in zip(labels, x.shape, strict=True) if n == sizes[label])
    return (x, labels) if kept == labels else (reshape(x, [sizes[label] for label in kept]), kept)


def _next_pair(terms: list[Labels], result: Labels, sizes: dict[Label, int]) -> tuple[int, int]:
    """Return the two factors whose product is the smallest, compared with what they are themselves."""

    def growth(pair: tuple[int, int]) -> int:
        rest = {label for at, labels in enumerate(terms) if at not in pair for label in labels} | set(result)
        made = {label for at in pair for label in terms[at]} & rest
        return size(made) - sum(size(terms[at]) for at in pair)

    def size(labels: Iterable[Label]) -> int:
        return prod(sizes[label] for label in labels)

    return min(combinations(range(len(terms)), 2), key=growth)


def _reduced(one: Labelled, kept: Iterable[Label]) -> Labelled:
    """Return a factor summed over the labels that are not `kept`."""
    x, labels = one
    gone = tuple(a for a, label in enumerate(labels) if label not in kept)
    if not gone:
        return one
    total = elementwise.cast_like(reduce.sum(x, axis=gone), x)
    return total, tuple(label for a, label in enumerate(labels) if a not in gone)


def _in_order(x: Tensor, labels: Labels, wanted: Labels) -> Tensor:
    return in_order(x, [labels.index(label) for label in wanted])


def _product(one: Labelled, other: Labelled, kept: set[Label], result: Labels) -> Labelled:
    """Return the product of two factors, summed over the labels that both have and that are not kept."""
    (a, la), (b, lb) = one, other
    inner = [label for label in la if label in lb and label not in kept]
    if not inner:
        return _broadcast_product(one, other, result)
    batch, summed, swapped = _best_order(one, other, inner, result)
    if swapped:
        (a, la), (b, lb) = other, one
    (left, flip_a, free_a), (right, flip_b, free_b) = (_matrices(x, batch, summed) for x in ((a, la), (b, lb)))
    y = matmul(left, right, transpose_a=flip_a, transpose_b=not flip_b)
    sizes = dict(zip((*la, *lb), (*a.shape, *b.shape), strict=True))
    labels = (*batch, *free_a, *free_b)
    return reshape(y, [sizes[label] for label in labels]), labels


def _broadcast_product(one: Labelled, other: Labelled, result: Labels) -> Labelled:
    here = dict.fromkeys((*one[1], *other[1]))
    order = (*(label for label in result if label in here), *(label for label in here if label not in result))
    factors = []
    for x, labels in (one, other):
        ordered = _in_order(x, labels, tuple(label for label in order if label in labels))
        sizes = iter(ordered.shape)
        factors.append(reshape(ordered, [next(sizes) if label in labels else 1 for label in order]))
    return elementwise.multiply(*factors), order


Order = tuple[Labels, Labels, bool]


def _best_order(one: Labelled, other: Labelled, inner: Sequence[Label], result: Labels) -> Order:
    """Return the order of the labels of the batch and of those summed, and whether the factors change places.

    It is the one that copies the fewest elements.
    """
    (a, la), (b, lb) = one, other
    shared = {label for label in la if label in lb} - set(inner)

    def copied(order: Order) -> int:
        batch, summed, swapped = order
        free = [tuple(label for label in labels if label not in (*batch, *summed)) for labels in (la, lb)]
        count = sum(
            x.size
            for (x, labels), rest in zip((one, other), free, strict=True)
            if labels not in ((*batch, *rest, *summed), (*batch, *summed, *rest))
        )
        made = (*batch, *free[swapped], *free[not swapped])
        return count + (made != result) * a.size * b.size // max(1, prod(a.shape[la.index(i)] for i in inner))

    batches = (tuple(label for label in labels if label in shared) for labels in (la, lb, result))
    sums = (tuple(label for label in labels if label in inner) for labels in (la, lb))
    fitting = (batch for batch in batches if len(batch) == len(shared))
    orders: list[Order] = list(product(dict.fromkeys(fitting), dict.fromkeys(sums), (False, True)))
    return min(orders, key=copied)


def _matrices(x: Labelled, batch: Labels, inner: Labels) -> tuple[Tensor, bool, Labels]:
    """Return a factor as matrices with the summed axis last, or, as the bool says, before the last."""
    t, labels = x
    free = tuple(label for label in labels if label not in (*batch, *inner))
    flipped = labels == (*batch, *inner, *free) != (*batch, *free, *inner)
    t = _in_order(t, labels, labels if flipped else (*batch, *free, *inner))
    lead, first = len(batch), len(inner) if flipped else len(free)
    rows, columns = prod(t.shape[lead : lead + first]), prod(t.shape[lead + first :])
    return reshape(t, (*([prod(t.shape[:lead])] if batch else []), rows, columns)), flipped, free
