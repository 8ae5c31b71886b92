"""The ops: everything that gpudl computes, one family per file, each with its gradient beside it.

Functions that Keras has too have its signatures: those in `numpy` and `nn`, and ops whose arguments are tensors only.
"""

from types import FunctionType

import gpudl.ops.fused  # noqa: F401 (registers its rules)
from gpudl.engine.calls import public
from gpudl.engine.op import Op, registry
from gpudl.engine.tensor import faces
from gpudl.ops import (
    activation,
    arrangement,
    conv,
    ctc,
    elementwise,
    exponential,
    gather,
    indexing,
    logic,
    loops,
    loss,
    nn,
    norm,
    numpy,
    pool,
    random,
    reduce,
    shape,
    special,
    update,
)
from gpudl.ops.activation import *  # noqa: F403
from gpudl.ops.arrangement import *  # noqa: F403
from gpudl.ops.conv import *  # noqa: F403
from gpudl.ops.ctc import *  # noqa: F403
from gpudl.ops.elementwise import *  # noqa: F403
from gpudl.ops.exponential import *  # noqa: F403
from gpudl.ops.gather import *  # noqa: F403
from gpudl.ops.indexing import *  # noqa: F403
from gpudl.ops.logic import *  # noqa: F403
from gpudl.ops.loops import *  # noqa: F403
from gpudl.ops.loss import *  # noqa: F403
from gpudl.ops.nn import *  # noqa: F403
from gpudl.ops.norm import *  # noqa: F403
from gpudl.ops.numpy import *  # noqa: F403
from gpudl.ops.pool import *  # noqa: F403
from gpudl.ops.random import *  # noqa: F403
from gpudl.ops.reduce import *  # noqa: F403
from gpudl.ops.shape import *  # noqa: F403
from gpudl.ops.special import *  # noqa: F403
from gpudl.ops.update import *  # noqa: F403

__all__ = ["Op", "registry"]
__all__ += activation.__all__
__all__ += arrangement.__all__
__all__ += conv.__all__
__all__ += ctc.__all__
__all__ += elementwise.__all__
__all__ += exponential.__all__
__all__ += gather.__all__
__all__ += indexing.__all__
__all__ += logic.__all__
__all__ += loops.__all__
__all__ += loss.__all__
__all__ += nn.__all__
__all__ += norm.__all__
__all__ += numpy.__all__
__all__ += pool.__all__
__all__ += random.__all__
__all__ += reduce.__all__
__all__ += shape.__all__
__all__ += special.__all__
__all__ += update.__all__

# A call on symbols is recorded as the user's call, not as the calls of ops inside.
for _name in __all__:
    if isinstance(globals()[_name], FunctionType):
        globals()[_name] = public(globals()[_name])
        globals()[_name].__module__ = __name__  # where unpickling finds it
faces.update({face: globals()[face.strip("_")] for face in ("__matmul__", "__getitem__", "true_divide")})
