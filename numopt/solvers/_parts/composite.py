"""Kernels that the solvers of `Composite` share."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.generic import loss_gradient, stationarity, value_of
from numopt.core.jit import inner
from numopt.core.matrices import correlate, n_columns, predict


def start_point(problem: Any, x0: Any, warm: dict[str, Any]) -> np.ndarray:
    """w = (x, b) to start from: `warm`, `x0`, or the best model without what is penalised."""
    w, p = problem.null_model().w.astype(problem.dtype), problem.size
    for name, x in (("warm_start['x']", warm.get("x")), ("x0", x0)):
        if x is not None:
            w[:p] = problem.as_x(x, name, None)
            break
    if problem.fit_intercept:
        w[p:] = warm.get("intercept", w[p:])
    return w


def column_metric(problem: Any) -> np.ndarray:
    """Squared norms of the columns of (A, 1), at most 1; ones if the penalty does not separate."""
    p = problem.size
    square = np.ones(p + problem.outputs)
    if problem.penalty.offers("prox_1d"):
        square[:p] = problem.column_curvatures()
        square[p:] = problem.fit_intercept
        largest = square.max()
        # An empty column may take any step: a long one.
        usable = 0 < largest < np.inf
        square = np.maximum(square / largest, 1e-30) if usable else np.ones_like(square)
    return square.astype(problem.dtype)


def free_part(w: np.ndarray, p: int) -> Any:
    """The intercept in w = (x, b): a number, or one for each output."""
    return w[p] if w.size == p + 1 else w[p:]


@inner
def predict_affine(data, w, z):
    """z = X w + b + offset, where w ends in the intercepts b, one for each output."""
    p = n_columns(data.X)
    K = w.size - p
    predict(data.X, w[:p], z)
    for k in range(K):
        for i in range(k, z.size, K):
            z[i] += w[p + k] + data.offset[i]


@inner
def gradient_affine(data, r, g):
    """g = (X' r, sum r or 0): gradient with respect to w = (x, b)."""
    p = n_columns(data.X)
    correlate(data.X, r, g[:p])
    K = g.size - p
    for k in range(K):
        g[p + k] = 0
        if data.intercept:
            g[p + k] = r[k::K].sum()


@inner
def residual(data, w, z, r, g, scratch, step):
    """Objective and unscaled stationarity at w, whose prediction is z; r and g are filled."""
    p = n_columns(data.X)
    fun = loss_gradient(data.loss, data.scale, z, r) + value_of(data.penalty, w[:p])
    gradient_affine(data, r, g)
    worst = stationarity(data.penalty, w[:p], g[:p], step, scratch[:p])
    for k in range(p, g.size):
        if not abs(g[k]) <= worst:
            worst = abs(g[k])
    return fun, worst
