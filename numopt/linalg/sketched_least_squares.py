r"""Least squares by LSQR with a preconditioner from a sketch.

If S keeps lengths in the column space of A up to :math:`1 \pm \delta` and SA = QR, then
:math:`A R^{-1}` has singular values within :math:`[1/(1 + \delta), 1/(1 - \delta)]`: whatever the
condition of A, LSQR needs a fixed number of steps per digit.

References
----------
H. Avron, P. Maymounkov, S. Toledo, "Blendenpik: supercharging LAPACK's least-squares solver",
SIAM J. Sci. Comput. 32 (2010), doi:10.1137/090767911.
X. Meng, M. A. Saunders, M. W. Mahoney, "LSRN: a parallel iterative solver for strongly over- or
underdetermined systems", SIAM J. Sci. Comput. 36 (2014), doi:10.1137/120866580.
P. Drineas, M. Magdon-Ismail, M. W. Mahoney, D. P. Woodruff, "Fast approximation of matrix coherence
and statistical leverage", J. Mach. Learn. Res. 13 (2012).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.validate import (
    as_array,
    as_vector,
    require_count,
    require_finite,
    require_length,
    require_nonnegative,
)
from numopt.linalg.krylov import KrylovResult, lsqr
from numopt.linalg.operators import Operator, as_operator
from numopt.linalg.sketch import draw_sketch

# Rows of a sketch per column, which makes the condition number about 3.
OVERSAMPLING = 4
# Triangular factors less well conditioned than this many eps are replaced by a truncated SVD.
DEFICIENT = 1e3
# Solves of the left-preconditioned system, each a hundred times tighter, and steps to judge one.
TRIES, JUDGING = 3, 5
# Multiplications up to which leverage scores are computed exactly, and columns of G beyond.
EXACT, PROJECTIONS = 1e7, 32


class SketchPreconditioner(NamedTuple):
    """N, n x r, with A N well conditioned; made by `sketch_preconditioner`."""

    operator: Operator  # products with N and N'
    rank: int  # r
    start: Any  # N N'(S A)'S b if b was given: the solution of the sketched problem


def sketch_preconditioner(
    A: Any,
    b: Any = None,
    *,
    damp: float = 0.0,
    size: int | None = None,
    kind: str = "count",
    random_state: Any = 0,
) -> SketchPreconditioner:
    r"""A matrix N for which A N is well conditioned, from a QR or SVD of a sketch S A.

    Parameters
    ----------
    A : array or scipy.sparse matrix of shape (m, n), m >= n
        If S A = Q R has full rank, N is :math:`R^{-1}`; else :math:`V \Sigma^{-1}` from the
        singular values above rounding, with as many columns as the rank.
    b : array of shape (m,), optional
        Right-hand side, for a start.
    damp : float, default 0.0
        Precondition the stacked matrix of A and damp times the identity.
    size : int, optional
        Rows of the sketch, 4 n by default; where that is m or more A itself is factorised.
    kind, random_state :
        See `draw_sketch`.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.random.default_rng(0).standard_normal((2000, 10)) * np.logspace(0, 6, 10)
    >>> N = sketch_preconditioner(A).operator
    >>> AN = np.column_stack([A @ N.matvec(e) for e in np.eye(10)])
    >>> bool(np.linalg.cond(A) > 1e5 and np.linalg.cond(AN) < 4)
    True
    """
    A = A if sp.issparse(A) else as_array(A, "A", 2)
    if sp.issparse(A):
        require_finite(np.asarray(A.tocsr().data), "A.data")
    m, n = A.shape
    if m < n:
        raise ValueError(f"A has {m} rows and {n} columns; give its transpose")
    require_nonnegative(damp, "damp")
    size = OVERSAMPLING * n if size is None else size
    require_count(size, "size", n)
    dtype = np.dtype(np.float32 if A.dtype == np.float32 else np.float64)
    Sb = None
    if size >= m or n == 0:
        SA = A.toarray() if sp.issparse(A) else A
        Sb = b
    else:
        S = draw_sketch(A, size, kind, random_state=random_state)
        SA = S.apply(A)
        Sb = None if b is None else S.apply(as_vector(b, "b", dtype))
    if damp > 0:
        SA = np.concatenate([SA, damp * np.eye(n, dtype=dtype)])
        Sb = None if Sb is None else np.concatenate([Sb, np.zeros(n, dtype)])
    R: Any = np.linalg.qr(SA.astype(dtype, copy=False), mode="r") if n else np.zeros((0, 0), dtype)
    operator = _inverse(R, dtype)
    start = None
    if Sb is not None:
        start = operator.matvec(operator.rmatvec((SA.T @ Sb).astype(dtype, copy=False)))
    return SketchPreconditioner(operator, operator.shape[1], start)


def _inverse(R: np.ndarray, dtype: Any) -> Operator:
    """R^-1 where R is safely regular, else the pseudo-inverse's factor V / s."""
    n, eps = R.shape[1], float(np.finfo(dtype).eps)
    trcon = scipy.linalg.get_lapack_funcs("trcon", (R,))
    if n == 0 or trcon(R)[0] > DEFICIENT * eps * n:

        def matvec(x: np.ndarray) -> np.ndarray:
            return np.asarray(scipy.linalg.solve_triangular(R, x, check_finite=False))

        def rmatvec(y: np.ndarray) -> np.ndarray:
            return np.asarray(scipy.linalg.solve_triangular(R, y, trans=1, check_finite=False))

        return Operator((n, n), dtype, matvec, rmatvec) if n else _times(R)
    _, s, Vt = scipy.linalg.svd(R)
    rank = _rank(s, n)
    return _times(Vt[:rank].T / s[:rank])


