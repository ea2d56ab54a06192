r"""Projections that come down to one number: simplex, L1 ball, knapsack.

All of them are :math:`x_j(t) = \mathrm{clip}(v_j - t w_j)` for the one t at which
:math:`\sum_j w_j x_j(t)` has its prescribed value. For the simplex and the L1 ball that sum is
convex and decreasing in t: Newton's method lands to the left of the root with its first step,
climbs to it without passing it, and ends exactly, when no further coordinate drops out. With f the
excess and s the slope, each such step has f_new/f + s_new/s <= 1, hence f s falls by 4 at least:
no more than about log2(n) + 26 passes in double precision, 4 to 8 as a rule. A pass is one
vectorised loop without branches, needs no scratch, and leaves v alone. Scans that keep a list of
candidates (Condat) read the data once, but every branch that a processor guesses wrong costs as
much as dozens of entries here: they are slower where more than a few coordinates stay positive.
For the knapsack the sum is not convex: Newton steps within a bracket.

Differences v_j - t are taken relative to the largest entry, so that the result adds up to the
radius within rounding even where the entries are 1e20 times larger.

References
----------
C. Michelot, "A finite algorithm for finding the projection of a point onto the canonical simplex
of R^n", J. Optim. Theory Appl. 50, 1986.
L. Condat, "Fast projection onto the simplex and the l1 ball", Math. Program. 158, 2016.
R. Cominetti, W. F. Mascarenhas, P. J. S. Silva, "A Newton's method for the continuous quadratic
knapsack problem", Math. Program. Comput. 6, 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from numopt.core.dispatch import generic
from numopt.core.generic import at
from numopt.core.jit import inner, kernel
from numopt.core.validate import (
    as_vector,
    require_length,
    require_nonnegative,
    require_number,
    require_positive,
)
from numopt.linalg import stubs

BLOCK = 64  # entries looked at together
COARSE = 256  # a part of so many guesses the threshold of the whole
PASSES = 200  # far beyond the bound
EPSILON = float(np.finfo(np.float64).eps)


# ---- fronts --------------------------------------------------------------------------------------


def project_simplex(v: Any, radius: float = 1.0, weights: Any = None) -> np.ndarray:
    r"""Nearest point of :math:`\{x \ge 0 : \sum_j w_j x_j = r\}`.

    Parameters
    ----------
    v : array of shape (n,)
        At least one entry.
    radius : float, default 1.0
        The sum r, > 0.
    weights : array of shape (n,), optional
        w > 0; 1 each if not given.

    Examples
    --------
    >>> from numopt.linalg import project_simplex
    >>> project_simplex([0.5, 1.0, -2.0]).tolist()
    [0.25, 0.75, 0.0]
    """
    v = as_vector(v, "v")
    require_positive(radius, "radius")
    if v.size == 0:
        raise ValueError("v is empty; a simplex has at least one vertex")
    out = np.empty_like(v)
    simplex_into(v, _weights(weights, v), float(radius), out)
    return out


def project_l1_ball(v: Any, radius: float = 1.0, weights: Any = None) -> np.ndarray:
    r"""Nearest point of :math:`\{x : \sum_j w_j |x_j| \le r\}`.

    Parameters
    ----------
    v : array of shape (n,)
    radius : float, default 1.0
        r >= 0.
    weights : array of shape (n,), optional
        w > 0; 1 each if not given.

    Examples
    --------
    >>> from numopt.linalg import project_l1_ball
    >>> project_l1_ball([2.0, -1.5, 0.1]).tolist()
    [0.75, -0.25, 0.0]
    """
    v = as_vector(v, "v")
    require_nonnegative(radius, "radius")
    out = np.empty_like(v)
    l1_ball_into(v, _weights(weights, v), float(radius), out)
    return out


def project_knapsack(
    v: Any, total: float, *, weights: Any = None, lower: Any = 0.0, upper: Any = 1.0
) -> np.ndarray:
    r"""Nearest point of :math:`\{x : \sum_j w_j x_j = s,\ l_j \le x_j \le u_j\}`.

    Parameters
    ----------
    v : array of shape (n,)
    total : float
        The sum s.
    weights : array of shape (n,), optional
        w, of any sign; 1 each if not given.
    lower, upper : float or array of shape (n,)
        Bounds, -inf and inf where there are none.

    Raises
    ------
    ValueError
        Also if no point within the bounds has that sum.

    Examples
    --------
    >>> from numopt.linalg import project_knapsack
    >>> project_knapsack([2.0, 0.5, 0.25], 1.5).round(12).tolist()
    [1.0, 0.375, 0.125]
    """
    v = as_vector(v, "v")
    require_number(total, "total")
    w = np.ones_like(v) if weights is None else as_vector(weights, "weights", v.dtype)
    require_length(w, v.size, "weights")
    bounds = []
    for name, bound in (("lower", lower), ("upper", upper)):
        bound = np.asarray(bound, v.dtype)
        if bound.ndim > 1 or (bound.ndim and bound.size != v.size):
            raise ValueError(
                f"{name} must be a number or have shape ({v.size},), got {bound.shape}"
            )
        bounds.append(np.array(np.broadcast_to(bound, v.shape)))
    wrong = ~(bounds[0] <= bounds[1])
    if wrong.any():
        j = int(np.argmax(wrong))
        raise ValueError(f"lower <= upper fails at index {j}: {bounds[0][j]:g}, {bounds[1][j]:g}")
    out = np.empty_like(v)
    if knapsack_into(v, w, *bounds, float(total), out) != 0:
        raise ValueError(f"total = {total:g} is out of reach: the bounds allow {w @ out:g}")
    return out


def _weights(weights: Any, v: np.ndarray) -> np.ndarray | float:
    if weights is None:
        return 1.0
    weights = require_length(as_vector(weights, "weights", v.dtype), v.size, "weights")
    if not (weights > 0).all():
        j = int(np.argmin(weights))
        raise ValueError(f"weights must be > 0, got {weights[j]:g} at index {j}")
    return weights


# ---- simplex and L1 ball -------------------------------------------------------------------------


@kernel
def simplex_into(v, weights, radius, out):
    """Projection of v on {x >= 0 : sum_j w_j x_j = radius}, radius > 0.

    `weights` is an array of numbers > 0 or one number; v and out may be the same array. Entries
    -inf become 0. NaN or inf anywhere make all of `out` NaN.
    """
    shift, t, rest = _threshold(v, weights, radius, False)
    for j in range(v.size):
        w = at(weights, j)
        x = _beyond(v[j], w, shift, t) - rest * w
        out[j] = 0.0 if x <= 0 else x


@kernel
def l1_ball_into(v, weights, radius, out):
    """Projection of v on {x : sum_j w_j |x_j| <= radius}; arguments as of `simplex_into`."""
    if _norm(v, weights) <= radius:
        for j in range(v.size):
            out[j] = v[j]
        return
    shift, t, rest = _threshold(v, weights, radius, True)
    for j in range(v.size):
        w = at(weights, j)
        x = _beyond(abs(v[j]), w, shift, t) - rest * w
        x = 0.0 if x <= 0 else x
        out[j] = x if v[j] > 0 else 0.0 - x


@generic(stubs.simplex_into)
def _simplex_into(v, weights, radius, out):
    return lambda v, weights, radius, out: simplex_into(v, weights, radius, out)


@generic(stubs.l1_ball_into)
def _l1_ball_into(v, weights, radius, out):
    return lambda v, weights, radius, out: l1_ball_into(v, weights, radius, out)


@inner
def _beyond(v, w, shift, t):
    """What v exceeds the threshold by. Not to be reordered: v - shift is exact near the largest."""
    return (v - shift * w) - t * w


@inner
def _threshold(v, weights, radius, magnitude):
    """The threshold of the projection in three parts: shift, t, and what rounding t leaves out."""
    n = v.size
    shift, w = _largest_ratio(v, weights, magnitude)
    shift, w = np.float64(shift), np.float64(w)
    if not abs(shift) < np.inf:
        return np.nan, np.nan, np.nan
    # To the left of the root: there the largest coordinate alone has all of the radius.
    t = start = -radius / (w * w)
    if n > COARSE:  # guess from a part of the entries, with their share of the radius
        for size in (n // COARSE, n // 16):
            t, rest, _ = _climb(v[:size], weights, radius * size / n, shift, t, magnitude, 0.01)
            t = max(t + rest, start)
    tol = EPSILON * (64 + n / 32)  # rounding of a sum in 32 parts
    t, rest, slope = _climb(v, weights, radius, shift, t, magnitude, tol)
    while slope == 0 and start < 0:  # guessed too high, or v_j - shift w_j lost the radius
        t, rest, slope = _climb(v, weights, radius, shift, start, magnitude, tol)
        start *= 2
    return shift, t, rest


@inner
def _climb(v, weights, radius, shift, t, magnitude, tol):
    """Root of excess(t) = radius by Newton's method, the last step untaken, the slope there."""
    for _ in range(PASSES):
        total, slope = _excess(v, weights, shift, t, magnitude)
        if slope == 0:
            return t, 0.0, slope
        step = (total - radius) / slope
        if abs(total - radius) <= tol * radius or not abs(step) > 4 * EPSILON * abs(t):
            break
        t += step
    return t, step, slope


