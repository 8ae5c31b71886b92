"""The ops: everything that gpudl computes.

`primitives` has them with their gradients, one family per file. The other modules have Keras's functions, with its
arguments, which are compositions of primitives.
"""

import gpudl.ops.primitives.fused
import gpudl.ops.primitives.rnn  # noqa: F401 (both register rules or ops)
from gpudl.engine.calls import publish
from gpudl.engine.op import Op, registry
from gpudl.engine.tensor import faces
from gpudl.ops import (
    branches,
    gradients,
    image,
    linalg,
    loops,
    mapping,
    math,
    nn,
    numpy,
    primitives,
    rearranging,
    repeating,
    scattering,
    segments,
    spectral,
)
from gpudl.ops.branches import *  # noqa: F403
from gpudl.ops.gradients import *  # noqa: F403
from gpudl.ops.linalg import *  # noqa: F403
from gpudl.ops.loops import *  # noqa: F403
from gpudl.ops.mapping import *  # noqa: F403
from gpudl.ops.math import *  # noqa: F403
from gpudl.ops.nn import *  # noqa: F403
from gpudl.ops.numpy import *  # noqa: F403
from gpudl.ops.primitives.activation import *  # noqa: F403
from gpudl.ops.primitives.conv import *  # noqa: F403
from gpudl.ops.primitives.depthwise import *  # noqa: F403
from gpudl.ops.primitives.elementwise import *  # noqa: F403
from gpudl.ops.primitives.exponential import *  # noqa: F403
from gpudl.ops.primitives.gather import *  # noqa: F403
from gpudl.ops.primitives.library import *  # noqa: F403
from gpudl.ops.primitives.logic import *  # noqa: F403
from gpudl.ops.primitives.loss import *  # noqa: F403
from gpudl.ops.primitives.norm import *  # noqa: F403
from gpudl.ops.primitives.pool import *  # noqa: F403
from gpudl.ops.primitives.random import *  # noqa: F403
from gpudl.ops.primitives.reduce import *  # noqa: F403
from gpudl.ops.primitives.shape import *  # noqa: F403
from gpudl.ops.primitives.special import *  # noqa: F403
from gpudl.ops.primitives.update import *  # noqa: F403
from gpudl.ops.rearranging import *  # noqa: F403
from gpudl.ops.repeating import *  # noqa: F403
from gpudl.ops.scattering import *  # noqa: F403
from gpudl.ops.segments import *  # noqa: F403
from gpudl.ops.spectral import *  # noqa: F403

__all__ = ["Op", "image", "linalg", "nn", "numpy", "registry"]

publish(
    globals(),
    branches,
    gradients,
    linalg,
    loops,
    mapping,
    math,
    nn,
    numpy,
    rearranging,
    repeating,
    scattering,
    segments,
    spectral,
    *primitives.FAMILIES,
)
_FACES = ("__matmul__", "__getitem__", "reshape", "scan", "squeeze", "true_divide")
faces.update({face: globals()[face.strip("_")] for face in _FACES})
