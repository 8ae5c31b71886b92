"""The cases of the op contract, one module per family of ops."""

from contract_cases import (
    attention,
    conv,
    depthwise,
    elementwise,
    linalg,
    logic,
    loss,
    norm,
    order,
    pool,
    random,
    reduce,
    rnn,
    shape,
    update,
)
from contract_cases.contract import Contract, Sample

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
