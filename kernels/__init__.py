"""Fast kernels for gpudl's ops, which work on plain arrays and know nothing of gpudl.

`geometry` holds the index arithmetic of windows, `registry` the table of kernels, `cpu` the Numba
kernels and `cuda` the CUDA C++ kernels and the code that launches them.
"""
