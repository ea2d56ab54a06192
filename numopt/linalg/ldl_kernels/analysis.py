"""What the pattern alone decides about an L D L' factorisation."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from numopt.core.validate import require_choice
from numopt.linalg.ldl_kernels import supernodal, symbolic
from numopt.linalg.ordering import minimum_degree
from numopt.linalg.patterns import SymmetricPattern

ORDERINGS = ("amd", "natural")


class Fronts(NamedTuple):
    """Layout of a multifrontal factor."""

    start: np.ndarray  # first column of each supernode
    row_indptr: np.ndarray
    rows: np.ndarray  # rows of each supernode below its columns
    above: np.ndarray  # parent
    panel: np.ndarray  # offsets of panels
    update: np.ndarray  # offsets of update matrices, -1 without one
    relative: np.ndarray  # place of each row in the parent's front
    place: np.ndarray  # place of each entry of A in its panel
    child: np.ndarray
    sibling: np.ndarray
    workspace: int  # entries of all updates alive at once
    largest: int  # rows of the largest front


class Analysis:
    """What the pattern alone decides; shared by all factors of one pattern.

    Attributes
    ----------
    n, nnz : int
        Order of A, entries of L below the diagonal.
    flops : float
        Multiply-add pairs of one factorisation, the sum of squared column counts.
    order : array
        ``order[k]`` is the row of A eliminated k-th.
    """

    def __init__(self, pattern: SymmetricPattern, ordering: str | np.ndarray = "amd"):
        self.pattern, n = pattern, pattern.n
        indptr, indices = pattern.indptr, pattern.indices
        order = _ordering(pattern, ordering)
        inverse = np.empty(n, np.uint32)
        for last in (False, True):
            inverse[order] = np.arange(n, dtype=np.uint32)
            self.upper = symbolic.permute_upper(indptr, indices, inverse)
            self.parent = symbolic.elimination_tree(self.upper[0], self.upper[1])
            if not last:
                order = order[symbolic.postorder(self.parent)]
        self.order = order.astype(np.uint32)
        self.lower = symbolic.transpose(*self.upper)
        self.counts = symbolic.column_counts(self.lower[0], self.lower[1], self.parent)
        self.n, self.nnz = n, int(self.counts.sum()) - n
        self.flops = float(np.square(self.counts.astype(float) - 1).sum())

    @cached_property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Pattern of L by columns and by rows."""
        alone = np.arange(self.n + 1)
        indptr, rows, _, _ = symbolic.row_structures(
            self.upper[0], self.upper[1], alone, self.parent, self.counts
        )
        row_indptr, row_columns, _ = symbolic.transpose(indptr, rows, rows)
        return indptr, rows, row_indptr, row_columns

    @cached_property
    def fronts(self) -> Fronts:
        """Supernodes and the layout of their blocks."""
        start = symbolic.supernodes(self.parent, self.counts)
        row_indptr, rows, _, above = symbolic.row_structures(
            self.upper[0], self.upper[1], start, self.parent, self.counts
        )
        *places, sizes = supernodal.layout(
            start, row_indptr, rows, above, self.lower[0], self.lower[1]
        )
        return Fronts(start, row_indptr, rows, above, *places, *sizes)

    @cached_property
    def faster(self) -> str:
        """Which of the two static methods should factor and solve in less time."""
        if self.flops < 20 * self.nnz:
            return "simplicial"
        fronts = self.fronts
        columns = np.diff(fronts.start)
        below = np.diff(fronts.row_indptr)
        panels = float((columns * (columns + below)).sum())
        updates = float(np.square(below[fronts.update >= 0], dtype=float).sum())
        # Nanoseconds of a factorisation and a solve, fitted to 80 matrices; ratios matter.
        row_by_row = 13.0 * self.n + 2.5 * self.nnz + 0.27 * self.flops
        by_fronts = 19.0 * self.n + 48.0 * columns.size + 10.0 * below.sum()
        by_fronts += 1400.0 + 3.3 * panels + 0.7 * updates
        return "supernodal" if by_fronts < row_by_row else "simplicial"


def _ordering(pattern: SymmetricPattern, ordering: str | np.ndarray) -> np.ndarray:
    if isinstance(ordering, str):
        require_choice(ordering, ORDERINGS, "ordering")
        if ordering == "amd":
            return minimum_degree(pattern.indptr, pattern.indices)
        return np.arange(pattern.n, dtype=np.int32)
    order = np.asarray(ordering)
    if order.shape != (pattern.n,) or (np.sort(order) != np.arange(pattern.n)).any():
        raise ValueError(
            f"ordering must be a permutation of range({pattern.n}) or one of {ORDERINGS}, "
            f"got an array of shape {order.shape}"
        )
    return order.astype(np.int32)
