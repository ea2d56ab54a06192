r"""Convex quadratic functions on the simplex, by an active-set method.

References
----------
P. Wolfe, "Finding the nearest point in a polytope", Math. Program. 11, 1976,
doi:10.1007/BF01580381.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

EPS = float(np.finfo(float).eps)
RIDGE = 1e-13  # relative to the largest diagonal entry


def simplex_qp(Q: Any, b: Any, start: Any = None, tol: float = 0.0) -> np.ndarray:
    r"""Minimiser of :math:`\frac12 w^T Q w + b^T w` over :math:`w \ge 0, \sum_i w_i = 1`.

    Parameters
    ----------
    Q : array of shape (k, k)
        Positive semidefinite.
    b : array of shape (k,)
    start : array of shape (k,), optional
        Weights to start from; few changes of their support mean few factorisations.
    tol : float, default 0.0
        Done when no gradient entry is more than this below those of the support, rounding aside.

    Notes
    -----
    The support grows by the most negative reduced gradient and shrinks where a weight reaches 0;
    a Cholesky factorisation of the support's part of Q per change. Adding a constant to all
    entries of Q does not change the problem, and keeps its part definite where points are affinely
    independent.

    Examples
    --------
    >>> from numopt.linalg import simplex_qp
    >>> simplex_qp([[1.0, 0.0], [0.0, 3.0]], [0.0, 0.0]).round(12).tolist()
    [0.75, 0.25]
    """
    Q, b = np.asarray(Q, float), np.asarray(b, float)
    k = b.size
    diagonal = Q.diagonal()
    unit = float(np.abs(diagonal).max(initial=0.0)) or 1.0
    shift, ridge = unit, RIDGE * unit
    if start is None:
        w = np.zeros(k)
        w[int(np.argmin(diagonal / 2 + b))] = 1.0
    else:
        w = np.maximum(start, 0.0)
        w /= w.sum()
    support = np.flatnonzero(w > 0)
    added = -1
    for _ in range(20 * k + 20):
        part = Q[np.ix_(support, support)] + shift
        part.flat[:: support.size + 1] += ridge
        sides = np.column_stack([np.ones(support.size), -b[support]])
        try:
            factor = scipy.linalg.cho_factor(part, check_finite=False, overwrite_a=True)
            ones, rest = scipy.linalg.cho_solve(factor, sides, check_finite=False).T
        except scipy.linalg.LinAlgError:
            shift, ridge = 10 * shift, 100 * ridge
            continue
        target = rest + (1 - rest.sum()) / ones.sum() * ones
        if target.min() >= 0:
            w[support] = target
            gradient = Q @ w + b
            level = float(w @ gradient)
            noise = 16 * EPS * float(np.abs(gradient).max() + np.abs(b).max() + unit)
            outside = gradient.copy()
            outside[support] = np.inf
            best = int(np.argmin(outside))
            if not outside[best] < level - max(tol, noise) or best == added:
                break
            support, added = np.append(support, best), best
            continue
        now = w[support]
        falling = target < 0
        reach = np.where(falling, now / np.where(falling, now - target, 1.0), np.inf)
        blocking = int(np.argmin(reach))
        if support[blocking] == added and reach[blocking] <= 0:
            break  # what was to come in is pushed out: rounding
        w[support] = np.maximum(now + reach[blocking] * (target - now), 0.0)
        w[support[blocking]] = 0.0
        support = np.delete(support, blocking)
        added = -1
    total = w.sum()
    return w / total if total > 0 else w
