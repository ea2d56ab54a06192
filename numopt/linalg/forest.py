r"""Systems whose pattern is a forest: two sweeps over the tree, no fill, O(n).

With nodes in breadth-first order and p(i) the parent of i, eliminating from the last node to the
first gives

.. math:: t_i = a_{i p(i)} / d_i, \quad d_{p(i)} \leftarrow d_{p(i)} - t_i a_{i p(i)}, \quad
          r_{p(i)} \leftarrow r_{p(i)} - t_i r_i,

and from the first to the last :math:`x_i = r_i / d_i - t_i x_{p(i)}`. It is Gaussian belief
propagation, which is exact on forests.

References
----------
Y. Weiss, W. Freeman, "Correctness of belief propagation in Gaussian graphical models of arbitrary
topology", Neural Computation 13 (2001), doi:10.1162/089976601750541769.
J. Nutini, I. Laradji, M. Schmidt, "Let's make block coordinate descent converge faster", JMLR 23
(131), 2022, arXiv:1712.08859.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.dense import NOISE
from numopt.linalg.ldl_kernels.symbolic import NONE
from numopt.linalg.ordering import adjacency
from numopt.linalg.patterns import SymmetricPattern


@kernel
def _breadth_first(start, length, lists):
    """Order, place of each node's parent in it (-1 at roots), and an edge that closes a cycle."""
    n = length.size
    order = np.empty(n, np.uint32)
    parent = np.full(n, NONE, np.int32)
    place = np.full(n, NONE, np.int32)
    done = 0
    filled = 0
    for root in range(n):
        if place[root] != NONE:
            continue
        order[filled] = root
        place[root] = filled
        filled += 1
        while done < filled:
            i = np.int64(order[done])
            for q in range(start[i], start[i] + length[i]):
                j = lists[q]
                if place[j] == NONE:
                    order[filled] = j
                    place[j] = filled
                    parent[filled] = done
                    filled += 1
                elif place[j] != parent[done] and parent[place[j]] != done:
                    return order, parent, i, j
            done += 1
    return order, parent, NONE, NONE


@kernel
def _edges(order, parent, indptr, indices):
    """Place in the upper triangle of the edge from each node to its parent; roots: unused."""
    n = order.size
    edge = np.zeros(n, np.uint32)
    for k in range(n):
        if parent[k] == NONE:
            continue
        i, j = np.int64(order[k]), np.int64(order[parent[k]])
        row, column = min(i, j), max(i, j)
        low, high = indptr[column], indptr[column + 1]
        while high - low > 1:  # rows of a column ascend
            middle = (low + high) // 2
            if indices[middle] > row:
                high = middle
            else:
                low = middle
        edge[k] = low
    return edge


@inner
def eliminate(parent, d, a, mass, epsilon):
    """Overwrite d by the pivots and a by the multipliers t; return the first bad node or -1."""
    for k in range(d.size - 1, -1, -1):
        if not abs(d[k]) > epsilon * mass[k] or not abs(d[k]) < np.inf:
            return k
        p = parent[k]
        if p != NONE:
            t = a[k] / d[k]
            d[p] -= t * a[k]
            mass[p] += abs(t * a[k])
            a[k] = t
    return NONE


@inner
def substitute(parent, d, t, r):
    """Overwrite r by the solution, all in breadth-first order."""
    for k in range(r.size - 1, -1, -1):
        if parent[k] != NONE:
            r[parent[k]] -= t[k] * r[k]
    for k in range(r.size):
        r[k] /= d[k]
        if parent[k] != NONE:
            r[k] -= t[k] * r[parent[k]]


@kernel
def _factor(values, diagonal, edge, order, parent, d, t, epsilon):
    mass = np.empty(d.size, d.dtype)
    for k in range(d.size):
        d[k] = values[diagonal[order[k]]]
        mass[k] = abs(d[k])
        t[k] = values[edge[k]] if parent[k] != NONE else d[k] * 0
    return eliminate(parent, d, t, mass, epsilon)


@kernel
def _solve(order, parent, d, t, b, x):
    w = np.empty(b.size, x.dtype)
    for k in range(b.size):
        w[k] = b[order[k]]
    substitute(parent, d, t, w)
    total = 0.0
    for k in range(b.size):
        x[order[k]] = w[k]
        total += w[k]
    return abs(total) < np.inf


