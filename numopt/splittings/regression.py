"""Sparse and robust regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt import penalties
from numopt.core.validate import as_matrix, as_vector, require_length, require_nonnegative
from numopt.problems.splitting import Splitting
from numopt.terms import Affine, QuadraticForm, SquaredResidual


def lasso(A: Any, b: Any, lam: float, weights: Any = None) -> Splitting:
    r"""Lasso, :math:`\frac12 \|A x - b\|_2^2 + \lambda \sum_j w_j |x_j|`.

    Without a mean over the rows, unlike `numopt.estimators.Lasso`. Dual points are residuals,
    shrunk until :math:`|A^T \theta| \le \lambda w`; for :math:`\lambda = 0` the certificate holds
    the residuals of the splitting instead of a gap.

    Parameters
    ----------
    A : array, sparse matrix or LinearOperator of shape (m, n)
    b : array of shape (m,)
    lam : float
        Strength, >= 0.
    weights : array of shape (n,), optional
        One factor per coefficient.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.splittings import lasso
    >>> numopt.solve(lasso(np.eye(2), [3.0, 0.5], 1.0)).x.round(6).tolist()
    [2.0, 0.0]
    """
    require_nonnegative(lam, "lam")
    bounded = lam > 0 and (weights is None or np.all(np.asarray(weights) > 0))
    term = SquaredResidual(_matrix(A), _target(b))
    return Splitting(penalties.L1(lam, weights), term, gap=_lasso_gap if bounded else None)


def _lasso_gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    penalty, term = problem.f, problem.g
    r = term.residual(x)
    s = penalty.dual_scale(term.gradient(x))
    size = float(term.b @ term.b) / 2
    # |b|^2 / 2 - |b - s (b - A x)|^2 / 2
    bound = -s * float(term.b @ r) - s * s * float(r @ r) / 2
    return float(r @ r) / 2 + penalty.value(x), bound, size or 1.0


def basis_pursuit(A: Any, b: Any) -> Splitting:
    r"""Basis pursuit, :math:`\min \|x\|_1` with :math:`A x = b`.

    The x of the result is sparse and solves the equations up to the tolerance, its z solves them
    to rounding.

    Parameters
    ----------
    A : array of shape (m, n)
        Rows may depend on each other if the equations agree.
    b : array of shape (m,)

    References
    ----------
    S. Chen, D. Donoho, M. Saunders, "Atomic decomposition by basis pursuit", SIAM J. Sci. Comput.
    20 (1998), doi:10.1137/S1064827596304010.

    Examples
    --------
    >>> import numopt
    >>> from numopt.splittings import basis_pursuit
    >>> numopt.solve(basis_pursuit([[1.0, 2.0]], [4.0])).x.round(6).tolist()
    [0.0, 2.0]
    """
    return Splitting(penalties.L1(1.0), Affine(_matrix(A), _target(b)), gap=_pursuit_gap)


def _pursuit_gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    term = problem.g
    theta = term.multipliers(-y)
    theta /= max(1.0, float(np.max(np.abs(term.F.T @ theta), initial=0.0)))
    value = float(np.abs(z).sum()) + term.value(z)
    return value, float(term.b @ theta), value or 1.0


def lad(A: Any, b: Any) -> Splitting:
    r"""Least absolute deviations, :math:`\min_x \|A x - b\|_1`.

    Parameters
    ----------
    A : array or sparse matrix of shape (m, n)
        Of any rank.
    b : array of shape (m,)

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.splittings import lad
    >>> numopt.solve(lad(np.ones((3, 1)), [0.0, 1.0, 100.0])).x.round(6).tolist()
    [1.0]
    """
    return _robust(A, b, penalties.L1(1.0))


def huber(A: Any, b: Any, delta: float = 1.0) -> Splitting:
    r"""Huber regression, :math:`\min_x \sum_i h_\delta((A x - b)_i)`.

    :math:`h_\delta(r) = r^2 / 2` for :math:`|r| \le \delta`, :math:`\delta |r| - \delta^2 / 2`
    beyond.

    Parameters
    ----------
    A : array or sparse matrix of shape (m, n)
        Of any rank.
    b : array of shape (m,)
    delta : float, default 1.0
        Residual beyond which the loss is linear.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.splittings import huber
    >>> numopt.solve(huber(np.ones((3, 1)), [0.0, 1.0, 100.0])).x.round(6).tolist()
    [1.0]
    """
    return _robust(A, b, penalties.Huber(1.0, delta))


def _robust(A: Any, b: Any, penalty: Any) -> Splitting:
    A, b = _matrix(A), _target(b)
    require_length(b, A.shape[0], "b")
    nothing = QuadraticForm(None, np.zeros(A.shape[1]))
    return Splitting(nothing, penalty, A=A, c=b, gap=_robust_gap)


def _robust_gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    """Dual points lie in the null space of A' and within the slope of the loss."""
    penalty, A, b = problem.g, problem.maps[0], problem.c
    normal = problem.f.system(A, problem.size)  # that of the x-step
    y = y - A.times(normal.solve(A.adjoint(y), 1.0))
    slope = penalty.alpha * getattr(penalty, "delta", 1.0)
    y = y * min(1.0, slope / (float(np.max(np.abs(y), initial=0.0)) or 1.0))
    bound = -float(b @ y) - float(penalty.conjugate(y))
    return float(penalty.value(A.times(x) - b)), bound, float(penalty.value(b)) or 1.0


def _matrix(A: Any) -> Any:
    return A if hasattr(A, "matvec") else as_matrix(A, "A")


def _target(b: Any) -> np.ndarray:
    return as_vector(b, "b")
