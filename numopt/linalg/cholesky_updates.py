r"""Cholesky factors that follow their matrix: variables come, go and change places, in O(n^2).

The factor L of A = L L' stands in the leading rows and columns of a Fortran-ordered buffer of any
capacity; entries above the diagonal are neither read nor written. All changes run down columns of
L, with rotations: backward stable, and the diagonal stays positive.

References
----------
P. E. Gill, G. H. Golub, W. Murray, M. A. Saunders, "Methods for modifying matrix factorizations",
Math. Comp. 28, 1974.
J. J. Dongarra, J. R. Bunch, C. B. Moler, G. W. Stewart, LINPACK Users' Guide, 1979, ch. 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.validate import as_array, as_vector, require_count, require_length
from numopt.linalg.cholesky import (
    backward_solve_into,
    cholesky_solve_into,
    forward_solve_into,
)


class UpdatableCholesky:
    """Cholesky factor of a positive definite matrix whose variables come and go.

    Parameters
    ----------
    A : array of shape (n, n), optional
        The matrix to begin with, of which the lower triangle is read; none, n = 0, if not given.
    capacity : int, optional
        Variables to keep room for; grows by itself.
    tol : float, default 1e-14
        A change that would leave a pivot below this share of the entry of A it comes from is
        refused: the matrix would be singular to rounding.

    Raises
    ------
    numpy.linalg.LinAlgError
        From all changes: the changed matrix is not positive definite. The factor stays as it was.

    Notes
    -----
    Appending, deleting, rank-one changes and solves take O(n^2), a swap of neighbours O(n).

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.linalg import UpdatableCholesky
    >>> factor = UpdatableCholesky([[4.0]])
    >>> factor.append([2.0, 5.0])
    >>> factor.solve([8.0, 8.0]).tolist()
    [1.5, 1.0]
    >>> factor.delete(0)
    >>> factor.solve([5.0]).round(12).tolist()
    [1.0]
    """

    def __init__(self, A: Any = None, capacity: int | None = None, tol: float = 1e-14):
        A = np.empty((0, 0)) if A is None else as_array(A, "A", 2)
        n = A.shape[0]
        if A.shape != (n, n):
            raise ValueError(f"A must be square, got shape {A.shape}")
        capacity = 2 * n + 8 if capacity is None else capacity
        require_count(capacity, "capacity", n)
        self.size = n
        self.tol = tol
        self._buffer = np.zeros((capacity, capacity), A.dtype, order="F")
        self._buffer[:n, :n] = np.linalg.cholesky(A)

    @property
    def L(self) -> np.ndarray:
        """The factor, as a copy."""
        return np.tril(self._buffer[: self.size, : self.size])

    def append(self, column: Any) -> None:
        """Add a last variable; `column` (n + 1) is the last column of the larger matrix."""
        column = require_length(self._vector(column, "column"), self.size + 1, "column")
        if self.size == self._buffer.shape[0]:
            wider = np.zeros((2 * self.size + 8,) * 2, self._buffer.dtype, order="F")
            wider[: self.size, : self.size] = self._buffer
            self._buffer = wider
        self._require(cholesky_append(self._buffer, self.size, column, self.tol))
        self.size += 1

    def delete(self, i: int) -> None:
        """Remove variable i; those behind it move up."""
        self._require_variable(i, self.size)
        cholesky_delete(self._buffer, self.size, i, self._work())
        self.size -= 1

    def update(self, x: Any) -> None:
        """A becomes A + x x'."""
        x = require_length(self._vector(x, "x"), self.size, "x")
        cholesky_update(self._buffer, self.size, x)

    def downdate(self, x: Any) -> None:
        """A becomes A - x x'."""
        x = require_length(self._vector(x, "x"), self.size, "x")
        self._require(cholesky_downdate(self._buffer, self.size, x, self._work(), self.tol))

    def swap(self, t: int) -> None:
        """Variables t and t + 1 change places."""
        self._require_variable(t, self.size - 1)
        cholesky_swap(self._buffer, self.size, t)

    def solve(self, b: Any) -> np.ndarray:
        """Solution of A x = b."""
        x = require_length(self._vector(b, "b"), self.size, "b")
        cholesky_solve_into(self._buffer, x)
        return x

    def _vector(self, value: Any, name: str) -> np.ndarray:
        return as_vector(value, name, self._buffer.dtype).copy()

    def _work(self) -> np.ndarray:
        return np.empty(self.size, self._buffer.dtype)

    def _require_variable(self, i: int, stop: int) -> None:
        require_count(i, "index")
        if i >= stop:
            raise ValueError(f"index must be less than {stop}, got {i}")

    def _require(self, status: int) -> None:
        if status != 0:
            raise np.linalg.LinAlgError("the changed matrix is not positive definite")


