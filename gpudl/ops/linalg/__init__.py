"""Linear algebra, with Keras's arguments and dtypes: decompositions, solutions, norms."""

from gpudl.engine.calls import publish
from gpudl.ops.linalg import decompositions, norms
from gpudl.ops.linalg.decompositions import *  # noqa: F403
from gpudl.ops.linalg.norms import *  # noqa: F403

publish(globals(), decompositions, norms)
