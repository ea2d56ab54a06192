r"""QR factors of a matrix whose columns come and go, in O(m k) per change.

X = Q R with orthonormal columns: Q is m x k, R upper triangular with a positive diagonal. Both
stand in the leading columns of Fortran-ordered buffers, (m, capacity) and (capacity, capacity).
A new column is orthogonalised twice by classical Gram-Schmidt, after which Q is orthonormal to
rounding however close the column lies to the others: "twice is enough".

References
----------
L. Giraud, J. Langou, M. Rozloznik, J. van den Eshof, "Rounding error analysis of the classical
Gram-Schmidt orthogonalization process", Numer. Math. 101, 2005.
J. W. Daniel, W. B. Gragg, L. Kaufman, G. W. Stewart, "Reorthogonalization and stable algorithms
for updating the Gram-Schmidt QR factorization", Math. Comp. 30, 1976.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.validate import as_vector, require_count, require_length

WIDTH = 4  # columns of Q per pass over a vector


class UpdatableQR:
    """Least squares on a set of columns that come and go.

    Parameters
    ----------
    m : int
        Length of the columns.
    capacity : int, default 16
        Columns to keep room for; grows by itself up to m.
    dtype : dtype, default float64
    tol : float, default 1e-12
        A column of which less than this share is left after orthogonalisation is refused.

    Raises
    ------
    numpy.linalg.LinAlgError
        From `append`: the column depends on the others. The factors stay as they were.

    Examples
    --------
    >>> from numopt.linalg import UpdatableQR
    >>> factor = UpdatableQR(3)
    >>> factor.append([1.0, 0.0, 0.0])
    >>> factor.append([1.0, 2.0, 0.0])
    >>> factor.solve([3.0, 2.0, 5.0]).tolist()
    [2.0, 1.0]
    >>> factor.delete(0)
    >>> factor.solve([3.0, 2.0, 5.0]).round(12).tolist()
    [1.4]
    """

    def __init__(self, m: int, capacity: int = 16, dtype: Any = np.float64, tol: float = 1e-12):
        require_count(m, "m")
        require_count(capacity, "capacity")
        capacity = min(capacity, m)
        self.size = 0
        self.tol = tol
        self._Q = np.empty((m, capacity), dtype, order="F")
        self._R = np.zeros((capacity, capacity), dtype, order="F")

    @property
    def Q(self) -> np.ndarray:
        """Orthonormal basis of the columns, as a copy."""
        return self._Q[:, : self.size].copy()

    @property
    def R(self) -> np.ndarray:
        """The triangular factor, as a copy."""
        return np.triu(self._R[: self.size, : self.size])

    def append(self, column: Any) -> None:
        """Add a last column."""
        m, capacity = self._Q.shape
        column = require_length(self._vector(column, "column"), m, "column")
        if self.size == capacity < m:
            self._grow(min(m, 2 * capacity + 8))
        work = np.empty(self.size, self._Q.dtype)
        if self.size == m or qr_append(self._Q, self._R, self.size, column, work, self.tol) != 0:
            raise np.linalg.LinAlgError("the column depends on the others")
        self.size += 1

    def delete(self, i: int) -> None:
        """Remove column i; those behind it move up."""
        require_count(i, "index")
        if i >= self.size:
            raise ValueError(f"index must be less than {self.size}, got {i}")
        qr_delete(self._Q, self._R, self.size, i, np.empty(0, self._Q.dtype))
        self.size -= 1

    def solve(self, y: Any) -> np.ndarray:
        """Coefficients of the least-squares fit to y."""
        y = require_length(self._vector(y, "y"), self._Q.shape[0], "y")
        x = np.empty(self.size, y.dtype)
        project_out(self._Q, y, x)
        upper_solve_into(self._R, x)
        return x

    def _vector(self, value: Any, name: str) -> np.ndarray:
        return as_vector(value, name, self._Q.dtype).copy()

    def _grow(self, capacity: int) -> None:
        k = self.size
        Q = np.empty((self._Q.shape[0], capacity), self._Q.dtype, order="F")
        R = np.zeros((capacity, capacity), self._Q.dtype, order="F")
        Q[:, :k], R[:k, :k] = self._Q[:, :k], self._R[:k, :k]
        self._Q, self._R = Q, R


# ---- kernels -------------------------------------------------------------------------------------


@kernel
def qr_append(Q, R, size, column, work, tol):
    """Append a column; 0, or 1 if no more than `tol` of its length is left over.

    `column` is overwritten; `work` is scratch of length size. On failure the factors stay as they
    were, up to the column of R beyond them.
    """
    before = _norm(column)
    for j in range(size):
        R[j, size] = 0
    left = before
    for _ in range(2):
        project_out(Q, column, work[:size])
        for j in range(size):
            R[j, size] += work[j]
        left = _norm(column)
        if not left > tol * before:
            return 1
    R[size, size] = left
    for i in range(column.size):
        Q[i, size] = column[i] / left
    return 0


@kernel
def qr_delete(Q, R, size, i, z):
    """Delete column i.

    z = Q'y, of length size, is carried along, its last entry then what the column explained; pass
    an empty array if there is none.
    """
    for c in range(i, size - 1):
        for r in range(c + 2):
            R[r, c] = R[r, c + 1]
    for j in range(i, size - 1):
        diagonal = np.hypot(R[j, j], R[j + 1, j])
        c, s = R[j, j] / diagonal, R[j + 1, j] / diagonal
        R[j, j] = diagonal
        for k in range(j + 1, size - 1):
            one, other = R[j, k], R[j + 1, k]
            R[j, k] = c * one + s * other
            R[j + 1, k] = c * other - s * one
        for r in range(Q.shape[0]):
            one, other = Q[r, j], Q[r, j + 1]
            Q[r, j] = c * one + s * other
            Q[r, j + 1] = c * other - s * one
        if z.size > 0:
            z[j], z[j + 1] = c * z[j] + s * z[j + 1], c * z[j + 1] - s * z[j]


@kernel
def upper_solve_into(R, b):
    """Overwrite b with the solution of R x = b; R may be larger than b."""
    for j in range(b.size - 1, -1, -1):
        b[j] /= R[j, j]
        for i in range(j):
            b[i] -= b[j] * R[i, j]


@kernel
def project_out(Q, v, h):
    """h = Q'v and v = v - Q h, for the first h.size columns of Q."""
    k = h.size
    full = k - k % WIDTH
    for j in range(0, full, WIDTH):
        h[j], h[j + 1], h[j + 2], h[j + 3] = _four_products(Q, j, v)
    for j in range(full, k):
        h[j] = _inner_product(Q, j, v)
    for j in range(0, full, WIDTH):
        h0, h1, h2, h3 = h[j], h[j + 1], h[j + 2], h[j + 3]
        for i in range(v.size):
            v[i] -= h0 * Q[i, j] + h1 * Q[i, j + 1] + h2 * Q[i, j + 2] + h3 * Q[i, j + 3]
    for j in range(full, k):
        for i in range(v.size):
            v[i] -= h[j] * Q[i, j]


@inner(reduction=True)
def _four_products(Q, j, v):
    """Inner products of v with WIDTH columns of Q."""
    h0 = h1 = h2 = h3 = v.dtype.type(0)
    for i in range(v.size):
        t = v[i]
        h0 += Q[i, j] * t
        h1 += Q[i, j + 1] * t
        h2 += Q[i, j + 2] * t
        h3 += Q[i, j + 3] * t
    return h0, h1, h2, h3


@inner(reduction=True)
def _inner_product(Q, j, v):
    total = v.dtype.type(0)
    for i in range(v.size):
        total += Q[i, j] * v[i]
    return total


@inner(reduction=True)
def _norm(v):
    total = v.dtype.type(0)
    for i in range(v.size):
        total += v[i] * v[i]
    return np.sqrt(total)
