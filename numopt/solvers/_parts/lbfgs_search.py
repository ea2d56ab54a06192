"""The line search of L-BFGS along the projected path: trials and verdicts on them."""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.line_search import (
    BRACKETED,
    CURVATURE,
    DECREASE,
    LOW,
    LOW_F,
    START_F,
    START_SLOPE,
    STEP,
    propose,
    shorten,
)
from numopt.linalg.vector import copy_into
from numopt.solvers._parts.lbfgs_memory import (
    BEST,
    BEST_G,
    LOWER,
    SHRINKS,
    TRIAL,
    TRIAL_FUN,
    TRIAL_G,
    TRIALS,
    UPPER,
    D,
    G,
    X,
)

MAX_TRIALS = 20  # per line search, once it has an interval
MAX_SHRINKS = 40  # quarterings of a step that leaves the domain
LOWEST_FUN = -1e30  # below: unbounded
ROUNDING = 1e-12  # relative errors of f that the line search reckons with
# Verdicts on a trial.
ACCEPTED, AGAIN, FAILED, UNBOUNDED = range(4)


@inner
def set_trial(state):
    """Write P(x + a d); whether it differs from x."""
    v, step, moved = state.vectors, state.search[STEP], False
    for i in range(v.shape[1]):
        t = min(max(v[X, i] + step * v[D, i], v[LOWER, i]), v[UPPER, i])
        moved = moved or t != v[X, i]
        v[TRIAL, i] = t
    return moved


@inner
def judge(state):
    """What to do with the trial; ACCEPTED leaves the next point in TRIAL with its values."""
    v, search, counts = state.vectors, state.search, state.counts
    fun = state.scalars[TRIAL_FUN]
    if fun < LOWEST_FUN:
        return UNBOUNDED
    step, slope, drop, kinks, finite = search[STEP], 0.0, 0.0, False, np.isfinite(fun)
    for i in range(v.shape[1]):
        if v[LOWER, i] <= v[X, i] + step * v[D, i] <= v[UPPER, i]:
            slope += v[D, i] * v[TRIAL_G, i]
        else:
            kinks = True
        drop += v[G, i] * (v[TRIAL, i] - v[X, i])
        finite = finite and np.isfinite(v[TRIAL_G, i])
    if not (finite and np.isfinite(slope)):
        counts[SHRINKS] += 1
        shorten(search)
        if counts[SHRINKS] <= MAX_SHRINKS and set_trial(state):
            return AGAIN
        return give_up(state)
    start_f, start_slope = search[START_F], search[START_SLOPE]
    steep, flat = CURVATURE * start_slope, -CURVATURE * start_slope
    if fun <= start_f + DECREASE * min(drop, 0.0) and slope >= steep and (kinks or slope <= flat):
        return ACCEPTED
    drowned = abs(fun - start_f) <= ROUNDING * abs(start_f)
    if drowned and steep <= slope <= (2.0 * DECREASE - 1.0) * start_slope:
        return ACCEPTED
    room = propose(search, fun, slope)
    counts[TRIALS] += search[BRACKETED] != 0  # on the way out only f or the domain ends
    if search[LOW] == step:
        copy_into(v[TRIAL], v[BEST])
        copy_into(v[TRIAL_G], v[BEST_G])
    if room and counts[TRIALS] < MAX_TRIALS and set_trial(state):
        return AGAIN
    return give_up(state)


@inner
def give_up(state):
    """End a search that meets no condition: take its best trial if that is lower than x."""
    search, v = state.search, state.vectors
    if not (search[LOW] > 0 and search[LOW_F] < search[START_F]):
        return FAILED
    state.scalars[TRIAL_FUN] = search[LOW_F]
    copy_into(v[BEST], v[TRIAL])
    copy_into(v[BEST_G], v[TRIAL_G])
    return ACCEPTED
