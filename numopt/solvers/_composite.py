"""Kernels that the solvers of `Composite` share."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.generic import (
    correlate,
    loss_gradient,
    n_columns,
    predict,
    stationarity,
    value_of,
)
from numopt.core.jit import inner
from numopt.core.validate import as_vector, require_length


def start_point(problem: Any, x0: Any, warm: dict[str, Any]) -> np.ndarray:
    """w = (x, b) to start from: `warm`, `x0`, or the best model without what is penalised."""
    w = problem.null_model().w.astype(problem.dtype)
    for name, x in (("warm_start['x']", warm.get("x")), ("x0", x0)):
        if x is not None:
            w[:-1] = require_length(as_vector(x, name), problem.size, name)
            break
    if problem.fit_intercept:
        w[-1] = warm.get("intercept", w[-1])
    return w


def column_metric(problem: Any) -> np.ndarray:
    """Squared norms of the columns of (A, 1), at most 1; ones if the penalty does not separate."""
    square = np.ones(problem.size + 1)
    if problem.penalty.offers("prox_1d"):
        square[:-1] = problem.column_curvatures()
        square[-1] = problem.fit_intercept
        largest = square.max()
        # An empty column may take any step: a long one.
        usable = 0 < largest < np.inf
        square = np.maximum(square / largest, 1e-30) if usable else np.ones_like(square)
    return square.astype(problem.dtype)


@inner
def predict_affine(data, w, z):
    """z = X w + b + offset, where w ends in the intercept b."""
    p = n_columns(data.X)
    predict(data.X, w[:p], z)
    for i in range(z.size):
        z[i] += w[p] + data.offset[i]


@inner
def gradient_affine(data, r, g):
    """g = (X' r, sum r or 0): gradient with respect to w = (x, b)."""
    p = n_columns(data.X)
    correlate(data.X, r, g[:p])
    g[p] = r.sum() if data.intercept else r.dtype.type(0)


@inner
def residual(data, w, z, r, g, scratch, step):
    """Objective and unscaled stationarity at w, whose prediction is z; r and g are filled."""
    p = n_columns(data.X)
    fun = loss_gradient(data.loss, data.scale, z, r) + value_of(data.penalty, w[:p])
    gradient_affine(data, r, g)
    worst = stationarity(data.penalty, w[:p], g[:p], step, scratch[:p])
    free = abs(g[p])
    if not free <= worst:
        worst = free
    return fun, worst
