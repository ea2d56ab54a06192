"""Products with a matrix by rows, fused with the inner product that conjugate gradients need."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import types

from numopt.core.generic import generic
from numopt.core.jit import inner


class CSR(NamedTuple):
    """A sparse matrix by rows, as kernels see it."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


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
    total = 0.0
    for i in range(out.size):
        out[i] = row_dot(A, i, x)
        total += x[i] * out[i]
    return total


@generic(multiply_dot)
def _multiply_dot(A, x, out):
    return multiply_dot


def row_dot(A, i, x):
    """a_i' x."""
    if isinstance(A, CSR):
        entries = slice(A.indptr[i], A.indptr[i + 1])
        return A.data[entries] @ x[A.indices[entries]]
    return A[i] @ x


@generic(row_dot)
def _row_dot(A, i, x):
    if isinstance(A, types.Array):
        return lambda A, i, x: _dense_row_dot(A, i, x)

    def sparse(A, i, x):
        total = x.dtype.type(0)
        # Unsigned indices: Numba then spares the test for negative ones, half of the time here.
        for k in range(np.uint64(A.indptr[i]), np.uint64(A.indptr[i + 1])):
            total += A.data[k] * x[np.uint64(A.indices[k])]
        return total

    return sparse


@inner(reduction=True)
def _dense_row_dot(A, i, x):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += A[i, j] * x[j]
    return total
