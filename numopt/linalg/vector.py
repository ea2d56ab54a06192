"""Vector loops that kernels share: compiled once per dtype, without temporaries."""

from __future__ import annotations

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
