"""Random numbers: generators whose state is a variable, so that replayed steps draw new numbers, and distributions."""

from gpudl.names import export
from gpudl.random import continuous, discrete, generators
from gpudl.random.continuous import *  # noqa: F403
from gpudl.random.discrete import *  # noqa: F403
from gpudl.random.generators import *  # noqa: F403
from gpudl.random.generators import Shape, make_default_seed

__all__ = ["Shape", "make_default_seed"]
export(globals(), continuous, discrete, generators)
