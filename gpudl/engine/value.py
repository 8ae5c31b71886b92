"""Values of a step that is being recorded: they have a shape and a dtype, and get their memory from a plan."""

from __future__ import annotations

from gpudl.backend import Array, Backend
from gpudl.engine.spec import Spec


class Recording:
    """One recording of a step.

    Attributes:
        on: the backend that will replay it.
        over: whether the step has returned; its values must not be used outside it.
    """

    __slots__ = ("on", "over")

    def __init__(self, on: Backend) -> None:
        self.on = on
        self.over = False


class Value:
    """A value in the record of a step.

    Attributes:
        spec: its shape and dtype.
        recording: the recording that it belongs to.
        external: the array of a variable, a constant or an input, whose address is fixed; None for computed values.
        root: the value that owns the memory: itself, except for the result of an alias op.
        memory: the identity of the memory: variables that are parts of one flat buffer have the same one.
    """

    __slots__ = ("external", "memory", "recording", "root", "spec")

    def __init__(
        self, spec: Spec, recording: Recording, *, base: Value | None = None, external: Array | None = None
    ) -> None:
        self.spec = spec
        self.recording = recording
        self.external = external
        self.root = self
        owner = getattr(external, "base", None)
        self.memory = id(self) if external is None else id(external if owner is None else owner)
        if base is not None:
            self.rest_on(base)

    def rest_on(self, base: Value) -> None:
        """Become a view of `base`."""
        self.root, self.memory = base.root, base.memory

    def __repr__(self) -> str:
        return f"<value {self.spec.shape} {self.spec.dtype}>"
