"""Total variation along a sequence."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_nonnegative
from numopt.penalties._base import Penalty


@block
class TotalVariation1D(Penalty):
    r"""Fused lasso, :math:`\alpha \sum_i |x_{i+1} - x_i|`: piecewise constant sequences.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.

    Notes
    -----
    The prox is Johnson's dynamic programme, O(n) on any data: forward, the derivative of the best
    value as a function of the last entry is a piecewise linear function, clipped to
    :math:`\pm s \alpha`; backward, each entry is its successor, clipped to the interval found
    there. At last each constant piece gets the mean of its data, shifted by what its neighbours
    pull, so that rounding does not add up along the sequence.

    References
    ----------
    N. A. Johnson, "A dynamic programming algorithm for the fused lasso and L0-segmentation",
    J. Comput. Graph. Statist. 22, 2013.
    R. Tibshirani, M. Saunders, S. Rosset, J. Zhu, K. Knight, "Sparsity and smoothness via the fused
    lasso", J. R. Stat. Soc. B 67, 2005.

    Examples
    --------
    >>> from numopt.penalties import TotalVariation1D
    >>> TotalVariation1D(1.0).prox([0.0, 1.0, 5.0, 6.0]).tolist()
    [1.0, 1.0, 5.0, 5.0]
    """

    convex: ClassVar[bool] = True

    alpha: float

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "TotalVariation1D: alpha")

    def alpha_max(self, grad0: Any) -> float:
        """Infinite, as constants are free, unless those do not help."""
        grad0 = self._vector(grad0, "grad0").astype(np.float64)
        sums = np.cumsum(grad0)
        if sums.size and abs(sums[-1]) > 1e-12 * np.abs(grad0).sum():
            return float(np.inf)
        return float(np.max(np.abs(sums[:-1]), initial=0.0))

    def value_of(self, x):
        total = 0.0
        for i in range(x.size - 1):
            total += abs(x[i + 1] - x[i])
        return self.alpha * total

    def prox_into(self, v, step, out):
        n = v.size
        low, high = np.inf, -np.inf
        for i in range(n):
            low, high = min(low, v[i] * 1.0), max(high, v[i] * 1.0)
        # Beyond n times the range all is constant; larger numbers would drown the data.
        pull = min(step * self.alpha * 1.0, n * (high - low))
        if n < 2 or not pull > 0:
            for i in range(n):
                out[i] = v[i]
            return
        lower, upper = np.empty(n), np.empty(n)
        self._intervals(v, pull, lower, upper)
        # Backward: pieces [start, stop), each written once it is known on both sides.
        value, stop, right, total = lower[n - 1], n, 0.0, v[n - 1] * 1.0
        for i in range(n - 2, -1, -1):
            previous = min(max(value, lower[i]), upper[i])
            if previous == value:
                total += v[i]
                continue
            left = 1.0 if value > previous else -1.0
            mean = (total + pull * (right - left)) / (stop - i - 1)
            for k in range(i + 1, stop):
                out[k] = mean
            value, stop, right, total = previous, i + 1, left, v[i] * 1.0
        mean = (total + pull * right) / stop
        for k in range(stop):
            out[k] = mean

    def _intervals(self, v, pull, lower, upper):
        """The interval to which each entry clips its successor; for the last, its value."""
        n = v.size
        # Knots first..last of the derivative and by how much slope and offset change there.
        knots, slopes, offsets = np.empty(2 * n), np.empty(2 * n), np.empty(2 * n)
        first, last = n, n - 1
        for i in range(n):
            y = v[i] * 1.0
            outer = pull if i > 0 else 0.0
            bound = pull if i < n - 1 else 0.0
            slope, offset = 1.0, -y - outer  # of the leftmost piece, slope * x + offset
            while first <= last and slope * knots[first] + offset <= -bound:
                slope += slopes[first]
                offset += offsets[first]
                first += 1
            lower[i] = (-bound - offset) / slope
            if i == n - 1:
                return
            slope_right, offset_right = 1.0, -y + outer  # of the rightmost
            while first <= last and slope_right * knots[last] + offset_right >= bound:
                slope_right -= slopes[last]
                offset_right -= offsets[last]
                last -= 1
            upper[i] = max((bound - offset_right) / slope_right, lower[i])
            first -= 1
            last += 1
            knots[first], slopes[first], offsets[first] = lower[i], slope, offset + bound
            knots[last], slopes[last], offsets[last] = upper[i], -slope_right, bound - offset_right
