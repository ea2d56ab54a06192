"""Counting nonzeros, and roots that come close to it: penalties infinitely steep at 0."""

from __future__ import annotations

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_nonnegative
from numopt.penalties._base import Penalty, require_weights

# At 0 the subdifferential of these penalties is the whole line: a distance to it would say nothing,
# so they offer none and results carry the fixed-point residual of the prox.


@block
class L0(Penalty):
    r"""Weighted number of nonzeros, :math:`\alpha \sum_j w_j [x_j \ne 0]`.

    The prox is the hard threshold at :math:`\sqrt{2 s \alpha w_j}`, which returns 0 at a tie. Each
    vector is a local minimiser on its support, so that results depend on the start.

    Parameters
    ----------
    alpha : float
        Price of a nonzero, >= 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    T. Blumensath, M. E. Davies, "Iterative thresholding for sparse approximations",
    J. Fourier Anal. Appl. 14, 2008.

    Examples
    --------
    >>> from numopt.penalties import L0
    >>> L0(2.0).prox([2.0, 2.5]).tolist()
    [0.0, 2.5]
    """

    alpha: float
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "L0: alpha")
        require_weights(self)

    def value_1d(self, x, j):
        return self.alpha if x != 0 else self.alpha * 0

    def prox_1d(self, x, step, j):
        return x if abs(x) > np.sqrt(2 * step * self.alpha) else abs(x) * 0


@block
class LHalf(Penalty):
    r"""Square roots, :math:`\alpha \sum_j w_j |x_j|^{1/2}`.

    The prox is 0 up to :math:`\frac32 (s \alpha)^{2/3}` and jumps there to two thirds of its
    argument. Beyond, with :math:`u = \sqrt{z / |v|}`, it is the largest root of
    :math:`u^3 - u + s \alpha / (2 |v|^{3/2})`, to which Newton's method descends from 1.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    Z. Xu, X. Chang, F. Xu, H. Zhang, "L1/2 regularization: a thresholding representation theory
    and a fast solver", IEEE Trans. Neural Netw. Learn. Syst. 23, 2012.

    Examples
    --------
    >>> from numopt.penalties import LHalf
    >>> LHalf(2.0).prox([2.0, 5.0]).round(4).tolist()
    [0.0, 4.5302]
    """

    alpha: float
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "LHalf: alpha")
        require_weights(self)

    def value_1d(self, x, j):
        return self.alpha * np.sqrt(abs(x))

    def prox_1d(self, x, step, j):
        t = abs(x)
        root = np.cbrt(step * self.alpha)
        if root == 0:
            return x
        threshold = 1.5 * root * root
        if t <= threshold:
            return t * 0
        # Relative to the threshold nothing under- or overflows; at it, b = 1.5^-1.5 / 2.
        ratio = threshold / t
        b = 0.27216552697590868 * ratio * np.sqrt(ratio)
        u = 1.0
        for _ in range(7):
            u -= (u * u * u - u + b) / (3 * u * u - 1)
        return x * (u * u)


@block
class LTwoThirds(Penalty):
    r"""Powers, :math:`\alpha \sum_j w_j |x_j|^{2/3}`.

    The prox is 0 up to :math:`2 (\frac23 s \alpha)^{3/4}` and jumps there to half of its argument.
    Beyond, with :math:`u = (z / |v|)^{1/3}`, it is the largest root of
    :math:`u^4 - u + \frac23 s \alpha / |v|^{4/3}`, to which Newton's method descends from 1.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    weights : array of shape (p,), optional
        One factor per coordinate: 0 = unpenalised, inf = excluded.

    References
    ----------
    W. Cao, J. Sun, Z. Xu, "Fast image deconvolution using closed-form thresholding formulas of
    Lq (q = 1/2, 2/3) regularization", J. Vis. Commun. Image Represent. 24, 2013.

    Examples
    --------
    >>> from numopt.penalties import LTwoThirds
    >>> LTwoThirds(1.5).prox([2.0, 8.0]).round(4).tolist()
    [0.0, 7.4889]
    """

    alpha: float
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "LTwoThirds: alpha")
        require_weights(self)

    def value_1d(self, x, j):
        root = np.cbrt(abs(x))
        return self.alpha * root * root

    def prox_1d(self, x, step, j):
        t = abs(x)
        threshold = 2 * (2 * step * self.alpha / 3) ** 0.75
        if threshold == 0:
            return x
        if t <= threshold:
            return t * 0
        ratio = threshold / t
        b = 0.39685026299204987 * ratio * np.cbrt(ratio)  # 2^(-4/3) at the threshold
        u = 1.0
        for _ in range(7):
            u -= (u * u * u * u - u + b) / (4 * u * u * u - 1)
        return x * (u * u * u)
