"""The cases of the op contract, one module per family of ops: each that has `CONTRACTS`."""

from importlib import import_module
from pkgutil import iter_modules

from contract_cases.contract import Contract, Sample

_MODULES = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
CONTRACTS: dict[str, Contract] = {c.op: c for module in _MODULES for c in getattr(module, "CONTRACTS", ())}

__all__ = ["CONTRACTS", "Contract", "Sample"]
