"""Huber's function as a penalty."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_nonnegative, require_positive
from numopt.penalties._base import Penalty, require_weights


@block
class Huber(Penalty):
    r"""Huber penalty, :math:`\alpha \sum_j w_j h_\delta(x_j)`.

    :math:`h_\delta(x) = x^2 / 2` for :math:`|x| \le \delta`, :math:`\delta |x| - \delta^2 / 2`
    beyond: shrinks small coefficients like a ridge and large ones by no more than a lasso does. It
    is smooth and makes no zeros. The loss of this name is `numopt.losses.Huber`.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    delta : float, default 1.0
        Where squares end, > 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35, 1964.

    Examples
    --------
    >>> from numopt.penalties import Huber
    >>> Huber(1.0, delta=1.0).prox([1.0, 5.0]).tolist()
    [0.5, 4.0]
    """

    convex: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    alpha: float
    delta: float = 1.0
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "Huber: alpha")
        require_positive(self.delta, "Huber: delta")
        require_weights(self)

    def value_1d(self, x, j):
        t = abs(x)
        if t <= self.delta:
            return self.alpha * t * t / 2
        return self.alpha * self.delta * (t - self.delta / 2)

    def prox_1d(self, x, step, j):
        strength = step * self.alpha
        if abs(x) <= self.delta * (1 + strength):
            return x / (1 + strength)
        return x - strength * self.delta if x > 0 else x + strength * self.delta

    def subdiff_distance_1d(self, x, grad, j):
        return abs(grad + self.alpha * min(max(x, -self.delta), self.delta))

    def conjugate_1d(self, u, j):
        if abs(u) > self.alpha * self.delta * (1 + 1e-12):
            return u * 0 + np.inf
        return u * u / (2 * self.alpha) if self.alpha > 0 else u * 0

    def conjugate_bound_1d(self, j):
        return self.alpha * self.delta

    def alpha_max(self, grad0: Any) -> float:
        """Infinite, unless 0 is optimal for every alpha."""
        return float(np.inf) if np.any(grad0) else 0.0
