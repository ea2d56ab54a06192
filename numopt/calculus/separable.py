"""Sums over coordinates, weighted, shifted, bounded or with a ridge."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.calculus._base import Composed, require_base
from numopt.core.block import block
from numopt.core.stubs import (
    at,
    conjugate_1d,
    conjugate_bound_1d,
    curvature_1d,
    prox_1d,
    subdiff_distance_1d,
    value_1d,
)
from numopt.core.validate import require_nonnegative
from numopt.penalties._base import Penalty, require_weights


@block
class Weighted(Composed):
    r"""Separable penalty with one factor per coordinate, :math:`\sum_j w_j \phi_j(x_j)`.

    Parameters
    ----------
    base : block
        Separable penalty :math:`\phi`.
    weights : array of shape (p,)
        Factors: 0 = unpenalised, inf = excluded (x_j = 0).

    Examples
    --------
    >>> from numopt.calculus import Weighted
    >>> from numopt.penalties import L1
    >>> Weighted(L1(1.0), [0.0, 2.0]).prox([3.0, 3.0]).tolist()
    [3.0, 1.0]
    """

    base: Penalty
    weights: np.ndarray

    def __post_init__(self) -> None:
        _require_separable(self, "weights need")
        require_weights(self)
        for predicate in ("convex", "smooth"):
            object.__setattr__(self, predicate, getattr(self.base, predicate))

    def value_1d(self, x, j):
        w = self.weights[j]
        if w == 0 or x == 0:
            return abs(x) * 0
        return w * value_1d(self.base, x, j)

    def prox_1d(self, x, step, j):
        w = self.weights[j]
        if w == 0:
            return x
        return prox_1d(self.base, x, step * w, j) if w < np.inf else abs(x) * 0

    def subdiff_distance_1d(self, x, grad, j):
        w = self.weights[j]
        if w == 0:
            return abs(grad)
        if w == np.inf:
            return abs(x) * 0 if x == 0 else abs(x) * 0 + np.inf
        return w * subdiff_distance_1d(self.base, x, grad / w, j)

    def conjugate_1d(self, u, j):
        w = self.weights[j]
        if w == np.inf:
            return u * 0
        if w == 0:
            return u * 0 if u == 0 else u * 0 + np.inf
        return w * conjugate_1d(self.base, u / w, j)

    def conjugate_bound_1d(self, j):
        w = self.weights[j]
        return w * conjugate_bound_1d(self.base, j) if w < np.inf else w

    def curvature_1d(self, j):
        w = self.weights[j]
        return w * curvature_1d(self.base, j) if w < np.inf else w

    @property
    def concavity(self) -> float:
        """That of the base times the largest weight."""
        finite = self.weights[np.isfinite(self.weights)]
        return self.base.concavity * float(np.max(finite, initial=0.0))

    def alpha_max(self, grad0: Any) -> float:
        """Least strength of the base at which 0 is optimal."""
        grad0 = self._vector(grad0, "grad0")
        inside = (self.weights > 0) & (self.weights < np.inf)
        return float(self.base.alpha_max(grad0[inside] / self.weights[inside]))


@block
class PlusRidge(Composed):
    r"""Separable penalty with a ridge added, :math:`\phi(x) + \frac{\mu}{2} \|x\|_2^2`.

    Its prox is that of :math:`\phi` with step :math:`s / (1 + s \mu)` at :math:`v / (1 + s \mu)`.

    Parameters
    ----------
    base : block
        Separable penalty :math:`\phi`.
    mu : float
        Strength of the ridge, >= 0.

    Examples
    --------
    >>> from numopt.calculus import PlusRidge
    >>> from numopt.penalties import L1
    >>> PlusRidge(L1(1.0), mu=1.0).prox([3.0, -0.5]).tolist()
    [1.0, 0.0]
    """

    base: Penalty
    mu: float

    def __post_init__(self) -> None:
        _require_separable(self, "its compiled form needs")
        require_nonnegative(self.mu, "PlusRidge: mu")
        convex = self.base.convex or 0 < self.base.concavity <= self.mu
        object.__setattr__(self, "convex", convex)
        object.__setattr__(self, "smooth", self.base.smooth)
        object.__setattr__(self, "strongly_convex", convex and self.mu > self.base.concavity)

    def value_1d(self, x, j):
        return value_1d(self.base, x, j) + self.mu * x * x / 2

    def prox_1d(self, x, step, j):
        shrink = 1 / (1 + step * self.mu)
        return prox_1d(self.base, x * shrink, step * shrink, j)

    def subdiff_distance_1d(self, x, grad, j):
        return subdiff_distance_1d(self.base, x, grad + self.mu * x, j)

    @property
    def coordinate_weights(self) -> np.ndarray | None:
        """Those of the base, unless the ridge penalises all."""
        return self.base.coordinate_weights if self.mu == 0 else None

    @property
    def concavity(self) -> float:
        """What the ridge leaves of that of the base."""
        return max(self.base.concavity - self.mu, 0.0)

    def alpha_max(self, grad0: Any) -> float:
        """That of the base."""
        return self.base.alpha_max(grad0)

    def _size(self) -> int | None:
        return self.base.size


@block
class Boxed(Composed):
    r"""Convex separable penalty on a box, :math:`\phi(x)` for :math:`l \le x \le u`.

    The prox is that of :math:`\phi`, clipped: true for convex functions of one variable only.

    Parameters
    ----------
    base : block
        Convex separable penalty :math:`\phi`.
    lower, upper : float or array of shape (p,), default 0 and inf
        Bounds, which may be infinite.

    Examples
    --------
    >>> from numopt.calculus import Boxed
    >>> from numopt.penalties import L1
    >>> Boxed(L1(1.0), lower=0.0, upper=1.0).prox([3.0, 1.5, -4.0]).tolist()
    [1.0, 0.5, 0.0]
    """

    convex: ClassVar[bool] = True

    base: Penalty
    lower: Any = 0.0
    upper: Any = np.inf

    def __post_init__(self) -> None:
        _require_separable(self, "a box needs")
        if not self.base.convex:
            raise TypeError(
                f"Boxed: {type(self.base).__name__} is not convex; clipping its prox would not "
                "give a minimiser"
            )
        if not np.all(np.asarray(self.lower) <= np.asarray(self.upper)):
            raise ValueError(f"Boxed: lower must be <= upper, got {self.lower!r}, {self.upper!r}")

    def value_1d(self, x, j):
        if x < at(self.lower, j) or x > at(self.upper, j):
            return abs(x) * 0 + np.inf
        return value_1d(self.base, x, j)

    def prox_1d(self, x, step, j):
        return min(max(prox_1d(self.base, x, step, j), at(self.lower, j)), at(self.upper, j))

    @property
    def coordinate_weights(self) -> np.ndarray | None:
        """None: bounds bind unpenalised coordinates too."""
        return None

    def alpha_max(self, grad0: Any) -> float:
        """That of the base, an upper bound where a bound at 0 helps."""
        return self.base.alpha_max(grad0)

    def _size(self) -> int | None:
        for bound in (self.lower, self.upper):
            if np.ndim(bound):
                return int(np.size(bound))
        return self.base.size


@block
class Translate(Composed):
    r"""Separable penalty of a difference, :math:`\phi(x - c)`: shrinks towards c instead of 0.

    Parameters
    ----------
    base : block
        Separable penalty :math:`\phi`.
    center : float or array of shape (p,)
        The point c.

    Examples
    --------
    >>> from numopt.calculus import Translate
    >>> from numopt.penalties import L1
    >>> Translate(L1(1.0), [2.0, 2.0]).prox([2.5, 5.0]).tolist()
    [2.0, 4.0]
    """

    base: Penalty
    center: Any

    def __post_init__(self) -> None:
        _require_separable(self, "its compiled form needs")
        if not np.isfinite(self.center).all():
            raise ValueError("Translate: center must be finite")
        for predicate in ("convex", "smooth", "strongly_convex"):
            object.__setattr__(self, predicate, getattr(self.base, predicate))

    def value_1d(self, x, j):
        return value_1d(self.base, x - at(self.center, j), j)

    def prox_1d(self, x, step, j):
        return at(self.center, j) + prox_1d(self.base, x - at(self.center, j), step, j)

    @property
    def coordinate_weights(self) -> np.ndarray | None:
        """Those of the base."""
        return self.base.coordinate_weights

    @property
    def concavity(self) -> float:
        """That of the base."""
        return self.base.concavity

    def alpha_max(self, grad0: Any) -> float:
        """Largest |grad0|, a scale: 0 solves the problem at no strength in general."""
        return float(np.max(np.abs(self._vector(grad0, "grad0")), initial=0.0))

    def _size(self) -> int | None:
        return int(np.size(self.center)) if np.ndim(self.center) else self.base.size


def _require_separable(owner: Any, why: str) -> None:
    require_base(owner, owner.base)
    if not owner.base.separable:
        raise TypeError(
            f"{type(owner).__name__}: {type(owner.base).__name__} is not separable; {why} a "
            "penalty that is a sum over coordinates"
        )
