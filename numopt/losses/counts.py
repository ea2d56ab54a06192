"""Positive targets with a logarithmic link: counts, rates, durations."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.losses._base import Loss


@block
class Poisson(Loss):
    r"""Poisson regression, the mean of :math:`e^{z_i} - y_i z_i`; :math:`e^z` is the mean of y.

    Half the deviance but for a constant. Exposures enter as ``offset=log(exposure)``.

    Parameters
    ----------
    y : array of shape (n,)
        Counts or rates, >= 0.
    sample_weight, offset : array of shape (n,), optional
        As in `LeastSquares`.

    References
    ----------
    P. McCullagh, J. A. Nelder, "Generalized linear models", 2nd ed., Chapman and Hall, 1989.

    Examples
    --------
    >>> from numopt.losses import Poisson
    >>> Poisson([0, 3]).gradient([0.0, 0.0]).tolist()
    [0.5, -1.0]
    """

    convex: ClassVar[bool] = True

    y: np.ndarray
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse(self.y < 0, self.y, "Poisson: y must be >= 0")

    def value_1d(self, z, i):
        return np.exp(z) - self.y[i] * z

    def gradient_1d(self, z, i):
        return np.exp(z) - self.y[i]

    def hessian_1d(self, z, i):
        return np.exp(z)

    def conjugate_1d(self, u, i):
        t = u + self.y[i]
        # A hair below 0 is rounding of a scaled dual point.
        if t < -1e-12 * (1 + self.y[i]):
            return u * 0 + np.inf
        return t * np.log(t) - t if t > 0 else u * 0


@block
class Gamma(Loss):
    r"""Gamma regression, the mean of :math:`y_i e^{-z_i} + z_i`; :math:`e^z` is the mean of y.

    Half the deviance but for a constant: for positive targets whose error grows with their size.

    Parameters
    ----------
    y : array of shape (n,)
        Targets, > 0.
    sample_weight, offset : array of shape (n,), optional
        As in `LeastSquares`.

    References
    ----------
    P. McCullagh, J. A. Nelder, "Generalized linear models", 2nd ed., Chapman and Hall, 1989.

    Examples
    --------
    >>> from numopt.losses import Gamma
    >>> Gamma([1.0, 3.0]).gradient([0.0, 0.0]).tolist()
    [0.0, -1.0]
    """

    convex: ClassVar[bool] = True

    y: np.ndarray
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse(self.y <= 0, self.y, "Gamma: y must be > 0")

    def value_1d(self, z, i):
        return self.y[i] * np.exp(-z) + z

    def gradient_1d(self, z, i):
        return 1 - self.y[i] * np.exp(-z)

    def hessian_1d(self, z, i):
        return self.y[i] * np.exp(-z)

    def conjugate_1d(self, u, i):
        t = 1 - u
        # A hair below 0 is rounding of a scaled dual point.
        if t < -1e-12:
            return u * 0 + np.inf
        return t * np.log(t / self.y[i]) - t if t > 0 else u * 0


def _refuse(bad: Any, y: np.ndarray, rule: str) -> None:
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(f"{rule}, got {y[i]:g} at index {i}; drop or correct such samples")
