"""Quadratic models on a working set: Gram matrices, their minimiser, the search along the step.

`state` is that of `WorkingSetCD`, whose fields these functions read by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.engine import time_left
from numopt.solvers._coordinate_descent import descend, gather, objective_along


def working_columns(problem: Any, state: Any, working: np.ndarray) -> Any:
    """Columns of the working set, which begins with those at hand; sparse if A is sparse."""
    if sp.issparse(problem.A):
        chosen = problem.A[:, working]
        dense = chosen.nnz > 0.2 * chosen.shape[0] * chosen.shape[1]
        return chosen.toarray(order="F") if dense else chosen
    old = state.columns.shape[1]
    columns = np.empty((state.z.size, working.size), state.w.dtype, "F")
    columns[:, :old] = state.columns
    gather(state.data.X, working[old:], columns[:, old:])
    return columns


def weighted_product(left: Any, right: Any, h: np.ndarray) -> np.ndarray:
    """Left' diag(h) right."""
    if sp.issparse(left):
        return (left.T @ right.multiply(h[:, None])).toarray()
    return left.T @ (right * h[:, None])


def weighted_gram(problem: Any, state: Any) -> tuple[np.ndarray, np.ndarray]:
    if sp.issparse(state.columns):
        gram = np.asfortranarray(weighted_product(state.columns, state.columns, state.h))
    else:
        scaled = state.columns * np.sqrt(state.h)[:, None]
        gram = np.asfortranarray(scaled.T @ scaled)  # BLAS computes one half of it
    mean = state.columns.T @ state.h
    if problem.fit_intercept:
        gram -= np.outer(mean, mean / state.h.sum())
    return gram, mean


def descend_with_newton(
    problem: Any, state: Any, Q: np.ndarray, q: np.ndarray, w: np.ndarray, tol: float
) -> None:
    """Coordinate descent with Newton steps on the support, until the violation is at most tol."""
    index, penalty = state.working, problem.penalty
    x = state.w[:-1].copy()
    w0, q0 = w.copy(), q.copy()

    def model(v: np.ndarray) -> float:
        d, x[index] = v - w0, v
        return float(q0 @ d + 0.5 * d @ (Q @ d)) + penalty.value(x)

    newton = penalty.offers("subdiff_distance_1d")
    support = w != 0
    # Few sweeps before each Newton step, but more where a sweep costs less than the call.
    floor = 1.05 * penalty.concavity
    sweeps = max(5, int(2e5 / max(index.size, 1) ** 2))
    for _ in range(100):
        worst, _ = descend(state.data.penalty, index, Q, q, w, tol, sweeps, floor)
        if worst <= tol or time_left() < 0:
            return
        before, support = support, w != 0
        if newton and support.any() and (before == support).all():
            x[index] = w
            trial = _newton(penalty, x, index, Q, q, w, np.flatnonzero(support))
            if trial is not None and model(trial) <= model(w):
                w[:] = trial
                q[:] = q0 + Q @ (w - w0)


def _newton(
    penalty: Any, x: np.ndarray, index: np.ndarray, Q: np.ndarray, q: np.ndarray, w: np.ndarray,
    S: np.ndarray,
) -> np.ndarray | None:  # fmt: skip
    """Newton's step on the smooth part of the support, cut at the first change of sign.

    None if the model is not convex there, or nothing is smooth.
    """
    here = _slopes(penalty, x)
    bend = np.where(x == 0, 0, 1e-5 * x)
    there = _slopes(penalty, x + bend)
    S = S[np.isfinite(here[index[S]]) & np.isfinite(there[index[S]])]
    if S.size == 0:
        return None
    on = index[S]
    slope = here[on]
    curvature = (there[on] - slope) / bend[on]
    try:
        factor = np.linalg.cholesky(Q[np.ix_(S, S)] + np.diag(curvature))
    except np.linalg.LinAlgError:
        return None
    d = -np.linalg.solve(factor.T, np.linalg.solve(factor, q[S] + slope))
    crossing = np.where(w[S] * d < 0, -w[S] / np.where(d == 0, 1, d), np.inf)
    t = min(1.0, crossing.min())
    trial = w.copy()
    trial[S] += t * d
    if t < 1:
        trial[S[np.argmin(crossing)]] = 0
    return trial


def _slopes(penalty: Any, x: np.ndarray) -> np.ndarray:
    """Derivatives of the penalty where it has one, NaN elsewhere.

    Read off the subdifferential distance: where the penalty is smooth that is |grad + slope|, so
    opposite gradients G and -G beyond the slope have distances that sum to 2 G; at a kink, less.
    """
    at_zero = penalty.subdiff_distances(x, np.zeros_like(x))
    size = np.where(np.isfinite(at_zero), at_zero, 0)
    ahead = penalty.subdiff_distances(x, size)
    beyond = 2 * size + 1
    both = penalty.subdiff_distances(x, beyond) + penalty.subdiff_distances(x, -beyond)
    smooth = np.isfinite(at_zero) & (both > 2 * beyond * (1 - 1e-6))
    return np.where(smooth, np.where(ahead > size, size, -size), np.nan)


def search(problem: Any, state: Any, step: np.ndarray, fun: float) -> bool:
    """Backtrack along the step until the objective has fallen enough; whether it has."""
    p = problem.size
    moved = np.flatnonzero(step[:p])
    dz = np.zeros_like(state.z)
    if state.columns.shape[1]:
        dz += state.columns @ step[state.working]
    else:
        dz += np.asarray(problem.A[:, moved] @ step[moved], dz.dtype)
    dz += step[p]
    slope = state.r @ dz
    penalty = problem.penalty
    full = state.w[:p] + step[:p]
    decrease = slope + penalty.value(full) - penalty.value(state.w[:p])
    noise = 10 * np.finfo(state.w.dtype).eps * abs(fun)
    t = 1.0
    for _ in range(10):
        value = objective_along(state.data, state.w, state.z, step, dz, t)
        if value <= fun + 1e-4 * t * min(decrease, 0.0) + noise:
            state.w[:] += t * step
            state.z[:] += t * dz
            if t == 1.0:
                state.w[:p][full == 0] = 0
            return True
        t *= 0.5
    return False