@inner
def _largest_ratio(v, weights, magnitude):
    """The largest v_j / w_j and the weight at it; NaN if an entry is."""
    largest, weight = -np.inf, 1.0
    for start in range(0, v.size, BLOCK):
        block, w = v[start : start + BLOCK], _part(weights, start)
        if _any_above(block, w, largest, magnitude):
            for i in range(block.size):
                ratio = (abs(block[i]) if magnitude else block[i]) / at(w, i)
                if not ratio <= largest:
                    largest, weight = ratio, at(w, i)
                if ratio != ratio:
                    return largest, weight
    return largest, weight


@inner
def _any_above(block, weights, ratio, magnitude):
    """Whether an entry divided by its weight is above ratio, or NaN."""
    above = 0
    for i in range(block.size):
        v = abs(block[i]) if magnitude else block[i]
        above += not (v <= ratio * at(weights, i))
    return above > 0


def _part(value, start):
    return value[start : start + BLOCK] if np.ndim(value) else value


@generic(_part)
def _part_overload(value, start):
    if isinstance(value, types.Array):
        return lambda value, start: value[start : start + BLOCK]
    return lambda value, start: value


@inner(reduction=True)
def _excess(v, weights, shift, t, magnitude):
    """Sum of w_j x_j over the x_j = v_j - t w_j that are positive, and of their w_j^2."""
    total = slope = 0.0
    for j in range(v.size):
        w = at(weights, j)
        x = _beyond(abs(v[j]) if magnitude else v[j], w, shift, t)
        total += w * max(x, 0.0)
        slope += w * w if x > 0 else 0.0
    return total, slope


