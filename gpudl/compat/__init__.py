"""Running unchanged Keras programs: gpudl under the names `keras` and `tensorflow.keras`.

`gpudl run program.py` runs a program in this way, `import gpudl.as_keras` does it for the rest of a script, and
``%load_ext gpudl`` for a notebook.
"""
