"""Balls of norms that group, sort or power the entries."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.validate import as_vector, require_count, require_length, require_positive
from numopt.sets._base import NormBall


class _LpForms(NormBall):
    p: float

    def lmo(self, c: Any) -> np.ndarray:
        """The point of the sphere against c, by Hoelder's inequality; the centre for c = 0."""
        c = self._vector(c, "c")
        largest = float(np.abs(c).max(initial=0.0))
        if largest == 0:
            return np.zeros_like(c)
        powers = np.abs(np.asarray(c, np.float64) / largest) ** (1 / (self.p - 1))
        size = float(np.sum(powers**self.p)) ** (1 / self.p)
        return np.asarray(-self.radius * np.sign(c) * powers / size, c.dtype)

    def norm_of(self, x: np.ndarray) -> float:
        """The p-norm."""
        largest = float(np.abs(x).max(initial=0.0))
        if not 0 < largest < np.inf:
            return largest
        return largest * float(np.sum(np.abs(x / largest) ** self.p)) ** (1 / self.p)

    @property
    def diameter(self) -> float:
        """2 r up to p = 2; beyond it grows with the number of coordinates, see `diameter_in`."""
        return 2.0 * self.radius if self.p <= 2 else float(np.inf)

    def diameter_in(self, n: int) -> float:
        """2 r max(1, n^(1/2 - 1/p))."""
        return float(2.0 * self.radius * max(1.0, n ** (0.5 - 1 / self.p)))


@block
class LpBall(_LpForms):
    r"""Ball :math:`\{x : (\sum_j |x_j|^p)^{1/p} \le r\}` with :math:`1 < p < \infty`.

    Parameters
    ----------
    p : float
        The power, > 1 and finite; `L1Ball` and `LInfBall` are the ends.
    radius : float, default 1.0
        The radius r, > 0.

    Examples
    --------
    >>> from numopt.sets import LpBall
    >>> LpBall(3.0).lmo([1.0, -4.0]).round(4).tolist()
    [-0.4807, 0.9615]
    """

    p: float
    radius: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self.p, "LpBall: p")
        if not self.p > 1:
            raise ValueError(f"LpBall: p must be > 1, got {self.p!r}; for p = 1 take L1Ball")
        require_positive(self.radius, "LpBall: radius")


class _KSupportForms(NormBall):
    k: int

    def lmo(self, c: Any) -> np.ndarray:
        """Against c on its k largest entries, of Euclidean length r; equal ones by lowest index."""
        from numopt.linalg import top_k

        c = self._vector(c, "c")
        vertex = np.zeros_like(c)
        largest = float(np.abs(c).max(initial=0.0))
        if largest == 0:
            return vertex
        chosen = np.arange(c.size) if self.k >= c.size else top_k(c, self.k)[0]
        part = np.asarray(c[chosen], np.float64) / largest
        vertex[chosen] = -self.radius * part / np.linalg.norm(part)
        return vertex

    def norm_of(self, x: np.ndarray) -> float:
        """The k-support norm, by its r largest entries and the sum of the others."""
        sizes = np.sort(np.abs(x))[::-1]
        k = min(self.k, sizes.size)
        if sizes.size == 0 or sizes[0] == 0:
            return 0.0
        unit = float(sizes[0])
        sizes = sizes / unit
        rest = np.cumsum(sizes[::-1])[::-1]  # of entry i and those after it
        for r in range(k):
            i = k - r - 1  # entries before i count squared, the others by their sum
            share = rest[i] / (r + 1)
            if share >= sizes[i] and (i == 0 or sizes[i - 1] > share):
                return unit * float(np.sqrt(np.sum(sizes[:i] ** 2) + rest[i] ** 2 / (r + 1)))
        return unit * float(np.linalg.norm(sizes))  # equal by rounding alone

    @property
    def diameter(self) -> float:
        """2 r."""
        return 2.0 * self.radius


@block
class KSupport(_KSupportForms):
    r"""Hull of the vectors with k nonzero entries and :math:`\|x\|_2 \le r`.

    The tightest convex set around sparse vectors of bounded Euclidean norm: between the L1 ball
    (k = 1) and the Euclidean ball.

    Parameters
    ----------
    k : int
        Number of nonzero entries of a vertex, >= 1.
    radius : float, default 1.0
        Their length r, > 0.

    References
    ----------
    A. Argyriou, R. Foygel, N. Srebro, "Sparse prediction with the k-support norm", NeurIPS 2012,
    arXiv 1204.5043.

    Examples
    --------
    >>> from numopt.sets import KSupport
    >>> KSupport(2).lmo([3.0, 1.0, -4.0]).round(12).tolist()
    [-0.6, 0.0, 0.8]
    """

    k: int
    radius: float = 1.0

    def __post_init__(self) -> None:
        require_count(self.k, "KSupport: k", least=1)
        require_positive(self.radius, "KSupport: radius")


