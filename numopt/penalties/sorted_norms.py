"""Norms of the sorted magnitudes: SLOPE and the largest entry."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import as_vector, require_nonnegative
from numopt.penalties._base import Norm


@block
class SLOPE(Norm):
    r"""Sorted L1 norm, :math:`\alpha \sum_i \lambda_i |x|_{(i)}`, largest magnitude first.

    :math:`\lambda_1 \ge \dots \ge \lambda_p \ge 0`. Constant :math:`\lambda` is the L1 norm,
    :math:`\lambda = (1, 0, \dots, 0)` the largest entry, and :math:`\lambda_i = 1 + c (p - i)` is
    OSCAR, which gives correlated features one coefficient. Quantiles
    :math:`\lambda_i = \Phi^{-1}(1 - i q / (2 p))` control the false discovery rate at level q.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    lambdas : array of shape (p,)
        Nonincreasing sequence, >= 0.

    Notes
    -----
    The prox sorts :math:`|v|`, pools adjacent violators of
    :math:`|v|_{(i)} - s \alpha \lambda_i` on a stack and clips at 0: O(p log p).

    References
    ----------
    M. Bogdan, E. van den Berg, C. Sabatti, W. Su, E. Candes, "SLOPE: adaptive variable selection
    via convex optimization", Ann. Appl. Stat. 9, 2015, arXiv 1407.3824.
    H. Bondell, B. Reich, "Simultaneous regression shrinkage, variable selection, and supervised
    clustering of predictors with OSCAR", Biometrics 64, 2008.

    Examples
    --------
    >>> from numopt.penalties import SLOPE
    >>> SLOPE(1.0, lambdas=[3.0, 1.0]).prox([4.0, 5.0]).tolist()
    [2.5, 2.5]
    """

    convex: ClassVar[bool] = True

    alpha: float
    lambdas: np.ndarray

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "SLOPE: alpha")
        lambdas = as_vector(self.lambdas, "SLOPE: lambdas")
        if lambdas.size == 0:
            raise ValueError("SLOPE: lambdas is empty; give one number per coordinate")
        if lambdas[-1] < 0:
            raise ValueError(
                f"SLOPE: lambdas must be >= 0, got {lambdas[-1]:g} at index {lambdas.size - 1}"
            )
        rises = np.diff(lambdas) > 0
        if rises.any():
            i = int(np.argmax(rises)) + 1
            raise ValueError(
                f"SLOPE: lambdas must not increase, but lambdas[{i}] = {lambdas[i]:g} is larger "
                f"than its predecessor; sort them, largest first"
            )
        object.__setattr__(self, "lambdas", lambdas)

    def alpha_max(self, grad0: Any) -> float:
        """The dual norm, max_k of the k largest |g| over the k largest lambda."""
        size = np.sort(np.abs(self._vector(grad0, "grad0").astype(np.float64)))[::-1]
        if not size.any():
            return 0.0
        with np.errstate(divide="ignore"):
            return float(np.max(np.cumsum(size) / np.cumsum(self.lambdas)))

    def value_of(self, x):
        p = x.size
        size = np.empty(p)
        for j in range(p):
            size[j] = abs(x[j])
        order = np.argsort(size)
        total = 0.0
        for i in range(p):
            total += self.lambdas[i] * size[order[p - 1 - i]]
        return self.alpha * total

    def prox_into(self, v, step, out):
        p = v.size
        size = np.empty(p)
        for j in range(p):
            size[j] = abs(v[j])
        order = np.argsort(size)
        means, starts = np.empty(p), np.empty(p, np.int64)
        top = -1
        for i in range(p):
            mean, start = size[order[p - 1 - i]] - step * self.alpha * self.lambdas[i], i
            while top >= 0 and not means[top] > mean:
                # A convex combination: rounding cannot carry it out of its block.
                share = (i + 1 - start) / (i + 1 - starts[top])
                mean = means[top] + share * (mean - means[top])
                start = starts[top]
                top -= 1
            top += 1
            means[top], starts[top] = mean, start
        stop = p
        for b in range(top, -1, -1):
            for i in range(starts[b], stop):
                j = order[p - 1 - i]
                z = max(means[b], 0.0)
                out[j] = z if v[j] > 0 else (-z if z > 0 else 0.0)
            stop = starts[b]


@block
class LInf(Norm):
    r"""Largest magnitude, :math:`\alpha \|x\|_\infty`.

    The prox clips to :math:`\pm t`, where :math:`\sum_j (|v_j| - t)_+ = s \alpha`, or is 0 if
    :math:`\|v\|_1 \le s \alpha`; t is found by Michelot's passes, each O(p).

    Parameters
    ----------
    alpha : float
        Strength, >= 0.

    References
    ----------
    C. Michelot, "A finite algorithm for finding the projection of a point onto the canonical
    simplex of R^n", J. Optim. Theory Appl. 50, 1986.

    Examples
    --------
    >>> from numopt.penalties import LInf
    >>> LInf(1.0).prox([3.0, -2.5, 1.0]).tolist()
    [2.25, -2.25, 1.0]
    """

    convex: ClassVar[bool] = True

    alpha: float

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "LInf: alpha")

    def alpha_max(self, grad0: Any) -> float:
        """The dual norm, the sum of |g|."""
        return float(np.abs(self._vector(grad0, "grad0")).sum(dtype=np.float64))

    def value_of(self, x):
        largest = 0.0
        for j in range(x.size):
            largest = max(largest, abs(x[j]) * 1.0)
        return self.alpha * largest

    def prox_into(self, v, step, out):
        budget = step * self.alpha * 1.0
        threshold, count = -1.0, -1
        while True:
            total, inside = 0.0, 0
            for j in range(v.size):
                if abs(v[j]) > threshold:
                    total += abs(v[j])
                    inside += 1
            if inside == count or inside == 0:
                break
            count = inside
            threshold = max((total - budget) / inside, threshold)
            if threshold <= 0 and count == v.size:
                threshold = 0.0
                break
        for j in range(v.size):
            out[j] = min(max(v[j] * 1.0, -threshold), threshold) if threshold > 0 else 0.0
