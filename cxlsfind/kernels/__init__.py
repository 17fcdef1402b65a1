"""Numba kernels: arrays in, arrays out; no files, no objects, no messages."""
