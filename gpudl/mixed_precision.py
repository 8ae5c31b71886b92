"""Mixed precision under Keras's names; see `dtype_policies` and `optimizers`.

Example:
    >>> gpudl.mixed_precision.set_global_policy("mixed_bfloat16")
    >>> layer = gpudl.layers.Dense(2)
    >>> layer(np.ones((1, 3))).dtype, layer.kernel.dtype
    (dtype(bfloat16), dtype('float32'))
    >>> gpudl.mixed_precision.set_global_policy("float32")
"""

from gpudl.dtype_policies import DTypePolicy, dtype_policy, set_dtype_policy
from gpudl.optimizers import LossScaleOptimizer

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]
