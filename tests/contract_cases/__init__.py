"""The cases of the op contract, one module per family of ops."""

from contract_cases import (
    attention,
    conv,
    cumulative,
    depthwise,
    elementwise,
    lapack,
    library,
    linalg,
    logic,
    loss,
    norm,
    pool,
    random,
    reduce,
    rnn,
    shape,
    update,
)
from contract_cases.contract import Contract, Sample

_FAMILIES = (
    conv,
    cumulative,
    elementwise,
    lapack,
    library,
    linalg,
    logic,
    loss,
    norm,
    pool,
    random,
    reduce,
    shape,
    attention,
    elementwise,
    logic,
    reduce,
    shape,
    lapack,
    library,
    linalg,
    conv,
    depthwise,
    pool,
    norm,
    loss,
    random,
    rnn,
    update,
)
CONTRACTS: dict[str, Contract] = {c.op: c for family in _FAMILIES for c in family.CONTRACTS}

__all__ = ["CONTRACTS", "Contract", "Sample"]
