"""Scaling, factor and storage of `OperatorSplittingQP`, kept for programs that come of others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.linalg.ldl import LDL
from numopt.linalg.sparse import CSR
from numopt.solvers._parts import qp_splitting_kernels as kernels
from numopt.solvers._parts.interior_point_setup import assemble, scale
from numopt.solvers._parts.qp_active_set import COST, OWN, SCALARS, UNIT, WORK
from numopt.solvers._parts.qp_model import analysed

# Storage kept for later solves of a family, at most.
SPARE = 8


class Storage(NamedTuple):
    """Arrays of one solve; see `qp_active_set`."""

    P: np.ndarray  # scaled entries
    A: np.ndarray
    work: np.ndarray
    sides: np.ndarray
    scalars: np.ndarray
    places: np.ndarray  # order of elimination; place of the diagonal in the KKT matrix
    factor: Any  # arguments of the factorisation, values first
    owner: list[Any]  # the matrices that these are of


class Prepared:
    """What programs with the same patterns of P and A share while one scaling does for all.

    Attributes
    ----------
    n, m : int
        Variables, rows.
    entries : float
        Touched by an iteration.
    """

    def __init__(self, problem: Any):
        arrays, n, m = problem.arrays, problem.size, problem.n_rows
        self.n, self.m, self.unit = n, m, np.empty(n + m)
        P, A = (CSR(M.data.copy(), M.indices, M.indptr) for M in (arrays.P, arrays.A))
        self.cost = float(scale(*P, *A, arrays.q.copy(), self.unit, 10))
        self.tops = tuple(float(np.abs(M.data).max(initial=0.0)) for M in (P, A))
        indptr, indices, values, diagonal, own = assemble(*P, *A, m)
        self.analysis = analysed(problem, indptr, indices, diagonal).analysis
        self.places = np.stack((self.analysis.order, diagonal.astype(np.uint32)))
        self.method = self.analysis.faster
        self.entries = 4.0 * self.analysis.nnz + 10.0 * (n + m) + 20.0
        first = self._new_storage(P.data, A.data)
        first.factor[0][:] = values
        first.work[UNIT], first.work[OWN, :n], first.scalars[COST] = self.unit, own, self.cost
        first.owner[0] = problem.matrices
        self.pool = [first]

    def storage(self, problem: Any) -> Storage | None:
        """Arrays for a solve, with whatever the last one left in them, its factor too.

        None if this scaling does not suit the problem any more.
        """
        try:  # a list's pop is atomic: whoever solves at the same time gets others
            storage = self.pool.pop()
        except IndexError:
            P, A = problem.arrays[:2]
            storage = self._new_storage(np.empty_like(P.data), np.empty_like(A.data))
        matrices = problem.matrices
        if storage.owner[0] is not matrices:
            P, A, work, _, scalars, places, factor, owner = storage
            owner[0] = None
            if not kernels.load(
                matrices, self.unit, self.cost, self.tops, places, work, scalars, P, A, factor[0]
            ):
                return None
            owner[0] = matrices
        return storage

    def _new_storage(self, P: np.ndarray, A: np.ndarray) -> Storage:
        total = self.n + self.m
        signs = np.ones(total, np.int8)
        signs[self.n :] = -1
        values = np.zeros(self.analysis.pattern.length)
        factor = LDL(values, signs, analysis=self.analysis, factor=False).compiled[0]
        work, sides = np.zeros((WORK, total)), np.zeros((2, total), np.int8)
        return Storage(P, A, work, sides, np.zeros(SCALARS), self.places, factor, [None])

    def keep(self, storage: Storage) -> None:
        """Leave storage to the next solve."""
        if len(self.pool) < SPARE:
            self.pool.append(storage)


def prepare(problem: Any) -> Prepared:
    """What was prepared for the latest problem with these patterns, or for this one."""
    latest: list[Prepared] = problem.cached("splitting", problem.pattern, list)
    if not latest:
        latest.append(Prepared(problem))
    return latest[0]


def begin(problem: Any) -> tuple[Prepared, Storage]:
    """The same in units that suit this problem, with arrays for a solve of it."""
    prepared = prepare(problem)
    storage = prepared.storage(problem)
    if storage is None:
        problem.cached("splitting", problem.pattern, list).clear()
        prepared = prepare(problem)
        storage = prepared.pool.pop()
    return prepared, storage
