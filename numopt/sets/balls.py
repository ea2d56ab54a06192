"""Balls of the L1, L2 and largest-entry norms around 0."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_positive
from numopt.linalg.stubs import l1_ball_into
from numopt.sets._base import MEMBER, ConvexSet


@block
class L1Ball(ConvexSet):
    r"""Ball :math:`\{x : \sum_j |x_j| \le r\}`.

    The projection shrinks all entries by one number, found by Newton's method in a handful of
    passes without sorting. The oracle gives a vertex, all of r on one coordinate.

    Parameters
    ----------
    radius : float, default 1.0
        The radius r, > 0.

    References
    ----------
    L. Condat, "Fast projection onto the simplex and the l1 ball", Math. Program. 158, 2016.

    Examples
    --------
    >>> from numopt.sets import L1Ball
    >>> L1Ball().project([1.5, -1.0, 0.0]).tolist(), L1Ball(2.0).lmo([1.0, -3.0]).tolist()
    ([0.75, -0.25, 0.0], [0.0, 2.0])
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self.radius, "L1Ball: radius")

    @property
    def diameter(self) -> float:
        """2 r."""
        return 2.0 * self.radius

    def lmo(self, c: Any) -> np.ndarray:
        """The vertex at the largest entry of c in absolute value, against its sign."""
        c = self._vector(c, "c")
        vertex = np.zeros_like(c)
        if c.size:
            j = int(np.argmax(np.abs(c)))
            vertex[j] = -self.radius if c[j] > 0 else self.radius
        return vertex

    def value_of(self, x):
        total = x.dtype.type(0)
        for j in range(x.size):
            total += abs(x[j])
        return total * 0 if total <= self.radius * (1 + MEMBER) else total * 0 + np.inf

    def prox_into(self, v, step, out):
        l1_ball_into(v, 1.0, self.radius, out)

    def _spec(self, dtype: Any) -> Any:
        from numopt.linalg import projections  # noqa: F401 - what prox_into calls

        return super()._spec(dtype)

    def conjugate_of(self, u):
        largest = u.dtype.type(0)
        for j in range(u.size):
            largest = max(largest, abs(u[j]))
        return self.radius * largest


@block
class L2Ball(ConvexSet):
    r"""Ball :math:`\{x : \|x\|_2 \le r\}`.

    Parameters
    ----------
    radius : float, default 1.0
        The radius r, > 0.

    Examples
    --------
    >>> from numopt.sets import L2Ball
    >>> L2Ball().project([3.0, 4.0]).round(12).tolist()
    [0.6, 0.8]
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self.radius, "L2Ball: radius")

    @property
    def diameter(self) -> float:
        """2 r."""
        return 2.0 * self.radius

    def lmo(self, c: Any) -> np.ndarray:
        """The point of the sphere against c; the centre for c = 0."""
        c = self._vector(c, "c")
        largest = float(np.abs(c).max(initial=0.0))
        if largest == 0:
            return np.zeros_like(c)
        unit = c / c.dtype.type(largest)
        return np.asarray(-self.radius * unit / np.linalg.norm(unit), c.dtype)

    def norm(self, x):
        largest = x.dtype.type(0)
        for j in range(x.size):
            size = abs(x[j])
            if not size <= largest:
                largest = size
        if not (largest > 0 and largest < np.inf):
            return largest
        total = x.dtype.type(0)
        for j in range(x.size):
            total += (x[j] / largest) ** 2
        return largest * np.sqrt(total)

    def value_of(self, x):
        length = self.norm(x)
        return length * 0 if length <= self.radius * (1 + MEMBER) else abs(x[0]) * 0 + np.inf

    def prox_into(self, v, step, out):
        length = self.norm(v)
        for j in range(v.size):
            out[j] = v[j] if length <= self.radius else v[j] / length * self.radius

    def conjugate_of(self, u):
        return self.radius * self.norm(u)


@block
class LInfBall(ConvexSet):
    r"""Ball :math:`\{x : |x_j| \le r\}`, the box with half-width r.

    Parameters
    ----------
    radius : float, default 1.0
        The radius r, > 0.

    Examples
    --------
    >>> from numopt.sets import LInfBall
    >>> LInfBall().project([3.0, -0.5]).tolist(), LInfBall().lmo([3.0, -0.5]).tolist()
    ([1.0, -0.5], [-1.0, 1.0])
    """

    separable: ClassVar[bool] = True

    radius: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self.radius, "LInfBall: radius")

    @property
    def diameter(self) -> float:
        """inf: it grows with the number of coordinates, see `diameter_in`."""
        return float(np.inf)

    def diameter_in(self, n: int) -> float:
        """2 r sqrt(n)."""
        return float(2.0 * self.radius * np.sqrt(n))

    def lmo(self, c: Any) -> np.ndarray:
        """The corner against c; 0 where c is 0."""
        c = self._vector(c, "c")
        return np.asarray(-self.radius * np.sign(c), c.dtype)

    def value_1d(self, x, j):
        return abs(x) * 0 if abs(x) <= self.radius else abs(x) * 0 + np.inf

    def prox_1d(self, x, step, j):
        return min(max(x, -self.radius), self.radius)

    def subdiff_distance_1d(self, x, grad, j):
        if abs(x) > self.radius:
            return abs(x) * 0 + np.inf
        if abs(x) < self.radius:
            return abs(grad)
        return max(-grad, grad * 0) if x < 0 else max(grad, grad * 0)

    def conjugate_1d(self, u, j):
        return self.radius * abs(u)
