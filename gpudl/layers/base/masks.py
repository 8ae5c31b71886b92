"""Masks of the samples or time steps that count, which are passed from layer to layer with the tensors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from gpudl.engine.convert import as_tensor
from gpudl.engine.state import warn_user
from gpudl.engine.symbol import KerasTensor
from gpudl.engine.tensor import Tensor
from gpudl.engine.tree import Nest, flatten, map_leaves
from gpudl.layers.base.named import Named
from gpudl.ops import copy

Masks = Nest[Tensor | None]
_MASK = "mask"


def mask_of(leaf: object) -> Tensor | None:
    """Return the mask of a tensor; None if there is none, or if it is not a tensor."""
    return leaf.mask if isinstance(leaf, Tensor) else None


def keeping_mask(tensor: Tensor, made: Tensor) -> Tensor:
    """Return `made`, whose samples and steps are those of `tensor`, with the mask of that."""
    if tensor.mask is not None:
        made.mask = tensor.mask
    return made


def with_masks(tensors: Nest[Tensor], masks: Masks) -> Nest[Tensor]:
    """Return copies of tensors that have the masks of a nest of the same form."""
    several = iter(flatten(masks)[0])
    return map_leaves(lambda tensor: _marked(tensor, next(several, None)), tensors)


def _marked(tensor: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None or mask is tensor.mask:
        return tensor
    marked = copy(tensor)
    marked.mask = mask
    return marked


class HasMasks(Named):
    """The base of layers that implements masking.

    Attributes:
        supports_masking: whether outputs have the mask of the first argument, or that of `compute_mask`.
    """

    supports_masking = False
    _mask_arguments: frozenset[str] = frozenset()  # the arguments of `call` for masks
    _positional: tuple[str, ...] = ()  # the positional arguments of `call`

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "compute_mask" in vars(cls) and "supports_masking" not in vars(cls):
            cls.supports_masking = True

    def _begin_masking(self, taken: Mapping[str, inspect.Parameter]) -> None:
        """Record which masks the parameters of `call` accept."""
        asked = frozenset(name for name in taken if name == _MASK or name.endswith(f"_{_MASK}"))
        if asked:
            self._mask_arguments = asked
            self._positional = tuple(
                n for n, p in taken.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            )

    def _masks_inside(self) -> bool:
        """Return whether layers inside handle the masks of the inputs and outputs."""
        return False

    def compute_mask(self, inputs: Any, previous_mask: Masks = None) -> Masks:
        """Return the mask of the outputs, or a nest of masks.

        Args:
            inputs: the first argument of `call`.
            previous_mask: its mask, or the nest of its masks; None for no mask.
        """
        return previous_mask

    def _with_masks(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """Return the keyword arguments, with the masks that `call` accepts.

        ``mask`` is that of the first of the tensors, ``query_mask`` that of the argument ``query``.
        """
        by_place = dict(zip(self._positional, args, strict=False))
        given = {**by_place, **kwargs}
        tensors = [name for name, value in given.items() if name not in self._mask_arguments and _has_array(value)]
        sources = {f"{name}_{_MASK}": name for name in tensors}
        if tensors and (len(tensors) == 1 or self._mask_arguments == {_MASK}):
            sources[_MASK] = tensors[0]
        found = {
            wanted: map_leaves(mask_of, given[name])
            for wanted, name in sources.items()
            if wanted in self._mask_arguments and wanted not in by_place and kwargs.get(wanted) is None
        }
        return {**kwargs, **{wanted: masks for wanted, masks in found.items() if masks is not None}}

    def _mask_outputs(self, inputs: Nest[Tensor], masks: Masks, outputs: Nest[Tensor]) -> None:
        """Set the masks of the layer's outputs for `inputs` with `masks`; outputs that have masks keep them."""
        unmasked = _all_count(masks)
        if not self.supports_masking:
            if not self._masks_inside() and any(mask_of(leaf) is not None for leaf in flatten(inputs)[0]):
                warn_user(
                    f"{self._who()} was given inputs with a mask and hands none on, for it does not support masking: "
                    "what comes after it takes every step for a real one. If its outputs have the steps of its inputs, "
                    "set supports_masking = True in its __init__(); else give it a compute_mask().",
                )
            return
        own = "compute_mask" in vars(self) or type(self).compute_mask is not HasMasks.compute_mask
        if unmasked and not own:
            return
        for leaf, mask in zip(flatten(outputs)[0], flatten(self.compute_mask(inputs, masks))[0], strict=False):
            if mask is not None and isinstance(leaf, Tensor) and leaf.mask is None:
                leaf.mask = as_tensor(mask)
                if isinstance(leaf, KerasTensor) and leaf.call is not None:
                    leaf.call.masks[leaf.position] = leaf.mask


def said_or_carried(first: Nest[Tensor], kwargs: Mapping[str, object]) -> Masks:
    """Return the masks of the first argument of a call: the argument ``mask``, or those of its tensors."""
    if kwargs.get(_MASK) is not None:
        return kwargs[_MASK]  # type: ignore[return-value]
    return first.mask if isinstance(first, Tensor) else map_leaves(mask_of, first)


def _all_count(masks: Masks) -> bool:
    return all(mask is None for mask in flatten(masks)[0])


def _has_array(value: object) -> bool:
    return any(hasattr(leaf, "dtype") for leaf in flatten(value)[0])
