"""Total variation and the generalised lasso."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt import penalties
from numopt.core.validate import as_array, as_matrix, as_vector, require_nonnegative
from numopt.linalg.maps import Differences
from numopt.problems.splitting import Splitting
from numopt.terms import SquaredResidual


def generalised_lasso(y: Any, D: Any, lam: float, A: Any = None) -> Splitting:
    r"""Generalised lasso, :math:`\frac12 \|A x - y\|_2^2 + \lambda \|D x\|_1`.

    Dual points are multipliers of z = D x, clipped to :math:`[-\lambda, \lambda]`. With a matrix
    A they would also have to meet equations, and the certificate holds the residuals of the
    splitting instead.

    Parameters
    ----------
    y : array of shape (m,)
    D : array, sparse matrix or LinearOperator of shape (k, n)
        Sparse matrices with few diagonals make every iteration O(n).
    lam : float
        Strength, >= 0.
    A : array or sparse matrix of shape (m, n), optional
        The identity if not given.

    References
    ----------
    R. Tibshirani, J. Taylor, "The solution path of the generalized lasso", Ann. Statist. 39
    (2011), arXiv:1005.1971.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.splittings import generalised_lasso
    >>> fused = generalised_lasso([0.0, 1.0, 5.0, 6.0], np.diff(np.eye(4), axis=0), 1.0)
    >>> numopt.solve(fused).x.round(6).tolist()
    [1.0, 1.0, 5.0, 5.0]
    """
    require_nonnegative(lam, "lam")
    D = D if hasattr(D, "matvec") else as_matrix(D, "D")
    A = A if A is None or hasattr(A, "matvec") else as_matrix(A, "A")
    fit = SquaredResidual(A, as_vector(y, "y"))
    return Splitting(fit, penalties.L1(lam), A=D, gap=_gap if A is None else None)


def total_variation(y: Any, lam: float, *, isotropic: bool = False) -> Splitting:
    r"""Total variation denoising, :math:`\frac12 \|x - y\|^2 + \lambda TV(x)`.

    For sequences and pictures. TV is the sum of the absolute differences of neighbours, or with
    `isotropic` the sum over pixels of the length of the vector of both differences. The systems are
    tridiagonal for
    sequences, for pictures the cosine transform solves them. For sequences alone
    `numopt.penalties.TotalVariation1D` has a direct method.

    Parameters
    ----------
    y : array of shape (n,) or (rows, columns)
        The x of the result is a vector; reshape it as y.
    lam : float
        Strength, >= 0.
    isotropic : bool, default False
        For pictures.

    References
    ----------
    L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal algorithms",
    Physica D 60 (1992), doi:10.1016/0167-2789(92)90242-F.

    Examples
    --------
    >>> import numopt
    >>> from numopt.splittings import total_variation
    >>> numopt.solve(total_variation([0.0, 1.0, 5.0, 6.0], 1.0)).x.round(6).tolist()
    [1.0, 1.0, 5.0, 5.0]
    """
    require_nonnegative(lam, "lam")
    y = np.asarray(y)
    if y.ndim not in (1, 2):
        raise ValueError(f"y must be 1-D or 2-D, got shape {y.shape}")
    y = as_array(y, "y", y.ndim)
    if not y.size:
        raise ValueError(f"y is empty, got shape {y.shape}")
    fit = SquaredResidual(None, y.reshape(-1))
    if y.ndim == 1:
        n = max(y.size - 1, 0)
        D = sp.diags_array([-np.ones(n), np.ones(n)], offsets=[0, 1], shape=(n, y.size))
        return Splitting(fit, penalties.L1(lam), A=sp.csc_array(D), gap=_gap, shape=y.shape)
    penalty: Any = penalties.L1(lam)
    if isotropic:
        pixels = np.tile(np.arange(y.size), 2)
        penalty = penalties.GroupLasso(lam, pixels, weights=np.ones(y.size))
    return Splitting(fit, penalty, A=Differences(y.shape), gap=_gap, shape=y.shape)


def _gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    fit, penalty, D = problem.f, problem.g, problem.maps[0]
    # What the prox of a norm leaves is the projection on its dual ball.
    w = y - penalty.prox(y, 1.0)
    v = D.adjoint(w)
    bound = float(fit.b @ v) - float(v @ v) / 2
    size = float(fit.b @ fit.b) / 2
    return fit.value(x) + float(penalty.value(D.times(x))), bound, size or 1.0
