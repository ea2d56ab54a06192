"""Matrices as kernels see them, dense or sparse by columns, and their products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from numopt.core.dispatch import generic
from numopt.core.gather import gather_dot
from numopt.core.jit import inner


class CSC(NamedTuple):
    """A sparse matrix by columns, as kernels see it."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    n_rows: int


@inner(reduction=True)
def _dense_dot(column, r):
    total = column[0] * r[0] * 0 if column.size else r.dtype.type(0)
    for i in range(column.size):
        total += column[i] * r[i]
    return total


@inner(contract=True, merged=True)
def _sparse_dot(X, j, r):
    start, stop = np.uint64(X.indptr[j]), np.uint64(X.indptr[j + 1])
    return gather_dot(X.data, X.indices, start, stop, r, X.data.size >= 8 * X.indptr.size)


@inner(contract=True, merged=True)
def _sparse_axpy(X, j, a, r):
    # Unsigned positions spare the test for negative ones.
    for k in range(np.uint64(X.indptr[j]), np.uint64(X.indptr[j + 1])):
        r[np.uint64(X.indices[k])] += a * X.data[k]


def col_dot(X, j, r):
    """x_j' r."""
    return _sparse_dot(X, j, r) if isinstance(X, CSC) else _dense_dot(X[:, j], r)


@generic(col_dot, merged=True)
def _col_dot(X, j, r):
    if isinstance(X, types.Array):
        return lambda X, j, r: _dense_dot(X[:, j], r)
    return lambda X, j, r: _sparse_dot(X, j, r)


def col_axpy(X, j, a, r):
    """r += a x_j."""
    if isinstance(X, CSC):
        _sparse_axpy(X, j, a, r)
    else:
        r += a * X[:, j]


@generic(col_axpy, merged=True)
def _col_axpy(X, j, a, r):
    if isinstance(X, types.Array):

        def dense(X, j, a, r):
            for i in range(r.size):
                r[i] += a * X[i, j]

        return dense

    return lambda X, j, a, r: _sparse_axpy(X, j, a, r)


def n_columns(X):
    """Number of columns of a dense or sparse matrix: coefficients, with several outputs."""
    if isinstance(X, Outputs):
        return n_columns(X.X) * X.outputs
    return X.indptr.size - 1 if isinstance(X, CSC) else X.shape[1]


@generic(n_columns)
def _n_columns(X):
    if isinstance(X, types.Array):
        return lambda X: X.shape[1]
    if _is_outputs(X):
        return lambda X: n_columns(X.X) * X.outputs
    return lambda X: X.indptr.size - 1


class Outputs(NamedTuple):
    """A matrix that acts on several columns at once; w and out hold theirs row by row."""

    X: Any
    outputs: int


def _predict_one(X, w, out):
    out[:] = 0
    for j in range(n_columns(X)):
        if w[j] != 0:
            col_axpy(X, j, w[j], out)


def _correlate_one(X, r, out):
    for j in range(n_columns(X)):
        out[j] = col_dot(X, j, r)


def predict(X, w, out):
    """out = X w, reading only the columns where w is not 0."""
    if isinstance(X, Outputs):
        for k in range(X.outputs):
            _predict_one(X.X, w[k :: X.outputs], out[k :: X.outputs])
    else:
        _predict_one(X, w, out)


def correlate(X, r, out):
    """out = X' r."""
    if isinstance(X, Outputs):
        for k in range(X.outputs):
            _correlate_one(X.X, r[k :: X.outputs], out[k :: X.outputs])
    else:
        _correlate_one(X, r, out)


def _is_outputs(X):
    return getattr(X, "instance_class", None) is Outputs


@generic(predict)
def _predict(X, w, out):
    if not _is_outputs(X):
        return _predict_one
    if isinstance(X[0], types.Array):

        def dense(X, w, out):
            n, p = X.X.shape
            np.dot(X.X, w.reshape((p, X.outputs)), out.reshape((n, X.outputs)))

        return dense

    def sparse(X, w, out):
        K, A = X.outputs, X.X
        out[:] = 0
        for j in range(A.indptr.size - 1):
            for e in range(A.indptr[j], A.indptr[j + 1]):
                i = A.indices[e]
                for k in range(K):
                    out[i * K + k] += A.data[e] * w[j * K + k]

    return sparse


@generic(correlate)
def _correlate(X, r, out):
    if not _is_outputs(X):
        return _correlate_one
    if isinstance(X[0], types.Array):

        def dense(X, r, out):
            n, p = X.X.shape
            np.dot(X.X.T, r.reshape((n, X.outputs)), out.reshape((p, X.outputs)))

        return dense

    def sparse(X, r, out):
        K, A = X.outputs, X.X
        out[:] = 0
        for j in range(A.indptr.size - 1):
            for e in range(A.indptr[j], A.indptr[j + 1]):
                i = A.indices[e]
                for k in range(K):
                    out[j * K + k] += A.data[e] * r[i * K + k]

    return sparse
