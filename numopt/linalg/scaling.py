"""Norms of rows and columns, and diagonal scalings that even them out.

References
----------
D. Ruiz, "A scaling algorithm to equilibrate both rows and columns norms in matrices", Rutherford
Appleton Laboratory, RAL-TR-2001-034, 2001.
T. Pock, A. Chambolle, "Diagonal preconditioning for first order primal-dual algorithms in convex
optimization", ICCV 2011, doi:10.1109/ICCV.2011.6126441.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.jit import kernel
from numopt.core.validate import require_count, require_in, require_nonnegative
from numopt.linalg.sparse import CSR, as_csr

# ---- norms ---------------------------------------------------------------------------------------


@kernel
def norms_of_rows(M, kind, out):
    """out_i = norm of row i in float64: kind 1, 2, or 0 for the largest magnitude."""
    for i in range(out.size):
        largest, total = 0.0, 0.0
        for k in range(M.indptr[i], M.indptr[i + 1]):
            a = abs(np.float64(M.data[k]))
            total += a
            largest = max(largest, a)
        if kind == 2 and largest > 0:
            total = 0.0
            for k in range(M.indptr[i], M.indptr[i + 1]):
                a = M.data[k] / largest  # squares of the quotients neither over- nor underflow
                total += a * a
            total = np.sqrt(total) * largest
        out[i] = total if kind else largest


@kernel
def norms_of_columns(M, kind, out):
    """The same for columns, without forming the transpose."""
    for j in range(out.size):
        out[j] = 0
    if kind == 1:
        for k in range(M.indices.size):
            out[M.indices[k]] += abs(M.data[k])
        return
    for k in range(M.indices.size):
        out[M.indices[k]] = max(out[M.indices[k]], abs(M.data[k]))
    if kind == 2:
        total = np.zeros(out.size)
        for k in range(M.indices.size):
            j = M.indices[k]
            if out[j] > 0:
                a = M.data[k] / out[j]
                total[j] += a * a
        for j in range(out.size):
            out[j] *= np.sqrt(total[j])


def row_norms(A: Any, ord: Any = 2) -> np.ndarray:
    """Norm of every row of a dense or sparse matrix, in float64 and without overflow.

    Parameters
    ----------
    A : array or scipy.sparse matrix of shape (m, n)
    ord : {1, 2, inf}
        Sum of magnitudes, Euclidean length, or largest magnitude.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> row_norms(sp.csr_array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0]
    """
    kind = _norm_kind(ord)
    if sp.issparse(A):
        out = np.empty(A.shape[0])
        norms_of_rows(as_csr(A), kind, out)
        return out
    A = np.abs(np.asarray(A, np.float64))
    largest = A.max(axis=1, initial=0.0)
    if kind != 2:
        return A.sum(axis=1) if kind else largest
    scale = np.where(largest > 0, largest, 1.0)
    return np.sqrt(np.square(A / scale[:, None]).sum(axis=1)) * scale


def column_norms(A: Any, ord: Any = 2) -> np.ndarray:
    """Norm of every column; see `row_norms`."""
    kind = _norm_kind(ord)
    if sp.issparse(A):
        out = np.empty(A.shape[1])
        norms_of_columns(as_csr(A), kind, out)
        return out
    return row_norms(np.asarray(A).T, ord)


def _norm_kind(ord: Any) -> int:
    if ord not in (1, 2, np.inf):
        raise ValueError(f"ord must be 1, 2 or inf, got {ord!r}")
    return 0 if ord == np.inf else int(ord)


# ---- scalings ------------------------------------------------------------------------------------


class Scaling(NamedTuple):
    """Positive factors R and C of a scaled matrix diag(R) A diag(C)."""

    rows: np.ndarray  # R, one factor per row of A
    columns: np.ndarray  # C, one per column

    def apply(self, A: Any) -> Any:
        """diag(R) A diag(C), sparse by rows if A is sparse."""
        return _scaled(A, self.rows, self.columns)

    def apply_symmetric(self, P: Any) -> Any:
        """diag(C) P diag(C), for the Hessian that goes with A."""
        return _scaled(P, self.columns, self.columns)


def ruiz(
    A: Any,
    *,
    P: Any = None,
    n_sweeps: int = 10,
    tol: float = 1e-3,
    power_of_two: bool = False,
) -> Scaling:
    r"""Equilibrate: every row and column of the scaled matrix gets largest magnitude 1.

    Each sweep divides row i by :math:`\sqrt{\max_j |a_{ij}|}` and column j by
    :math:`\sqrt{\max_i |a_{ij}|}`, both of the matrix as scaled so far. With `P` it is the
    symmetric matrix :math:`\begin{pmatrix} P & A^T \\ A & 0 \end{pmatrix}` that is scaled, by one
    factor per variable (``columns``) and one per constraint (``rows``).

    Parameters
    ----------
    A : array or scipy.sparse matrix of shape (m, n)
        Rows and columns of zeros keep the factor 1. Dense A is worked on in sparse form.
    P : array or scipy.sparse matrix of shape (n, n), optional
        Symmetric, both triangles stored.
    n_sweeps : int, default 10
        Sweeps at most.
    tol : float, default 1e-3
        Done when all largest magnitudes are within `tol` of 1.
    power_of_two : bool, default False
        Round the factors to powers of two: scaling is then exact, magnitudes lie within
        [1/2, 2] times what they would.

    Returns
    -------
    Scaling
        Factors in float64.

    Notes
    -----
    The distance of the norms' logarithms to 0 halves with every sweep, in the limit. Cost: one
    pass over A and P a sweep.

    Examples
    --------
    >>> A = [[1e6, 0.0], [1e3, 1e-2]]
    >>> row_norms(ruiz(A, n_sweeps=30).apply(A), np.inf).round(3).tolist()
    [1.0, 1.0]
    """
    require_count(n_sweeps, "n_sweeps")
    require_nonnegative(tol, "tol")
    system = _System(A, P)
    for _ in range(n_sweeps):
        rows, columns = system.magnitudes(-1.0)
        if all(np.all(np.abs(norms[norms > 0] - 1) <= tol) for norms in (rows, columns)):
            break
        system.divide(np.sqrt(rows), np.sqrt(columns))
    return system.scaling(power_of_two)


def pock_chambolle(
    A: Any,
    *,
    P: Any = None,
    alpha: float = 1.0,
    start: Scaling | None = None,
    power_of_two: bool = False,
) -> Scaling:
    r"""Scale so that the spectral norm of the scaled matrix is at most 1.

    Divides row i by :math:`(\sum_j |a_{ij}|^{\alpha})^{1/2}` and column j by
    :math:`(\sum_i |a_{ij}|^{2 - \alpha})^{1/2}`. With `P`, which needs :math:`\alpha = 1`, the
    symmetric matrix of `ruiz` is scaled and has its eigenvalues in [-1, 1] afterwards.

    Parameters
    ----------
    A, P, power_of_two :
        As for `ruiz`; rounding to powers of two can raise the norm to 2.
    alpha : float, default 1.0
        In [0, 2]; 1 treats rows and columns alike.
    start : Scaling, optional
        Factors applied before, as by `ruiz`; what is returned includes them.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> bool(np.linalg.norm(pock_chambolle(A).apply(A), 2) <= 1)
    True
    """
    require_in(alpha, 0, 2, "alpha")
    if P is not None and alpha != 1:
        raise ValueError(f"alpha must be 1 where P is given, got {alpha!r}")
    system = _System(A, P)
    if start is not None:
        system.divide(1 / start.rows, 1 / start.columns)
    rows, columns = system.magnitudes(float(alpha))
    system.divide(np.sqrt(rows), np.sqrt(columns))
    return system.scaling(power_of_two)


class _System:
    """A, or the symmetric matrix of P and A, and the factors found so far."""

    def __init__(self, A: Any, P: Any):
        self.A = as_csr(A)
        m, n = np.shape(A)
        self.P = None
        if P is not None:
            if np.shape(P) != (n, n):
                raise ValueError(f"P must have shape {(n, n)} to go with A, got {np.shape(P)}")
            self.P = as_csr(P, "P")
        self.rows, self.columns = np.ones(m), np.ones(n)

    def magnitudes(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Largest magnitudes (alpha < 0) or sums of powers, of rows and columns."""
        rows, columns = np.zeros(self.rows.size), np.zeros(self.columns.size)
        _accumulate(self.A, self.rows, self.columns, alpha, rows, columns)
        if self.P is not None:
            ignored = np.zeros(self.columns.size)
            _accumulate(self.P, self.columns, self.columns, alpha, ignored, columns)
        return rows, columns

    def divide(self, rows: np.ndarray, columns: np.ndarray) -> None:
        self.rows /= np.where(rows > 0, rows, 1.0)
        self.columns /= np.where(columns > 0, columns, 1.0)

    def scaling(self, power_of_two: bool) -> Scaling:
        if power_of_two:
            return Scaling(*(np.exp2(np.round(np.log2(f))) for f in (self.rows, self.columns)))
        return Scaling(self.rows, self.columns)


@kernel
def _accumulate(M, rows, columns, alpha, by_row, by_column):
    """Add to both what the scaled entries |r_i a_ij c_j| have; alpha < 0 takes the largest."""
    for i in range(rows.size):
        for k in range(M.indptr[i], M.indptr[i + 1]):
            j = M.indices[k]
            a = abs(rows[i] * M.data[k] * columns[j])
            if alpha < 0:
                by_row[i] = max(by_row[i], a)
                by_column[j] = max(by_column[j], a)
            elif alpha == 1:
                by_row[i] += a
                by_column[j] += a
            elif a > 0:
                by_row[i] += a**alpha
                by_column[j] += a ** (2 - alpha)


def _scaled(A: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    if not sp.issparse(A):
        A = np.asarray(A)
        dtype = A.dtype if A.dtype == np.float32 else np.float64
        return (rows[:, None] * A * columns).astype(dtype, copy=False)
    M: CSR = as_csr(A)
    factors = np.repeat(rows, np.diff(M.indptr)) * columns[M.indices]
    data = (M.data * factors).astype(M.data.dtype, copy=False)
    return sp.csr_array((data, M.indices, M.indptr), shape=A.shape)