# ---- knapsack ------------------------------------------------------------------------------------


@kernel
def knapsack_into(v, weights, lower, upper, total, out):
    """Projection of v on {x : sum_j w_j x_j = total, lower <= x <= upper}; 0, or 1 if empty.

    Weights of any sign; `weights`, `lower` and `upper` are arrays or numbers; v and out may be the
    same array. If no point has that sum, `out` is the one within the bounds that comes closest to
    it. The sum is met up to the rounding of the w_j v_j. NaN makes `out` NaN.
    """
    least, most, t = _knapsack_range(v, weights, lower, upper, total)
    slack = 1e-12 * abs(total)  # the caller's rounding
    for reach in (least, most):
        if abs(reach) < np.inf:
            slack = max(slack, 1e-12 * abs(reach))
    status = 1 if total > most + slack or total < least - slack else 0
    correction = 0.0
    if total >= most or total <= least:
        t = -np.inf if total >= most else np.inf
    else:
        t, correction = _knapsack_root(v, weights, lower, upper, total, t)
    for j in range(v.size):
        w = at(weights, j)
        x = (v[j] - t * w) - correction * w if w != 0 else v[j] + total * 0
        out[j] = min(max(x, at(lower, j)), at(upper, j)) if x == x else x
    return status


@generic(stubs.knapsack_into)
def _knapsack_into(v, weights, lower, upper, total, out):
    return lambda v, weights, lower, upper, total, out: knapsack_into(
        v, weights, lower, upper, total, out
    )


