"""Natural cubic splines of every column: what additive models are linear in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.problems._dag_data import PIECE

# Part of a function that those before it leave unexplained, below which it is one of them.
DISTINCT = 1e-7


class Basis(NamedTuple):
    """Functions f_i1, ..., f_iq of each column i, with mean 0, uncorrelated, f_i1(x) = x - mean.

    All have the variance of their column, so that the norm of a group of coefficients is the
    standard deviation of the function it stands for over that of the column: |w| in a linear model.
    Functions that a column with few different values does not tell apart are 0.
    """

    centre: np.ndarray  # (d,): means
    scale: np.ndarray  # (d,): standard deviations, 1 where they are 0
    knots: np.ndarray  # (d, q + 1): of the scaled column
    means: np.ndarray  # (d, q): of the functions before they are made uncorrelated
    turn: np.ndarray  # (d, q, q): what makes them so

    @property
    def per_column(self) -> int:
        """Functions of one column, q."""
        return int(self.means.shape[1])

    @property
    def distinct(self) -> np.ndarray:
        """How many of them are not 0, for each column."""
        return self.turn.any(1).sum(1)

    def expand(self, X: np.ndarray) -> np.ndarray:
        """Values (n, d q) of all functions at the rows of X."""
        d, q = self.means.shape
        Z = np.empty((len(X), d * q))
        for i in range(d):
            z = (X[:, i] - self.centre[i]) / self.scale[i]
            Z[:, i * q : (i + 1) * q] = (_raw(z, self.knots[i]) - self.means[i]) @ self.turn[i]
        return Z


def make_basis(X: np.ndarray, q: int) -> Basis:
    """Splines with knots at evenly spaced quantiles from 5 to 95 % of each column."""
    d = X.shape[1]
    centre, scale = X.mean(0), X.std(0)
    scale[scale <= 1e-14 * np.abs(centre)] = 1.0
    scale[scale == 0] = 1.0
    knots, means, turn = np.zeros((d, q + 1)), np.zeros((d, q)), np.zeros((d, q, q))
    for i in range(d):
        z = (X[:, i] - centre[i]) / scale[i]
        knots[i] = np.quantile(z, np.linspace(0.05, 0.95, q + 1))
        raw = _raw(z, knots[i])
        means[i] = raw.mean(0)
        turn[i] = _uncorrelated(raw - means[i]) * scale[i]
    return Basis(centre, scale, knots, means, turn)


def _raw(z: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Z and q - 1 functions that are cubic between the knots and linear outside.

    T. Hastie, R. Tibshirani, J. Friedman, "The elements of statistical learning", (5.4).
    """
    out = np.zeros((z.size, knots.size - 1))
    out[:, 0] = z
    last = np.maximum(z - knots[-1], 0.0) ** 3
    bent = []
    for knot in knots[:-1]:
        room = knots[-1] - knot
        bent.append((np.maximum(z - knot, 0.0) ** 3 - last) / room if room > 0 else 0.0 * z)
    for k in range(knots.size - 2):
        out[:, k + 1] = bent[k] - bent[-1]
    return out


def _uncorrelated(Z: np.ndarray) -> np.ndarray:
    """T with (Z T)'(Z T) / n = I, upper triangular; columns of 0 for what depends on others."""
    n, q = Z.shape
    T, kept = np.zeros((q, q)), np.zeros((q, 0))
    for k in range(q):
        t = np.zeros(q)
        t[k] = 1.0
        size = np.linalg.norm(Z[:, k])
        for _ in range(2):  # twice is enough for full precision
            t -= kept @ (kept.T @ (Z.T @ (Z @ t))) / n
        left = np.linalg.norm(Z @ t)
        if left > DISTINCT * size:
            T[:, k] = t * np.sqrt(n) / left
            kept = T[:, : k + 1]
    return T


def expanded_gram(basis: Basis, X: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Second moments (d q, d q) of all functions; those that are 0 get their column's variance."""
    q, n = basis.per_column, len(X)
    size = variances.size * q
    rows = max(PIECE // size, 4 * size)
    H = np.zeros((size, size))
    for start in range(0, n, rows):
        Z = basis.expand(X[start : start + rows])
        H += Z.T @ Z
    H /= n
    for i in range(variances.size):
        block = slice(i * q, (i + 1) * q)
        H[block, block] = 0.0  # but for rounding
    H.flat[:: len(H) + 1] = np.repeat(variances, q)
    return H


def edge_sizes(C: np.ndarray) -> np.ndarray:
    """Norm (d, d) of each edge's group of coefficients, from C of shape (d q, d); |W| if q = 1."""
    d = C.shape[1]
    if len(C) == d:
        return np.abs(C)
    return np.asarray(np.sqrt((C**2).reshape(d, -1, d).sum(1)))


def over_groups(A: np.ndarray, q: int) -> np.ndarray:
    """(d q, d) from (d, d): each row q times."""
    return A if q == 1 else np.repeat(A, q, axis=0)


def expanded_order(order: np.ndarray, q: int) -> np.ndarray:
    """Numbers of the functions of the columns in this order."""
    if q == 1:
        return order
    return np.asarray((order[:, None] * q + np.arange(q)).ravel())


def check(problem: Any) -> None:
    """Refuse what additive models do not go with."""
    if problem.score not in ("ls", "bic"):
        raise ValueError(f"splines go with score 'ls' or 'bic', not {problem.score!r}")
    if problem.X is None:
        raise ValueError("splines need the data X, not only gram")
    if problem.targets is not None:
        raise ValueError("splines do not go with targets")
    if not problem.fit_intercept:
        raise ValueError("splines need fit_intercept=True: functions are about their means")
