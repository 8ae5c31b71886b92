"""The primitives: ops with a rule for shapes, a reference and a gradient each, one family per file."""

import gpudl.ops.primitives.fused  # noqa: F401 (first: a pooling takes the gradient of a ReLU before a normalization does)
from gpudl.ops.primitives import (
    activation,
    conv,
    depthwise,
    elementwise,
    exponential,
    gather,
    library,
    logic,
    loss,
    norm,
    order,
    pool,
    random,
    reduce,
    shape,
    special,
    update,
)

FAMILIES = (
    activation,
    conv,
    depthwise,
    elementwise,
    exponential,
    gather,
    library,
    logic,
    loss,
    norm,
    order,
    pool,
    random,
    reduce,
    shape,
    special,
    update,
)
"""The files whose public names are ops."""
