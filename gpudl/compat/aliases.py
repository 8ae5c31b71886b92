"""Imports of `keras` and `tensorflow` that give gpudl."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from gpudl.compat import missing

KERAS_VERSION = "3.15.0"  # the version whose names and behaviour gpudl follows
TENSORFLOW_VERSION = "2.21.0"  # a version of TensorFlow that matches it

# Modules of Keras 2, and where Keras 3 has their names.
_OLD_MODULES = {
    **{
        f"layers.{old}": "layers"
        for old in (
            *("advanced_activations", "convolutional", "core", "embeddings", "local", "merge", "noise"),
            *("normalization", "pooling", "recurrent", "wrappers"),
        )
    },
    **{f"utils.{old}": "utils" for old in ("np_utils", "vis_utils", "generic_utils", "data_utils")},
    "engine": "layers",
    "engine.topology": "layers",
    "optimizers.legacy": "optimizers",
}


class _Alias(ModuleType):
    """A module under Keras's name, which looks up names in a module of gpudl when a program accesses them."""

    def __init__(self, name: str, real: ModuleType) -> None:
        super().__init__(name, real.__doc__)
        self.__path__: list[str] = []  # its submodules are found by `_Finder` only
        self.__file__ = real.__file__
        self._real = real
        self.__all__ = list(getattr(real, "__all__", ()))
        if name == "tensorflow":
            self.__version__ = TENSORFLOW_VERSION
        elif real.__name__ == "gpudl":
            self.__version__ = KERAS_VERSION

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # names that Python itself looks up
            raise AttributeError(name)
        whole = f"{self.__name__}.{name}"
        if module_of(whole) is not None:
            return importlib.import_module(whole)
        found = getattr(self._real, name, missing)
        if isinstance(found, ModuleType):  # not a public name, but a module of gpudl's own
            missing.note(whole)
            raise AttributeError(f"{whole} is not in gpudl.", name=name, obj=self)
        return found

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._real)})


class _Finder(MetaPathFinder, Loader):
    """Finds `keras`, `tensorflow` and what is in them, before any package of these names that is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ("keras", "tensorflow"):
            return None
        if module_of(fullname) is None:
            missing.note(fullname)
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        real = module_of(spec.name)
        assert real is not None, f"find_spec found {spec.name}"
        return _Alias(spec.name, real)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the names are looked up when they are accessed."""


_finder = _Finder()


def install() -> None:
    """Make `import keras` and `import tensorflow` give gpudl in this process from now on.

    Raises:
        ImportError: Keras or TensorFlow has been imported already.
    """
    if _finder in sys.meta_path:
        return
    taken = [name for name in ("keras", "tensorflow") if name in sys.modules]
    if taken:
        raise ImportError(
            f"{' and '.join(taken)} has been imported before gpudl could replace it. Start a new process, "
            "and make gpudl.as_keras its first import."
        )
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undo `install`; modules that were imported before stay valid."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name in [name for name, module in sys.modules.items() if isinstance(module, _Alias)]:
        del sys.modules[name]


def exists(name: str) -> bool:
    """Return whether a dotted name of Keras or TensorFlow exists in gpudl.

    Below classes and functions every name counts as found.

    Example:
        >>> exists("keras.layers.Dense.call"), exists("tensorflow.keras.layers.Foo")
        (True, False)
    """
    module: ModuleType | None = None
    names = name.split(".")
    for length in range(1, len(names) + 1):
        inner = module_of(".".join(names[:length]))
        if inner is None:
            last = names[length - 1]
            found = getattr(module, last, missing)
            return last in ("__version__", "__name__", "__file__") or not isinstance(found, ModuleType)
        module = inner
    return True


def module_of(name: str) -> ModuleType | None:
    """Return the module of gpudl for a module of Keras or TensorFlow, or None if there is none."""
    top, *inner = name.split(".")
    if top == "tensorflow" and inner[:1] != ["keras"]:
        return _public(importlib.import_module("gpudl.compat.tensorflow"), inner)
    keras = importlib.import_module("gpudl")
    inner = inner[1:] if top == "tensorflow" else inner
    if inner == ["backend"]:  # gpudl.backend is about arrays and devices
        return importlib.import_module("gpudl.compat.keras_backend")
    old = _OLD_MODULES.get(".".join(inner))
    return _public(keras, inner) or (_public(keras, [old]) if old else None)


def _public(module: ModuleType, inner: list[str]) -> ModuleType | None:
    """Return the module at a path of public names."""
    for name in inner:
        public = getattr(module, "__all__", None)
        found = getattr(module, name, None) if public is None or name in public else None
        if not isinstance(found, ModuleType):
            return None
        module = found
    return module


def load_ipython_extension(_shell: object) -> None:
    """Make a notebook's imports of Keras give gpudl, for ``%load_ext gpudl``."""
    install()


def unload_ipython_extension(_shell: object) -> None:
    """Undo this, for ``%unload_ext gpudl``."""
    uninstall()
