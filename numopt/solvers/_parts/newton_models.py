"""Regularised Newton steps: one quadratic model, solved for as many regularisations as asked.

Each model holds g and the Hessian on the free variables and gives, for a strength r, the solution
d of (H + (r + shift) I) d = -g, where shift makes H positive semidefinite, and r + shift.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh, eigh_tridiagonal, lapack

from numopt.core.blas import threads_for

BEYOND = 1.1  # times the least eigenvalue, the shift that makes H definite
MAX_BASIS = 200  # vectors of a Krylov basis
NUMBERS = 10_000_000  # ... and entries of all of them


def model_of(H: Any, g: np.ndarray, free: np.ndarray, factor: Any) -> Any:
    """The model for a Hessian in any form; `factor` is a sparse one of the same pattern."""
    if isinstance(H, np.ndarray):
        return Dense(H, g, free)
    if sp.issparse(H):
        return Sparse(H, g, free, factor)
    return Krylov(H, g, free)


class Dense:
    """Cholesky factors while the shifted Hessian is definite, else its eigenvalues."""

    factor = None

    def __init__(self, H: np.ndarray, g: np.ndarray, free: np.ndarray):
        self.all_free = bool(free.all())
        self.n, self.free = free.size, free
        self.H = H if self.all_free else H[np.ix_(free, free)]
        self.g = g if self.all_free else g[free]
        self.size = float(np.abs(self.H).max(initial=0.0))
        self.eigen: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def step(self, r: float) -> tuple[np.ndarray, float]:
        """d for the strength r, and r + shift."""
        with threads_for(len(self.g)):
            return self._step(r)

    def _step(self, r: float) -> tuple[np.ndarray, float]:
        shift = 0.0
        if self.eigen is None:
            A = self.H.copy(order="F")
            A.flat[:: A.shape[0] + 1] += r
            _, d, failed = lapack.dposv(A, self.g, lower=1, overwrite_a=1)
            if failed:
                values, vectors = eigh(self.H, check_finite=False)
                self.eigen = values, vectors, vectors.T @ self.g
        if self.eigen is not None:
            values, vectors, along = self.eigen
            shift = BEYOND * max(0.0, -values[0])
            d = vectors @ (along / (values + (r + shift)))
        whole = -d
        if not self.all_free:
            whole = np.zeros(self.n)
            whole[self.free] = -d
        return whole, r + shift


class Sparse:
    """Sparse LDL' factors; rows of held variables are those of the identity."""

    def __init__(self, H: Any, g: np.ndarray, free: np.ndarray, factor: Any):
        from numopt.linalg.ldl import LDL

        n = free.size
        if not free.all():
            keep = sp.dia_array((free.astype(float)[None], [0]), shape=(n, n))
            rest = sp.dia_array((1.0 - free[None], [0]), shape=(n, n))
            H = sp.csc_array(keep @ H @ keep + rest)
        self.size = float(np.abs(H.data).max(initial=0.0))
        if not np.isfinite(self.size):
            self.factor = None
            return
        self.H = H = sp.csc_array(sp.tril(_with_diagonal(H)))
        self.g = np.where(free, g, 0.0)
        same = factor is not None and _same_pattern(factor.H, H)
        self.ldl = factor.ldl if same else LDL(H, signs=1, triangle="lower", factor=False)
        self.factor = self
        self.shift = 0.0

    def step(self, r: float) -> tuple[np.ndarray, float]:
        """As `Dense.step`; the shift is found by quadrupling."""
        ldl = self.ldl
        while not ldl.update(self.H.data, shift=r + self.shift):
            self.shift = max(4.0 * self.shift, r, 1e-4 * self.size)
            if not self.shift < np.inf:
                return np.full(self.g.size, np.nan), r
        return np.asarray(-ldl.solve(self.g, refine=0)), r + self.shift


class Krylov:
    """Lanczos basis of the Krylov space of g, with which the Hessian is tridiagonal."""

    factor = None

    def __init__(self, H: Any, g: np.ndarray, free: np.ndarray):
        self.H, self.free, self.g = H, free, np.where(free, g, 0.0)
        self.length = float(np.linalg.norm(self.g))
        self.size = 1.0
        most = int(min(free.sum(), MAX_BASIS, max(NUMBERS // free.size, 2)))
        self.Q = np.zeros((most + 1, free.size))
        self.Q[0] = self.g / (self.length or 1.0)
        self.diagonal: list[float] = []
        self.beside: list[float] = []
        # The last digits of a step are not worth products while the model is coarse.
        self.accuracy = min(0.1, self.length**0.5) if self.length < 1 else 0.1

    def step(self, r: float) -> tuple[np.ndarray, float]:
        """As `Dense.step`, to a relative residual of `accuracy` or with the largest basis."""
        while True:
            k = len(self.diagonal)
            if k and not np.isfinite(self.diagonal[-1]):
                return np.full(self.free.size, np.nan), r
            if k:
                values, vectors = eigh_tridiagonal(self.diagonal, self.beside[:-1])
                shift = BEYOND * max(0.0, -values[0])
                y = vectors @ (vectors[0] * (-self.length) / (values + (r + shift)))
                exhausted = k == len(self.Q) - 1 or self.beside[-1] <= 1e-14 * np.abs(values).max()
                if exhausted or self.beside[-1] * abs(y[-1]) <= self.accuracy * self.length:
                    return np.asarray(y @ self.Q[:k]), r + shift
            self._grow()

    def _grow(self) -> None:
        k = len(self.diagonal)
        Q, q = self.Q[: k + 1], self.Q[k]
        w = np.where(self.free, self.H @ q, 0.0)
        self.diagonal.append(float(q @ w))
        for _ in range(2):  # twice is enough
            w = w - (Q @ w) @ Q
        beside = float(np.linalg.norm(w))
        self.beside.append(beside)
        self.Q[k + 1] = w / (beside or 1.0)


def _with_diagonal(H: Any) -> Any:
    """H with all its diagonal entries stored, so that they can be shifted."""
    if np.count_nonzero(H.diagonal()) == H.shape[0]:
        return H
    n = H.shape[0]
    rows = np.concatenate([H.indices, np.arange(n)])
    columns = np.concatenate([np.repeat(np.arange(n), np.diff(H.indptr)), np.arange(n)])
    full = sp.coo_array((np.concatenate([H.data, np.zeros(n)]), (rows, columns)), shape=(n, n))
    out = sp.csc_array(full)
    out.sum_duplicates()
    return out


def _same_pattern(A: Any, B: Any) -> bool:
    return bool(
        A.nnz == B.nnz
        and np.array_equal(A.indptr, B.indptr)
        and np.array_equal(A.indices, B.indices)
    )
