"""Folded concave penalties: like L1 at 0, flat for large coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_greater, require_nonnegative, require_positive
from numopt.penalties._base import Penalty, require_weights

# Stands for infinity in gamma and a: the L1 norm, without inf * 0 at alpha = 0.
FLAT_NOWHERE = 1e30


@block
class MCP(Penalty):
    r"""Minimax concave penalty, :math:`\sum_j w_j \phi(x_j)`.

    .. math:: \phi(x) = \alpha |x| - x^2 / (2 \gamma) \text{ for } |x| \le \gamma \alpha,
       \qquad \gamma \alpha^2 / 2 \text{ beyond.}

    Nearly unbiased for large coefficients. The prox is one-valued for steps below
    :math:`\gamma`; above, it is the hard threshold at :math:`\alpha \sqrt{s \gamma}`, and at a
    tie it returns 0. As :math:`\gamma \to \infty` it is the L1 norm.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    gamma : float, default 3.0
        Where it gets flat, in units of alpha; > 1.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    C.-H. Zhang, "Nearly unbiased variable selection under minimax concave penalty",
    Ann. Statist. 38, 2010, arXiv 1002.4734.

    Examples
    --------
    >>> from numopt.penalties import MCP
    >>> MCP(1.0, gamma=3.0).prox([0.5, 2.0, 5.0]).round(12).tolist()
    [0.0, 1.5, 5.0]
    """

    alpha: float
    gamma: float = 3.0
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "MCP: alpha")
        require_greater(self.gamma, 1.0, "MCP: gamma")
        object.__setattr__(self, "gamma", min(self.gamma, FLAT_NOWHERE))
        require_weights(self)

    @property
    def concavity(self) -> float:
        """1 / gamma, times the largest weight."""
        return 1 / self.gamma * _largest(self.weights)

    def value_1d(self, x, j):
        t = abs(x)
        if t > self.gamma * self.alpha:  # asked so that NaN stays NaN
            return self.gamma * self.alpha * self.alpha / 2
        return self.alpha * t - t * t / (2 * self.gamma)

    def prox_1d(self, x, step, j):
        t = abs(x)
        if step >= self.gamma:
            return x if t > self.alpha * np.sqrt(step * self.gamma) else abs(x) * 0
        if t <= step * self.alpha:
            return abs(x) * 0
        if t > self.gamma * self.alpha:
            return x
        z = (t - step * self.alpha) / (1 - step / self.gamma)
        return z if x > 0 else -z

    def subdiff_distance_1d(self, x, grad, j):
        if x == 0:
            return max(abs(grad) - self.alpha, grad * 0)
        slope = max(self.alpha - abs(x) / self.gamma, grad * 0)
        return abs(grad + slope) if x > 0 else abs(grad - slope)


@block
class SCAD(Penalty):
    r"""Smoothly clipped absolute deviation, :math:`\sum_j w_j \phi(x_j)`.

    The slope of :math:`\phi` is :math:`\alpha` up to :math:`\alpha`, falls linearly to 0 at
    :math:`a \alpha` and stays 0: there the value is :math:`(a + 1) \alpha^2 / 2`. The prox is
    one-valued for steps below :math:`a - 1`; above, the better of its two local minimisers is
    returned, the smaller at a tie. As :math:`a \to \infty` it is the L1 norm.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    a : float, default 3.7
        Where it gets flat, in units of alpha; > 2.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    J. Fan, R. Li, "Variable selection via nonconcave penalized likelihood and its oracle
    properties", J. Amer. Statist. Assoc. 96, 2001.

    Examples
    --------
    >>> from numopt.penalties import SCAD
    >>> SCAD(1.0, a=3.7).prox([0.5, 1.5, 5.0]).tolist()
    [0.0, 0.5, 5.0]
    """

    alpha: float
    a: float = 3.7
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "SCAD: alpha")
        require_greater(self.a, 2.0, "SCAD: a")
        object.__setattr__(self, "a", min(self.a, FLAT_NOWHERE))
        require_weights(self)

    @property
    def concavity(self) -> float:
        """1 / (a - 1), times the largest weight."""
        return 1 / (self.a - 1) * _largest(self.weights)

    def value_1d(self, x, j):
        t = abs(x)
        if t > self.a * self.alpha:  # asked so that NaN stays NaN
            return (self.a + 1) * self.alpha * self.alpha / 2
        if t > self.alpha:
            return self.alpha * t - (t - self.alpha) * (t - self.alpha) / (2 * (self.a - 1))
        return self.alpha * t

    def prox_1d(self, x, step, j):
        t = abs(x)
        if step < self.a - 1:
            if t <= (1 + step) * self.alpha:
                z = max(t - step * self.alpha, t * 0)
            elif t <= self.a * self.alpha:
                # z = t - step * slope(z), written as a correction of t: no cancellation
                z = t - step * (self.a * self.alpha - t) / (self.a - 1 - step)
            else:
                return x
        else:
            # The middle piece is concave: the minimiser is soft-thresholded or untouched.
            small = min(max(t - step * self.alpha, t * 0), self.alpha)
            large = max(t, self.a * self.alpha)
            at_small = (small - t) * (small - t) / 2 + step * self.alpha * small
            flat = (self.a + 1) * self.alpha * self.alpha / 2
            at_large = (large - t) * (large - t) / 2 + step * flat
            z = small if at_small <= at_large else large
        return z if x > 0 else -z

    def subdiff_distance_1d(self, x, grad, j):
        if x == 0:
            return max(abs(grad) - self.alpha, grad * 0)
        slope = min(self.alpha, max((self.a * self.alpha - abs(x)) / (self.a - 1), grad * 0))
        return abs(grad + slope) if x > 0 else abs(grad - slope)


@block
class LogSum(Penalty):
    r"""Logarithms, :math:`\alpha \sum_j w_j \log(1 + |x_j| / \epsilon)`.

    The slope falls from :math:`\alpha / \epsilon` at 0 like that of reweighted L1 norms. The prox
    is one-valued for steps up to :math:`\epsilon^2 / \alpha`; above, the better of 0 and the
    larger stationary point is returned, 0 at a tie.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    eps : float, default 1.0
        Size :math:`\epsilon` of coefficients that count as small, > 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    E. J. Candes, M. B. Wakin, S. P. Boyd, "Enhancing sparsity by reweighted l1 minimization",
    J. Fourier Anal. Appl. 14, 2008, arXiv 0711.1612.

    Examples
    --------
    >>> from numopt.penalties import LogSum
    >>> LogSum(2.0, eps=1.0).prox([1.0, 3.0], step=0.5).round(4).tolist()
    [0.0, 2.7321]
    """

    alpha: float
    eps: float = 1.0
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "LogSum: alpha")
        require_positive(self.eps, "LogSum: eps")
        require_weights(self)

    @property
    def concavity(self) -> float:
        """alpha / eps^2, times the largest weight."""
        return self.alpha / self.eps**2 * _largest(self.weights)

    def alpha_max(self, grad0: Any) -> float:
        """Least alpha at which 0 is stationary."""
        return self.eps * super().alpha_max(grad0)

    def value_1d(self, x, j):
        return self.alpha * np.log1p(abs(x) / self.eps)

    def prox_1d(self, x, step, j):
        t = abs(x)
        strength = step * self.alpha
        # Stationary points solve z^2 - b z - c = 0; of two roots, the smaller is a maximum.
        b = t - self.eps
        c = t * self.eps - strength
        square = b * b + 4 * c
        if c > 0:
            root = np.sqrt(square)
            z = (b + root) / 2 if b > 0 else 2 * c / (root - b)
        elif b > 0 and square > 0:
            z = (b + np.sqrt(square)) / 2
            if z * (z / 2 - t) + strength * np.log1p(z / self.eps) >= 0:
                return t * 0
        else:
            return t * 0
        return z if x > 0 else -z

    def subdiff_distance_1d(self, x, grad, j):
        if x == 0:
            return max(abs(grad) - self.alpha / self.eps, grad * 0)
        slope = self.alpha / (abs(x) + self.eps)
        return abs(grad + slope) if x > 0 else abs(grad - slope)


@block
class CappedL1(Penalty):
    r"""Capped L1 norm, :math:`\alpha \sum_j w_j \min(|x_j|, \theta)`.

    The prox is the soft threshold up to :math:`\theta + s \alpha / 2` and leaves larger numbers
    alone; for steps above :math:`2 \theta / \alpha` it is the hard threshold at
    :math:`\sqrt{2 s \alpha \theta}`. At a tie it returns the smaller point. At
    :math:`|x_j| = \theta`, where no minimiser lies, the distance is that to the nearer of the two
    slopes.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    theta : float, default 1.0
        Where it gets flat, > 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    T. Zhang, "Analysis of multi-stage convex relaxation for sparse regularization",
    J. Mach. Learn. Res. 11, 2010.

    Examples
    --------
    >>> from numopt.penalties import CappedL1
    >>> CappedL1(1.0, theta=2.0).prox([0.5, 2.5, 3.0]).tolist()
    [0.0, 1.5, 3.0]
    """

    alpha: float
    theta: float = 1.0
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "CappedL1: alpha")
        require_positive(self.theta, "CappedL1: theta")
        require_weights(self)

    def value_1d(self, x, j):
        t = abs(x)
        return self.alpha * (self.theta if t > self.theta else t)  # NaN stays NaN

    def prox_1d(self, x, step, j):
        t = abs(x)
        strength = step * self.alpha
        if strength > 2 * self.theta:
            return x if t > np.sqrt(2 * strength * self.theta) else t * 0
        if t > self.theta + strength / 2:
            return x
        z = max(t - strength, t * 0)
        return z if x > 0 else -z

    def subdiff_distance_1d(self, x, grad, j):
        if x == 0:
            return max(abs(grad) - self.alpha, grad * 0)
        below = abs(grad + self.alpha) if x > 0 else abs(grad - self.alpha)
        if abs(x) < self.theta:
            return below
        return min(below, abs(grad)) if abs(x) == self.theta else abs(grad)


def _largest(weights):
    if weights is None:
        return 1.0
    return float(np.max(weights[np.isfinite(weights)], initial=0.0))
