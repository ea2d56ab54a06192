"""Hulls of permutations: of a vector's entries, and of the identity's rows."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import scipy.optimize

from numopt.core.block import block
from numopt.core.validate import as_vector, require_count
from numopt.sets._base import HostSet
from numopt.sets.matrices import MatrixSet, like


class _PermutahedronForms(HostSet):
    entries: np.ndarray

    def lmo(self, c: Any) -> np.ndarray:
        """The largest entry where c is smallest, and so on."""
        c = self._vector(c, "c")
        vertex = np.empty_like(c)
        vertex[np.argsort(c, kind="stable")] = self.entries[::-1]
        return vertex

    def project(self, x: Any) -> np.ndarray:
        """Sort, fit a monotone sequence to the differences, undo the sorting; O(p log p)."""
        from numopt.linalg import isotonic_regression

        x = self._vector(x, "x")
        order = np.argsort(-x, kind="stable")
        gap = np.asarray(x[order], np.float64) - self.entries[::-1]
        out = np.empty_like(x)
        out[order] = x[order] - isotonic_regression(gap, increasing=False)
        return out

    @property
    def diameter(self) -> float:
        """Between the entries in order and in reverse order."""
        return float(np.linalg.norm(self.entries - self.entries[::-1]))

    def _size(self) -> int:
        return int(self.entries.size)


@block
class Permutahedron(_PermutahedronForms):
    r"""Hull of all orders of the entries of a vector, :math:`\{P w : P \text{ permutation}\}`.

    Parameters
    ----------
    entries : array of shape (p,)
        The vector w; its order does not matter.

    Notes
    -----
    The projection is an isotonic regression.

    References
    ----------
    C. H. Lim, S. J. Wright, "Efficient Bregman projections onto the permutahedron and related
    polytopes", AISTATS 2016.

    Examples
    --------
    >>> from numopt.sets import Permutahedron
    >>> Permutahedron([1.0, 2.0, 3.0]).lmo([0.5, -1.0, 4.0]).tolist()
    [2.0, 3.0, 1.0]
    >>> Permutahedron([1.0, 2.0, 3.0]).project([9.0, 2.0, 1.0]).tolist()
    [3.0, 2.0, 1.0]
    """

    entries: Any = dataclasses.field(metadata={"host": True})

    def __post_init__(self) -> None:
        entries = np.sort(as_vector(self.entries, "Permutahedron: entries", np.float64))
        if entries.size == 0:
            raise ValueError("Permutahedron: entries is empty; give one number per coordinate")
        object.__setattr__(self, "entries", entries)


class _BirkhoffForms(MatrixSet):
    dear: ClassVar[bool] = True
    n: int

    @property
    def dims(self) -> tuple[int, int]:
        """n rows and columns."""
        return self.n, self.n

    def lmo(self, c: Any) -> np.ndarray:
        """The permutation of least cost: a linear assignment, O(n^3)."""
        C = self._matrix(c, "c")
        vertex = np.zeros_like(C)
        vertex[scipy.optimize.linear_sum_assignment(C)] = 1
        return like(vertex, c, C.dtype)

    def violation(self, x: Any) -> float:
        """Largest excess of a row's or column's sum over 1, either way, or of -x over 0."""
        X = self._matrix(x)
        sums = np.concatenate([X.sum(0), X.sum(1)])
        return float(max(np.abs(sums - 1).max(), -X.min(), 0.0))

    @property
    def diameter(self) -> float:
        """Between permutations without a common entry."""
        return float(np.sqrt(2.0 * self.n)) if self.n > 1 else 0.0


@block
class Birkhoff(_BirkhoffForms):
    r"""Doubly stochastic matrices, :math:`\{X \ge 0 : X 1 = 1, X^T 1 = 1\}`.

    The hull of the permutation matrices.

    Parameters
    ----------
    n : int
        Rows and columns of X; x is X row by row, and may be given as a matrix.

    Examples
    --------
    >>> from numopt.sets import Birkhoff
    >>> Birkhoff(2).lmo([[1.0, 0.0], [0.0, 3.0]]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    n: int

    def __post_init__(self) -> None:
        require_count(self.n, "Birkhoff: n", least=1)
