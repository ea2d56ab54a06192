"""Ridge, the nonnegative orthant and no penalty at all."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_nonnegative
from numopt.penalties._base import Penalty, require_weights


@block
class Ridge(Penalty):
    r"""Ridge penalty, :math:`\frac{\alpha}{2} \sum_j w_j x_j^2`.

    scikit-learn's ``Ridge`` minimises :math:`\|y - Xw\|^2 + a \|w\|^2`: with `LeastSquares` that
    is :math:`\alpha = a / n`.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    Examples
    --------
    >>> from numopt.penalties import Ridge
    >>> Ridge(1.0).prox([2.0], step=1.0).tolist()
    [1.0]
    """

    convex: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    strongly_convex: ClassVar[bool] = True

    alpha: float
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "Ridge: alpha")
        require_weights(self)

    def value_1d(self, x, j):
        return self.alpha * x * x / 2

    def prox_1d(self, x, step, j):
        return x / (1 + step * self.alpha)

    def subdiff_distance_1d(self, x, grad, j):
        return abs(grad + self.alpha * x)

    def conjugate_1d(self, u, j):
        if self.alpha > 0:
            return u * u / (2 * self.alpha)
        return u * 0 if u == 0 else u * 0 + np.inf

    def curvature_1d(self, j):
        return self.alpha

    def alpha_max(self, grad0: Any) -> float:
        """Infinite, unless 0 is optimal for every alpha."""
        return float(np.inf) if np.any(grad0) else 0.0


@block
class Nonnegative(Penalty):
    r"""The constraint :math:`x \ge 0`, as an indicator.

    Examples
    --------
    >>> from numopt.penalties import Nonnegative
    >>> Nonnegative().prox([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    convex: ClassVar[bool] = True
    cone: ClassVar[bool] = True

    def value_1d(self, x, j):
        return abs(x) * 0 if x >= 0 else abs(x) * 0 + np.inf

    def prox_1d(self, x, step, j):
        return max(x, abs(x) * 0)

    def subdiff_distance_1d(self, x, grad, j):
        if x < 0:
            return abs(x) * 0 + np.inf
        return max(-grad, grad * 0) if x == 0 else abs(grad)

    def conjugate_1d(self, u, j):
        return u * 0 if u <= 0 else u * 0 + np.inf


@block
class Zero(Penalty):
    """No penalty: the problem is its loss.

    Examples
    --------
    >>> from numopt.penalties import Zero
    >>> Zero().prox([1.0, -2.0]).tolist()
    [1.0, -2.0]
    """

    convex: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    cone: ClassVar[bool] = True
    affine: ClassVar[bool] = True

    def value_1d(self, x, j):
        return abs(x) * 0

    def prox_1d(self, x, step, j):
        return x

    def subdiff_distance_1d(self, x, grad, j):
        return abs(grad)

    def conjugate_1d(self, u, j):
        return u * 0 if u == 0 else u * 0 + np.inf

    def curvature_1d(self, j):
        return 0.0
