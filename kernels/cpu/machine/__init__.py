"""What the kernels for the CPU are made of: prebound calls, threads, vectors, tiles, tables of where things lie."""
