r"""Extreme eigenvalues and singular values with error bounds.

`lanczos` and `golub_kahan` grow an orthonormal basis by Krylov steps, read eigenpairs off the
projected matrix and start again from the best of them (thick restarts), with full
re-orthogonalisation. They take a whole subspace to start from, and their errors are residuals
recomputed with A at the end.

References
----------
K. Wu, H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM J.
Matrix Anal. Appl. 22 (2000), doi:10.1137/S0895479898334605.
J. Baglama, L. Reichel, "Augmented implicitly restarted Lanczos bidiagonalization methods", SIAM J.
Sci. Comput. 27 (2005), doi:10.1137/04060593X.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from numopt.core.validate import (
    as_array,
    require_choice,
    require_count,
    require_in,
    require_positive,
)
from numopt.linalg.operators import Operator, as_operator

# A direction this much shorter than what it was made from is rounding.
LOST = 100
# Steps between looks at the Ritz values.
CHECK_EVERY = 5
# Length of what is mixed at random into a given start of length 1.
MIXED = 1e-4


class EigenPairs(NamedTuple):
    """Some extreme eigenpairs of a symmetric matrix."""

    values: np.ndarray  # k, the extreme one first
    vectors: np.ndarray  # n x k, orthonormal
    errors: np.ndarray  # |A x - value x|_2, recomputed: an eigenvalue lies this close
    converged: bool  # whether all errors meet the tolerance
    n_products: int


class SingularTriplets(NamedTuple):
    """Some extreme singular triplets, A v = s u and A'u = s v."""

    U: np.ndarray  # m x k, orthonormal
    values: np.ndarray  # k, the extreme one first
    V: np.ndarray  # n x k, orthonormal
    errors: np.ndarray  # of both equations, recomputed: a singular value lies this close
    converged: bool
    n_products: int  # with A and with A'


# ---- pairs and triplets --------------------------------------------------------------------------


def lanczos(
    A: Any,
    k: int = 1,
    *,
    which: str = "largest",
    start: Any = None,
    tol: float | None = None,
    max_dim: int | None = None,
    max_restarts: int = 300,
    random_state: Any = 0,
) -> EigenPairs:
    r"""Extreme eigenpairs of a symmetric matrix by thick-restart Lanczos.

    Parameters
    ----------
    A : array, scipy.sparse matrix or operator of shape (n, n)
        Symmetric; that is not checked.
    k : int, default 1
        How many pairs, at most n.
    which : {"largest", "smallest"}
        Which end of the spectrum, by sign.
    start : array of shape (n,) or (n, p), optional
        Vectors near the wanted ones, such as those found for a matrix nearby.
    tol : float, optional
        Done when :math:`\|A x - \theta x\|_2 \le \mathrm{tol} \max |\theta|` for all k. By default
        1e-8, in float32 1e-4.
    max_dim : int, optional
        Vectors held at a time; max(2 k + 10, 20) by default.
    max_restarts : int, default 300
    random_state : int or numpy.random.Generator, default 0
        For the start; a given one is mixed with a ten thousandth of it, lest it lack a vector.

    Returns
    -------
    EigenPairs

    Notes
    -----
    By symmetry an eigenvalue lies within ``errors[i]`` of ``values[i]``; extreme values are far
    closer, as the square of the error over the gap. Multiple eigenvalues are found one by one.

    Examples
    --------
    >>> import numpy as np
    >>> lanczos(np.diag([1.0, 5.0, 3.0]), 2).values.round(8).tolist()
    [5.0, 3.0]
    """
    A = as_operator(A, square=True)
    n = A.shape[0]
    tol, max_dim = _settings(A, k, n, which, tol, max_dim, max_restarts)
    rng = np.random.default_rng(random_state)
    space = _Symmetric(A, max_dim, which)
    _grow(space, k, start_vector(start, n, A.dtype, rng), tol, max_restarts, rng)
    X, values = space.vectors(k), space.values[:k]
    errors = _lengths(np.stack([A.matvec(x) for x in X]) - values[:, None] * X)
    return EigenPairs(values, X.T, errors, _small(errors, tol, space.values), space.n_products + k)


