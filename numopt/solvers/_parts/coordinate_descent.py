"""Kernels of working-set methods for `Composite`: passes over the data, screening, line search."""

from __future__ import annotations

import numpy as np
from numba import types

from numopt.core.dispatch import generic, method_of
from numopt.core.generic import (
    conjugate_1d,
    conjugate_bound_1d,
    dual_terms,
    hessian_1d,
    loss_gradient,
    loss_value,
    value_of,
)
from numopt.core.jit import inner, kernel
from numopt.core.matrices import CSC, Outputs, col_dot, n_columns, predict
from numopt.solvers._parts.composite import predict_affine
from numopt.solvers._parts.units import coordinate, span, stays_zero, violation_of

# What `standing` says of a unit: in every pass; left out until the others are done, since it seems
# to stay 0; proven to be 0 at the optimum.
IN_PLAY, ASIDE, OUT = range(3)


def _outputs(X):
    return getattr(X, "instance_class", None) is Outputs


def column_dot(X, j, r):
    """x_j' r, of coefficient j where there are several outputs."""
    if isinstance(X, Outputs):
        return col_dot(X.X, j // X.outputs, r[j % X.outputs :: X.outputs])
    return col_dot(X, j, r)


@generic(column_dot)
def _column_dot(X, j, r):
    if _outputs(X):
        return lambda X, j, r: col_dot(X.X, j // X.outputs, r[j % X.outputs :: X.outputs])
    return lambda X, j, r: col_dot(X, j, r)


def weighted_square(X, j, h):
    """sum_i h_i x_ij^2."""
    if isinstance(X, Outputs):
        return weighted_square(X.X, j // X.outputs, h[j % X.outputs :: X.outputs])
    if isinstance(X, CSC):
        start, stop = X.indptr[j], X.indptr[j + 1]
        return h[X.indices[start:stop]] @ X.data[start:stop] ** 2
    return h @ X[:, j] ** 2


@generic(weighted_square)
def _weighted_square(X, j, h):
    if _outputs(X):
        return lambda X, j, h: weighted_square(X.X, j // X.outputs, h[j % X.outputs :: X.outputs])
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


def _scalar_feasible_scale(penalty, g):
    s = 1.0
    for j in range(g.size):
        if not np.isfinite(conjugate_1d(penalty, g[j], j)):
            s = min(s, conjugate_bound_1d(penalty, j) / g[j])
    return s


def feasible_scale(penalty, g):
    """Largest s <= 1 at which the conjugate of the penalty is finite at s g, where it is known."""
    if "conjugate_1d" in type(penalty).compiled_methods:
        return _scalar_feasible_scale(penalty, g)
    return 1.0


@generic(feasible_scale)
def _feasible_scale(penalty, g):
    if method_of(penalty, "conjugate_1d") is None:
        return lambda penalty, g: 1.0
    return _scalar_feasible_scale


@kernel
def column_dots(X, index, h, out):
    """out = X_W' h."""
    for k in range(index.size):
        out[k] = column_dot(X, index[k], h)


@kernel
def full_pass(data, w, z, r, g, curvature, violation, standing, known):
    """Prediction, gradients and violations at w = (x, b) of the units in play, from scratch.

    Where the gradient is `known`, g holds it already. Returns the objective and the largest
    violation, the intercept's included.
    """
    p = n_columns(data.X)
    predict_affine(data, w, z)
    fun = loss_gradient(data.loss, data.scale, z, r) + value_of(data.penalty, w[:p])
    free = constants(data, r, g)
    return fun, max(free, visit(data, w, r, g, curvature, violation, standing, IN_PLAY, known))


@inner
def constants(data, r, g):
    """Gradients of the intercepts; the largest."""
    p = n_columns(data.X)
    K, worst = g.size - p, 0.0
    for k in range(K):
        g[p + k] = 0
        if data.intercept:
            for i in range(k, r.size, K):
                g[p + k] += r[i]
        if not abs(g[p + k]) <= worst:
            worst = abs(g[p + k])
    return worst


@kernel
def visit(data, w, r, g, curvature, violation, standing, which, known):
    """Gradients and violations of the units that stand `which` way, where r is up to date."""
    worst, p = 0.0, n_columns(data.X)
    for u in range(standing.size):
        if standing[u] != which:
            violation[u] = 0
            continue
        if not known:
            start, stop = span(data.penalty, u)
            for k in range(start, stop):
                j = coordinate(data.penalty, k)
                g[j] = column_dot(data.X, j, r)
        violation[u] = violation_of(data.penalty, w[:p], g[:p], curvature, u)
        if not violation[u] <= worst:
            worst = violation[u]
    return worst


@kernel
def revisit(data, units, index, w, z, r, g, curvature, violation):
    """The same of the working set alone, where the prediction is up to date."""
    p = n_columns(data.X)
    fun = loss_gradient(data.loss, data.scale, z, r) + value_of(data.penalty, w[:p])
    worst = constants(data, r, g)
    for k in range(index.size):
        g[index[k]] = column_dot(data.X, index[k], r)
    for k in range(units.size):
        u = units[k]
        violation[u] = violation_of(data.penalty, w[:p], g[:p], curvature, u)
        if not violation[u] <= worst:
            worst = violation[u]
    return fun, worst


@kernel
def set_aside(data, w, g, reach, standing, scratch):
    """Leave out the units that stay 0 if no gradient moves by more than `reach`; how many."""
    p, count = n_columns(data.X), 0
    for u in range(standing.size):
        if standing[u] == IN_PLAY and stays_zero(data.penalty, w[:p], g[:p], reach, u, scratch):
            standing[u] = ASIDE
            count += 1
    return count


@kernel
def rule_out(data, w, r, g, fun, smoothness, norms, standing, scratch):
    """Leave out for good what the duality gap proves to be 0 at the optimum; how many.

    The dual objective is strongly concave: the optimal dual point lies within
    sqrt(2 smoothness gap) of any other, in the norm sum_i u_i^2 / scale_i, so that gradient j is
    off by no more than that times the weighted norm of column j. Gradients have to be up to date
    in all units that are not out yet.
    """
    p, count = n_columns(data.X), 0
    u, excess = r, 0.0
    if data.intercept:  # the dual point has to sum to 0
        excess = abs(g[p])
        u = r - data.scale * g[p]
    # What gradients can be off by is added to their size, so that the point is feasible for sure.
    for j in range(p):
        scratch[j] = abs(g[j]) + excess * norms[j]
    s = feasible_scale(data.penalty, scratch[:p])
    for j in range(p):
        scratch[j] *= s
    dual = dual_terms(data.loss, data.scale, data.offset, data.penalty, s * u, scratch[:p])
    if not np.isfinite(dual):
        return count
    gap = max(fun + dual, 0.0) + 1e-15 * abs(fun)
    radius = 1.000001 * (np.sqrt(2 * smoothness * gap) + s * excess)
    for j in range(p):
        scratch[j] = s * g[j]
    for j in range(standing.size):  # singles: no conjugate of groups is known in scalar form
        reach = radius * norms[j]
        if standing[j] != OUT and stays_zero(data.penalty, w[:p], scratch, reach, j, scratch):
            standing[j] = OUT
            count += 1
    return count


@inner
def column_squares(X, index, h, out):
    """out_j = sum_i h_i x_ij^2 for the columns listed, kept above 0."""
    for k in range(index.size):
        out[index[k]] = max(weighted_square(X, index[k], h), 1e-300)


@kernel
def curvatures(data, z, h, index, out, bound):
    """Weights h_i = scale_i loss''(z_i), floored, and curvatures sum_i h_i x_ij^2 of columns.

    Second derivatives below `bound` are lifted to it.
    """
    largest = 0.0
    for i in range(z.size):
        h[i] = max(hessian_1d(data.loss, z[i], i), bound)
        if data.scale[i] > 0:
            largest = max(largest, h[i])
    # A flat sample (saturated, or beyond Huber's delta) still gets a little curvature.
    for i in range(z.size):
        h[i] = data.scale[i] * max(h[i], 1e-6 * largest)
    column_squares(data.X, index, h, out)


@kernel
def even_curvatures(data, h, index, out):
    """The same where 1/2 bounds the Hessian of each sample's loss of several outputs."""
    K = h.size // data.scale.size
    for i in range(h.size):
        h[i] = 0.5 * data.scale[i // K]
    column_squares(data.X, index, h, out)


@kernel
def search(data, w, z, r, step, fun, noise, halvings):
    """Backtrack along the step until the objective has fallen enough; whether it has.

    w and z are moved there.
    """
    p = n_columns(data.X)
    dz = np.empty_like(z)
    predict(data.X, step[:p], dz)
    slope, K = 0.0, w.size - p
    for i in range(z.size):
        dz[i] += step[p + i % K]
        slope += r[i] * dz[i]
    full, there = w + step, np.empty_like(z)
    decrease = slope + value_of(data.penalty, full[:p]) - value_of(data.penalty, w[:p])
    t = 1.0
    for _ in range(halvings):
        for j in range(w.size):
            full[j] = w[j] + t * step[j]
        for i in range(z.size):
            there[i] = z[i] + t * dz[i]
        value = loss_value(data.loss, data.scale, there) + value_of(data.penalty, full[:p])
        if value <= fun + 1e-4 * t * min(decrease, 0.0) + noise:
            w[:] = full
            z[:] = there
            return True
        t *= 0.5
    return False
