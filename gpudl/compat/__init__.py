"""Keras programs as they stand: `keras` and `tensorflow.keras` under which programs find gpudl.

`gpudl run program.py` runs a program in this way, `import gpudl.as_keras` makes the rest of a script one, and
``%load_ext gpudl`` a notebook.
"""
