"""Hulls of points."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.validate import as_array
from numopt.sets._base import HostSet


class _HullForms(HostSet):
    points: np.ndarray

    def lmo(self, c: Any) -> np.ndarray:
        """The point of least c'v, the first of several."""
        c = self._vector(c, "c")
        return np.array(self.points[int(np.argmin(self.points @ c))], c.dtype)

    def project(self, x: Any) -> np.ndarray:
        """The nearest point, by an active-set method on the weights."""
        from numopt.linalg import simplex_qp

        x = self._vector(x, "x")
        moved = self.points - np.asarray(x, np.float64)  # about x, lest digits cancel
        weights = simplex_qp(moved @ moved.T, np.zeros(len(moved)))
        return np.asarray(x + weights @ moved, x.dtype)

    @property
    def diameter(self) -> float:
        """Largest distance of two points."""
        return self.kept("diameter", self._diameter)

    def _diameter(self) -> float:
        widest = max(
            float(np.sum((self.points - point) ** 2, axis=1).max()) for point in self.points
        )
        return float(np.sqrt(widest))

    def _size(self) -> int:
        return int(self.points.shape[1])


@block
class Hull(_HullForms):
    r"""Hull of given points, :math:`\{V^T w : w \ge 0, \sum_i w_i = 1\}`.

    Parameters
    ----------
    points : array of shape (k, p)
        The points, one a row; they need not be vertices.

    Notes
    -----
    The oracle is one product with the points. The projection is a quadratic program over the
    weights, with a k x k matrix.

    Examples
    --------
    >>> from numopt.sets import Hull
    >>> triangle = Hull([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> triangle.lmo([1.0, -1.0]).tolist(), triangle.project([2.0, 2.0]).round(9).tolist()
    ([0.0, 2.0], [1.0, 1.0])
    """

    points: Any = dataclasses.field(metadata={"host": True})

    def __post_init__(self) -> None:
        points = as_array(self.points, "Hull: points", 2, np.float64)
        if 0 in points.shape:
            raise ValueError(f"Hull: points must hold at least one point, got {points.shape}")
        object.__setattr__(self, "points", points)
