"""Blocks made from blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.block import block, is_block
from numopt.core.stubs import (
    conjugate_1d,
    conjugate_bound_1d,
    prox_1d,
    subdiff_distance_1d,
    value_1d,
)
from numopt.penalties._base import Penalty, require_weights

__all__ = ["Weighted"]


@block
class Weighted(Penalty):
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
        if not is_block(self.base):
            raise TypeError(f"Weighted: base must be a penalty, got {type(self.base).__name__}")
        if not self.base.separable:
            raise TypeError(
                f"Weighted: {type(self.base).__name__} is not separable; weights need a penalty "
                "that is a sum over coordinates"
            )
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
