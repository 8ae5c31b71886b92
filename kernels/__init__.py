"""Faster twins of gpudl's ops: plain arrays in, plain arrays out, no knowledge of gpudl.

`geometry` holds the index arithmetic of windows, `registry` the table of twins, `cpu` the Numba
kernels and `cuda` the CUDA C++ kernels with their launcher.
"""
