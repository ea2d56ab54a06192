"""The memory of L-BFGS: its arrays, the pairs, and the direction they give."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.vector import dot

NEAR_BOUND = 1e-6  # farthest that a variable held at a bound is from it
EPS = 2.220446049250313e-16

# Rows of Arrays.vectors.
(
    X,  # x_k
    G,  # gradient at x_k
    TRIAL,  # P(x_k + a d)
    TRIAL_G,  # gradient there
    BEST,  # best trial of the line search that did not end it
    BEST_G,  # gradient there
    D,  # search direction
    FREE,  # 1 for the variables that the quasi-Newton step moves, 0 for those held at bounds
    LOWER,  # l
    UPPER,  # u
) = range(10)
# Rows of Arrays.pairs: s'y and y'y, both on the free variables, weights of the recursion.
SY, YY, FREE_SY, FREE_YY, WEIGHT = range(5)
# Places in Arrays.scalars and Arrays.counts.
FUN, TRIAL_FUN, RESIDUAL = range(3)
PHASE, STORED, NEXT, TRIALS, SHRINKS = range(5)
# PHASE: what the state waits for.
FRESH, WAITING, EVALUATED, BROKEN = range(4)


class Arrays(NamedTuple):
    """What the kernel works on; few arrays, since each costs a call 0.1 us."""

    vectors: np.ndarray  # 10 x n, rows named below
    S: np.ndarray  # m x n, steps x_{j+1} - x_j, a ring
    Y: np.ndarray  # m x n, differences of gradients
    pairs: np.ndarray  # 5 x m, rows named below
    search: np.ndarray  # the line search, see numopt.linalg.line_search
    scalars: np.ndarray  # see the names below
    counts: np.ndarray  # likewise


@inner
def pulled(x, g, lower, upper):
    """One coordinate of P(x - g) - x, without first rounding x - g."""
    return min(max(-g, lower - x), upper - x)


@inner
def measure(state):
    """The certificate's number at x: see `numopt.problems.smooth.stationarity`."""
    v, fun = state.vectors, state.scalars[FUN]
    largest = 1.0
    for i in range(v.shape[1]):
        largest = max(largest, abs(v[X, i]))
    scale = max(1.0, abs(fun) / largest)
    worst = 0.0 if np.isfinite(fun) else np.nan
    for i in range(v.shape[1]):
        pull = abs(pulled(v[X, i], v[G, i] / scale, v[LOWER, i], v[UPPER, i]))
        if not pull <= worst:
            worst = pull
    state.scalars[RESIDUAL] = worst


@inner
def hold(state):
    """Mark the variables to be held at bounds; whether there are none."""
    v, near = state.vectors, min(NEAR_BOUND, state.scalars[RESIDUAL])
    all_free = True
    for i in range(v.shape[1]):
        held = (v[G, i] > 0 and v[X, i] - v[LOWER, i] <= near) or (
            v[G, i] < 0 and v[UPPER, i] - v[X, i] <= near
        )
        v[FREE, i] = 0.0 if held else 1.0
        all_free = all_free and not held
    return all_free


@inner
def first_scale(v):
    """1 over the length of the projected gradient, at most 1 with bounds; 1 inside a box."""
    largest, square, bounded, boxed = 0.0, 0.0, False, True
    for i in range(v.shape[1]):
        largest = max(largest, abs(v[G, i]))
        sides = (v[LOWER, i] > -np.inf) + (v[UPPER, i] < np.inf)
        bounded = bounded or sides > 0
        boxed = boxed and sides == 2
    if boxed or largest == 0:
        return 1.0
    for i in range(v.shape[1]):
        pull = pulled(v[X, i], v[G, i], v[LOWER, i], v[UPPER, i])
        square += (pull / largest) ** 2
    if square == 0:
        return 1.0
    scale = 1.0 / (largest * np.sqrt(square))
    return min(1.0, scale) if bounded else scale


@inner
def recursion(state, all_free):
    """Write H g on the free variables into d; the scale of H, s'y / y'y where there are pairs."""
    d, free, pairs = state.vectors[D], state.vectors[FREE], state.pairs
    m, stored, newest = state.S.shape[0], state.counts[STORED], state.counts[NEXT] - 1
    for i in range(d.size):
        d[i] = state.vectors[G, i] * free[i]
    scale = 0.0
    for age in range(stored):
        k = (newest - age) % m
        s, y = state.S[k], state.Y[k]
        pairs[FREE_SY, k], pairs[FREE_YY, k] = pairs[SY, k], pairs[YY, k]
        if not all_free:
            pairs[FREE_SY, k], pairs[FREE_YY, k] = restricted(s, y, free)
            if not pairs[FREE_SY, k] > EPS * pairs[FREE_YY, k]:
                continue
        if scale == 0:
            scale = pairs[FREE_SY, k] / pairs[FREE_YY, k]
        pairs[WEIGHT, k] = dot(s, d) / pairs[FREE_SY, k]
        for i in range(d.size):
            d[i] -= pairs[WEIGHT, k] * free[i] * y[i]
    if scale == 0:
        scale = first_scale(state.vectors)
    for i in range(d.size):
        d[i] *= scale
    for age in range(stored - 1, -1, -1):
        k = (newest - age) % m
        if not all_free and not pairs[FREE_SY, k] > EPS * pairs[FREE_YY, k]:
            continue
        change = pairs[WEIGHT, k] - dot(state.Y[k], d) / pairs[FREE_SY, k]
        for i in range(d.size):
            d[i] += change * free[i] * state.S[k, i]
    return scale


@inner(reduction=True)
def restricted(s, y, free):
    """s'y and y'y over the free variables."""
    sy = yy = 0.0
    for i in range(s.size):
        sy += free[i] * s[i] * y[i]
        yy += free[i] * y[i] * y[i]
    return sy, yy


@inner
def move(state):
    """Step to the trial, and keep the pair if its curvature is positive."""
    v, counts, pairs = state.vectors, state.counts, state.pairs
    m, k = state.S.shape[0], counts[NEXT]
    s, y = state.S[k], state.Y[k]
    sy = ss = yy = 0.0
    for i in range(s.size):
        s[i] = v[TRIAL, i] - v[X, i]
        y[i] = v[TRIAL_G, i] - v[G, i]
        sy += s[i] * y[i]
        ss += s[i] * s[i]
        yy += y[i] * y[i]
        v[X, i], v[G, i] = v[TRIAL, i], v[TRIAL_G, i]
    state.scalars[FUN] = state.scalars[TRIAL_FUN]
    if sy > EPS * np.sqrt(ss * yy) and yy < np.inf:
        pairs[SY, k], pairs[YY, k] = sy, yy
        counts[NEXT] = (k + 1) % m
        counts[STORED] = min(counts[STORED] + 1, m)
    elif counts[STORED] == m:
        counts[STORED] = m - 1  # the oldest pair was overwritten
