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
    The prox is the taut string: of all paths from the first to the last of the cumulated sums that
    stay within :math:`s \alpha` of them, the shortest. It is found as through a funnel. From the
    last bend on, the bounds above and below are kept as a convex and a concave chain; each new
    point removes what it overtakes at the end of its chain, and where the first link of one chain
    would cross that of the other the string bends. Every link is made and removed once: O(n) on
    any data. Constant pieces get the mean of their data, shifted by what their neighbours pull, so
    that rounding does not add up along the sequence. A million points take 17 to 27 ns each, see
    ``benchmarks/bench_proxes.py``.

    References
    ----------
    P. L. Davies, A. Kovac, "Local extremes, runs, strings and multiresolution", Ann. Statist. 29,
    2001.
    D. T. Lee, F. P. Preparata, "Euclidean shortest paths in the presence of rectilinear barriers",
    Networks 14, 1984.
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
        # Links of the chains above (u) and below (l), [first, end): points they span, rise. Rises
        # are those of the sums, with the distance to the bound at the bend in the first link.
        u_span, l_span = np.empty(n, np.int64), np.empty(n, np.int64)
        u_rise, l_rise = np.empty(n), np.empty(n)
        u_first, u_end, l_first, l_end = 0, 0, 0, 0
        bend, height = 0, 0.0  # where the string bends last, relative to the sums there
        for i in range(n):
            y = v[i] * 1.0
            closing = pull if i == n - 1 else 0.0  # both bounds end at the last sum

            span, rise = 1, y - closing
            while u_end > u_first and u_rise[u_end - 1] * span >= rise * u_span[u_end - 1]:
                u_end -= 1
                span += u_span[u_end]
                rise += u_rise[u_end]
            if u_end == u_first:
                if span == 1:
                    rise += pull - height
                while l_first < l_end and l_rise[l_first] * span > rise * l_span[l_first]:
                    ahead = bend + l_span[l_first]
                    self._lay(v, bend, ahead, -pull - height, out)
                    bend, height = ahead, -pull
                    span -= l_span[l_first]
                    rise -= l_rise[l_first]
                    l_first += 1
                if l_first == l_end:
                    l_first, l_end = 0, 0
                u_first, u_end = 0, 0
            u_span[u_end], u_rise[u_end] = span, rise
            u_end += 1

            span, rise = 1, y + closing
            while l_end > l_first and l_rise[l_end - 1] * span <= rise * l_span[l_end - 1]:
                l_end -= 1
                span += l_span[l_end]
                rise += l_rise[l_end]
            if l_end == l_first:
                if span == 1:
                    rise -= pull + height
                # The last link above ends here too: the string cannot bend at it yet.
                while u_first < u_end - 1 and u_rise[u_first] * span < rise * u_span[u_first]:
                    ahead = bend + u_span[u_first]
                    self._lay(v, bend, ahead, pull - height, out)
                    bend, height = ahead, pull
                    span -= u_span[u_first]
                    rise -= u_rise[u_first]
                    u_first += 1
                l_first, l_end = 0, 0
            l_span[l_end], l_rise[l_end] = span, rise
            l_end += 1
        self._lay(v, bend, n, -height, out)

    def _lay(self, v, start, stop, shift, out):
        """One piece of the result: the mean of its data, shifted by what its neighbours pull."""
        total = shift
        for k in range(start, stop):
            total += v[k]
        total /= stop - start
        for k in range(start, stop):
            out[k] = total
