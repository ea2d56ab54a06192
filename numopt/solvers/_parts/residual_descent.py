"""Coordinate descent without a Gram matrix, with Anderson extrapolation: large working sets."""

from __future__ import annotations

import numpy as np
from numba import types

from numopt.core.dispatch import generic
from numopt.core.generic import prox_1d
from numopt.core.jit import inner, kernel
from numopt.core.matrices import CSC, Outputs
from numopt.solvers._parts.coordinate_descent import _outputs, column_dot
from numopt.solvers._parts.units import grouped, method_of, value_on, violation_1d

DEPTH = 5  # sweeps between two extrapolations


def weighted_axpy(X, j, a, h, r):
    """R += a * h * x_j."""
    if isinstance(X, Outputs):
        K, k = X.outputs, j % X.outputs
        weighted_axpy(X.X, j // K, a, h[k::K], r[k::K])
        return
    if isinstance(X, CSC):
        start, stop = X.indptr[j], X.indptr[j + 1]
        rows = X.indices[start:stop]
        r[rows] += a * h[rows] * X.data[start:stop]
    else:
        r += a * h * X[:, j]


@generic(weighted_axpy)
def _weighted_axpy(X, j, a, h, r):
    if _outputs(X):

        def strided(X, j, a, h, r):
            K, k = X.outputs, j % X.outputs
            weighted_axpy(X.X, j // K, a, h[k::K], r[k::K])

        return strided
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


def _single_pass(penalty, data, model, h, curvature, u, floor):
    worst, w = 0.0, model.w
    for k in range(model.units.size):
        j = model.units[k]
        L = max(curvature[j], floor)
        grad = column_dot(data.X, j, u)
        violation = violation_1d(penalty, w[k], grad, L, j)
        if not violation <= worst:
            worst = violation
        if violation == 0 or not curvature[j] > 1e-300:
            continue
        new = prox_1d(penalty, w[k] - grad / L, 1.0 / L, j)
        d = new - w[k]
        if d != 0:
            w[k] = new
            weighted_axpy(data.X, j, d, h, u)
    return worst


def _group_pass(penalty, data, model, h, curvature, u, floor):
    worst, w, x, v = 0.0, model.w, model.x, model.v
    for k in range(model.units.size):
        L = 0.0
        for t in range(model.starts[k], model.starts[k + 1]):
            j = model.members[t]
            x[j], v[j] = w[t], column_dot(data.X, j, u)
            L += curvature[j]
        violation = penalty.subdiff_distance_group(x, v, model.units[k])
        if not violation <= worst:
            worst = violation
        if violation == 0 or not L > 1e-290:
            continue
        L = max(L, floor)
        for t in range(model.starts[k], model.starts[k + 1]):
            v[model.members[t]] = w[t] - v[model.members[t]] / L
        penalty.prox_group(v, 1.0 / L, model.units[k], v)
        for t in range(model.starts[k], model.starts[k + 1]):
            d = v[model.members[t]] - w[t]
            if d != 0:
                w[t] = v[model.members[t]]
                weighted_axpy(data.X, model.members[t], d, h, u)
    return worst


def one_pass(penalty, data, model, h, curvature, u, floor):
    """One cycle of proximal steps over the units; u = r + h * (X d + db) is kept up to date."""
    form = _group_pass if grouped(penalty) else _single_pass
    return form(penalty, data, model, h, curvature, u, floor)


@generic(one_pass)
def _one_pass(penalty, data, model, h, curvature, u, floor):
    return _group_pass if method_of(penalty, "prox_group") is not None else _single_pass


@inner
def combination(D, c):
    """Weights of sum 1 that make the combination of the steps D least; False if there are none."""
    m = c.size
    G = np.empty((m, m))
    trace = 0.0
    for a in range(m):
        for b in range(m):
            total = 0.0
            for k in range(D.shape[1]):
                total += D[a, k] * D[b, k]
            G[a, b] = total
        trace += G[a, a]
        c[a] = 1.0
    for a in range(m):
        G[a, a] += 1e-12 * trace
    for a in range(m):  # elimination: definite, so that no pivoting is needed
        if not G[a, a] > 0:
            return False
        for b in range(a + 1, m):
            factor = G[b, a] / G[a, a]
            for k in range(a, m):
                G[b, k] -= factor * G[a, k]
            c[b] -= factor * c[a]
    total = 0.0
    for a in range(m - 1, -1, -1):
        for b in range(a + 1, m):
            c[a] -= G[a, b] * c[b]
        c[a] /= G[a, a]
        total += c[a]
    for a in range(m):
        c[a] /= total
    return np.isfinite(total) and abs(total) > 0


@inner
def model_value(penalty, model, w, u, r, h):
    """The quadratic model and the penalty at w, where the residual is u."""
    total = value_on(penalty, model, w)
    for i in range(u.size):
        if h[i] > 0:
            total += 0.5 * (u[i] * u[i] - r[i] * r[i]) / h[i]
    return total


@kernel
def descend_residual(penalty, data, model, r, h, curvature, u, shift, tol, sweeps, floor):
    """Cyclic proximal steps on the model with weights h at gradient r, without a Gram matrix.

    With an intercept its shift db is minimised over before every sweep. Every few sweeps the last
    iterates are extrapolated, which counts where it lowers the model. Returns the largest
    violation and adds db to `shift`.
    """
    n, m = u.size, model.w.size
    points, images = np.empty((DEPTH + 1, m), u.dtype), np.empty((DEPTH + 1, n), u.dtype)
    K = shift.size
    shifts, steps, c = np.empty((DEPTH + 1, K)), np.empty((DEPTH, m)), np.empty(DEPTH)
    worst, stored = 0.0, 0
    for _ in range(sweeps):
        if data.intercept:
            for k in range(K):
                total, mass = 0.0, 0.0
                for i in range(k, n, K):
                    total += u[i]
                    mass += h[i]
                shift[k] -= total / mass
                for i in range(k, n, K):
                    u[i] -= h[i] * (total / mass)
        worst = one_pass(penalty, data, model, h, curvature, u, floor)
        if worst <= tol:
            break
        points[stored], images[stored], shifts[stored] = model.w, u, shift
        stored += 1
        if stored <= DEPTH:
            continue
        stored = 0
        for a in range(DEPTH):
            for k in range(m):
                steps[a, k] = points[a + 1, k] - points[a, k]
        if not combination(steps, c):
            continue
        w_new, u_new, shift_new = np.zeros_like(model.w), np.zeros_like(u), np.zeros_like(shift)
        for a in range(DEPTH):
            for k in range(K):
                shift_new[k] += c[a] * shifts[a + 1, k]
            for k in range(m):
                w_new[k] += c[a] * points[a + 1, k]
            for i in range(n):
                u_new[i] += c[a] * images[a + 1, i]
        before = model_value(penalty, model, model.w, u, r, h)
        if model_value(penalty, model, w_new, u_new, r, h) < before:
            shift[:] = shift_new
            model.w[:] = w_new
            u[:] = u_new
    return worst
