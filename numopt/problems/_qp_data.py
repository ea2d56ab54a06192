"""Reading and checking the data of quadratic programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.validate import as_matrix, as_vector, require_length, require_number
from numopt.problems import _qp_kernels as kernels

FLOAT = np.dtype(np.float64)


def by_columns(value: Any, name: str) -> Any:
    """Canonical csc_array in float64 with int32 indices and writeable parts: itself if it is."""
    M = as_matrix(value, name)
    if not sp.issparse(M):
        M = sp.csc_array(np.asarray(M, np.float64))
    index = np.int32 if max(M.nnz, *M.shape) < 2**31 else np.int64
    stored = M.data, M.indices, M.indptr
    if M.data.dtype is FLOAT and all(part.flags.carray for part in stored):
        if M.indices.dtype == M.indptr.dtype == index:
            return M
    parts = (
        np.require(M.data, np.float64, ["C", "A", "W"]),
        np.require(M.indices, index, ["C", "A", "W"]),
        np.require(M.indptr, index, ["C", "A", "W"]),
    )
    if parts[0] is M.data and parts[1] is M.indices and parts[2] is M.indptr:
        return M
    return sp.csc_array(parts, shape=M.shape)


def same_layout(M: Any, known: Any) -> bool:
    """Whether a matrix has finite entries in the places of one that was checked."""
    return (
        type(M) is sp.csc_array
        and M.data.dtype is FLOAT
        and M.data.flags.carray
        and M.indices.dtype == known.indices.dtype
        and M.indices.flags.carray
        and M.indptr.flags.carray
        and kernels.same_layout(M.data, M.indices, M.indptr, known.indices, known.indptr)
    )


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether index arrays are the same; bytes are compared in a tenth of `np.array_equal`."""
    return a is b or (a.dtype == b.dtype and a.size == b.size and a.tobytes() == b.tobytes())


def empty(m: int, n: int) -> Any:
    """A matrix without entries, in the layout of the others."""
    parts = np.zeros(0), np.zeros(0, np.int32), np.zeros(n + 1, np.int32)
    return sp.csc_array(parts, shape=(m, n))


def symmetric(P: Any) -> Any:
    """P itself if symmetric, its symmetric part if that is so up to rounding; else an error."""
    worst, i, j, a, b, scale = kernels.asymmetry(P.data, P.indices, P.indptr)
    if i < 0:
        return P
    if worst > 1e-10 * scale:
        raise ValueError(
            f"P is not symmetric: P[{i}, {j}] is {a:.10g} but P[{j}, {i}] is {b:.10g}; pass "
            "(P + P.T) / 2, or P + np.triu(P, 1).T if P holds its upper triangle only"
        )
    return by_columns((P + P.T) / 2, "P")


def vector(value: Any, name: str, size: int) -> np.ndarray:
    """A vector of the problem in the layout that kernels are compiled for."""
    if name == "q":
        value = require_length(as_vector(value, "q", np.float64), size, "q")
    else:
        value = bound(value, name, size)
    return value if value.flags.carray else np.array(value)


def bound(value: Any, name: str, size: int) -> np.ndarray:
    """A bound as a vector; infinite on its own side only."""
    free = -np.inf if name in ("l", "lb") else np.inf
    if value is None:
        return np.full(size, free)
    if type(value) is not np.ndarray or value.dtype != np.float64 or value.ndim != 1:
        value = np.asarray(value)
        if value.dtype == object:  # None among the entries, as in SciPy's bounds
            value = np.array([free if v is None else v for v in value.ravel()])
        if value.dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
        value = value.astype(np.float64)
        if value.ndim == 0:
            value = np.full(size, value)
    if value.shape != (size,):
        raise ValueError(f"{name} has shape {value.shape}, expected ({size},)")
    bad = np.isnan(value) | (value == -free)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            f"{name} has {value[i]} at index {i} ({int(bad.sum())} such entries); "
            f"{free} stands for no bound"
        )
    return value


def offset(value: Any) -> float:
    """A finite number, or an error that names it."""
    require_number(value, "offset")
    if not np.isfinite(value):
        raise ValueError(f"offset is {value}; it has to be finite")
    return float(value)