# ---- variables come and go -----------------------------------------------------------------------


@kernel
def cholesky_append(L, size, column, tol):
    """Append a variable; 0, or 1 if its pivot is not > tol times its entry of A.

    `column` (size + 1) holds the products with the variables there are, then that with itself; it
    is overwritten with the new row of L. On failure L stays as it was.
    """
    row = column[:size]
    forward_solve_into(L, row)
    pivot = column[size] - _sum_of_squares(row)
    if not pivot > tol * column[size]:
        return 1
    for j in range(size):
        L[size, j] = row[j]
    column[size] = L[size, size] = np.sqrt(pivot)
    return 0


@kernel
def cholesky_append_block(L, size, columns, tol):
    """Append as many variables as `columns` (size + m, m) has columns; how many could be.

    Column c holds products with all variables before and with itself; it stops at the first that
    `cholesky_append` refuses.
    """
    for c in range(columns.shape[1]):
        if cholesky_append(L, size + c, columns[: size + c + 1, c], tol) != 0:
            return c
    return columns.shape[1]


@kernel
def cholesky_delete(L, size, i, work):
    """Delete variable i; `work` is scratch of length size."""
    last = size - 1
    for c in range(i):
        for r in range(i, last):
            L[r, c] = L[r + 1, c]
    for r in range(i, last):
        work[r] = L[r + 1, i]
    for c in range(i, last):
        for r in range(c, last):
            L[r, c] = L[r + 1, c + 1]
    _rotate_in(L, i, last, work)


# ---- rank-one changes ----------------------------------------------------------------------------


@kernel
def cholesky_update(L, size, x):
    """A + x x'; x is overwritten."""
    _rotate_in(L, 0, size, x)


@inner
def _rotate_in(L, start, size, x):
    """Add x x' to the part of A from `start` on: rotate x into the columns of L, one by one."""
    for j in range(start, size):
        diagonal = np.hypot(L[j, j], x[j])
        c, s = L[j, j] / diagonal, x[j] / diagonal
        L[j, j] = diagonal
        for i in range(j + 1, size):
            old = L[i, j]
            L[i, j] = c * old + s * x[i]
            x[i] = c * x[i] - s * old


@kernel
def cholesky_downdate(L, size, x, work, tol):
    """A - x x'; 0, or 1 if det(A - x x') is not > tol det(A).

    x and `work`, of length size, are overwritten. On failure L stays as it was. Near the limit the
    result is the exact one for a matrix close to A and x, as in LINPACK's ``dchdd``.
    """
    p = x[:size]
    forward_solve_into(L, p)
    norm = np.sqrt(_sum_of_squares(p))
    remainder = (1 - norm) * (1 + norm)  # det(A - x x') / det(A)
    if not remainder > tol:
        return 1
    remainder = np.sqrt(remainder)
    for i in range(size):
        work[i] = 0
    for j in range(size - 1, -1, -1):
        # The rotation that takes p_j into what is left of a unit vector, undone in column j.
        length = np.hypot(remainder, p[j])
        c, s = remainder / length, p[j] / length
        remainder = length
        for i in range(j, size):
            old = L[i, j]
            L[i, j] = c * old - s * work[i]
            work[i] = c * work[i] + s * old
    return 0


