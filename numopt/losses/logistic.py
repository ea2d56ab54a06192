"""Binary classification by the logistic model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from numopt.core.block import block
from numopt.losses._base import Loss, set_signs


@block
class Logistic(Loss):
    r"""Logistic loss, the mean of :math:`\log(1 + e^{-y_i z_i})` with :math:`y_i = \pm 1`.

    liblinear's and scikit-learn's ``C`` multiplies the *sum* of losses: an L1 penalty of weight
    :math:`\alpha` here is their :math:`C = 1 / (n \alpha)`.

    Parameters
    ----------
    y : array of shape (n,)
        Labels, -1 and 1 or 0 and 1.
    sample_weight, offset : array of shape (n,), optional
        As in `LeastSquares`.

    Examples
    --------
    >>> from numopt.losses import Logistic
    >>> round(float(Logistic([0, 1]).value([0.0, 0.0])), 4)
    0.6931
    """

    convex: ClassVar[bool] = True
    smoothness: ClassVar[float | None] = 0.25

    y: np.ndarray
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_signs(self)

    def value_1d(self, z, i):
        t = self.y[i] * z
        return np.log1p(np.exp(-t)) if t > 0 else np.log1p(np.exp(t)) - t

    def gradient_1d(self, z, i):
        t = self.y[i] * z
        if t > 0:
            e = np.exp(-t)
            return -self.y[i] * e / (1 + e)
        return -self.y[i] / (1 + np.exp(t))

    def hessian_1d(self, z, i):
        e = np.exp(-abs(z))
        return e / ((1 + e) * (1 + e))

    def conjugate_1d(self, u, i):
        # Finite for -u y in [0, 1]; a hair outside is rounding.
        t = -u * self.y[i]
        if t < -1e-12 or t > 1 + 1e-12:
            return u * 0 + np.inf
        t = min(max(t, u * 0), u * 0 + 1)
        left = t * np.log(t) if t > 0 else t
        right = (1 - t) * np.log1p(-t) if t < 1 else t * 0
        return left + right
