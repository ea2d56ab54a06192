r"""Convex quadratic functions on the simplex, by an active-set method.

References
----------
P. Wolfe, "Finding the nearest point in a polytope", Math. Program. 11, 1976,
doi:10.1007/BF01580381.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import lapack

from numopt.core.validate import as_array, as_vector

EPS = float(np.finfo(float).eps)
RIDGE = 1e-14  # relative to each diagonal entry


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
    The support grows by the most negative reduced gradient and shrinks where a weight reaches 0.
    Per change a Cholesky factorisation, in differences from the point of the support with the
    least :math:`Q_{ii}`, each in its own unit: points may differ in length by many digits.

    Examples
    --------
    >>> from numopt.linalg import simplex_qp
    >>> simplex_qp([[1.0, 0.0], [0.0, 3.0]], [0.0, 0.0]).round(12).tolist()
    [0.75, 0.25]
    """
    Q, b = as_array(Q, "Q", 2, np.float64), as_vector(b, "b", np.float64)
    k = b.size
    if k == 0 or Q.shape != (k, k):
        raise ValueError(f"Q has shape {Q.shape}, b has {k} entries; expected (k, k) and k >= 1")
    if start is None:
        w = np.zeros(k)
        w[int(np.argmin(Q.diagonal() / 2 + b))] = 1.0
    else:
        w = np.maximum(start, 0.0)
        w /= w.sum()
    support = np.flatnonzero(w > 0)
    sizes, added = np.abs(Q), -1
    for _ in range(20 * k + 20):
        target = _on_face(Q, b, support)
        if target.min() >= 0:
            w[support] = target
            gradient = Q @ w + b
            noise = 16 * EPS * (sizes @ w + np.abs(b))
            promise = float(w @ gradient) - gradient - noise - float(w @ noise)
            promise[support] = -np.inf
            best = int(np.argmax(promise))
            if not promise[best] > tol or best == added:
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
    return np.asarray(w / w.sum())


def _on_face(Q: np.ndarray, b: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Minimiser over the weights of the support, of any sign, that sum to 1."""
    r = int(np.argmin(Q[support, support]))
    others = np.ones(support.size, bool)
    others[r] = False
    first, rest = support[r], support[others]
    out = np.ones(support.size)
    if rest.size == 0:
        return out
    row, corner = Q[first, rest], Q[first, first]
    # In the weights of the others: the first has what they leave.
    inner = Q[rest[:, None], rest]
    inner -= row[:, None]
    inner -= row - corner
    units = 1.0 / np.sqrt(np.maximum(inner.diagonal(), 1e-300))
    inner *= units
    inner *= units[:, None]
    slopes = units * (row + b[rest] - (corner + b[first]))
    ridge = RIDGE * support.size
    while True:
        inner.flat[:: rest.size + 1] = 1.0 + ridge
        _, solution, failed = lapack.dposv(inner.T, slopes)
        if not failed:
            break
        ridge *= 100.0
    out[others] = -units * solution
    out[r] = 1.0 - out[others].sum()
    return out