class ForestLDL:
    """Factor a symmetric matrix whose pattern is a forest and solve with it in O(n).

    Parameters
    ----------
    A : sparse matrix or array (n, n)
        As for `LDL`; any number of trees, single nodes included.
    triangle : {"full", "upper", "lower"}, default "full"
        What A stores.

    Attributes
    ----------
    ok : bool
        No pivot vanished. Positive definite matrices are always fine; an indefinite one may need
        `LDL`, which pivots.
    bad_row : int or None
        The row whose pivot is lost in rounding.
    order, parent : arrays (n)
        Breadth-first order, and the place in it of each node's parent, -1 at roots.
    inertia, analyses, factorizations, solves
        As for `LDL`.

    Raises
    ------
    ValueError
        The pattern has a cycle (an edge of it is named); otherwise as for `LDL`.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.linalg.forest import ForestLDL
    >>> star = np.array([[4.0, 1, 1, 1], [1, 2, 0, 0], [1, 0, 2, 0], [1, 0, 0, 2]])
    >>> np.round(ForestLDL(star).solve(star @ [1.0, 2, 3, 4]), 12)
    array([1., 2., 3., 4.])
    """

    def __init__(self, A: Any, *, triangle: str = "full"):
        self.pattern = pattern = SymmetricPattern(A, triangle)
        self.n = pattern.n
        start, length, lists, _ = adjacency(pattern.indptr, pattern.indices)
        self.order, self.parent, i, j = _breadth_first(start, length, lists)
        if i != NONE:
            raise ValueError(
                f"{pattern.name} is no forest: the edge ({i}, {j}) closes a cycle; use LDL"
            )
        self._edge = _edges(self.order, self.parent, pattern.indptr, pattern.indices)
        self.analyses, self.factorizations, self.solves = 1, 0, 0
        values = pattern.values_of(A)
        self.dtype = np.dtype(np.float32 if values.dtype == np.float32 else np.float64)
        self._values = np.empty(pattern.indices.size, self.dtype)
        self._d, self._t = np.empty((2, self.n), self.dtype)
        self.update(values)

    def update(self, values: Any) -> bool:
        """Factor a matrix of the same pattern (its `data`, or the matrix); return `ok`."""
        values = self.pattern.values_of(values)
        self.ok, self.bad_row = False, None
        self.pattern.load(values, self._values)
        self.factorizations += 1
        epsilon = self.dtype.type(NOISE * np.finfo(self.dtype.type).eps)
        failed = _factor(
            self._values, self.pattern.diagonal, self._edge, self.order, self.parent,
            self._d, self._t, epsilon,
        )  # fmt: skip
        self.ok = failed == NONE
        if not self.ok:
            self.pattern.require_finite(values)
            self.bad_row = int(self.order[failed])
        return self.ok

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Positive, negative and zero eigenvalues of A."""
        self._require_factor()
        negative = int((self._d < 0).sum())
        return self.n - negative, negative, 0

    def _require_factor(self) -> None:
        if not self.ok:
            raise np.linalg.LinAlgError(
                f"the pivot of row {self.bad_row} vanishes; use LDL, which pivots, or shift the "
                "diagonal"
            )

    def solve(self, b: Any) -> np.ndarray:
        """Solve A x = b for b of shape (n,) or (n, k)."""
        self._require_factor()
        b = np.asarray(b)
        if b.ndim == 2 and b.shape[0] == self.n:
            columns = [self.solve(b[:, k]) for k in range(b.shape[1])]
            return np.array(columns, self.dtype).reshape(-1, self.n).T
        if b.shape != (self.n,):
            raise ValueError(f"b has shape {b.shape}, expected ({self.n},) or ({self.n}, k)")
        b = np.require(b, self.dtype, ["C", "A", "W"])
        x = np.empty(self.n, self.dtype)
        self.solves += 1
        if not _solve(self.order, self.parent, self._d, self._t, b, x):
            bad = np.flatnonzero(~np.isfinite(b))
            if bad.size:
                raise ValueError(f"b has {b[bad[0]]} at index {bad[0]}; drop or impute it")
            raise np.linalg.LinAlgError("the solution overflows: A is singular")
        return x
