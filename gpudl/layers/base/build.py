"""Building a layer: eagerly, completely or not at all, and by one thread only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from gpudl.engine.enclosing import computes, inside, path_of
from gpudl.engine.state import autocast, preparing, state
from gpudl.engine.tree import Nest
from gpudl.engine.variable import Variable
from gpudl.registry import Config

P = ParamSpec("P")
Shapes = dict[str, Nest[int | None]]


class Buildable(Protocol):
    """The interface of objects that can be built, such as layers.

    Attributes:
        built: whether it is built.
        path: the names of the enclosing layers and its own, joined by slashes; None before it is built.
    """

    name: str
    built: bool
    path: str | None
    _own: list[Variable]
    _unfinished: bool
    _build_shapes: Shapes | None


L = TypeVar("L", bound=Buildable)


def all_or_nothing(build: Callable[Concatenate[L, P], None]) -> Callable[Concatenate[L, P], None]:
    """Decorate `build` so that, also when called directly, it leaves a layer either built or unchanged."""
    signature = inspect.signature(build)

    @wraps(build)
    def built_whole(self: L, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with preparing:
            before, own, outer = self.built, list(self._own), self._unfinished
            self._unfinished = True  # even if a build() of the base class marks it as built
            try:
                with nullcontext() if computes(self) else inside(self, self.name):
                    self.path = path_of(self, self.name)
                    build(self, *args, **kwargs)
                self.built = True
                self._build_shapes = dict(list(signature.bind(self, *args, **kwargs).arguments.items())[1:])
            except BaseException:
                self.built, self._own[:] = before, own
                raise
            finally:
                self._unfinished = outer

    return built_whole


@contextmanager
def apart() -> Iterator[None]:
    """Compute eagerly inside a ``with`` block, even while a step is being recorded or shapes are inferred."""
    before = state.symbolic, state.recorder, state.building
    state.symbolic, state.recorder, state.building = False, None, True
    try:
        with autocast(None):
            yield
    finally:
        state.symbolic, state.recorder, state.building = before


class HasBuildConfig:
    """The base of layers that knows for which shapes they were built."""

    built: bool
    build: Callable[..., None]
    _build_shapes: Shapes | None = None

    def get_build_config(self) -> Config | None:
        """Return the shapes that the layer was built for, as plain data; None before."""
        if self._build_shapes is None:
            return None
        if len(self._build_shapes) == 1:
            return {"input_shape": next(iter(self._build_shapes.values()))}
        return {"shapes_dict": dict(self._build_shapes)}

    def build_from_config(self, config: Config) -> None:
        """Build the layer for the shapes that `get_build_config` returned, also if JSON has made lists of them."""
        shapes = {name: _shapes(value) for name, value in config.get("shapes_dict", config).items()}
        if self.built or any(shape is None for shape in shapes.values()):
            return
        if "shapes_dict" in config:
            self.build(**shapes)
        elif config:
            self.build(shapes["input_shape"])
        self.built = True


def _shapes(nest: Any) -> Any:
    """Return a shape as a tuple, in whatever nest of lists and dicts."""
    if isinstance(nest, dict):
        return {name: _shapes(child) for name, child in nest.items()}
    if not isinstance(nest, list | tuple):
        return nest
    whole = any(isinstance(child, list | tuple | dict) for child in nest)
    return type(nest)(map(_shapes, nest)) if whole else tuple(nest)
