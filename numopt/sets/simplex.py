"""Simplices."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_positive
from numopt.linalg.stubs import simplex_into
from numopt.sets._base import ConvexSet


@block
class Simplex(ConvexSet):
    r"""Simplex, :math:`\{x \ge 0 : \sum_j x_j = r\}`.

    The projection subtracts one number from all coordinates and clips; the number is found by
    Newton's method, a handful of passes over the coordinates without sorting them.

    Parameters
    ----------
    radius : float, default 1.0
        The sum r, > 0.

    References
    ----------
    C. Michelot, "A finite algorithm for finding the projection of a point onto the canonical
    simplex of R^n", J. Optim. Theory Appl. 50, 1986.

    Examples
    --------
    >>> from numopt.sets import Simplex
    >>> Simplex().project([0.5, 1.0, -2.0]).tolist()
    [0.25, 0.75, 0.0]
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self.radius, "Simplex: radius")

    @property
    def diameter(self) -> float:
        """Distance of two vertices."""
        return float(self.radius * np.sqrt(2.0))

    def lmo(self, c: Any) -> np.ndarray:
        """The vertex at the smallest entry of c."""
        c = self._vector(c, "c")
        vertex = np.zeros_like(c)
        if c.size:
            vertex[np.argmin(c)] = self.radius
        return vertex

    def value_of(self, x):
        total = x.dtype.type(0)
        for j in range(x.size):
            if x[j] < 0:
                return total * 0 + np.inf
            total += x[j]
        # Membership up to the rounding of a sum of n terms.
        if abs(total - self.radius) <= 1e-6 * self.radius:
            return total * 0
        return total * 0 + np.inf

    def prox_into(self, v, step, out):
        simplex_into(v, 1.0, self.radius, out)

    def _spec(self, dtype: Any) -> Any:
        from numopt.linalg import projections  # noqa: F401 - what prox_into calls

        return super()._spec(dtype)

    def conjugate_of(self, u):
        return self.radius * u.max()
