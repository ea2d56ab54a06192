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
    The prox first drops what becomes 0 whatever the order: with m entries left, those up to
    :math:`s \alpha \lambda_m`, until none is. It sorts the others by their digits, in linear time,
    pools adjacent violators of :math:`|v|_{(i)} - s \alpha \lambda_i` on a stack and clips at 0.

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
        size, index, count = np.empty(x.size), np.empty(x.size, np.int64), 0
        for j in range(x.size):
            if x[j] != 0:
                size[count] = abs(x[j])
                count += 1
        size, index = self._sorted_up(size, index, count)
        total = 0.0
        for i in range(count):
            total += self.lambdas[i] * size[count - 1 - i]
        return self.alpha * total

    def prox_into(self, v, step, out):
        p, strength = v.size, step * self.alpha * 1.0
        size, index, count = np.empty(p), np.empty(p, np.int64), 0
        least = strength * self.lambdas[p - 1]
        for j in range(p):
            if not abs(v[j]) <= least:
                size[count], index[count] = abs(v[j]), j
                count += 1
        before = p
        while 0 < count < before:
            before, least = count, strength * self.lambdas[count - 1]
            count = 0
            for k in range(before):
                if not size[k] <= least:
                    size[count], index[count] = size[k], index[k]
                    count += 1
        size, index = self._sorted_up(size, index, count)
        means, starts = np.empty(count), np.empty(count, np.int64)
        top = -1
        for i in range(count):
            mean, start = size[count - 1 - i] - strength * self.lambdas[i], i
            while top >= 0 and not means[top] > mean:
                # A convex combination: rounding cannot carry it out of its block.
                share = (i + 1 - start) / (i + 1 - starts[top])
                mean = means[top] + share * (mean - means[top])
                start = starts[top]
                top -= 1
            top += 1
            means[top], starts[top] = mean, start
        # Signs are read before out is cleared: it may be v.
        stop = count
        for b in range(top, -1, -1):
            z = max(means[b], 0.0)
            for i in range(starts[b], stop):
                k = count - 1 - i
                size[k] = z if v[index[k]] > 0 else (-z if z > 0 else 0.0)
            stop = starts[b]
        for j in range(p):
            out[j] = 0
        for k in range(count):
            out[index[k]] = size[k]

    def _sorted_up(self, size, index, count):
        """The first `count` entries in ascending order of size, and their indices, in arrays."""
        if count <= 100:
            for i in range(1, count):
                key, j, k = size[i], index[i], i
                while k > 0 and size[k - 1] > key:
                    size[k], index[k] = size[k - 1], index[k - 1]
                    k -= 1
                size[k], index[k] = key, j
            return size, index
        # Bits of positive numbers are in the order of the numbers: six digits of 11 bits.
        keys, spare, spare_index = size.view(np.uint64), np.empty(count, np.uint64), index.copy()
        places = np.zeros((6, 2048), np.int64)
        mask = np.uint64(2047)
        for k in range(count):
            bits = keys[k]
            for d in range(6):
                places[d, bits & mask] += 1
                bits >>= np.uint64(11)
        for d in range(6):
            shift = np.uint64(11 * d)
            total, trivial = 0, False
            for digit in range(2048):
                trivial |= places[d, digit] == count  # all share it
                here = places[d, digit]
                places[d, digit] = total
                total += here
            if trivial:
                continue
            for k in range(count):
                bits = keys[k]
                digit = (bits >> shift) & mask
                place = places[d, digit]
                places[d, digit] = place + 1
                spare[place], spare_index[place] = bits, index[k]
            keys, spare = spare, keys
            index, spare_index = spare_index, index
        return keys.view(np.float64), index


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
