"""Vector loops that kernels share: compiled once per dtype, without temporaries."""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner


@inner
def copy_into(x, out):
    """out = x."""
    for i in range(x.size):
        out[i] = x[i]


@inner
def combine_into(x, a, y, out):
    """out = x + a y."""
    for i in range(x.size):
        out[i] = x[i] + a * y[i]


@inner
def extrapolate_into(x, beta, x_old, out):
    """out = x + beta (x - x_old)."""
    for i in range(x.size):
        out[i] = x[i] + beta * (x[i] - x_old[i])


@inner(reduction=True)
def dot(x, y):
    """x' y, accumulated in float64."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@inner(reduction=True)
def square_distance(x, y):
    """|x - y|_2^2, accumulated in float64."""
    total = 0.0
    for i in range(x.size):
        d = x[i] - y[i]
        total += d * d
    return total


@inner(reduction=True)
def difference_dot(a, b, x, y):
    """(a - b)' (x - y), accumulated in float64."""
    total = 0.0
    for i in range(x.size):
        total += (a[i] - b[i]) * (x[i] - y[i])
    return total


@inner
def max_distance(x, y):
    """|x - y|_inf; NaN if any difference is."""
    largest = 0.0
    for i in range(x.size):
        d = abs(x[i] - y[i])
        if not d <= largest:
            largest = d
    return largest


@inner(merged=True)
def bits(a):
    """A float as an integer: of nonnegative ones, in the same order, and NaN above all.

    Largest values of integers are found by vector instructions, those of floats are not.
    """
    return np.float64(a).view(np.int64)


@inner(merged=True)
def number(bits):
    """The float of these bits."""
    return np.int64(bits).view(np.float64)


@inner(merged=True)
def finite_or_inf(a):
    """inf in place of NaN."""
    return a if a < np.inf else np.inf


@inner
def largest(v):
    """Largest magnitude; inf if there is a NaN."""
    top = np.int64(0)
    for i in range(v.size):
        top = max(top, bits(abs(v[i])))
    return finite_or_inf(number(top))
