"""Hulls of sparse vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_count, require_positive
from numopt.linalg.stubs import knapsack_into
from numopt.sets._base import MEMBER, ConvexSet


@block
class KSparse(ConvexSet):
    r"""Hull of the vectors with k entries of size r, :math:`\{|x_j| \le r, \sum_j |x_j| \le k r\}`.

    Between the L1 ball (k = 1) and the box. The projection clips, and if the sum is then too large
    it is the one onto a knapsack constraint; some passes over the coordinates without sorting.

    Parameters
    ----------
    k : int
        Number of entries of a vertex, >= 1; with fewer coordinates the set is the box.
    radius : float, default 1.0
        Their size r, > 0.

    Examples
    --------
    >>> from numopt.sets import KSparse
    >>> KSparse(2).lmo([1.0, -3.0, 2.0]).tolist()
    [0.0, 1.0, -1.0]
    >>> KSparse(2).project([5.0, -1.0, 0.5]).round(12).tolist()
    [1.0, -0.75, 0.25]
    """

    k: int
    radius: float = 1.0

    def __post_init__(self) -> None:
        require_count(self.k, "KSparse: k", least=1)
        require_positive(self.radius, "KSparse: radius")

    @property
    def diameter(self) -> float:
        """2 r sqrt(k), between opposite vertices."""
        return float(2.0 * self.radius * np.sqrt(self.k))

    def lmo(self, c: Any) -> np.ndarray:
        """-r times the sign of c on its k largest entries; equal ones by the lowest index."""
        c = self._vector(c, "c")
        if self.k >= c.size:
            return np.asarray(-self.radius * np.sign(c), c.dtype)
        from numopt.linalg import top_k

        vertex, (chosen, _) = np.zeros_like(c), top_k(c, self.k)
        vertex[chosen] = -self.radius * np.sign(c[chosen])
        return vertex

    def value_of(self, x):
        total = x.dtype.type(0)
        for j in range(x.size):
            if abs(x[j]) > self.radius * (1 + MEMBER):
                return total * 0 + np.inf
            total += abs(x[j])
        return total * 0 if total <= self.k * self.radius * (1 + MEMBER) else total * 0 + np.inf

    def prox_into(self, v, step, out):
        total = v.dtype.type(0)
        for j in range(v.size):
            total += min(abs(v[j]), self.radius)
        if not total > self.k * self.radius:
            for j in range(v.size):
                out[j] = min(max(v[j], -self.radius), self.radius)
            return
        sizes = np.abs(v)
        none = self.radius - self.radius  # of the type of the radius
        knapsack_into(sizes, 1.0, none, self.radius, self.k * self.radius, sizes)
        for j in range(v.size):
            out[j] = sizes[j] if v[j] > 0 else -sizes[j]

    def _spec(self, dtype: Any) -> Any:
        from numopt.linalg import projections  # noqa: F401 - what prox_into calls

        return super()._spec(dtype)

    def conjugate_of(self, u):
        sizes = np.sort(np.abs(u))
        total = u.dtype.type(0)
        for i in range(max(0, u.size - self.k), u.size):
            total += sizes[i]
        return self.radius * total