@inner(reduction=True)
def _knapsack_range(v, weights, lower, upper, total):
    """Least and largest sum, and the root if all bounds were open."""
    least = most = slope = 0.0
    excess = -total
    for j in range(v.size):
        w = at(weights, j)
        if w != 0:
            one, other = w * at(lower, j), w * at(upper, j)
            least += min(one, other)
            most += max(one, other)
            excess += w * v[j]
            slope += w * w
    return least, most, excess / slope if slope > 0 else 0.0


@inner
def _knapsack_root(v, weights, lower, upper, total, t):
    """The t at which the sum is total, as a number and its correction."""
    start, stop = -np.inf, np.inf  # the sum at start is too large, that at stop too small
    above, below = np.inf, -np.inf  # by so much
    stuck = 0
    while True:
        value, slope, size = _knapsack_sum(v, weights, lower, upper, t)
        excess = value - total
        noise = 2 * EPSILON * (2 * size + 2 * abs(t) * slope + abs(total))
        if not abs(excess) > noise:
            return t, excess / slope if slope > 0 else 0.0
        width = stop - start
        if excess > 0:
            start, above = t, excess
        else:
            stop, below = t, excess
        stuck = stuck + 1 if stop - start > 0.5 * width else 0
        last = t
        t = t + excess / slope if slope > 0 else np.inf
        if not start < t < stop:
            if stop - start < np.inf:
                t = start + (stop - start) * (above / (above - below))
            else:
                t = _next_breakpoint(v, weights, lower, upper, last, excess > 0)
        if stuck >= 3 and stop - start < np.inf:
            t = 0.5 * start + 0.5 * stop
            stuck = 0
        if not start < t < stop:
            return (start if above < -below else stop), 0.0


@inner
def _next_breakpoint(v, weights, lower, upper, t, upwards):
    """A point just beyond the breakpoint nearest to t on one side; infinite if there is none."""
    nearest, beyond = np.inf, 0.0
    for j in range(v.size):
        w = at(weights, j)
        if w != 0:
            for bound in (at(lower, j), at(upper, j)):
                b = (v[j] - bound) / w
                distance = b - t if upwards else t - b
                if 0 < distance < nearest:
                    nearest = distance
                    beyond = 4 * EPSILON * (abs(v[j] / w) + abs(b))
    return t + nearest + beyond if upwards else t - nearest - beyond


@inner(reduction=True)
def _knapsack_sum(v, weights, lower, upper, t):
    """Sum of w_j x_j(t), of w_j^2 over the coordinates between their bounds, of |w_j x_j|."""
    value = slope = size = 0.0
    for j in range(v.size):
        w, low, high = at(weights, j), at(lower, j), at(upper, j)
        y = v[j] - t * w
        x = w * min(max(y, low), high)
        value += x
        size += abs(x)
        slope += w * w if (y >= low) & (y <= high) else 0.0
    return value, slope, size


@inner(reduction=True)
def _norm(v, weights):
    """Sum of w_j |v_j|."""
    total = 0.0
    for j in range(v.size):
        total += at(weights, j) * abs(v[j])
    return total
