"""Sparse precision matrices, low rank plus sparse."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from numopt import penalties
from numopt.core.validate import as_array, as_symmetric, require_nonnegative
from numopt.problems.splitting import Splitting
from numopt.terms import LogDeterminant


def graphical_lasso(S: Any, alpha: float) -> Splitting:
    r"""Sparse inverse covariance matrix.

    .. math:: \min_X \mathrm{tr}(S X) - \log\det X + \alpha \sum_{i \ne j} |X_{ij}|

    As scikit-learn's: the diagonal is not penalised. The dual point is the covariance
    :math:`X^{-1}`, moved into :math:`|W_{ij} - S_{ij}| \le \alpha, W_{ii} = S_{ii}`.

    Parameters
    ----------
    S : array of shape (p, p)
        Covariance matrix, symmetric with a positive diagonal.
    alpha : float
        Strength, >= 0; with 0 S must be positive definite.

    See Also
    --------
    components : blocks of variables that can be solved for one by one.
    numopt.estimators.SparsePrecision : the estimator.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani, "Sparse inverse covariance estimation with the graphical
    lasso", Biostatistics 9 (2008), arXiv:0708.3517.

    Examples
    --------
    >>> import numopt
    >>> from numopt.splittings import graphical_lasso
    >>> result = numopt.solve(graphical_lasso([[2.0, 0.5], [0.5, 2.0]], 0.6))
    >>> result.x.reshape(2, 2).round(6).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    require_nonnegative(alpha, "alpha")
    S = as_symmetric(as_array(S, "S", 2), "S")
    diagonal = S.diagonal()
    if not (diagonal > 0).all():
        i = int(np.argmax(~(diagonal > 0)))
        raise ValueError(
            f"S[{i}, {i}] = {diagonal[i]:g} must be > 0; drop variables that are constant"
        )
    weights = 1.0 - np.eye(len(S)).reshape(-1)
    return Splitting(
        penalties.L1(alpha, weights), LogDeterminant(S), gap=_precision_gap, shape=S.shape
    )


def _precision_gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    S, alpha = problem.g.S, problem.f.alpha
    p = len(S)
    X = x.reshape(p, p)
    try:
        factor = scipy.linalg.cho_factor((X + X.T) / 2, lower=True, check_finite=False)
    except (scipy.linalg.LinAlgError, ValueError):
        return np.inf, -np.inf, 1.0
    inverse = scipy.linalg.cho_solve(factor, np.eye(p), check_finite=False)
    logdet = 2 * float(np.log(np.diag(factor[0])).sum())
    value = float(np.vdot(S, X)) - logdet + problem.f.value(x)
    W = S + np.clip(inverse - S, -alpha, alpha)
    np.fill_diagonal(W, np.diag(S))
    sign, bound = np.linalg.slogdet((W + W.T) / 2)
    definite = sign > 0 and scipy.linalg.eigvalsh(W, subset_by_index=[0, 0])[0] > 0
    return value, float(bound) + p if definite else -np.inf, max(float(p), abs(value))


def components(S: Any, alpha: float) -> list[np.ndarray]:
    r"""Groups of variables between which the graphical lasso has zeros only.

    Connected components of the graph of all :math:`|S_{ij}| > \alpha`: exact, so that each block
    may be solved for itself.

    Parameters
    ----------
    S : array of shape (p, p)
    alpha : float

    Returns
    -------
    list of array
        Indices of each group.

    References
    ----------
    D. Witten, J. Friedman, N. Simon, "New insights and faster computations for the graphical
    lasso", J. Comput. Graph. Statist. 20 (2011), doi:10.1198/jcgs.2011.11051a.

    Examples
    --------
    >>> from numopt.splittings import components
    >>> [group.tolist() for group in components([[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]], 0.2)]
    [[0, 2], [1]]
    """
    S = as_array(S, "S", 2)
    count, labels = connected_components(sp.csr_array(np.abs(S) > alpha), directed=False)
    return [np.flatnonzero(labels == k) for k in range(count)]


def robust_pca(M: Any, lam: float | None = None) -> Splitting:
    r"""Low rank plus sparse, :math:`\min \|L\|_* + \lambda \|S\|_1` with :math:`L + S = M`.

    The x of the result is L, its z is S, each row by row.

    Parameters
    ----------
    M : array of shape (m, n)
    lam : float, optional
        :math:`1 / \sqrt{\max(m, n)}` if not given, with which both parts are recovered exactly
        under conditions of incoherence.

    References
    ----------
    E. Candes, X. Li, Y. Ma, J. Wright, "Robust principal component analysis?", J. ACM 58 (2011),
    arXiv:0912.3599.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.splittings import robust_pca
    >>> M = np.ones((8, 8))
    >>> M[2, 3] = 9.0
    >>> numopt.solve(robust_pca(M)).x.reshape(8, 8)[2, 2:5].round(4).tolist()
    [1.0, 1.0, 1.0]
    """
    M = as_array(M, "M", 2)
    if M.size == 0:
        raise ValueError(f"M is empty, got shape {M.shape}")
    if lam is None:
        lam = 1 / np.sqrt(max(M.shape))
    require_nonnegative(lam, "lam")
    return Splitting(
        penalties.Nuclear(1.0, M.shape), penalties.L1(float(lam)), B=1.0, c=M.reshape(-1),
        gap=_pca_gap, shape=M.shape,
    )  # fmt: skip


def _pca_gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    nuclear, sparse, c = problem.f, problem.g, problem.c
    value = float(nuclear.value(x)) + float(sparse.value(c - x))
    lengths = [1.0, nuclear.alpha_max(y)]
    if sparse.alpha > 0:
        lengths.append(float(np.abs(y).max()) / sparse.alpha)
    bound = -float(c @ y) / max(lengths) if sparse.alpha > 0 else 0.0
    return value, bound, float(sparse.value(c)) or float(nuclear.value(c)) or 1.0
