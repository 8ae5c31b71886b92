"""The building blocks of the CPU kernels: prebound calls, threads, vector instructions, tiles, tables of offsets."""
