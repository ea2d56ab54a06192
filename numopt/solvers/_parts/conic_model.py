"""Scaling of conic programs and assembly of their KKT matrices, compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.cones import Product
from numopt.linalg.ldl import LDL
from numopt.linalg.ldl_kernels.analysis import Analysis
from numopt.linalg.ldl_kernels.symbolic import span
from numopt.linalg.patterns import UpperPattern
from numopt.linalg.sparse import CSR

LEAST, MOST = 1e-4, 1e4
SWEEPS = 10
# Cones up to this size are blocks of the KKT matrix, larger ones two more columns each.
SMALL = 1


class Model(NamedTuple):
    """A scaled program: x = D scaled x, s = scaled s / E, y = E scaled y / cost."""

    P: CSR
    A: CSR  # by columns
    q: np.ndarray
    b: np.ndarray
    cones: Product
    D: np.ndarray
    E: np.ndarray  # the same in all rows of a second-order cone
    cost: float
    reach: float  # 1 + largest |b| in units of its row
    rows: np.ndarray  # largest entry of each row, unscaled


@inner(merged=True)
def _limited(norm):
    """Norm to divide by: rows of zeros stay, extremes are approached in steps."""
    return 1.0 if norm < LEAST else min(norm, MOST)


@kernel
def equilibrate(P, A, cones, D, E, sweeps):
    """Ruiz' scaling of P and A (by columns) in place, one factor for each second-order cone."""
    n, m = D.size, E.size
    norm = np.empty(n + m)
    for j in range(n):
        D[j] = 1.0
    for i in range(m):
        E[i] = 1.0
    for _ in range(sweeps):
        for k in range(n + m):
            norm[k] = 0
        for j in range(n):
            top = 0.0
            for p in span(P.indptr[j], P.indptr[j + 1]):
                top = max(top, abs(P.data[p]))
            for p in span(A.indptr[j], A.indptr[j + 1]):
                a = abs(A.data[p])
                top = max(top, a)
                i = n + A.indices[p]
                norm[i] = max(norm[i], a)
            norm[j] = top
        for c in range(cones.starts.size - 1):
            top = 0.0
            for i in range(cones.starts[c], cones.starts[c + 1]):
                top = max(top, norm[n + i])
            for i in range(cones.starts[c], cones.starts[c + 1]):
                norm[n + i] = top
        spread = 0.0
        for k in range(n + m):
            if norm[k] > 0:
                spread = max(spread, abs(norm[k] - 1))
            norm[k] = 1 / np.sqrt(_limited(norm[k]))
        for j in range(n):
            d = norm[j]
            D[j] *= d
            for p in span(P.indptr[j], P.indptr[j + 1]):
                P.data[p] *= d * norm[P.indices[p]]
            for p in span(A.indptr[j], A.indptr[j + 1]):
                A.data[p] *= d * norm[n + A.indices[p]]
        for i in range(m):
            E[i] *= norm[n + i]
        if spread < 1e-2:
            break


@kernel
def load(P, q, b, D, E, cost, scaled_P, scaled_q, scaled_b):
    """Scale the vectors, and P and q by `cost`, if 0 by one made for them; return that factor."""
    mean, top, n = 0.0, 0.0, q.size
    for j in range(n):
        column = 0.0
        for p in span(P.indptr[j], P.indptr[j + 1]):
            column = max(column, abs(P.data[p]))
        mean += column
        scaled_q[j] = D[j] * q[j]
        top = max(top, abs(scaled_q[j]))
    if cost == 0:
        cost = 1 / _limited(max(mean / max(n, 1), top))
    for p in range(P.data.size):
        scaled_P[p] = cost * P.data[p]
    for j in range(n):
        scaled_q[j] *= cost
    for i in range(b.size):
        scaled_b[i] = E[i] * b[i]
    return cost


@kernel
def assemble(P, A, m, starts, small):
    """Upper triangle of [[P, A'], [A, C]] by columns, with the whole diagonal and no values.

    C has a full block for each cone of at most `small` rows; each larger one has a diagonal, and
    two more columns after the m of C. Returns indptr, indices, places of P's entries (-1 below the
    diagonal) and of A's, and the first of the columns of each cone, or -1.
    """
    n, count = P.indptr.size - 1, starts.size - 1
    first = np.full(count, -1)
    size = n + m
    for c in range(count):
        if starts[c + 1] - starts[c] > small:
            first[c] = size
            size += 2
    indptr = np.zeros(size + 1, np.int64)
    for j in range(n):
        for p in span(P.indptr[j], P.indptr[j + 1]):
            if P.indices[p] < j:
                indptr[j + 1] += 1
        for p in span(A.indptr[j], A.indptr[j + 1]):
            indptr[n + A.indices[p] + 1] += 1
    for c in range(count):
        length = starts[c + 1] - starts[c]
        if first[c] >= 0:
            indptr[first[c] + 1] += length
            indptr[first[c] + 2] += length
        else:
            for k in range(length):
                indptr[n + starts[c] + k + 1] += k
    for k in range(size):
        indptr[k + 1] += indptr[k] + 1
    indices = np.empty(indptr[size], np.uint32)
    in_P, in_A = np.full(P.data.size, -1), np.empty(A.data.size, np.int64)
    at = indptr[:-1].copy()
    for j in range(n):
        for p in span(P.indptr[j], P.indptr[j + 1]):
            i = P.indices[p]
            if i < j:
                indices[at[j]] = i
                in_P[p] = at[j]
                at[j] += 1
            elif i == j:
                in_P[p] = indptr[j + 1] - 1
        for p in span(A.indptr[j], A.indptr[j + 1]):
            k = n + A.indices[p]
            indices[at[k]] = j
            in_A[p] = at[k]
            at[k] += 1
    for c in range(count):
        for i in range(starts[c], starts[c + 1]):
            if first[c] >= 0:
                for k in range(first[c], first[c] + 2):
                    indices[at[k]] = n + i
                    at[k] += 1
            else:
                for k in range(starts[c], i):
                    indices[at[n + i]] = n + k
                    at[n + i] += 1
    for k in range(size):
        indices[indptr[k + 1] - 1] = k
    return indptr, indices, in_P, in_A, first


