"""Benchmarks for asv; README.md says how to run and how to write them."""

import os

# Before NumPy is loaded: one BLAS thread, so that ratios compare methods and not thread pools.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
