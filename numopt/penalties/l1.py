"""The L1 norm and the elastic net."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_in, require_nonnegative
from numopt.penalties._base import Penalty, require_weights


@block
class L1(Penalty):
    r"""Lasso penalty, :math:`\alpha \sum_j w_j |x_j|`.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    R. Tibshirani, "Regression shrinkage and selection via the lasso", J. R. Stat. Soc. B 58, 1996.

    Examples
    --------
    >>> from numopt.penalties import L1
    >>> L1(1.0).prox([3.0, -0.5], step=1.0).tolist()
    [2.0, 0.0]
    """

    convex: ClassVar[bool] = True

    alpha: float
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "L1: alpha")
        require_weights(self)

    def value_1d(self, x, j):
        return self.alpha * abs(x)

    def prox_1d(self, x, step, j):
        t = abs(x) - step * self.alpha
        return (t if x > 0 else -t) if t > 0 else abs(x) * 0

    def subdiff_distance_1d(self, x, grad, j):
        if x == 0:
            return max(abs(grad) - self.alpha, grad * 0)
        return abs(grad + self.alpha) if x > 0 else abs(grad - self.alpha)

    def conjugate_1d(self, u, j):
        # A hair beyond alpha is rounding of a scaled dual point.
        return u * 0 if abs(u) <= self.alpha * (1 + 1e-12) else u * 0 + np.inf

    def conjugate_bound_1d(self, j):
        return self.alpha


@block
class ElasticNet(Penalty):
    r"""Elastic net, :math:`\alpha \sum_j w_j (\rho |x_j| + (1 - \rho) x_j^2 / 2)`.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    l1_ratio : float, default 0.5
        The share :math:`\rho` of the L1 norm, in [0, 1].
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    H. Zou, T. Hastie, "Regularization and variable selection via the elastic net",
    J. R. Stat. Soc. B 67, 2005.

    Examples
    --------
    >>> from numopt.penalties import ElasticNet
    >>> ElasticNet(1.0, l1_ratio=0.5).value([2.0])
    2.0
    """

    convex: ClassVar[bool] = True

    alpha: float
    l1_ratio: float = 0.5
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "ElasticNet: alpha")
        require_in(self.l1_ratio, 0.0, 1.0, "ElasticNet: l1_ratio")
        require_weights(self)

    def value_1d(self, x, j):
        return self.alpha * (self.l1_ratio * abs(x) + (1 - self.l1_ratio) * x * x / 2)

    def prox_1d(self, x, step, j):
        t = abs(x) - step * self.alpha * self.l1_ratio
        if t <= 0:
            return abs(x) * 0
        z = t / (1 + step * self.alpha * (1 - self.l1_ratio))
        return z if x > 0 else -z

    def subdiff_distance_1d(self, x, grad, j):
        slope = self.alpha * self.l1_ratio
        if x == 0:
            return max(abs(grad) - slope, grad * 0)
        grad = grad + self.alpha * (1 - self.l1_ratio) * x
        return abs(grad + slope) if x > 0 else abs(grad - slope)

    def conjugate_1d(self, u, j):
        excess = max(abs(u) - self.alpha * self.l1_ratio, u * 0)
        curvature = self.alpha * (1 - self.l1_ratio)
        if curvature > 0:
            return excess * excess / (2 * curvature)
        return u * 0 if excess <= self.alpha * 1e-12 else u * 0 + np.inf

    def conjugate_bound_1d(self, j):
        return self.alpha * self.l1_ratio

    def alpha_max(self, grad0: Any) -> float:
        """Least alpha at which 0 is optimal; inf for a pure ridge."""
        largest = super().alpha_max(grad0)
        return largest / self.l1_ratio if self.l1_ratio > 0 else float(np.inf)