# ---- variables change places ---------------------------------------------------------------------


@kernel
def cholesky_swap(L, size, t):
    """Swap variables t and t + 1; cosine and sine of the reflection, for `inverse_swap`.

    The squares of the two pivots a, c and of b = L[t + 1, t] become b + c and a c / (b + c).
    """
    for j in range(t):
        L[t, j], L[t + 1, j] = L[t + 1, j], L[t, j]
    first, below, second = L[t, t], L[t + 1, t], L[t + 1, t + 1]
    diagonal = np.hypot(below, second)
    c, s = below / diagonal, second / diagonal
    L[t, t] = diagonal
    L[t + 1, t] = c * first
    L[t + 1, t + 1] = s * first
    for i in range(t + 2, size):
        one, other = L[i, t], L[i, t + 1]
        L[i, t] = c * one + s * other
        L[i, t + 1] = s * one - c * other
    return c, s


@kernel
def inverse_swap(M, size, t, c, s):
    """Keep M the inverse of L through `cholesky_swap`, which returned c and s."""
    for i in range(t, size):
        M[i, t], M[i, t + 1] = M[i, t + 1], M[i, t]
    for j in range(t + 2):
        one, other = M[t, j], M[t + 1, j]
        M[t, j] = c * one + s * other
        M[t + 1, j] = s * one - c * other


@kernel
def cholesky_move(L, size, source, target):
    """Move variable `source` to position `target`; those between close the gap."""
    for t in range(source, target):
        cholesky_swap(L, size, t)
    for t in range(source - 1, target - 1, -1):
        cholesky_swap(L, size, t)


# ---- bordered systems ----------------------------------------------------------------------------


@kernel
def bordered_solve_into(L, borders, corner, f, g):
    """Solve [A, B; B', D] [x; y] = [f; g] with A = L L'; 0, or 1 if singular to rounding.

    B = borders (n, m), D = corner (m, m), symmetric or not definite, 0 for equality constraints.
    Overwrites f with x and g with y, borders and corner with intermediate results. Costs m + 2
    triangular solves.
    """
    m = g.size
    forward_solve_into(L, f)
    for c in range(m):
        forward_solve_into(L, borders[:, c])
    for c in range(m):
        g[c] -= _inner_product(borders[:, c], f)
        for r in range(m):
            corner[r, c] -= _inner_product(borders[:, r], borders[:, c])
    if _eliminate(corner, g) != 0:
        return 1
    for c in range(m):
        for i in range(f.size):
            f[i] -= g[c] * borders[i, c]
    backward_solve_into(L, f)
    return 0


@inner
def _eliminate(S, b):
    """Overwrite b with the solution of S x = b by Gaussian elimination with row exchanges."""
    m = b.size
    largest = S.dtype.type(0)
    for i in range(m):
        for j in range(m):
            largest = max(largest, abs(S[i, j]))
    for k in range(m):
        p = k
        for i in range(k + 1, m):
            if abs(S[i, k]) > abs(S[p, k]):
                p = i
        if not abs(S[p, k]) > m * np.finfo(S.dtype).eps * largest:
            return 1
        for j in range(k, m):
            S[k, j], S[p, j] = S[p, j], S[k, j]
        b[k], b[p] = b[p], b[k]
        for i in range(k + 1, m):
            ratio = S[i, k] / S[k, k]
            for j in range(k + 1, m):
                S[i, j] -= ratio * S[k, j]
            b[i] -= ratio * b[k]
    for k in range(m - 1, -1, -1):
        for j in range(k + 1, m):
            b[k] -= S[k, j] * b[j]
        b[k] /= S[k, k]
    return 0


@inner(reduction=True)
def _sum_of_squares(x):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * x[i]
    return total


@inner(reduction=True)
def _inner_product(x, y):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total
