"""Let the imports of Keras that follow ``import gpudl.as_keras`` give gpudl."""

from gpudl.compat.aliases import install

install()
