"""Make later imports of Keras give gpudl.

Example:
    >>> import gpudl.as_keras
    >>> from tensorflow.keras.layers import Dense
    >>> Dense is gpudl.layers.Dense
    True
    >>> gpudl.compat.aliases.uninstall()
"""

from gpudl.compat.aliases import install

install()
