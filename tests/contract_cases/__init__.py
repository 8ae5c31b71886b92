"""The cases of the op contract, one module per family of ops."""

from contract_cases import (
    conv,
    cumulative,
    elementwise,
    linalg,
    logic,
    loss,
    norm,
    pool,
    random,
    reduce,
    shape,
    update,
)
from contract_cases.contract import Contract, Sample

_FAMILIES = (
    conv,
    cumulative,
    elementwise,
    linalg,
    logic,
    loss,
    norm,
    pool,
    random,
    reduce,
    shape,
    update,
)
CONTRACTS: dict[str, Contract] = {c.op: c for family in _FAMILIES for c in family.CONTRACTS}

__all__ = ["CONTRACTS", "Contract", "Sample"]
