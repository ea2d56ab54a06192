"""Scaling, analysis and storage of quadratic programs, kept for those that come of one another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.linalg.ldl import LDL
from numopt.linalg.ldl_kernels.analysis import Analysis
from numopt.linalg.patterns import UpperPattern
from numopt.linalg.sparse import CSR
from numopt.solvers import _qp_splitting_kernels as kernels
from numopt.solvers._interior_point_setup import assemble, rescale, scale

# Storage kept for later solves of a family, at most.
SPARE = 8


class Analysed(NamedTuple):
    """The pattern of a KKT matrix, upper triangle by columns, and what it decides."""

    indptr: np.ndarray
    indices: np.ndarray
    diagonal: np.ndarray  # places of the diagonal
    analysis: Analysis


def analysed(problem: Any, indptr: Any, indices: Any, diagonal: Any, part: Any = None) -> Analysed:
    """The analysis, kept for all programs with these patterns of P and A (and `part` of them)."""
    known: dict[Any, Analysed] = problem.cached("kkt", problem.pattern, dict)
    if part not in known:
        pattern: Any = UpperPattern(indptr, indices, "the KKT matrix")
        known[part] = Analysed(indptr, indices, diagonal, Analysis(pattern))
    return known[part]


class Storage(NamedTuple):
    """Arrays of one solve; see `_qp_splitting_kernels`."""

    work: np.ndarray
    sides: np.ndarray
    scalars: np.ndarray
    factor: Any  # arguments of the factorisation, values first
    owner: list[Any]  # what the values are of


class Prepared:
    """The scaled program, with storage for whoever solves one like it.

    Attributes
    ----------
    fixed : tuple
        The scaled program as `_qp_splitting_kernels` takes it.
    n, m : int
        Variables, rows.
    entries : float
        Touched by an iteration.
    """

    def __init__(self, problem: Any, latest: Prepared | None):
        arrays = problem.arrays
        self.n, self.m = n, m = problem.size, problem.n_rows
        self.convex = problem.convex
        P, A, self.unit, self.cost, self.tops = _scaled(arrays, latest)
        indptr, indices, self.values, diagonal, own = assemble(*P, *A, m)
        known = analysed(problem, indptr, indices, diagonal)
        self.analysis = known.analysis
        self.signs = np.ones(n + m, np.int8)
        self.signs[n:] = -1
        self.pool: list[Storage] = [] if latest is None else latest.pool
        self.method = self.analysis.faster
        self.entries = 4.0 * self.analysis.nnz + 10.0 * (n + m) + 20.0
        self.fixed = (
            P.data, A.data, self.unit, own, known.diagonal, self.analysis.order, self.cost
        )  # fmt: skip

    def storage(self) -> Storage:
        """Arrays for a solve, with whatever the last one left in them, its factor too."""
        try:  # a list's pop is atomic: whoever solves at the same time gets others
            storage = self.pool.pop()
        except IndexError:
            return self._new_storage()
        if storage.owner[0] is not self.values:
            storage.owner[0] = self.values
            storage.factor[0][:] = self.values
            storage.scalars[kernels.FACTORED] = kernels.NOTHING
        return storage

    def _new_storage(self) -> Storage:
        total = self.n + self.m
        factor = LDL(self.values, self.signs, analysis=self.analysis, factor=False)
        arguments = factor.compiled[0]
        arguments[0][:] = self.values
        work, sides = np.zeros((kernels.WORK, total)), np.zeros((2, total), np.int8)
        return Storage(work, sides, np.zeros(kernels.SCALARS), arguments, [self.values])

    def keep(self, storage: Storage) -> None:
        """Leave storage to the next solve."""
        if len(self.pool) < SPARE:
            self.pool.append(storage)


def _scaled(arrays: Any, latest: Prepared | None) -> tuple[CSR, CSR, np.ndarray, float, Any]:
    """P and A in units that even them out: those of the latest program, where they still do."""

    def copies() -> tuple[CSR, CSR]:
        P, A = arrays.P, arrays.A
        return CSR(P.data.copy(), P.indices, P.indptr), CSR(A.data.copy(), A.indices, A.indptr)

    if latest is not None:
        (P, A), unit, cost = copies(), latest.unit, latest.cost
        tops = rescale(*P, *A, unit, cost)
        if all(0.1 * old <= new <= 10 * old for old, new in zip(latest.tops, tops, strict=True)):
            return P, A, unit, cost, latest.tops
    (P, A), unit = copies(), np.empty(arrays.q.size + arrays.l.size)
    cost = scale(*P, *A, arrays.q.copy(), unit, 10)
    tops = tuple(float(np.abs(M.data).max(initial=0.0)) for M in (P, A))
    return P, A, unit, cost, tops


def prepare(problem: Any) -> Prepared:
    """The scaled program, shared by all with this P and A; units by all with these patterns."""

    def find() -> Prepared:
        latest: list[Prepared] = problem.cached("splitting models", problem.pattern, list)
        prepared = Prepared(problem, latest[0] if latest else None)
        latest[:] = [prepared]
        return prepared

    return problem.cached("splitting model", (problem.P, problem.A), find)
