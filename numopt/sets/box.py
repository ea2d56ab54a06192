"""Boxes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.stubs import at
from numopt.sets._base import ConvexSet


@block
class Box(ConvexSet):
    r"""Box, :math:`\{x : l_j \le x_j \le u_j\}`.

    Parameters
    ----------
    lower, upper : float or array of shape (p,)
        Bounds, -inf and inf where there are none. Numbers hold for every coordinate.

    Examples
    --------
    >>> from numopt.sets import Box
    >>> Box(0.0, [1.0, 5.0]).project([-1.0, 7.0]).tolist()
    [0.0, 5.0]
    """

    separable: ClassVar[bool] = True

    lower: Any
    upper: Any

    def __post_init__(self) -> None:
        lower, upper = np.asarray(self.lower, float), np.asarray(self.upper, float)
        if lower.ndim > 1 or upper.ndim > 1:
            raise ValueError("Box: lower and upper must be numbers or 1-D arrays")
        if lower.ndim and upper.ndim and lower.size != upper.size:
            raise ValueError(f"Box: lower has {lower.size} entries, upper has {upper.size}")
        wrong = np.atleast_1d(~(lower <= upper))
        if wrong.any():
            j = int(np.argmax(wrong))
            low, high = (np.broadcast_to(bound, wrong.shape)[j] for bound in (lower, upper))
            raise ValueError(f"Box: lower > upper at index {j}: {low:g} > {high:g}")
        object.__setattr__(self, "lower", lower if lower.ndim else float(lower))
        object.__setattr__(self, "upper", upper if upper.ndim else float(upper))

    @property
    def diameter(self) -> float:
        """Largest Euclidean distance in the box, inf if it is unbounded or has no fixed length."""
        width = np.asarray(self.upper) - np.asarray(self.lower)
        return float(np.linalg.norm(width)) if np.ndim(width) else float(np.inf)

    def diameter_in(self, n: int) -> float:
        """Largest Euclidean distance in n dimensions."""
        width = np.subtract(self.upper, self.lower)
        return float(np.linalg.norm(np.broadcast_to(width, n)))

    def lmo(self, c: Any) -> np.ndarray:
        """The corner against c, infinite along an unbounded side; at c = 0 the point nearest 0."""
        c = self._vector(c, "c")
        corner = np.where(c > 0, self.lower, self.upper)
        nearest = np.clip(0.0, self.lower, self.upper)
        return np.where(c == 0, nearest, corner).astype(c.dtype, copy=False)

    def value_1d(self, x, j):
        return abs(x) * 0 if at(self.lower, j) <= x <= at(self.upper, j) else abs(x) * 0 + np.inf

    def prox_1d(self, x, step, j):
        return min(max(x, at(self.lower, j)), at(self.upper, j))

    def subdiff_distance_1d(self, x, grad, j):
        low, high = at(self.lower, j), at(self.upper, j)
        if x < low or x > high:
            return abs(x) * 0 + np.inf
        if x == low:
            return abs(x) * 0 if x == high else max(-grad, grad * 0)
        return max(grad, grad * 0) if x == high else abs(grad)

    def conjugate_1d(self, u, j):
        bound = at(self.upper, j) if u > 0 else at(self.lower, j)
        return u * bound if u != 0 else u
