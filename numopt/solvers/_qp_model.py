"""Scaling, analysis and storage of `OperatorSplittingQP`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.linalg.ldl_kernels.analysis import Analysis
from numopt.linalg.patterns import SymmetricPattern
from numopt.linalg.scaling import ruiz
from numopt.linalg.sparse import CSR
from numopt.solvers import _qp_splitting_kernels as kernels

EPSILON = np.finfo(float).eps
# Limits of the cost's scale.
LEAST, MOST = 1e-4, 1e4


class Prepared:
    """A model with what its factors share, and the last finishing factor.

    Attributes
    ----------
    model : kernels.Model
    n, rows, m : int
        Variables, rows of A, rows of C.
    """

    def __init__(self, problem: Any, bounded: np.ndarray):
        P, A = problem.P, problem.A
        self.convex = problem.convex
        self.n, self.rows = problem.size, problem.n_rows
        n = self.n
        places = np.flatnonzero(bounded)
        eye = sp.csc_array(
            (np.ones(places.size), (np.arange(places.size), places)), shape=(places.size, n)
        )
        C = sp.csc_array(sp.vstack([A, eye], format="csc"))
        self.m = m = C.shape[0]
        scaling = ruiz(C, P=P, n_sweeps=10)
        P, C = sp.csc_array(scaling.apply_symmetric(P)), sp.csc_array(scaling.apply(C))
        q = np.abs(scaling.columns * problem.q).max(initial=0.0)
        heights = abs(P).max(axis=0).toarray() if n else np.zeros(1)
        size = max(float(heights.mean()), float(q))
        # q = 0 and P = 0 leave nothing to go by.
        cost = 1 / min(max(size, LEAST), MOST) if size >= LEAST else 1.0
        P = P * cost
        upper = sp.triu(P, format="csc") + kernels.SIGMA * sp.eye_array(n, format="csc")
        K = sp.csc_array(sp.block_array([[upper, C.T], [None, -sp.eye_array(m)]]))
        self.pattern = SymmetricPattern(K, "upper")
        self.analysis = Analysis(self.pattern)
        self.signs = np.ones(n + m, np.int8)
        self.signs[n:] = -1
        self.values = np.empty(self.pattern.indices.size)
        self.pattern.load(self.pattern.values_of(K), self.values)
        self.simplicial = self.analysis.faster == "simplicial"
        self.model = kernels.Model(
            _arrays(P), _arrays(C), np.array(scaling.columns), np.array(scaling.rows), cost,
            places, self.pattern.diagonal[n:].copy(), self.analysis.order,
        )  # fmt: skip
        self.last: tuple[np.ndarray, ...] | None = None
        # Storage of finishes, with their factors, for whoever comes next.
        self.pool: list[tuple[kernels.State, kernels.Factor]] = []
        self._known = np.zeros((2, n + m))
        self._known[0] = self.signs[self.analysis.order]
        if self.simplicial:
            indptr, rows, row_indptr, row_columns = self.analysis.columns
            a_indptr, a_rows, source = self.analysis.upper
            self._pointers = np.stack((a_indptr, indptr, row_indptr))
            self._entries = np.stack((a_rows, source))
            self._structure = np.stack((rows, row_columns))

    def factor(self, last: Any = None) -> kernels.Factor:
        """Storage of a factor; with `last`, what `keep` left, in it."""
        if not self.simplicial:
            f, total = self.analysis.fronts, self.n + self.m
            a_indptr, a_rows, source = self.analysis.lower
            P, U = np.empty(int(f.panel[-1])), np.empty(f.workspace)
            pivots, inverses = np.zeros((2, total))
            arguments = (
                self.values.copy(), source, a_indptr, a_rows, f.place, *self._known, EPSILON,
                True, f.start, f.row_indptr, f.rows, f.relative, f.child, f.sibling, f.panel,
                f.update, P, U, pivots, inverses, f.largest,
            )  # fmt: skip
            return kernels.Factor(arguments, (f.start, f.row_indptr, f.rows, f.panel, P, inverses))
        if last is not None:
            L, D = last[1].copy(), last[2].copy()
        else:
            L, D = np.empty(self.analysis.nnz), np.zeros((2, self.n + self.m))
        arguments_ = (
            self.values.copy(), self._pointers, self._entries, self._structure, self._known,
            EPSILON, True, L, D,
        )  # fmt: skip
        indptr, rows, _, _ = self.analysis.columns
        return kernels.Factor(arguments_, (indptr, rows, L, D[1]))

    def keep(self, state: kernels.State, ending: kernels.Factor) -> None:
        """Leave a finishing factor to the next solve."""
        if self.simplicial:
            L, D = ending.arguments[-2:]
            self.last = state.factored.copy(), L.copy(), D.copy()


def _arrays(M: Any) -> CSR:
    return CSR(M.data, M.indices.astype(np.int32), M.indptr.astype(np.int32))


def prepare(problem: Any) -> Prepared:
    """The scaled model, shared by all programs with this P and A and these bounded variables."""

    def find() -> Prepared:
        bounded = (problem.lb > -np.inf) | (problem.ub < np.inf)
        known = problem.cached("splitting models", (problem.P, problem.A), dict)
        key = bounded.tobytes()
        if key not in known:
            known[key] = Prepared(problem, bounded)
        return known[key]

    return problem.cached("splitting model", (problem.P, problem.A, problem.lb, problem.ub), find)


def storage(n: int, m: int) -> kernels.State:
    """Arrays of one solve."""
    return kernels.State(
        np.zeros(n), np.zeros(m), np.zeros(m), np.zeros(n), np.zeros(m), np.zeros(m), np.zeros(n),
        np.zeros(m), np.zeros(m), np.zeros(n), np.zeros(m), np.zeros(m, np.int8),
        np.zeros(m, np.int8), np.zeros(n + m), np.zeros(n + m), np.zeros(m), np.zeros(14),
    )  # fmt: skip