def golub_kahan(
    A: Any,
    k: int = 1,
    *,
    which: str = "largest",
    start: Any = None,
    tol: float | None = None,
    max_dim: int | None = None,
    max_restarts: int = 300,
    random_state: Any = 0,
) -> SingularTriplets:
    r"""Extreme singular triplets by thick-restart Golub-Kahan bidiagonalisation.

    Parameters
    ----------
    A : array, scipy.sparse matrix or operator of shape (m, n)
        Operators need ``rmatvec``.
    k : int, default 1
        How many triplets, at most min(m, n).
    which : {"largest", "smallest"}
        The smallest ones converge slowly where they lie close together.
    start : array of shape (n,) or (n, p), optional
        Right vectors near the wanted ones.
    tol : float, optional
        Done when the residuals of both equations are at most tol times the largest value. By
        default 1e-8, in float32 1e-4.
    max_dim, max_restarts, random_state :
        As for `lanczos`.

    Returns
    -------
    SingularTriplets

    Examples
    --------
    >>> import numpy as np
    >>> golub_kahan(np.diag([1.0, -5.0, 3.0]), 2).values.round(8).tolist()
    [5.0, 3.0]
    """
    A = as_operator(A)
    m, n = A.shape
    tol, max_dim = _settings(A, k, min(m, n), which, tol, max_dim, max_restarts)
    rng = np.random.default_rng(random_state)
    v = start_vector(start, n, A.dtype, rng)
    if m < n:  # the basis of right vectors can then grow to the whole space
        v, A = A.matvec(v), Operator((n, m), A.dtype, A.rmatvec, A.matvec)
    space = _Rectangular(A, max_dim, which)
    _grow(space, k, v, tol, max_restarts, rng)
    U, V, values = space.left_vectors(k), space.vectors(k), space.values[:k]
    first = np.stack([A.matvec(v) for v in V]) - values[:, None] * U
    second = np.stack([A.rmatvec(u) for u in U]) - values[:, None] * V
    # Residual of (u, v) / sqrt 2 as an eigenvector of [[0, A], [A', 0]].
    errors = np.hypot(_lengths(first), _lengths(second)) / np.sqrt(2)
    if m < n:
        U, V = V, U
    converged = _small(errors, tol, space.values)
    return SingularTriplets(U.T, values, V.T, errors, converged, space.n_products + 2 * k)


# ---- the bases and the loop that grows them ------------------------------------------------------


class _Symmetric:
    """Orthonormal rows V and T = V A V'; A V' - V'T is `rest` in the last column, 0 elsewhere."""

    def __init__(self, A: Operator, max_dim: int, which: str):
        self.A, self.max_dim, self.size, self.n_products = A, max_dim, 0, 0
        self.sign = 1 if which == "largest" else -1
        self.V = np.empty((max_dim, A.shape[1]), A.dtype)
        self.T = np.zeros((max_dim, max_dim))
        self.rest = np.zeros(0)

    def grow(self, v: np.ndarray, rng: np.random.Generator) -> None:
        """Add the direction of v."""
        j = self.size
        self.V[j] = _orthonormal(self.V[:j], v, rng)
        w = finite(self.A.matvec(self.V[j]))
        h = self.V[: j + 1] @ w
        self.T[: j + 1, j] = self.T[j, : j + 1] = h
        self.rest = w - h @ self.V[: j + 1]
        self.size, self.n_products = j + 1, self.n_products + 1

    def solve(self) -> np.ndarray:
        """Ritz values, the wanted ones first; how long the residuals are by the recurrence."""
        theta, Y = scipy.linalg.eigh(self.T[: self.size, : self.size])
        order = np.argsort(-self.sign * theta)
        self.values = theta[order].astype(self.A.dtype)
        self.Y = Y[:, order].astype(self.A.dtype)
        return np.linalg.norm(self.rest) * np.abs(self.Y[-1])

    def vectors(self, k: int) -> np.ndarray:
        """Rows: the first k Ritz vectors."""
        return self.Y[:, :k].T @ self.V[: self.size]

    def compress(self, keep: int) -> None:
        """Keep the first Ritz vectors alone."""
        self.V[:keep] = self.vectors(keep)
        self.T[:] = 0
        self.T[range(keep), range(keep)] = self.values[:keep]
        self.size = keep


