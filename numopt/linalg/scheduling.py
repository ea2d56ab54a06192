"""Orders in which rows of a sparse matrix can be relaxed, and which of them at the same time.

References
----------
E. Anderson, Y. Saad, "Solving sparse triangular linear systems on parallel computers", Int. J. High
Speed Comput. 1 (1989), doi:10.1142/S0129053389000056.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import kernel
from numopt.linalg.sparse import CSR, as_csr, transposed


@kernel
def _levels(lower, upper, level):
    """level_i = 1 + the highest level of a row j < i coupled to i by a_ij or a_ji, else 0."""
    for i in range(level.size):
        level[i] = 0
    for i in range(level.size):
        for k in range(lower.indptr[i], lower.indptr[i + 1]):
            level[i] = max(level[i], level[lower.indices[k]] + 1)
        for k in range(upper.indptr[i], upper.indptr[i + 1]):
            j = upper.indices[k]
            level[j] = max(level[j], level[i] + 1)


@kernel
def _colours(A, At, colour, taken):
    """First-fit colours; neighbours are the patterns of A and of its transpose."""
    for i in range(colour.size):
        colour[i] = -1
    for i in range(colour.size):
        for k in range(A.indptr[i], A.indptr[i + 1]):
            if A.indices[k] < i:
                taken[colour[A.indices[k]]] = i
        for k in range(At.indptr[i], At.indptr[i + 1]):
            if At.indices[k] < i:
                taken[colour[At.indices[k]]] = i
        c = 0
        while taken[c] == i:
            c += 1
        colour[i] = c


def levels(A: Any) -> np.ndarray:
    """Level of every row: 1 + the highest among earlier rows coupled to it.

    Rows of one level do not read each other, and swept level after level they give the very
    iterates of the natural order. Rows i and j are coupled if a_ij or a_ji is stored, so the
    pattern need not be symmetric.

    Parameters
    ----------
    A : scipy.sparse matrix or array of shape (n, n)

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> levels(sp.csr_array([[4.0, 0, 1], [0, 4, 1], [1, 1, 4]])).tolist()
    [0, 0, 1]
    """
    M, n = square(A)
    lower, upper, _ = triangles(M, np.arange(n))
    level = np.empty(n, np.int64)
    _levels(lower, upper, level)
    return level


def colours(A: Any) -> np.ndarray:
    """Colour of every row, first fit in natural order, such that no a_ij joins two of one colour.

    At most one more than the largest number of neighbours; two for a five-point grid. Sweeping
    colour after colour is SOR in another order: the iterates differ, and with them the number of
    iterations (for consistently ordered A not the rate).
    """
    M, n = square(A)
    colour = np.empty(n, np.int64)
    At = transposed(M, n)
    most = int((np.diff(M.indptr) + np.diff(At.indptr)).max(initial=0)) + 2
    _colours(M, At, colour, np.full(most, -1))
    return colour


def square(A: Any) -> tuple[CSR, int]:
    """A by rows, and their number."""
    M, shape = as_csr(A), np.shape(A)
    if shape[0] != shape[1]:
        raise ValueError(f"A must be square, got shape {shape}")
    return M, shape[0]


def triangles(M: CSR, visit: np.ndarray, keep_sides: bool = True) -> tuple[CSR, CSR, np.ndarray]:
    """Parts of P M P' below and above the diagonal and on it, for rows visited in that order.

    Their data are places in ``M.data`` (-1: nothing stored), so that new values cost a gather.
    With `keep_sides` an entry stays on the side of the diagonal it has in M.
    """
    n = visit.size
    rank = np.empty(n, np.int64)
    rank[visit] = np.arange(n)
    rows, columns = np.repeat(np.arange(n), np.diff(M.indptr)), M.indices
    new_rows, new_columns = rank[rows], rank[columns]
    by = np.argsort(new_rows, kind="stable") if keep_sides else np.lexsort((new_columns, new_rows))
    side = np.sign(columns - rows if keep_sides else new_columns - new_rows)
    index = M.indices.dtype
    parts = []
    for which in (-1, 1):
        places = by[side[by] == which]
        indptr = np.zeros(n + 1, index)
        np.cumsum(np.bincount(new_rows[places], minlength=n), out=indptr[1:])
        parts.append(CSR(places, new_columns[places].astype(index), indptr))
    diagonal = np.full(n, -1)
    on = np.flatnonzero(columns == rows)
    diagonal[new_rows[on]] = on
    return parts[0], parts[1], diagonal
