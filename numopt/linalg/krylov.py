r"""Krylov methods that stop on what is true: CG, MINRES, GMRES, LSQR.

A recurrence updates its residual without looking at b - A x, and the two drift apart; MINRES and
preconditioned LSQR even measure theirs in the preconditioner's norm. Here each method is a
recurrence for the *correction* A d = r, and one loop around all of them recomputes the residual
from the data, accepts it or starts anew from it, and gives up when that no longer helps.

References
----------
M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems", J. Res.
Natl. Bur. Stand. 49 (1952), doi:10.6028/jres.049.044.
C. C. Paige, M. A. Saunders, "Solution of sparse indefinite systems of linear equations", SIAM J.
Numer. Anal. 12 (1975), doi:10.1137/0712047. Y. Saad, M. H. Schultz, "GMRES: a generalized minimal
residual algorithm for solving nonsymmetric linear systems", SIAM J. Sci. Stat. Comput. 7 (1986),
doi:10.1137/0907058. C. C. Paige, M. A. Saunders, "LSQR: an algorithm for sparse linear equations
and sparse least squares", ACM Trans. Math. Softw. 8 (1982), doi:10.1145/355984.355989.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.linalg

from numopt.core.result import Status
from numopt.core.validate import as_vector, require_count, require_length, require_nonnegative
from numopt.linalg import recurrences
from numopt.linalg.operators import Operator, Product, as_operator
from numopt.linalg.recurrences import Outcome, norm

# A round of the outer loop has to shrink what is missing to this part of it.
PROGRESS = 0.5
# Least target, in units near |b|: with tolerances of 0 the methods go as far as they get.
TINY = 1e-150
RUNNING = ("", "claims")
VERDICTS = {
    "done": (Status.OPTIMAL, "The residual, recomputed from the data, meets the tolerance."),
    "limit": (Status.ITERATION_LIMIT, Status.ITERATION_LIMIT.sentence),
    "stalled": (Status.STALLED, "The recomputed residual gets no smaller in this precision."),
    "singular": (Status.STALLED, "A is singular along a direction in which b has a part."),
    "dead end": (
        Status.STALLED,
        "A is singular and b not in its range: x is a least squares solution.",
    ),
    "indefinite": (Status.NON_CONVEX, "A is not positive definite: p'A p <= 0 for some p."),
    "preconditioner": (Status.NON_CONVEX, "The preconditioner is not positive definite."),
    "trouble": (Status.NUMERICAL_TROUBLE, "A product with A or the preconditioner is not finite."),
}


@dataclass(frozen=True)
class KrylovResult:
    r"""What a Krylov method found, with residuals recomputed from the data.

    Attributes
    ----------
    x : array of shape (n,)
        The best point by its true residual.
    status : Status
        OPTIMAL: the tolerance holds; ITERATION_LIMIT; NON_CONVEX: a direction of negative
        curvature (CG), in A or in the preconditioner; STALLED: no progress in this precision, or
        no solution; NUMERICAL_TROUBLE: a product was not finite.
    message : str
        The status in a sentence.
    nit : int
        Iterations, one product with A each (LSQR: and one with A').
    residual_norm : float
        :math:`\|b - A x\|_2`; with damping that of the stacked system.
    normal_residual : float or None
        LSQR: :math:`\|A^T r\|_2`, with damping that of the stacked system.
    history : array
        Estimates of the residual norm, one per iteration.
    """

    x: np.ndarray
    status: Status
    message: str
    nit: int
    residual_norm: float
    normal_residual: float | None = None
    history: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _tridiagonal: Any = None

    @property
    def success(self) -> bool:
        """Whether the tolerance holds for the recomputed residual."""
        return self.status is Status.OPTIMAL

    def ritz_values(self) -> np.ndarray:
        """CG: eigenvalue estimates of the preconditioned matrix, from the iteration's own numbers.

        They lie between its extreme eigenvalues and approach them from inside.
        """
        if self._tridiagonal is None or not self._tridiagonal[0].size:
            return np.zeros(0)
        return scipy.linalg.eigvalsh_tridiagonal(*self._tridiagonal)


# ---- front ---------------------------------------------------------------------------------------


def cg(
    A: Any,
    b: Any,
    *,
    x0: Any = None,
    preconditioner: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    max_iter: int | None = None,
) -> KrylovResult:
    r"""Conjugate gradients for :math:`A x = b` with a symmetric positive definite A.

    Parameters
    ----------
    A : array, scipy.sparse matrix, LinearOperator or object with shape and matvec
        Symmetric positive definite, or semidefinite with b in its range. Symmetry is not checked.
    b : array of shape (n,)
    x0 : array of shape (n,), optional
        Start.
    preconditioner : array, scipy.sparse matrix, operator or callable, optional
        Multiplies by an approximation of the *inverse* of A; symmetric positive definite.
    rtol, atol : float
        Done when :math:`\|b - A x\|_2 \le \max(\mathrm{rtol} \|b\|_2, \mathrm{atol})`. By default
        rtol is 1e-8, in float32 1e-5.
    max_iter : int, optional
        Iterations at most; max(10 n, 1000) by default.

    Returns
    -------
    KrylovResult

    Raises
    ------
    ValueError, TypeError
        Shapes that do not fit, NaN or infinities, complex data.

    Notes
    -----
    The error in the norm of A falls by :math:`2 ((\sqrt\kappa - 1)/(\sqrt\kappa + 1))^k`.

    Examples
    --------
    >>> cg([[2.0, 1.0], [1.0, 2.0]], [3.0, 3.0]).x.round(8).tolist()
    [1.0, 1.0]
    """
    return _solve_square(recurrences.cg, A, b, x0, preconditioner, rtol, atol, max_iter)


def minres(
    A: Any,
    b: Any,
    *,
    x0: Any = None,
    preconditioner: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    max_iter: int | None = None,
) -> KrylovResult:
    r"""Minimal residuals for :math:`A x = b` with a symmetric A, definite or not.

    Parameters and result as for `cg`; the preconditioner must be positive definite though A need
    not be. The residual is followed in the Euclidean norm even under a preconditioner. A singular
    system without a solution ends as STALLED with x a least squares solution, which the message
    says.

    Examples
    --------
    >>> minres([[0.0, 1.0], [1.0, 0.0]], [3.0, 4.0]).x.round(8).tolist()
    [4.0, 3.0]
    """
    return _solve_square(recurrences.minres, A, b, x0, preconditioner, rtol, atol, max_iter)


def gmres(
    A: Any,
    b: Any,
    *,
    x0: Any = None,
    preconditioner: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    restart: int = 50,
    max_iter: int | None = None,
) -> KrylovResult:
    r"""Generalised minimal residuals for :math:`A x = b` with any square A.

    Parameters and result as for `cg`; A and the preconditioner need not be symmetric.

    Parameters
    ----------
    restart : int, default 50
        Dimension of the Krylov spaces, of which a basis is stored. It doubles whenever a space
        shrinks the residual by less than a tenth, up to n: with exact arithmetic the method
        always ends.

    Notes
    -----
    The k-th step of a cycle costs one product and 4 k n multiplications (orthogonalised twice).

    Examples
    --------
    >>> gmres([[1.0, 2.0], [0.0, 1.0]], [5.0, 2.0]).x.round(8).tolist()
    [1.0, 2.0]
    """
    require_count(restart, "restart", 1)
    method = functools.partial(recurrences.gmres, restart=restart)
    return _solve_square(method, A, b, x0, preconditioner, rtol, atol, max_iter)


def lsqr(
    A: Any,
    b: Any,
    *,
    damp: float = 0.0,
    x0: Any = None,
    preconditioner: Any = None,
    rtol: float | None = None,
    atol: float = 0.0,
    max_iter: int | None = None,
) -> KrylovResult:
    r"""LSQR for :math:`\min_x \|b - A x\|_2^2 + \mathrm{damp}^2 \|x\|_2^2` with any m x n matrix.

    Parameters
    ----------
    A : array, scipy.sparse matrix, LinearOperator or object with shape, matvec and rmatvec
    b : array of shape (m,)
    damp : float, default 0.0
        Ridge parameter.
    x0 : array of shape (n,), optional
        Start. Without damping, rank-deficient problems have many solutions: from 0 the method
        finds the shortest (with a preconditioner N, the one with the shortest N^-1 x).
    preconditioner : array, scipy.sparse matrix or operator of shape (n, n), optional
        N such that A N is well conditioned, with products of N and N' (`sketch_preconditioner`).
    rtol, atol : float
        Done when :math:`\|r\|_2 \le \max(\mathrm{rtol} \|b\|_2, \mathrm{atol})`, r the residual,
        or when :math:`\|A^T r\|_2 \le \mathrm{rtol} \|A\| \|r\|_2`, in the original coordinates
        whatever the preconditioner, with the largest :math:`\|A^T u\|`, u of length 1, met so far
        in place of the norm of A. With damping, A and r are those of the stacked system.
    max_iter : int, optional
        Iterations at most; max(10 n, 1000) by default.

    Returns
    -------
    KrylovResult

    Examples
    --------
    >>> lsqr([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0]).x.round(8).tolist()
    [1.0, 2.0]
    """
    A = as_operator(A)
    m, n = A.shape
    b = require_length(as_vector(b, "b", A.dtype), m, "b")
    require_nonnegative(damp, "damp")
    tolerance = _tolerance(rtol, A)
    N = None if preconditioner is None else as_operator(preconditioner, "preconditioner")
    if N is not None and N.shape[0] != n:
        raise ValueError(f"preconditioner has {N.shape[0]} rows, expected {n} as A has columns")
    if damp > 0:
        A, b = _stacked(A, damp), np.concatenate([b, np.zeros(n, A.dtype)])
    largest = [0.0]  # a lower bound on |A|_2, raised on the way

    def missing(r: np.ndarray, target: float) -> tuple[float, float]:
        length, gradient = norm(r), norm(A.rmatvec(r))
        bound = tolerance * largest[0] * length
        parts = (_ratio(length, target), _ratio(gradient, bound))
        return min(parts), gradient

    def run(A: Operator, r: np.ndarray, target: float, limit: int, history: list[float]) -> Outcome:
        return recurrences.lsqr(A, N, r, target, tolerance, largest, limit, history)

    return _solve(run, A, b, x0, tolerance, atol, max_iter, missing)


def _solve_square(
    recurrence: Any,
    A: Any,
    b: Any,
    x0: Any,
    M: Any,
    rtol: float | None,
    atol: float,
    max_iter: int | None,
) -> KrylovResult:
    A = as_operator(A, square=True)
    b = require_length(as_vector(b, "b", A.dtype), A.shape[0], "b")
    M = _as_preconditioner(M, A)

    def missing(r: np.ndarray, target: float) -> tuple[float, None]:
        return _ratio(norm(r), target), None

    def run(A: Operator, r: np.ndarray, target: float, limit: int, history: list[float]) -> Outcome:
        return recurrence(A, M, r, target, limit, history)

    return _solve(run, A, b, x0, _tolerance(rtol, A), atol, max_iter, missing)


# ---- the loop around the recurrences -------------------------------------------------------------


def _solve(
    run: Callable[..., Outcome],
    A: Operator,
    b: np.ndarray,
    x0: Any,
    rtol: float,
    atol: float,
    max_iter: int | None,
    missing: Callable[[np.ndarray, float], tuple[float, float | None]],
) -> KrylovResult:
    """Recurrences from the true residual until that is small enough, or as small as it gets."""
    n = A.shape[1]
    require_nonnegative(atol, "atol")
    max_iter = max(10 * n, 1000) if max_iter is None else max_iter
    require_count(max_iter, "max_iter")
    # In units of a power of two near |b|: squares neither over- nor underflow, scaling is exact.
    largest = float(np.abs(b).max(initial=0)) or 1.0
    unit = float(np.exp2(np.round(np.log2(largest))))
    b = b / b.dtype.type(unit)
    x = np.zeros(n, A.dtype)
    if x0 is not None and (b.any() or atol > 0):
        x = require_length(as_vector(x0, "x0", A.dtype), n, "x0") / A.dtype.type(unit)
    target = max(rtol * norm(b), atol / unit, TINY)
    history: list[float] = []
    tridiagonal: Any = None
    best: Any = None
    code, before = "", np.inf
    while True:
        r = b - A.matvec(x) if x.any() else b.copy()
        length = norm(r)
        gap, gradient = missing(r, target) if length > 0 else (0.0, 0.0)
        if best is None or gap < best[0]:
            best = gap, x, length, gradient
        if gap <= 1:
            code = "done"
        elif not np.isfinite(length) or not np.isfinite(gradient or 0.0):
            code = "trouble"
        elif code in RUNNING and len(history) >= max_iter:
            code = "limit"
        elif code in RUNNING and not gap <= PROGRESS * before:
            code = "stalled"
        if code not in RUNNING:
            break
        before = gap
        # No round needs to go deeper than rounding lets it: the next one starts from the truth.
        goal = max(0.9 * target, 0.1 * float(np.finfo(A.dtype).eps) * length)
        outcome = run(A, r, goal, max_iter - len(history), history)
        x, code = x + outcome.step, outcome.code
        tridiagonal = tridiagonal or outcome.tridiagonal

    _, x, length, gradient = best
    status, message = VERDICTS[code]
    return KrylovResult(
        x=x * A.dtype.type(unit),
        status=status,
        message=message,
        nit=len(history),
        residual_norm=length * unit,
        normal_residual=None if gradient is None else gradient * unit,
        history=np.array(history) * unit,
        _tridiagonal=tridiagonal,
    )


def _tolerance(rtol: float | None, A: Operator) -> float:
    if rtol is None:
        return 1e-5 if A.dtype == np.float32 else 1e-8
    require_nonnegative(rtol, "rtol")
    return float(rtol)


def _ratio(value: float, bound: float) -> float:
    if value == 0:
        return 0.0
    return value / bound if bound > 0 else np.inf


def _stacked(A: Operator, damp: float) -> Operator:
    """The matrix of A above damp times the identity."""
    m, n = A.shape
    return Operator(
        (m + n, n),
        A.dtype,
        lambda x: np.concatenate([A.matvec(x), damp * x]),
        lambda y: A.rmatvec(y[:m]) + damp * y[m:],
    )


def _as_preconditioner(M: Any, A: Operator) -> Product | None:
    if M is None:
        return None
    apply: Any
    if hasattr(M, "solve") and not hasattr(M, "matvec"):
        apply = M.solve
    elif callable(M) and not hasattr(M, "matvec"):
        apply = M
    else:
        operator = as_operator(M, "preconditioner", square=True)
        if operator.shape != A.shape:
            raise ValueError(f"preconditioner has shape {operator.shape}, A {A.shape}")
        apply = operator.matvec

    def product(r: np.ndarray) -> np.ndarray:
        z = np.require(np.asarray(apply(r)).reshape(-1), A.dtype, ["C", "A", "W"])
        return require_length(z, A.shape[0], "what the preconditioner returns")

    return product
