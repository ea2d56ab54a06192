"""Ellipsoids."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.validate import as_vector, require_length
from numopt.sets._base import HostSet


class _EllipsoidForms(HostSet):
    Q: np.ndarray
    centre: np.ndarray
    axes: np.ndarray  # eigenvalues of Q: squares of the half axes
    directions: np.ndarray  # eigenvectors

    def lmo(self, c: Any) -> np.ndarray:
        """Centre - Q c / sqrt(c'Q c); the centre for c = 0."""
        c = self._vector(c, "c")
        largest = float(np.abs(c).max(initial=0.0))
        if largest == 0:
            return np.array(self.centre, c.dtype)
        unit = np.asarray(c, np.float64) / largest
        step = self.Q @ unit
        return np.asarray(self.centre - step / np.sqrt(unit @ step), c.dtype)

    def project(self, x: Any) -> np.ndarray:
        """Newton's method on the multiplier, in the coordinates of the axes."""
        x = self._vector(x, "x")
        z = self.directions.T @ (np.asarray(x, np.float64) - self.centre)
        # With t the multiplier the point is a z / (a + t), and sum of a z^2 / (a + t)^2 is 1.
        a = self.axes
        if np.sum(z**2 / a) <= 1:
            return np.array(x)
        t = 0.0
        for _ in range(200):
            size = float(np.sqrt(np.sum(a * (z / (a + t)) ** 2)))
            slope = float(np.sum(a * z**2 / (a + t) ** 3))
            # Newton on 1/size - 1, which is concave: the steps never overshoot.
            step = size**2 * (size - 1) / slope
            t += step
            if not step > 1e-15 * t:
                break
        return np.asarray(self.centre + self.directions @ (a * z / (a + t)), x.dtype)

    @property
    def diameter(self) -> float:
        """The longest axis."""
        return float(2.0 * np.sqrt(self.axes[-1]))

    def _size(self) -> int:
        return int(self.centre.size)


@block
class Ellipsoid(_EllipsoidForms):
    r"""Ellipsoid, :math:`\{x : (x - x_0)^T Q^{-1} (x - x_0) \le 1\}`.

    Parameters
    ----------
    Q : array of shape (p, p)
        Symmetric positive definite; its eigenvalues are the squares of the half axes.
    centre : array of shape (p,), optional
        The centre, 0 if not given.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.sets import Ellipsoid
    >>> Ellipsoid(np.diag([4.0, 1.0])).lmo([1.0, 0.0]).tolist()
    [-2.0, 0.0]
    >>> Ellipsoid(np.diag([4.0, 1.0])).project([5.0, 0.0]).round(12).tolist()
    [2.0, 0.0]
    """

    Q: Any = dataclasses.field(metadata={"host": True})
    centre: Any = dataclasses.field(default=None, metadata={"host": True})
    axes: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})
    directions: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})

    def __post_init__(self) -> None:
        from numopt.core.validate import as_symmetric

        Q = np.asarray(as_symmetric(self.Q, "Ellipsoid: Q"), np.float64)
        axes, directions = np.linalg.eigh(Q)
        if axes.size == 0 or not axes[0] > 1e-14 * axes[-1]:
            least = axes[0] if axes.size else np.nan
            raise ValueError(
                f"Ellipsoid: Q must be positive definite, its least eigenvalue is {least:g}"
            )
        centre = np.zeros(len(Q)) if self.centre is None else self.centre
        centre = as_vector(centre, "Ellipsoid: centre", np.float64)
        require_length(centre, len(Q), "Ellipsoid: centre")
        for name, value in (
            ("Q", Q), ("centre", centre), ("axes", axes), ("directions", directions)
        ):  # fmt: skip
            object.__setattr__(self, name, value)