def _times(N: np.ndarray) -> Operator:
    return Operator(N.shape, N.dtype, lambda x: N @ x, lambda y: N.T @ y)


def sketched_lstsq(
    A: Any,
    b: Any,
    *,
    damp: float = 0.0,
    rtol: float | None = None,
    size: int | None = None,
    kind: str = "count",
    max_iter: int = 500,
    random_state: Any = 0,
) -> KrylovResult:
    r"""Shortest :math:`\arg\min_x \|b - A x\|_2^2 + \mathrm{damp}^2 \|x\|_2^2` by sketched LSQR.

    Parameters
    ----------
    A : array or scipy.sparse matrix of shape (m, n)
        Pays where one side is at least some five times as long as the other. Need not have full
        rank, nor be well conditioned.
    b : array of shape (m,)
    damp : float, default 0.0
        Ridge parameter.
    rtol : float, optional
        As for `lsqr`: relative to the residual and the norm of A, in the original coordinates.
    size, kind, random_state :
        See `sketch_preconditioner`.
    max_iter : int, default 500

    Returns
    -------
    KrylovResult
        ``nit`` does not depend on the condition of A, some 2 to 4 steps a digit.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.random.default_rng(0).standard_normal((3000, 20)) * np.logspace(0, -8, 20)
    >>> sketched_lstsq(A, A @ np.ones(20), rtol=1e-10).success
    True
    """
    A = A if sp.issparse(A) else as_array(A, "A", 2)
    options = dict(size=size, kind=kind, random_state=random_state)
    if A.shape[0] < A.shape[1]:
        return _wide(A, b, damp, rtol, max_iter, options)
    b = require_length(as_vector(b, "b"), A.shape[0], "b")
    # Where rank is missing, the range of N is that of A' and holds the shortest solution.
    N, _, start = sketch_preconditioner(A, b, damp=damp, **options)
    return lsqr(A, b, damp=damp, x0=start, preconditioner=N, rtol=rtol, max_iter=max_iter)


def _wide(
    A: Any, b: Any, damp: float, rtol: float | None, max_iter: int, options: dict[str, Any]
) -> KrylovResult:
    """The shortest solution of N'A x = N'b, N from a sketch of A', is that of A x = b."""
    operator = as_operator(A)
    m, n = operator.shape
    b = require_length(as_vector(b, "b", operator.dtype), m, "b")
    require_nonnegative(damp, "damp")
    tall = A.T
    if damp > 0:  # the shortest (x, z) with A x + damp z = b
        stack = sp.vstack if sp.issparse(A) else np.concatenate
        identity = sp.eye_array(m) if sp.issparse(A) else np.eye(m)
        tall = stack([tall, (damp * identity).astype(operator.dtype)])
        operator = as_operator(tall.T)
    N = sketch_preconditioner(tall, **options).operator
    left = Operator(
        (N.shape[1], operator.shape[1]),
        operator.dtype,
        lambda x: N.rmatvec(operator.matvec(x)),
        lambda y: operator.rmatvec(N.matvec(y)),
    )
    inner = (1e-5 if operator.dtype == np.float32 else 1e-8) if rtol is None else float(rtol)
    x, nit, right = np.zeros(operator.shape[1]), 0, N.rmatvec(b)
    for _ in range(TRIES):
        found = lsqr(left, right, x0=x, rtol=inner, max_iter=max_iter - nit)
        x, nit = found.x, nit + found.nit
        # Judged by the problem as given; the few steps tell the norm of A and do no harm.
        result = lsqr(A, b, damp=damp, x0=x[:n], rtol=rtol, max_iter=JUDGING)
        if result.success or nit >= max_iter:
            break
        inner *= 0.01
    return replace(result, nit=nit + result.nit)


def leverage_scores(
    A: Any, *, exact: bool | None = None, size: int | None = None, random_state: Any = 0
) -> np.ndarray:
    r"""Squared row lengths of an orthonormal basis of the column space; they add up to the rank.

    Parameters
    ----------
    A : array or scipy.sparse matrix of shape (m, n), m >= n
    exact : bool, optional
        By a QR or SVD of A. Otherwise lengths of the rows of A N G for a sketched N and a Gaussian
        G of 32 columns, each right to some 30 %. By default exact for dense A of up to 10^7
        multiplications.
    size, random_state :
        Of the sketch for N, see `sketch_preconditioner`.

    Examples
    --------
    >>> leverage_scores([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).round(8).tolist()
    [1.0, 0.5, 0.5]
    """
    A = A if sp.issparse(A) else as_array(A, "A", 2)
    m, n = A.shape
    if exact is None:
        exact = not sp.issparse(A) and m * n * n <= EXACT
    rng = np.random.default_rng(random_state)
    if exact:
        dense = A.toarray() if sp.issparse(A) else A
        U, s, _ = scipy.linalg.svd(dense, full_matrices=False)
        return np.asarray(np.square(U[:, : _rank(s, m)]).sum(axis=1), np.float64)
    N = sketch_preconditioner(A, size=size, random_state=rng).operator
    G = rng.standard_normal((N.shape[1], PROJECTIONS)) / np.sqrt(PROJECTIONS)
    NG = np.column_stack([N.matvec(g) for g in G.T.astype(N.dtype)])
    return np.asarray(np.square(A @ NG).sum(axis=1), np.float64)


def _rank(s: np.ndarray, length: int) -> int:
    """Singular values that are not rounding."""
    return int(np.sum(s > 10 * length * float(np.finfo(s.dtype).eps) * s.max(initial=0)))
