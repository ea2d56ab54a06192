"""The smooth loss of support vector machines."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from numopt.core.block import block
from numopt.losses._base import Loss, set_signs


@block
class SquaredHinge(Loss):
    r"""Squared hinge, the mean of :math:`\max(0, 1 - y_i z_i)^2` with :math:`y_i = \pm 1`.

    liblinear's and scikit-learn's ``LinearSVC`` multiplies the *sum* of losses by ``C``: a ridge of
    weight :math:`\alpha` here is their :math:`C = 1 / (n \alpha)`.

    Parameters
    ----------
    y : array of shape (n,)
        Labels, -1 and 1 or 0 and 1.
    sample_weight, offset : array of shape (n,), optional
        As in `LeastSquares`.

    References
    ----------
    C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan, "A dual coordinate descent
    method for large-scale linear SVM", ICML 2008.

    Examples
    --------
    >>> from numopt.losses import SquaredHinge
    >>> float(SquaredHinge([0, 1]).value([1.0, 0.5]))
    2.125
    """

    convex: ClassVar[bool] = True
    smoothness: ClassVar[float | None] = 2.0

    y: np.ndarray
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_signs(self)

    def value_1d(self, z, i):
        missing = max(1 - self.y[i] * z, z * 0)
        return missing * missing

    def gradient_1d(self, z, i):
        return -2 * self.y[i] * max(1 - self.y[i] * z, z * 0)

    def hessian_1d(self, z, i):
        return z * 0 + (2 if self.y[i] * z < 1 else 0)

    def conjugate_1d(self, u, i):
        t = -u * self.y[i]
        # A hair below 0 is rounding of a scaled dual point.
        if t < -1e-12:
            return u * 0 + np.inf
        return t * t / 4 - t
