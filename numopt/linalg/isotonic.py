r"""Isotonic regression by pooling adjacent violators, in one pass.

References
----------
M. J. Best, N. Chakravarti, "Active set algorithms for isotonic regression; a unifying framework",
Math. Program. 47, 1990.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.generic import at
from numopt.core.jit import kernel
from numopt.core.validate import as_vector, require_length


def isotonic_regression(y: Any, weights: Any = None, *, increasing: bool = True) -> np.ndarray:
    r"""Nearest monotone sequence, in the weighted Euclidean norm; O(n).

    Minimises :math:`\sum_i w_i (y_i - x_i)^2` over :math:`x_1 \le x_2 \le \dots \le x_n`, or over
    nonincreasing sequences. With bounds :math:`l \le x_i \le u` besides, clip the result to them.

    Parameters
    ----------
    y : array of shape (n,)
    weights : array of shape (n,), optional
        w > 0; 1 each if not given.
    increasing : bool, default True

    Examples
    --------
    >>> from numopt.linalg import isotonic_regression
    >>> isotonic_regression([1.0, 3.0, 2.0, 4.0]).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    y = as_vector(y, "y")
    if weights is None:
        weights = 1.0
    else:
        weights = require_length(as_vector(weights, "weights", y.dtype), y.size, "weights")
        if not (weights > 0).all():
            j = int(np.argmin(weights))
            raise ValueError(
                f"weights must be > 0, got {weights[j]:g} at index {j}; drop the entry"
            )
    out = np.empty_like(y)
    starts = np.empty(y.size, np.intp)
    isotonic_into(y, weights, increasing, out, np.empty((2, y.size)), starts)
    return out


@kernel
def isotonic_into(y, weights, increasing, out, sums, starts):
    """Monotone fit to y; `weights` is an array of numbers > 0 or one number.

    y and out may be the same array. `sums` (2 x n, float64) and `starts` (n integers) are scratch.
    NaN makes all of `out` NaN.
    """
    means, masses = sums[0], sums[1]
    sign = 1.0 if increasing else -1.0
    top = -1
    for i in range(y.size):
        mean, mass, start = sign * y[i], at(weights, i) * 1.0, i
        while top >= 0 and not means[top] <= mean:
            # A convex combination, so that rounding cannot carry a mean out of its block.
            share = mass / (masses[top] + mass)
            mean = means[top] + share * (mean - means[top])
            mass += masses[top]
            start = starts[top]
            top -= 1
        top += 1
        means[top], masses[top], starts[top] = mean, mass, start
    stop = y.size
    for b in range(top, -1, -1):
        for i in range(starts[b], stop):
            out[i] = sign * means[b]
        stop = starts[b]
