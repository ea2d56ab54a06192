"""Absolute residuals."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.losses._base import Loss, NonsmoothLoss


@block
class LeastAbsolute(NonsmoothLoss, Loss):
    r"""Least absolute deviations, :math:`f(z) = \frac1n \|y - z\|_1`: medians instead of means.

    It has corners where a residual is 0: solvers that follow gradients refuse it. `Huber` with a
    small `delta`, divided by `delta`, is a smooth stand-in.

    Parameters
    ----------
    y : array of shape (n,)
        Targets.
    sample_weight, offset : array of shape (n,), optional
        As in `LeastSquares`.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> from numopt.losses import LeastAbsolute
    >>> loss = LeastAbsolute([0.0, 0.0])
    >>> float(loss.value([1.0, -3.0]))
    2.0
    >>> loss.prox([1.0, -3.0], step=4.0).tolist()
    [0.0, -1.0]
    """

    convex: ClassVar[bool] = True
    stand_in: ClassVar[str] = "Huber with a small delta"

    y: np.ndarray
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def value_1d(self, z, i):
        return abs(z - self.y[i])

    def prox_1d(self, v, step, i):
        r = v - self.y[i]
        if abs(r) <= step:
            return self.y[i]
        return v - step if r > 0 else v + step

    def conjugate_1d(self, u, i):
        # A hair beyond 1 is rounding of a scaled dual point.
        return u * self.y[i] if abs(u) <= 1 + 1e-12 else u * 0 + np.inf

    def subgradient(self, z: Any) -> np.ndarray:
        """The subgradient of least norm: weights times signs of the residuals, 0 at the corners."""
        z = self._at(z)[2]
        return np.asarray(np.sign(z - self.y) * self.scale(z.dtype), z.dtype)

    def subdiff_distance(self, z: Any, grad: Any) -> float:
        """Largest distance, over samples, of -grad to the subdifferential at z."""
        z, grad = self._at(z)[2], self._flat(grad, "grad")
        scale, r = self.scale(), self._residuals(z)
        off = np.abs(grad + scale * np.sign(r))
        at_corner = np.maximum(np.abs(grad) - scale, 0.0)
        return float(np.max(np.where(r == 0, at_corner, off), initial=0.0))
