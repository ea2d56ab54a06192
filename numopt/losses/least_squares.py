"""Squared residuals."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from numopt.core.block import block
from numopt.losses._base import Loss


@block
class LeastSquares(Loss):
    r"""Least squares, :math:`f(z) = \frac{1}{2n} \|y - z\|_2^2`, the mean of half squares.

    The scaling is scikit-learn's and glmnet's. With `sample_weight` :math:`s` it is
    :math:`\frac{1}{2 \sum s} \sum_i s_i (y_i - z_i)^2`.

    Parameters
    ----------
    y : array of shape (n,)
        Targets.
    sample_weight : array of shape (n,), optional
        Nonnegative weights, normalised to sum 1.
    offset : array of shape (n,), optional
        Known part of the prediction, added to z.

    Examples
    --------
    >>> from numopt.losses import LeastSquares
    >>> float(LeastSquares([1.0, 2.0]).value([0.0, 0.0]))
    1.25
    """

    convex: ClassVar[bool] = True
    strongly_convex: ClassVar[bool] = True
    smoothness: ClassVar[float | None] = 1.0
    quadratic: ClassVar[bool] = True

    y: np.ndarray
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def value_1d(self, z, i):
        return (z - self.y[i]) * (z - self.y[i]) / 2

    def gradient_1d(self, z, i):
        return z - self.y[i]

    def hessian_1d(self, z, i):
        return z * 0 + 1

    def conjugate_1d(self, u, i):
        return u * u / 2 + u * self.y[i]
