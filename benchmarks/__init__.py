"""Benchmarks for asv; README.md says how to run and how to write them."""

import os

from threadpoolctl import threadpool_limits

# One BLAS thread, so that ratios compare methods and not thread pools: by the environment for
# libraries and processes to come, by a call for NumPy, which asv has loaded already.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
threadpool_limits(limits=1)
