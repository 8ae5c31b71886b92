"""The cases of the op contract, one module per family of ops: each that has `CONTRACTS`."""

from importlib import import_module
from pkgutil import iter_modules

from contract_cases.contract import Contract, Sample

_MODULES = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
CONTRACTS: dict[str, Contract] = {c.op: c for module in _MODULES for c in getattr(module, "CONTRACTS", ())}
_FAMILIES = (
    attention,
    elementwise,
    logic,
    reduce,
    shape,
    linalg,
    conv,
    depthwise,
    pool,
    norm,
    loss,
    order,
    random,
    rnn,
    update,
)
CONTRACTS: dict[str, Contract] = {c.op: c for family in _FAMILIES for c in family.CONTRACTS}

__all__ = ["CONTRACTS", "Contract", "Sample"]
