"""NumPy's functions of tensors, with Keras's arguments, defaults and dtypes.

A function whose arguments are tensors only, such as `exp` and `add`, is the primitive itself.
"""

from gpudl.engine.calls import publish
from gpudl.ops.numpy import (
    accumulation,
    arrangement,
    checks,
    counting,
    creation,
    differences,
    einstein,
    elementwise,
    extremes,
    indexing,
    inspection,
    matrices,
    missing,
    padding,
    parts,
    plain,
    products,
    quantiles,
    ranges,
    reductions,
    repetition,
    representation,
    selection,
    slices,
    sorting,
    splitting,
    statistics,
)
from gpudl.ops.numpy.accumulation import *  # noqa: F403
from gpudl.ops.numpy.arrangement import *  # noqa: F403
from gpudl.ops.numpy.checks import *  # noqa: F403
from gpudl.ops.numpy.counting import *  # noqa: F403
from gpudl.ops.numpy.creation import *  # noqa: F403
from gpudl.ops.numpy.differences import *  # noqa: F403
from gpudl.ops.numpy.einstein import *  # noqa: F403
from gpudl.ops.numpy.elementwise import *  # noqa: F403
from gpudl.ops.numpy.extremes import *  # noqa: F403
from gpudl.ops.numpy.indexing import *  # noqa: F403
from gpudl.ops.numpy.inspection import *  # noqa: F403
from gpudl.ops.numpy.matrices import *  # noqa: F403
from gpudl.ops.numpy.missing import *  # noqa: F403
from gpudl.ops.numpy.padding import *  # noqa: F403
from gpudl.ops.numpy.parts import *  # noqa: F403
from gpudl.ops.numpy.plain import *  # noqa: F403
from gpudl.ops.numpy.products import *  # noqa: F403
from gpudl.ops.numpy.quantiles import *  # noqa: F403
from gpudl.ops.numpy.ranges import *  # noqa: F403
from gpudl.ops.numpy.reductions import *  # noqa: F403
from gpudl.ops.numpy.repetition import *  # noqa: F403
from gpudl.ops.numpy.representation import *  # noqa: F403
from gpudl.ops.numpy.selection import *  # noqa: F403
from gpudl.ops.numpy.slices import *  # noqa: F403
from gpudl.ops.numpy.sorting import *  # noqa: F403
from gpudl.ops.numpy.splitting import *  # noqa: F403
from gpudl.ops.numpy.statistics import *  # noqa: F403

publish(
    globals(),
    accumulation,
    arrangement,
    checks,
    counting,
    creation,
    differences,
    einstein,
    elementwise,
    extremes,
    indexing,
    inspection,
    matrices,
    missing,
    padding,
    parts,
    plain,
    products,
    quantiles,
    ranges,
    reductions,
    repetition,
    representation,
    selection,
    slices,
    sorting,
    splitting,
    statistics,
)
