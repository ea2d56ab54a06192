"""Accelerated proximal gradient steps, one evaluation of the smooth part at a time.

Three sequences: x, whose objective never rises; u, which carries the momentum; and
y = (1 - a) x + a u, where gradients are taken. From the gradient g at y the next x is
prox(y - g / M) with M doubled until the quadratic bound holds there; u either follows x (FISTA)
or takes a long proximal step of its own (Ghadimi and Lan). Who evaluates does not matter: a kernel
that owns the loss, or a user's function that the kernel is left for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.generic import prox_in_metric, stationarity, value_of
from numopt.core.jit import inner, kernel
from numopt.linalg.vector import copy_into, difference_dot, dot

SHRINK = 0.95  # of M before each iteration
LOWEST_FUN = -1e30  # below: unbounded
MAX_TRIALS = 100  # of M within an iteration

# Rows of State.vectors.
X, U, Y, G, TRIAL, TRIAL_G, X_G, SCRATCH, LONG = range(9)
# Places in State.scalars.
(
    CURVATURE,  # M
    ALPHA,  # a, the share of u in y
    FUN,  # F(x)
    X_F,  # f(x)
    Y_F,  # f(y)
    TRIAL_F,  # f(trial)
    RESIDUAL,  # stationarity at x, an estimate from the last step unless EXACT
    TARGET,  # estimates below this are worth the gradient at x
    SCALE,  # what residuals are relative to; 0: max(1, |F| / max(1, |x|_inf))
    STEP,  # of the fixed-point residual
    CONCAVITY,  # c: penalty + c |x|^2 / 2 is convex
    EPS,  # of the working precision
    MOVED,  # squared length of the last step from y
    NEEDED,  # least M that the quadratic bound needed there, times MOVED
    TRIAL_FUN,  # F(trial)
) = range(15)
# Places in State.counts.
REQUEST, WITH_GRADIENT, TRIALS, EXACT, FRESH = range(5)
# REQUEST: where values are wanted; the gradient at a trial only WITH_GRADIENT.
AT_X, AT_Y, AT_TRIAL, STUCK, UNBOUNDED = range(5)
# What to do with a trial: accept it, try again with another M, go on from x, or give up.
ACCEPTED, AGAIN, FROM_X, HOPELESS = range(4)
# How u moves: not at all, or as in the module's docstring.
PLAIN, FISTA, LAN = range(3)


class State(NamedTuple):
    """What an iteration needs."""

    penalty: Any  # Spec of the penalty
    vectors: np.ndarray  # 9 x n, rows named above; entries beyond the penalised ones are free
    metric: np.ndarray  # n, weights of the coordinates in the quadratic model
    scalars: np.ndarray  # see the names above
    counts: np.ndarray  # likewise
    size: int  # number of penalised coordinates


def new_state(penalty: Any, w: np.ndarray, size: int, metric: np.ndarray, eps: float) -> State:
    """State at w, where values are wanted first."""
    vectors = np.zeros((9, w.size), w.dtype)
    vectors[X] = vectors[U] = vectors[Y] = w
    scalars, counts = np.zeros(15), np.zeros(5, np.int64)
    scalars[ALPHA], scalars[EPS], scalars[FUN] = 1.0, eps, np.inf
    scalars[STEP] = 1.0
    counts[REQUEST], counts[FRESH] = AT_X, 1
    return State(penalty, vectors, metric, scalars, counts, size)


@kernel
def receive(state, mode):
    """Take in the values asked for and ask for the next: 1 at the end of an iteration, else 0."""
    s, v, counts = state.scalars, state.vectors, state.counts
    # Each helper is called from one place: the compiler copies them into every caller.
    verdict, measure, done = AGAIN, False, 0
    if counts[REQUEST] == AT_TRIAL:
        verdict = _judge(state)
        if verdict == ACCEPTED:
            _accept(state, mode)
            measure = counts[WITH_GRADIENT] != 0
            done = 1
    elif counts[REQUEST] == AT_X:
        if counts[FRESH]:
            s[FUN] = s[X_F] + value_of(state.penalty, v[X, : state.size])
            counts[FRESH] = 0
        else:
            s[TARGET] *= 0.5  # the estimate was too kind
            done = 1
        verdict, measure = ACCEPTED, True
    elif not (s[Y_F] < np.inf and dot(v[G], v[G]) < np.inf):  # y lies outside the domain of f
        verdict = FROM_X if s[ALPHA] < 1.0 else HOPELESS
    if measure:
        _measure(state)
    if verdict == ACCEPTED:
        counts[REQUEST] = AT_Y
        if s[FUN] < LOWEST_FUN:
            counts[REQUEST] = UNBOUNDED
        elif s[ALPHA] == 1.0 and measure:
            verdict = FROM_X
        elif s[RESIDUAL] <= s[TARGET] and not counts[EXACT]:
            counts[REQUEST] = AT_X
            done = 0
    if verdict == FROM_X:
        verdict = _restart(state)
    if verdict == AGAIN:
        _propose(state)
    elif verdict == HOPELESS:
        counts[REQUEST] = STUCK
    return done


@inner
def _measure(state):
    """Stationarity at x, whose gradient is known."""
    v, s, p = state.vectors, state.scalars, state.size
    worst = stationarity(state.penalty, v[X, :p], v[X_G, :p], s[STEP], v[SCRATCH, :p])
    for j in range(p, v.shape[1]):
        free = abs(v[X_G, j])
        if not free <= worst:
            worst = free
    s[RESIDUAL] = worst / _scale(state)
    state.counts[EXACT] = 1


@inner
def _scale(state):
    s = state.scalars
    if s[SCALE] > 0:
        return s[SCALE]
    largest = 1.0
    for j in range(state.vectors.shape[1]):
        largest = max(largest, abs(state.vectors[X, j]))
    return max(1.0, abs(s[FUN]) / largest) if np.isfinite(s[FUN]) else 1.0


@inner
def _propose(state):
    """Ask for a trial from y with the present M."""
    v, s, p = state.vectors, state.scalars, state.size
    if s[CURVATURE] <= 0:
        s[CURVATURE] = _first_curvature(state)
    s[CURVATURE] = max(s[CURVATURE], 2 * s[CONCAVITY])
    step = v.dtype.type(1.0 / s[CURVATURE])
    for j in range(v.shape[1]):
        v[TRIAL, j] = v[Y, j] - step * v[G, j] / state.metric[j]
    prox_in_metric(state.penalty, v[TRIAL, :p], step, state.metric, v[TRIAL, :p])
    moved = 0.0
    for j in range(v.shape[1]):
        moved += state.metric[j] * (v[TRIAL, j] - v[Y, j]) ** 2
    s[MOVED] = moved
    # Differences of values lose their digits near the solution; gradients keep them.
    state.counts[WITH_GRADIENT] = not s[CURVATURE] * moved > 1e4 * s[EPS] * abs(s[Y_F])
    state.counts[REQUEST] = AT_TRIAL


@inner
def _first_curvature(state):
    """A step of the length of x, or 1; the bound at its end says more."""
    v = state.vectors
    slope, length = 0.0, 0.0
    for j in range(v.shape[1]):
        slope += v[G, j] ** 2 / state.metric[j]
        length += state.metric[j] * v[Y, j] ** 2
    guess = np.sqrt(slope / max(1.0, length))
    return guess if guess > 0 and guess < np.inf else 1.0


@inner
def _judge(state):
    """What to do with the trial."""
    v, s, counts = state.vectors, state.scalars, state.counts
    slope = 0.0
    for j in range(v.shape[1]):
        slope += v[G, j] * (v[TRIAL, j] - v[Y, j])
    # The M that the bound needs at this trial, times the length of the step.
    needed = 2 * (s[TRIAL_F] - s[Y_F] - slope)
    if counts[WITH_GRADIENT]:
        needed = difference_dot(v[TRIAL_G], v[G], v[TRIAL], v[Y]) * (1 - 1e-8)
    s[NEEDED] = needed
    if not (s[TRIAL_F] < np.inf and (s[MOVED] == 0 or needed <= s[CURVATURE] * s[MOVED])):
        counts[TRIALS] += 1
        if counts[TRIALS] > MAX_TRIALS or not s[CURVATURE] < 1e100:
            return HOPELESS
        factor = 2.0
        if s[MOVED] > 0 and needed < np.inf:
            factor = min(max(1.1 * needed / s[MOVED] / s[CURVATURE], 2.0), 100.0)
        s[CURVATURE] *= factor
        return AGAIN
    s[TRIAL_FUN] = s[TRIAL_F] + value_of(state.penalty, v[TRIAL, : state.size])
    if s[ALPHA] < 1.0 and not s[TRIAL_FUN] <= s[FUN] + 4 * s[EPS] * abs(s[FUN]):
        return FROM_X  # the objective would rise
    return ACCEPTED


@inner
def _restart(state):
    """Go on from x without momentum."""
    v, s = state.vectors, state.scalars
    copy_into(v[X], v[U])
    copy_into(v[X], v[Y])
    s[ALPHA] = 1.0
    if not state.counts[EXACT]:
        state.counts[REQUEST] = AT_Y
        return ACCEPTED
    copy_into(v[X_G], v[G])
    s[Y_F] = s[X_F]
    return AGAIN if s[X_F] < np.inf and dot(v[X_G], v[X_G]) < np.inf else HOPELESS


@inner
def _accept(state, mode):
    """Step to the trial; the next y."""
    v, s, counts = state.vectors, state.scalars, state.counts
    uphill, worst = 0.0, 0.0
    for j in range(v.shape[1]):
        d = state.metric[j] * (v[TRIAL, j] - v[Y, j])
        uphill -= d * (v[TRIAL, j] - v[X, j])
        if not abs(d) <= worst:
            worst = abs(d)
    if mode == LAN:
        _long_step(state)
    else:
        for j in range(v.shape[1]):
            v[U, j] = v[X, j] + (v[TRIAL, j] - v[X, j]) / s[ALPHA]
    copy_into(v[TRIAL], v[X])
    copy_into(v[TRIAL_G], v[X_G])  # what it holds counts if the gradient was asked for
    s[FUN], s[X_F] = s[TRIAL_FUN], s[TRIAL_F]
    # Twice the gradient of the model: dist(-g(x), d phi(x)) <= M |x - y| + |g(x) - g(y)|.
    s[RESIDUAL] = 2 * s[CURVATURE] * worst / _scale(state)
    a, M = s[ALPHA], SHRINK * s[CURVATURE]
    if a == 1.0 and s[MOVED] > 0 and s[NEEDED] < 0.25 * s[CURVATURE] * s[MOVED]:
        # Far too large an M, as at the start, is given up at once.
        M = max(1.1 * s[NEEDED] / s[MOVED], 0.1 * s[CURVATURE])
    M = max(M, 2 * s[CONCAVITY])
    s[ALPHA] = 2 / (1 + np.sqrt(1 + 4 / (a * a) * M / s[CURVATURE]))
    s[CURVATURE] = M
    if uphill > 0 or mode == PLAIN:
        s[ALPHA] = 1.0
        copy_into(v[X], v[U])
    a = s[ALPHA]
    for j in range(v.shape[1]):
        v[Y, j] = (1 - a) * v[X, j] + a * v[U, j]
    counts[TRIALS] = counts[EXACT] = 0


@inner
def _long_step(state):
    """u of Ghadimi and Lan, for f - c |x|^2 / 2 and the convex penalty + c |x|^2 / 2."""
    v, s, p, c = state.vectors, state.scalars, state.size, state.scalars[CONCAVITY]
    first = 1.0
    for j in range(v.shape[1]):
        D = s[CURVATURE] * state.metric[j]
        length = 1.0 / (s[ALPHA] * (max(D - c, c) if j < p else D))
        shrink = 1.0 / (1.0 + length * c) if j < p else 1.0
        v[U, j] = (v[U, j] - length * (v[G, j] - (c * v[Y, j] if j < p else 0.0))) * shrink
        if j == 0:
            first = length * shrink
        v[LONG, j] = first / (length * shrink)
    prox_in_metric(state.penalty, v[U, :p], v.dtype.type(first), v[LONG], v[U, :p])