@kernel
def fill(P, A, in_P, in_A, values):
    """The values of a KKT matrix whose cones are still 0."""
    for k in range(values.size):
        values[k] = 0.0
    for p in range(in_P.size):
        if in_P[p] >= 0:
            values[in_P[p]] = P.data[p]
    for p in range(in_A.size):
        values[in_A[p]] = A.data[p]


class Prepared:
    """What all programs with the same P, A and cones share: scaling and analysis.

    With `sigma` the KKT matrix is that of splitting, P + sigma I and a diagonal; without, that of
    the interior point method.
    """

    def __init__(self, problem: Any, sigma: float):
        arrays, starts = problem.arrays, problem.arrays.cones.starts
        self.n, self.m, self.sigma = problem.size, problem.n_rows, sigma
        self.P, self.A = (CSR(M.data.copy(), M.indices, M.indptr) for M in (arrays.P, arrays.A))
        self.D, self.E = np.empty(self.n), np.empty(self.m)
        equilibrate(self.P, self.A, arrays.cones, self.D, self.E, SWEEPS)
        blocks = np.zeros(1, np.int64) if sigma else starts
        pattern = _pattern(problem, sigma, blocks)
        self.indptr, self.indices, self.in_P, self.in_A, self.first, self.analysis = pattern
        self.diagonal = self.indptr[1:] - 1
        self.signs = np.ones(self.indptr.size - 1, np.int8)
        self.signs[self.n : self.n + self.m] = -1
        self.signs[self.n + self.m :: 2] = -1
        # A factor stays good for other vectors only if the objective's factor stays.
        self._cost = self.model(problem).cost if sigma else 0.0
        self._kept: tuple[np.ndarray, ...] | None = None

    _cost = 0.0

    def model(self, problem: Any) -> Model:
        """The scaled program."""
        P, q, b = np.empty_like(self.P.data), np.empty(self.n), np.empty(self.m)
        cost = load(self.P, problem.q, problem.b, self.D, self.E, self._cost, P, q, b)
        reach, rows = problem._reaches
        return Model(
            CSR(P, self.P.indices, self.P.indptr), self.A, q, b, problem.arrays.cones,
            self.D, self.E, cost, 1.0 + reach, rows,
        )  # fmt: skip

    def values(self, model: Model) -> np.ndarray:
        """Values of the KKT matrix whose cones are still 0."""
        values = np.empty(self.indices.size)
        fill(model.P, model.A, self.in_P, self.in_A, values)
        values[self.diagonal[: self.n]] += self.sigma
        return values

    def keep(self, rho: np.ndarray, factor: LDL) -> None:
        """Leave a factor for these penalties to the next solve."""
        if self._kept is None or not np.array_equal(self._kept[0], rho):
            self._kept = tuple(part.copy() for part in (rho, *factor.compiled[2][-2:]))

    def restore(self, rho: np.ndarray, factor: LDL) -> bool:
        """Fill a factor with the one that was kept, if that is for these penalties."""
        kept = self._kept
        if kept is None or not np.array_equal(kept[0], rho):
            return False
        for part, value in zip(factor.compiled[2][-2:], kept[1:], strict=True):
            part[:] = value
        return True


def _pattern(problem: Any, sigma: float, blocks: np.ndarray) -> tuple[Any, ...]:
    """Pattern and analysis of the KKT matrix: those of the last relative with the same patterns."""
    P, A = problem.arrays.P, problem.arrays.A
    parts = P.indptr, P.indices, A.indptr, A.indices, blocks
    key = problem.n_rows, *(part.tobytes() for part in parts)
    known: dict[Any, Any] = problem.cached(f"pattern of cones {sigma}", (), dict)
    found = known.get(key)
    if found is None:
        pattern = assemble(P, A, problem.n_rows, blocks, SMALL)
        upper: Any = UpperPattern(pattern[0], pattern[1], "the KKT matrix")
        found = *pattern, Analysis(upper)
        known.clear()  # the latest will do
        known[key] = found
    return found


def prepare(problem: Any, sigma: float = 0.0) -> Prepared:
    """Scaling and analysis, kept with P and A."""
    data = problem.P, problem.A, problem.cones
    return problem.cached(f"cones {sigma}", data, lambda: Prepared(problem, sigma))