class _Rectangular:
    """Orthonormal rows V and U, A V' = U'B, B upper triangular; A'U' - V'B' is `rest`, as above."""

    def __init__(self, A: Operator, max_dim: int, which: str):
        m, n = A.shape
        self.A, self.max_dim, self.size, self.n_products = A, max_dim, 0, 0
        self.order = slice(None) if which == "largest" else slice(None, None, -1)
        self.V, self.U = np.empty((max_dim, n), A.dtype), np.empty((max_dim, m), A.dtype)
        self.B = np.zeros((max_dim, max_dim))
        self.rest = np.zeros(0)

    def grow(self, v: np.ndarray, rng: np.random.Generator) -> None:
        j = self.size
        self.V[j] = _orthonormal(self.V[:j], v, rng)
        w = finite(self.A.matvec(self.V[j]))
        self.U[j] = _orthonormal(self.U[:j], w, rng)
        self.B[: j + 1, j] = self.U[: j + 1] @ w
        w = finite(self.A.rmatvec(self.U[j]))
        self.rest = w - (self.V[: j + 1] @ w) @ self.V[: j + 1]
        self.size, self.n_products = j + 1, self.n_products + 2

    def solve(self) -> np.ndarray:
        P, s, Qt = scipy.linalg.svd(self.B[: self.size, : self.size])
        self.values = s[self.order].astype(self.A.dtype)
        self.P, self.Qt = P[:, self.order].astype(self.A.dtype), Qt[self.order].astype(self.A.dtype)
        return np.linalg.norm(self.rest) * np.abs(self.P[-1])

    def vectors(self, k: int) -> np.ndarray:
        return self.Qt[:k] @ self.V[: self.size]

    def left_vectors(self, k: int) -> np.ndarray:
        return self.P[:, :k].T @ self.U[: self.size]

    def compress(self, keep: int) -> None:
        self.V[:keep], self.U[:keep] = self.vectors(keep), self.left_vectors(keep)
        self.B[:] = 0
        self.B[range(keep), range(keep)] = self.values[:keep]
        self.size = keep


def _grow(
    space: Any, k: int, v: np.ndarray, tol: float, max_restarts: int, rng: np.random.Generator
) -> None:
    """Krylov steps and restarts until the k wanted residuals seem small."""
    restarts, seen = 0, None
    while True:
        space.grow(v, rng)
        v = space.rest
        full, complete = space.size == space.max_dim, space.size == v.size
        if not full and (space.size < k or space.size % CHECK_EVERY):
            continue
        residuals, wanted = space.solve(), space.values[:k].copy()
        bound = 0.5 * tol * np.abs(space.values).max()
        if complete or (full and restarts == max_restarts):
            return
        if np.all(residuals <= bound):
            # Invariant: further copies of multiple eigenvalues show in random directions alone.
            if full and seen is not None and np.all(np.abs(wanted - seen) <= bound):
                return
            seen = wanted if full or seen is None else seen
        elif np.all(residuals[:k] <= bound):
            return
        if full:
            restarts += 1
            space.compress(min(k + (space.max_dim - k) // 2, space.max_dim - 1))


def _orthonormal(V: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unit vector along what v has outside the span of the rows of V, else a random one."""
    threshold = LOST * float(np.finfo(V.dtype).eps)
    while True:
        before = float(np.linalg.norm(v))
        v = v.astype(V.dtype)
        for _ in range(2):  # twice is enough
            v = v - (V @ v) @ V
        after = float(np.linalg.norm(v))
        if after > threshold * before:
            return v / V.dtype.type(after)
        v = rng.standard_normal(v.size)


def _settings(
    A: Operator, k: int, most: int, which: str, tol: Any, max_dim: Any, max_restarts: int
) -> tuple[float, int]:
    require_count(k, "k", 1)
    require_in(k, 1, most, "k")
    require_choice(which, ("largest", "smallest"), "which")
    require_count(max_restarts, "max_restarts")
    if tol is None:
        tol = 1e-4 if A.dtype == np.float32 else 1e-8
    require_positive(tol, "tol")
    if max_dim is None:
        max_dim = max(2 * k + 10, 20)
    require_count(max_dim, "max_dim", k + 2)
    return float(tol), min(max_dim, most)


def start_vector(start: Any, n: int, dtype: Any, rng: np.random.Generator) -> np.ndarray:
    """One vector from those given: a Krylov space finds all that it has a part of."""
    random = rng.standard_normal(n)
    if start is None:
        return random.astype(dtype)
    start = np.asarray(start)
    block = as_array(start[:, None] if start.ndim == 1 else start, "start", 2, dtype)
    if block.shape[0] != n:
        raise ValueError(f"start has {block.shape[0]} rows, expected {n}")
    given = block @ np.arange(1.0, block.shape[1] + 1)  # the later ones converge later
    length = float(np.linalg.norm(given))
    # A little at random, lest what was given has no part of what is wanted.
    v = given / (length or 1.0) + MIXED / n**0.5 * random
    return v.astype(dtype)


def _small(errors: np.ndarray, tol: float, values: np.ndarray) -> bool:
    slack = LOST * float(np.finfo(values.dtype).eps)
    return bool(np.all(errors <= (tol + slack) * np.abs(values).max()))


def finite(w: np.ndarray) -> np.ndarray:
    """Refuse a product with NaN or infinities."""
    if not np.isfinite(w).all():
        raise ValueError("a product with A is not finite; scale A or look for NaN in it")
    return w


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(rows.astype(np.float64), axis=1))