class _GroupForms(NormBall):
    weights: np.ndarray
    index: np.ndarray

    def lmo(self, c: Any) -> np.ndarray:
        """All of r on the group with the largest |c_g| / w_g, against c."""
        c = self._vector(c, "c")
        sizes = self._sizes(c)
        best = int(np.argmax(sizes / self.weights))
        vertex = np.zeros_like(c)
        if sizes[best] > 0:
            own = self.index == best
            vertex[own] = -self.radius / self.weights[best] * (c[own] / sizes[best])
        return vertex

    def project(self, x: Any) -> np.ndarray:
        """Shrink the groups' lengths to their projection on a weighted L1 ball."""
        from numopt.linalg import project_l1_ball

        x = self._vector(x, "x")
        sizes = self._sizes(x)
        shrunk = project_l1_ball(sizes, self.radius, self.weights)
        factors = np.divide(shrunk, sizes, out=np.ones_like(sizes), where=sizes > 0)
        return np.asarray(x * factors[self.index], x.dtype)

    def violation(self, x: Any) -> float:
        """Largest entry of x - P(x)."""
        return super(NormBall, self).violation(x)

    def norm_of(self, x: np.ndarray) -> float:
        """Weighted sum of the lengths of the groups."""
        return float(self.weights @ self._sizes(x))

    @property
    def diameter(self) -> float:
        """2 r over the least weight."""
        return float(2.0 * self.radius / self.weights.min())

    def _sizes(self, x: np.ndarray) -> np.ndarray:
        """Euclidean lengths of the groups."""
        largest = float(np.abs(x).max(initial=0.0))
        if largest == 0:
            return np.zeros(self.weights.size)
        scaled = np.asarray(x, np.float64) / largest
        return largest * np.sqrt(np.bincount(self.index, scaled**2, self.weights.size))

    def _size(self) -> int:
        return int(self.index.size)


@block
class GroupBall(_GroupForms):
    r"""Ball :math:`\{x : \sum_g w_g \|x_g\|_2 \le r\}` over groups of coordinates.

    Parameters
    ----------
    groups : array of shape (p,)
        A label per coordinate, of any kind.
    radius : float, default 1.0
        The radius r, > 0.
    weights : array, optional
        w > 0, one per group in the order of the sorted labels; 1 each if not given.

    Examples
    --------
    >>> from numopt.sets import GroupBall
    >>> GroupBall([0, 0, 1]).lmo([3.0, -4.0, 4.5]).round(12).tolist()
    [-0.6, 0.8, 0.0]
    """

    groups: Any = dataclasses.field(metadata={"labels": True, "host": True})
    radius: float = 1.0
    weights: Any = dataclasses.field(default=None, metadata={"host": True})
    index: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})

    def __post_init__(self) -> None:
        labels = np.asarray(self.groups)
        if labels.ndim != 1 or labels.size == 0:
            raise ValueError(
                f"GroupBall: groups must hold a label per coordinate, got shape {labels.shape}"
            )
        require_positive(self.radius, "GroupBall: radius")
        index = np.unique(labels, return_inverse=True)[1]
        count = int(index.max()) + 1
        weights = np.ones(count) if self.weights is None else self.weights
        weights = as_vector(weights, "GroupBall: weights", np.float64)
        require_length(weights, count, "GroupBall: weights")
        if not (weights > 0).all():
            g = int(np.argmin(weights))
            raise ValueError(f"GroupBall: weights must be > 0, got {weights[g]:g} at index {g}")
        object.__setattr__(self, "groups", labels)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "index", index)


class _OWLForms(NormBall):
    weights: np.ndarray
    totals: np.ndarray

    def lmo(self, c: Any) -> np.ndarray:
        """Equal sizes on the j largest entries of c, for the best j."""
        c = self._vector(c, "c")
        order = np.argsort(-np.abs(c), kind="stable")
        sums = np.cumsum(np.abs(np.asarray(c, np.float64))[order])
        j = int(np.argmax(sums / self.totals))
        vertex, chosen = np.zeros_like(c), order[: j + 1]
        vertex[chosen] = -self.radius / self.totals[j] * np.sign(c[chosen])
        return vertex

    def norm_of(self, x: np.ndarray) -> float:
        """Weights times sizes, the largest with the largest."""
        return float(self.weights @ np.sort(np.abs(x))[::-1])

    @property
    def diameter(self) -> float:
        """Twice the length of the longest vertex."""
        counts = np.sqrt(np.arange(1.0, self.totals.size + 1))
        return float(2.0 * self.radius * np.max(counts / self.totals))

    def _size(self) -> int:
        return int(self.weights.size)


@block
class OWLBall(_OWLForms):
    r"""Ball of the ordered weighted L1 norm, :math:`\{x : \sum_i w_i |x|_{(i)} \le r\}`.

    :math:`|x|_{(1)} \ge |x|_{(2)} \ge \dots` are the sizes in order and
    :math:`w_1 \ge w_2 \ge \dots \ge 0`; the norm is that of `numopt.penalties.SLOPE`.

    Parameters
    ----------
    weights : array of shape (p,)
        Nonincreasing, the first > 0.
    radius : float, default 1.0
        The radius r, > 0.

    References
    ----------
    X. Zeng, M. Figueiredo, "The ordered weighted l1 norm: atomic formulation, projections, and
    algorithms", 2014, arXiv 1409.4271.

    Examples
    --------
    >>> from numopt.sets import OWLBall
    >>> OWLBall([1.0, 0.5]).lmo([3.0, -2.5]).round(4).tolist()
    [-0.6667, 0.6667]
    """

    weights: Any = dataclasses.field(metadata={"host": True})
    radius: float = 1.0
    totals: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})

    def __post_init__(self) -> None:
        weights = as_vector(self.weights, "OWLBall: weights", np.float64)
        if weights.size == 0 or not weights[0] > 0 or weights[-1] < 0:
            raise ValueError("OWLBall: weights must be >= 0, the first > 0")
        rises = np.diff(weights) > 0
        if rises.any():
            i = int(np.argmax(rises)) + 1
            raise ValueError(
                f"OWLBall: weights must not increase, but weights[{i}] = {weights[i]:g} is larger "
                "than its predecessor; sort them, largest first"
            )
        require_positive(self.radius, "OWLBall: radius")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "totals", np.cumsum(weights))
