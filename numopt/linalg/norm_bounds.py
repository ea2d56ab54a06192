r"""A bracket of the largest singular value.

References
----------
J. Kuczynski, H. Wozniakowski, "Estimating the largest eigenvalue by the power and Lanczos
algorithms with a random start", SIAM J. Matrix Anal. Appl. 13 (1992), doi:10.1137/0613066, for
bounds of this kind; the one used here is proven where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.validate import require_choice, require_count, require_in, require_positive
from numopt.linalg.operators import Operator, as_operator
from numopt.linalg.scaling import column_norms, row_norms
from numopt.linalg.spectra import MIXED, finite, start_vector


class NormBracket(NamedTuple):
    """Bounds of a spectral norm."""

    lower: float
    upper: float  # holds for sure, or but for a chance of `failure`
    n_products: int  # with A and with A'


def spectral_norm(
    A: Any,
    *,
    rtol: float = 1e-2,
    method: str = "lanczos",
    start: Any = None,
    failure: float = 1e-10,
    max_iter: int = 1000,
    random_state: Any = 0,
) -> NormBracket:
    r"""Bracket of the largest singular value, by bidiagonalisation or the power method.

    Parameters
    ----------
    A : array, scipy.sparse matrix or operator of shape (m, n)
        Operators need ``rmatvec``.
    rtol : float, default 1e-2
        Done when upper <= (1 + rtol) lower.
    method : {"lanczos", "power"}
        Largest singular value on a Krylov space, without keeping it: three vectors; or power
        iteration with A'A, which needs about the square of the iterations.
    start : array of shape (n,), optional
        Vector near the first right singular one; speeds up the lower bound.
    failure : float, default 1e-10
        Chance that the upper bound may be wrong, over the draw of the start.
    max_iter : int, default 1000
        Steps at most, each a product with A and one with A'.
    random_state : int or numpy.random.Generator, default 0

    Returns
    -------
    NormBracket

    Notes
    -----
    The lower bound is a Ritz value. The upper one is the least of :math:`\|A\|_F`,
    :math:`(\|A\|_1 \|A\|_\infty)^{1/2}` where A is explicit, and this: with
    :math:`\xi` the Ritz value of :math:`S = A^T A` after k steps from a unit vector whose part
    along the first eigenvector is :math:`\beta`, :math:`\xi \ge (1 - \varepsilon)
    \lambda_1` whenever :math:`\beta^2 / (1 - \beta^2) > (1 - \varepsilon) / (\varepsilon
    p^2)`, p being :math:`T_{k-1}((1 + \varepsilon)/(1 - \varepsilon))` for Lanczos and
    :math:`(1 - \varepsilon)^{1-k}` for the power method (apply the Rayleigh quotient to the
    polynomial that is at most 1 on :math:`[0, (1 - \varepsilon) \lambda_1]`). A Gaussian
    vector g, whatever is added to it, has :math:`|g^T v_1| \le \tau` with a chance of at most
    :math:`\tau \sqrt{2 / \pi}`.

    Examples
    --------
    >>> import numpy as np
    >>> bracket = spectral_norm(np.diag([1.0, 2.0, 3.0]))
    >>> bool(bracket.lower <= 3 <= bracket.upper <= 1.01 * bracket.lower)
    True
    """
    require_positive(rtol, "rtol")
    require_choice(method, ("lanczos", "power"), "method")
    require_in(failure, 1e-300, 0.5, "failure")
    require_count(max_iter, "max_iter", 1)
    operator = as_operator(A)
    if 0 in operator.shape:
        return NormBracket(0.0, 0.0, 0)
    n, dtype = operator.shape[1], operator.dtype
    rng = np.random.default_rng(random_state)
    v = start_vector(start, n, np.float64, rng)
    length = float(np.linalg.norm(v))
    # But for that chance, the random part of v alone has at least this much along v_1.
    scale = 1.0 if start is None else MIXED / n**0.5
    beta = failure * (np.pi / 2) ** 0.5 * scale / length
    steps = _bidiagonal if method == "lanczos" else _powers
    eps = float(np.finfo(dtype).eps)
    lower, upper, products = 0.0, _sure_bound(A), 0
    for k, ritz, exact in steps(operator, (v / length).astype(dtype), max_iter):
        products = 2 * k
        lower = max(lower, ritz * (1 - 4 * eps))
        shortfall = 0.0 if exact else _shortfall(k, beta, method)
        if shortfall < 1:
            upper = min(upper, ritz / (1 - shortfall) ** 0.5 * (1 + 4 * k * eps))
        if upper <= (1 + rtol) * lower:
            break
    return NormBracket(lower, max(lower, upper), products)


def _sure_bound(A: Any) -> float:
    """Least of the bounds that the entries of A give; infinity for operators."""
    if (hasattr(A, "matvec") and not sp.issparse(A)) or isinstance(A, Operator):
        return np.inf
    columns, rows = column_norms(A, 1).max(), row_norms(A, 1).max()
    frobenius = row_norms(column_norms(A)[None])[0]
    return float(min(frobenius, np.sqrt(columns) * np.sqrt(rows)) * (1 + 1e-12))


def _shortfall(k: int, beta: float, method: str) -> float:
    """Least epsilon for which k steps prove that xi >= (1 - epsilon) lambda_1; 1 if none."""

    def excess(log_epsilon: float) -> float:
        epsilon = np.exp(log_epsilon)
        if method == "power":
            log_p = (1 - k) * np.log1p(-epsilon)
        else:
            a = 2 * np.arctanh(np.sqrt(epsilon)) * (k - 1)
            log_p = a - np.log(2) + np.log1p(np.exp(-2 * a))
        return float(np.log1p(-epsilon) - log_epsilon - 2 * log_p - 2 * np.log(beta))

    low, high = -36.0, -1e-9
    if excess(high) > 0:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return float(np.exp(high))


def _bidiagonal(A: Operator, v: np.ndarray, max_iter: int) -> Iterator[tuple[int, float, bool]]:
    """Golub-Kahan steps from v: their number, the largest Ritz value, whether that is exact."""
    tiny = float(np.finfo(A.dtype).eps)
    alphas: list[float] = []
    betas = [0.0]
    u = np.zeros(A.shape[0], A.dtype)
    for k in range(1, max_iter + 1):
        u = finite(A.matvec(v)) - A.dtype.type(betas[-1]) * u
        alphas.append(float(np.linalg.norm(u)))
        largest = max(alphas)
        exact = not alphas[-1] > tiny * largest
        if not exact:
            u /= A.dtype.type(alphas[-1])
            w = finite(A.rmatvec(u)) - A.dtype.type(alphas[-1]) * v
            betas.append(float(np.linalg.norm(w)))
            exact = not betas[-1] > tiny * largest
            v = w / A.dtype.type(betas[-1] or 1.0)
        if exact or k % 4 == 0 or k == max_iter:
            d, e = np.array(alphas) / (largest or 1.0), np.array(betas) / (largest or 1.0)
            top = scipy.linalg.eigvalsh_tridiagonal(
                d**2 + e[:k] ** 2, d[:-1] * e[1:k], select="i", select_range=(k - 1, k - 1)
            )
            yield k, largest * float(np.sqrt(top[0])), exact
        if exact:
            return


def _powers(A: Operator, v: np.ndarray, max_iter: int) -> Iterator[tuple[int, float, bool]]:
    """Power iteration with A'A from v, the same way."""
    for k in range(1, max_iter + 1):
        u = finite(A.matvec(v))
        value = float(np.linalg.norm(u))
        w = finite(A.rmatvec(u / A.dtype.type(value or 1.0)))
        length = float(np.linalg.norm(w))
        yield k, value, length == 0
        if length == 0:
            return
        v = w / A.dtype.type(length)
