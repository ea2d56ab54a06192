"""Products with a matrix by rows, fused with the inner product that conjugate gradients need."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numba import types

from numopt.core.dispatch import generic
from numopt.core.jit import inner
from numopt.linalg import sparse
from numopt.linalg.sparse import CSR


def lower_rows(A: Any, dtype: Any) -> Any:
    """An array or sparse matrix as kernels take it, by rows; copied only where it has to be."""
    if not sp.issparse(A):
        return np.require(A, dtype, ["C", "A", "W"])
    rows = A.tocsr()
    index = np.int64 if rows.nnz >= 2**31 else np.int32
    return CSR(
        np.require(rows.data, dtype, ["C", "A", "W"]),
        np.require(rows.indices, index, ["C", "A", "W"]),
        np.require(rows.indptr, index, ["C", "A", "W"]),
    )


def multiply_dot(A, x, out):
    """out = A x, and x'A x of a square A, accumulated in float64."""
    if isinstance(A, CSR):
        return sparse.multiply_dot(A, x, out)
    return _dense_multiply_dot(A, x, out)


@generic(multiply_dot)
def _multiply_dot(A, x, out):
    if isinstance(A, types.Array):
        return lambda A, x, out: _dense_multiply_dot(A, x, out)
    return lambda A, x, out: sparse.multiply_dot(A, x, out)


@inner
def _dense_multiply_dot(A, x, out):
    total = 0.0
    for i in range(out.size):
        out[i] = _dense_row_dot(A, i, x)
        total += x[i] * out[i]
    return total


@inner(reduction=True)
def _dense_row_dot(A, i, x):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += A[i, j] * x[j]
    return total
