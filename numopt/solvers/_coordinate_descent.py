"""Kernels of coordinate descent on quadratic models of `Composite` problems."""

from __future__ import annotations

import numpy as np
from numba import types

from numopt.core.generic import (
    CSC,
    col_axpy,
    col_dot,
    generic,
    hessian_1d,
    loss_gradient,
    loss_value,
    method_of,
    n_columns,
    prox_1d,
    subdiff_distance_1d,
    value_of,
)
from numopt.core.jit import kernel
from numopt.solvers._composite import gradient_affine, predict_affine


def violation_1d(penalty, x, grad, curvature, j):
    """How far coordinate j is from stationary: subdifferential distance or scaled prox move."""
    if "subdiff_distance_1d" in type(penalty).compiled_methods:
        return subdiff_distance_1d(penalty, x, grad, j)
    step = 1.0 / curvature
    return abs(x - prox_1d(penalty, x - step * grad, step, j)) * curvature


@generic(violation_1d)
def _violation_1d(penalty, x, grad, curvature, j):
    if method_of(penalty, "subdiff_distance_1d") is not None:
        return lambda penalty, x, grad, curvature, j: subdiff_distance_1d(penalty, x, grad, j)

    def moved(penalty, x, grad, curvature, j):
        step = 1.0 / curvature
        return abs(x - prox_1d(penalty, x - step * grad, step, j)) * curvature

    return moved


def weighted_square(X, j, h):
    """sum_i h_i x_ij^2."""
    if isinstance(X, CSC):
        start, stop = X.indptr[j], X.indptr[j + 1]
        return h[X.indices[start:stop]] @ X.data[start:stop] ** 2
    return h @ X[:, j] ** 2


@generic(weighted_square)
def _weighted_square(X, j, h):
    if isinstance(X, types.Array):

        def dense(X, j, h):
            total = 0.0
            for i in range(h.size):
                total += h[i] * X[i, j] * X[i, j]
            return total

        return dense

    def sparse(X, j, h):
        total = 0.0
        for k in range(X.indptr[j], X.indptr[j + 1]):
            total += h[X.indices[k]] * X.data[k] * X.data[k]
        return total

    return sparse


def weighted_axpy(X, j, a, h, r):
    """R += a h * x_j."""
    if isinstance(X, CSC):
        start, stop = X.indptr[j], X.indptr[j + 1]
        rows = X.indices[start:stop]
        r[rows] += a * h[rows] * X.data[start:stop]
    else:
        r += a * h * X[:, j]


@generic(weighted_axpy)
def _weighted_axpy(X, j, a, h, r):
    if isinstance(X, types.Array):

        def dense(X, j, a, h, r):
            for i in range(r.size):
                r[i] += a * h[i] * X[i, j]

        return dense

    def sparse(X, j, a, h, r):
        for k in range(X.indptr[j], X.indptr[j + 1]):
            i = X.indices[k]
            r[i] += a * h[i] * X.data[k]

    return sparse


@kernel
def full_pass(data, w, z, r, g, curvature, violation, known):
    """Prediction, gradients and violations of all coordinates at w = (x, b), from scratch.

    Where the gradient is `known`, g holds it already. Returns the objective and the largest
    violation, the intercept's included.
    """
    p = n_columns(data.X)
    predict_affine(data, w, z)
    fun = loss_gradient(data.loss, data.scale, z, r) + value_of(data.penalty, w[:p])
    if not known:
        gradient_affine(data, r, g)
    worst = abs(g[p])
    for j in range(p):
        violation[j] = violation_1d(data.penalty, w[j], g[j], curvature[j], j)
        if not violation[j] <= worst:
            worst = violation[j]
    return fun, worst


@kernel
def curvatures(data, z, h, out, bound):
    """Weights h_i = scale_i loss''(z_i), floored, and column curvatures sum_i h_i x_ij^2.

    Second derivatives below `bound` are lifted to it.
    """
    largest = 0.0
    for i in range(z.size):
        h[i] = data.scale[i] * max(hessian_1d(data.loss, z[i], i), bound)
        largest = max(largest, h[i])
    # A flat sample (saturated, or beyond Huber's delta) still gets a little curvature.
    for i in range(z.size):
        h[i] = max(h[i], 1e-6 * largest)
    if out.size:
        for j in range(n_columns(data.X)):
            out[j] = max(weighted_square(data.X, j, h), 1e-300)


@kernel
def gather(X, index, out):
    """Columns `index` of X, dense, in Fortran order."""
    for k in range(index.size):
        for i in range(out.shape[0]):
            out[i, k] = 0
        col_axpy(X, index[k], 1.0, out[:, k])


@kernel
def descend(penalty, index, Q, q, w, tol, sweeps, floor):
    """Cyclic coordinate descent on q'd + d'Qd/2 + sum phi(w + d), in place.

    Curvatures below `floor` are raised to it: above a penalty's concavity its prox is continuous,
    so that coordinates slide to the next stationary point instead of jumping past it.

    q is the gradient at w and is kept up to date. Returns the largest violation of the last sweep
    and how many sweeps were done.
    """
    worst = 0.0
    for sweep in range(sweeps):
        worst = 0.0
        for k in range(index.size):
            if not Q[k, k] > 0:
                continue
            curvature = max(Q[k, k], floor)
            violation = violation_1d(penalty, w[k], q[k], curvature, index[k])
            if not violation <= worst:
                worst = violation
            if violation == 0:
                continue
            step = 1.0 / curvature
            new = prox_1d(penalty, w[k] - step * q[k], step, index[k])
            d = new - w[k]
            if d != 0:
                w[k] = new
                for i in range(q.size):
                    q[i] += d * Q[i, k]
        if worst <= tol:
            return worst, sweep + 1
    return worst, sweeps


@kernel
def descend_residual(data, index, h, curvature, u, mass, w, tol, sweeps, floor):
    """The same without a Gram matrix: u = r + h * (X d + db) is kept up to date instead.

    With an intercept its shift db is minimised over after every move; `mass` is sum h. Returns
    the largest violation, the sweeps done and db.
    """
    worst, shift = 0.0, 0.0
    for sweep in range(sweeps):
        worst = 0.0
        if data.intercept:
            total = 0.0
            for i in range(u.size):
                total += u[i]
            db = -total / mass
            shift += db
            for i in range(u.size):
                u[i] += h[i] * db
        for k in range(index.size):
            j = index[k]
            L = max(curvature[j], floor)
            grad = col_dot(data.X, j, u)
            violation = violation_1d(data.penalty, w[k], grad, L, j)
            if not violation <= worst:
                worst = violation
            if violation == 0 or not curvature[j] > 1e-300:
                continue
            new = prox_1d(data.penalty, w[k] - grad / L, 1.0 / L, j)
            d = new - w[k]
            if d != 0:
                w[k] = new
                weighted_axpy(data.X, j, d, h, u)
        if worst <= tol:
            return worst, sweep + 1, shift
    return worst, sweeps, shift


@kernel
def objective_along(data, w, z, dw, dz, t):
    """Objective at (w, z) + t (dw, dz)."""
    p = n_columns(data.X)
    w_new = np.empty_like(w)
    z_new = np.empty_like(z)
    for j in range(w.size):
        w_new[j] = w[j] + t * dw[j]
    for i in range(z.size):
        z_new[i] = z[i] + t * dz[i]
    return loss_value(data.loss, data.scale, z_new) + value_of(data.penalty, w_new[:p])
