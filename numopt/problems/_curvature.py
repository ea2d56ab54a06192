"""Hessians of functions given in Python: forms they come in, differences, lowest curvature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator

from numopt.core.differences import EPS, SCHEMES

CURVATURE = "(max(0, -lambda_min(H_FF)) / max(1, |H|))^2, F: variables inside their bounds"
ASYMMETRIC = 1e-6  # largest difference across the diagonal, relative to the largest entry


def check_hessian(hess: Any, hessp: Any, has_gradient: bool) -> None:
    """Refuse second derivatives in a form that is not served."""
    if hessp is not None and not callable(hessp):
        raise TypeError(f"hessp must be callable, got {type(hessp).__name__}")
    if hess is None or callable(hess):
        return
    if isinstance(hess, str) and hess in SCHEMES:
        if not has_gradient:
            raise ValueError(
                f"hess={hess!r} takes differences of the gradient, which needs a callable jac: "
                "differences of differences have no digits left"
            )
        return
    if hasattr(hess, "update") and hasattr(hess, "initialize"):
        raise ValueError(
            f"hess is the quasi-Newton update {type(hess).__name__}, which method='trust-constr' "
            "takes; without hess, method 'lbfgs' approximates the Hessian itself"
        )
    raise ValueError(f"hess must be callable, '2-point', '3-point' or 'cs'; got {hess!r}")


def as_hessian(value: Any, n: int) -> Any:
    """What `hess` returned: a float64 array, a CSC array or a LinearOperator of shape (n, n)."""
    if isinstance(value, LinearOperator):
        matrix: Any = value
    elif sp.issparse(value):
        matrix = sp.csc_array(value, dtype=np.float64)
        matrix.sum_duplicates()
    else:
        matrix = np.asarray(value)
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"the Hessian that hess returned must be real, got {matrix.dtype}")
        matrix = matrix.astype(np.float64, copy=False)
        if matrix.ndim < 2 and matrix.size == 1 == n:
            matrix = matrix.reshape(1, 1)
    if matrix.shape != (n, n):
        raise ValueError(
            f"the Hessian that hess returned has shape {matrix.shape}, expected ({n}, {n})"
        )
    return matrix


def require_symmetric(matrix: Any) -> None:
    """Refuse a Hessian that is not symmetric, naming the worst entry; operators pass."""
    if isinstance(matrix, LinearOperator) or matrix.shape[0] == 0:
        return
    gap = abs(matrix - matrix.T)
    worst, size = gap.max(), abs(matrix).max()
    if worst > ASYMMETRIC * size and np.isfinite(size):
        i, j = (int(k) for k in np.unravel_index(gap.argmax(), gap.shape))
        raise ValueError(
            f"the Hessian that hess returned is not symmetric: entry ({i}, {j}) is "
            f"{matrix[i, j]:g}, entry ({j}, {i}) is {matrix[j, i]:g}"
        )


def difference_hessian(
    gradient: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    g: np.ndarray,
    scheme: str,
    lower: np.ndarray | None,
    upper: np.ndarray | None,
) -> np.ndarray:
    """Differences of the gradient, symmetrised, at steps that stay inside the bounds.

    Relative steps eps^(1/2), eps^(1/3) for "3-point"; n or 2 n gradients. Next to a bound that
    leaves no room on both sides "3-point" is one-sided. Rows of fixed variables are 0.
    """
    n, size = x.size, EPS**0.5 if scheme == "2-point" else EPS ** (1 / 3)
    H = np.zeros((n, n))
    for i in range(n):
        h = size * max(1.0, abs(x[i]))
        below = np.inf if lower is None else x[i] - lower[i]
        above = np.inf if upper is None else upper[i] - x[i]
        if below == 0 == above:
            continue
        left, right = x.copy(), x.copy()
        right[i] += min(h, above * (1 - 4 * EPS))
        if scheme == "3-point" or right[i] - x[i] < 0.5 * h:
            left[i] -= min(h, below * (1 - 4 * EPS))
        g_left = g if left[i] == x[i] else gradient(left)
        g_right = g if right[i] == x[i] else gradient(right)
        H[i] = (g_right - g_left) / (right[i] - left[i])
    H = 0.5 * (H + H.T)
    if lower is not None and upper is not None:
        fixed = lower == upper
        H[fixed] = 0.0
        H[:, fixed] = 0.0
    return H


def lowest(H: Any, free: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Least eigenvalue of H on the free variables with its vector, and the size |H| there.

    Exact for dense matrices; for sparse ones and operators by a few dozen products (Lanczos),
    never below the least eigenvalue.
    """
    if not free.any():
        return 0.0, np.zeros(free.size), 0.0
    vector = np.zeros(free.size)
    if isinstance(H, np.ndarray):
        part = H if free.all() else H[np.ix_(free, free)]
        if not np.isfinite(part).all():
            return np.nan, vector, np.nan
        values, vectors = eigh(part, subset_by_index=[0, 0], driver="evr", check_finite=False)
        vector[free] = vectors[:, 0]
        return float(values[0]), vector, float(np.abs(part).max())
    from numopt.linalg import lanczos

    largest = 0.0

    def product(p: np.ndarray) -> np.ndarray:
        nonlocal largest
        whole = np.zeros(free.size)
        whole[free] = p
        out = np.asarray(H @ whole, float)[free]
        if not np.isfinite(out).all():
            raise FloatingPointError
        largest = max(largest, float(np.linalg.norm(out) / (np.linalg.norm(p) or 1.0)))
        return out

    m = int(free.sum())
    operator = LinearOperator((m, m), matvec=product, dtype=np.float64)
    try:
        pair = lanczos(operator, which="smallest", tol=1e-4, max_restarts=2, max_dim=40)
    except FloatingPointError:
        return np.nan, vector, np.nan
    vector[free] = pair.vectors[:, 0]
    return float(pair.values[0]), vector, largest
