r"""Preconditioned conjugate gradients with triangles: incomplete Cholesky and SSOR.

References
----------
J. Meijerink, H. van der Vorst, "An iterative solution method for linear systems of which the
coefficient matrix is a symmetric M-matrix", Math. Comp. 31 (1977),
doi:10.1090/S0025-5718-1977-0438681-4. I. Gustafsson, "A class of first order factorization
methods", BIT 18 (1978), doi:10.1007/BF01931691. S. Eisenstat, "Efficient implementation of a
class of preconditioned conjugate gradient methods", SIAM J. Sci. Stat. Comput. 2 (1981),
doi:10.1137/0902001.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import kernel
from numopt.core.validate import require_in
from numopt.linalg import krylov
from numopt.linalg.ldl_kernels import symbolic
from numopt.linalg.ldl_kernels.symbolic import NONE, span
from numopt.linalg.operators import Operator, as_operator
from numopt.linalg.patterns import SymmetricPattern
from numopt.linalg.recurrences import Outcome
from numopt.linalg.sweeps import Sweeps, eisenstat_product, lower_product, lower_solve

# A pivot that falls below this part of its diagonal entry spoils the factor.
LEAST_PIVOT = 1e-3


@kernel
def _factor(values, source, indptr, rows, relaxation, shift, L, d):
    """Incomplete L D L' of A + shift diag(A) on the pattern of A; row that failed or -1.

    Column by column. What falls outside the pattern is subtracted from the two diagonal entries
    of its row and column, times `relaxation`.
    """
    n = d.size
    w = np.zeros(n, L.dtype)
    inside = np.full(n, NONE, np.int64)
    head = np.full(n, NONE, np.int64)  # columns whose next entry is in this row
    following = np.empty(n, np.int64)
    at = np.empty(n, np.int64)  # and where that entry is
    for j in range(n):
        d[j] = values[source[indptr[j]]] * (1 + shift)
    for j in range(n):
        for p in span(indptr[j] + 1, indptr[j + 1]):
            w[rows[p]] = values[source[p]]
            inside[rows[p]] = j
        k = head[j]
        while k != NONE:
            upcoming = following[k]
            p = at[k]
            scaled = L[p] * d[k]
            d[j] -= L[p] * scaled
            for q in span(p + 1, indptr[k + 1]):
                i = rows[q]
                if inside[i] == j:
                    w[i] -= L[q] * scaled
                else:
                    lost = relaxation * L[q] * scaled
                    d[i] -= lost
                    d[j] -= lost
            if p + 1 < indptr[k + 1]:
                at[k] = p + 1
                i = rows[p + 1]
                following[k] = head[i]
                head[i] = k
            k = upcoming
        if not d[j] > LEAST_PIVOT * values[source[indptr[j]]]:
            return j
        for p in span(indptr[j] + 1, indptr[j + 1]):
            L[p] = w[rows[p]] / d[j]
        if indptr[j] + 1 < indptr[j + 1]:
            at[j] = indptr[j] + 1
            i = rows[indptr[j] + 1]
            following[j] = head[i]
            head[i] = j
    return NONE


@kernel
def _solve(indptr, rows, L, d, r, x):
    """x = (L D L')^{-1} r."""
    n = d.size
    for j in range(n):
        x[j] = r[j]
    for j in range(n):
        for p in span(indptr[j] + 1, indptr[j + 1]):
            x[rows[p]] -= L[p] * x[j]
    for j in range(n - 1, -1, -1):
        t = x[j] / d[j]
        for p in span(indptr[j] + 1, indptr[j + 1]):
            t -= L[p] * x[rows[p]]
        x[j] = t


class IncompleteCholesky:
    r"""Relaxed incomplete Cholesky factor on the pattern of A: a preconditioner for `cg`.

    .. math:: A \approx L D L^T, \quad (L D L^T)_{ij} = a_{ij} \text{ on the pattern}, i \ne j,

    where fill outside of the pattern is subtracted, times `relaxation`, from the diagonal: 0 is
    IC(0), 1 keeps row sums (MIC(0)). Just below 1 is best on discretised elliptic equations and
    needs no tuning: iterations grow with the square root of those of IC(0).

    Parameters
    ----------
    A : sparse matrix or array (n, n)
        Symmetric positive definite; formats as for `LDL`.
    relaxation : float in [0, 1], default 0.97
    triangle : {"full", "upper", "lower"}, default "full"

    Attributes
    ----------
    shift : float
        If a pivot falls below 1e-3 of its diagonal entry, A + shift diag(A) is factored instead,
        with the shift doubled from 1e-3 until that works. 0 for M-matrices, as a rule.
    analyses, factorizations : int

    Raises
    ------
    numpy.linalg.LinAlgError
        A diagonal entry is not positive (it is named).

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from numopt.linalg import cg
    >>> from numopt.linalg.incomplete import IncompleteCholesky
    >>> A = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(50, 50), format="csc")
    >>> cg(A, np.ones(50), preconditioner=IncompleteCholesky(A)).nit  # exact for such patterns
    1
    """

    def __init__(self, A: Any, *, relaxation: float = 0.97, triangle: str = "full"):
        require_in(relaxation, 0.0, 1.0, "relaxation")
        self.relaxation = relaxation
        self.pattern = pattern = SymmetricPattern(A, triangle)
        every = np.arange(pattern.indices.size, dtype=np.uint32)
        # Rows of a column of the lower triangle ascend: the diagonal comes first.
        self._indptr, self._rows, self._source = symbolic.transpose(
            pattern.indptr, pattern.indices, every
        )
        values = pattern.values_of(A)
        self.dtype = np.dtype(np.float32 if values.dtype == np.float32 else np.float64)
        self._values, self._L = np.zeros((2, pattern.indices.size), self.dtype)
        self._d = np.empty(pattern.n, self.dtype)
        self.analyses, self.factorizations = 1, 0
        self.update(values)

    def update(self, values: Any) -> None:
        """Factor a matrix of the same pattern (its `data`, or the matrix)."""
        values = self.pattern.values_of(values)
        self.pattern.load(values, self._values)
        self.pattern.require_finite(values)
        diagonal = self._values[self.pattern.diagonal]
        bad = np.flatnonzero(~(diagonal > 0))
        if bad.size:
            i = int(bad[0])
            raise np.linalg.LinAlgError(
                f"{self.pattern.name}[{i}, {i}] is {diagonal[i]:g}: not positive definite; use "
                "LDL or minres"
            )
        self.factorizations += 1
        kind = self.dtype.type
        self.shift = 0.0
        while (
            _factor(
                self._values, self._source, self._indptr, self._rows, kind(self.relaxation),
                kind(self.shift), self._L, self._d,
            )
            != NONE
        ):  # fmt: skip
            self.shift = max(2 * self.shift, 1e-3)

    def solve(self, r: np.ndarray) -> np.ndarray:
        """(L D L')^-1 r."""
        r = np.require(r, self.dtype, ["C", "A", "W"])
        x = np.empty(self.pattern.n, self.dtype)
        _solve(self._indptr, self._rows, self._L, self._d, r, x)
        return x


# ---- SSOR ----------------------------------------------------------------------------------------


@kernel
def _eisenstat(S, omega, r, step, goal, history):
    """CG on E^-1 A F^-1 for A step = r; overwrites r. Returns (iterations, code).

    Codes: 0 limit, 1 the recursive residual is at most `goal`, 2 indefinite, 3 not finite.
    """
    n = r.size
    s = np.empty(n, r.dtype)
    t = np.empty(n, r.dtype)
    u = np.empty(n, r.dtype)
    p = np.empty(n, r.dtype)
    lower_solve(S, omega, r, s)
    rho = 0.0
    for i in range(n):
        step[i] = 0
        p[i] = S.diagonal[i] / omega * s[i]
        rho += np.float64(s[i]) * p[i]
    ratio = 0.0  # of |r|^2 to s'(D / omega) s when |r| was computed last
    for k in range(history.size):
        curvature = eisenstat_product(S, omega, p, t, u)
        if not curvature > 0:
            return k, 2 if curvature <= 0 else 3
        a = r.dtype.type(rho / curvature)
        fresh = 0.0
        for i in range(n):
            step[i] += a * t[i]
            s[i] -= a * (t[i] + u[i])
            fresh += np.float64(s[i]) * s[i] * (S.diagonal[i] / omega)
        # |r| costs half a product: looked at when it may be small, and now and then.
        if k % 8 == 0 or ratio * fresh <= 4 * goal * goal:
            square = lower_product(S, omega, s, r)
            ratio = square / fresh if fresh > 0 else 0.0
        history[k] = np.sqrt(ratio * fresh)
        if history[k] <= goal:
            return k + 1, 1
        beta = r.dtype.type(fresh / rho)
        rho = fresh
        for i in range(n):
            p[i] = S.diagonal[i] / omega * s[i] + beta * p[i]
    return history.size, 0


def ssor_cg(
    sweeps: Sweeps,
    A: Any,
    b: Any,
    *,
    omega: float = 1.5,
    x0: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    max_iter: int | None = None,
) -> krylov.KrylovResult:
    r"""Conjugate gradients preconditioned by SSOR at the price of one product an iteration.

    With E = D / omega + L and F = E', conjugate gradients run on :math:`E^{-1} A F^{-1}`, whose
    products need no A (Eisenstat's trick).

    Parameters
    ----------
    sweeps : Sweeps
        Of A, in natural order.
    A : sparse matrix (n, n)
        Symmetric positive definite; for residuals.
    b, x0, rtol, atol, max_iter
        As for `cg`.
    omega : float in (0, 2), default 1.5
        Relaxation; the best one lies between 1 and 2 and grows with the size of the grid.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from numopt.linalg import Sweeps
    >>> from numopt.linalg.incomplete import ssor_cg
    >>> A = sp.csr_array([[2.0, 1.0], [1.0, 2.0]])
    >>> ssor_cg(Sweeps(A), A, [3.0, 3.0]).x.round(8).tolist()
    [1.0, 1.0]
    """
    if sweeps.permutation is not None:
        raise ValueError(f"sweeps are in the order {sweeps.order!r}; SSOR-CG takes 'natural'")
    operator = as_operator(A, square=True)
    omega = sweeps._omega(omega)
    if not (sweeps.split.diagonal > 0).all():
        i = int(np.flatnonzero(~(sweeps.split.diagonal > 0))[0])
        raise np.linalg.LinAlgError(
            f"A[{i}, {i}] is {sweeps.split.diagonal[i]:g}: not positive definite; use minres"
        )
    codes = ("limit", "claims", "indefinite", "trouble")

    def run(
        A: Operator, M: Any, r: np.ndarray, goal: float, limit: int, history: list[float]
    ) -> Outcome:
        step, norms = np.empty_like(r), np.zeros(limit)
        done, code = _eisenstat(sweeps.split, omega, r.copy(), step, goal, norms)
        history.extend(norms[:done].tolist())
        return Outcome(step, codes[code])

    return krylov._solve_square(run, operator, b, x0, None, rtol, atol, max_iter)
