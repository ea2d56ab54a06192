"""Squares near the target, absolute values far from it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_positive
from numopt.losses._base import Loss


@block
class Huber(Loss):
    r"""Huber's loss, the mean of :math:`h_\delta(z_i - y_i)`.

    :math:`h_\delta(r) = r^2/2` for :math:`|r| \le \delta` and
    :math:`\delta |r| - \delta^2/2` beyond: outliers pull with force :math:`\delta` at most.

    Parameters
    ----------
    y : array of shape (n,)
        Targets.
    delta : float, default 1.35
        Where squares end, in units of y.
    sample_weight, offset : array of shape (n,), optional
        As in `LeastSquares`.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35, 1964.

    Examples
    --------
    >>> from numopt.losses import Huber
    >>> float(Huber([0.0], delta=1.0).value([3.0]))
    2.5
    """

    convex: ClassVar[bool] = True
    smoothness: ClassVar[float | None] = 1.0

    y: np.ndarray
    delta: float = 1.35
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self.delta, "Huber: delta")

    def value_1d(self, z, i):
        r = abs(z - self.y[i])
        return r * r / 2 if r <= self.delta else self.delta * (r - self.delta / 2)

    def gradient_1d(self, z, i):
        return min(max(z - self.y[i], -self.delta), self.delta)

    def hessian_1d(self, z, i):
        return z * 0 + (1 if abs(z - self.y[i]) <= self.delta else 0)

    def conjugate_1d(self, u, i):
        # A hair beyond delta is rounding of a clipped gradient, not another dual point.
        if abs(u) > self.delta * (1 + 1e-12):
            return u * 0 + np.inf
        return u * u / 2 + u * self.y[i]
