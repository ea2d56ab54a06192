"""Generic functions that kernels call on blocks.

Each is a Python stub with a Numba overload. Inside a kernel ``prox_1d(penalty, x, step, j)``
resolves, by the namedtuple class of `penalty`, to that block's own method, compiled for it;
called from Python the stub (``core/stubs.py``) does the same by attribute.
"""

from __future__ import annotations

import numpy as np
from numba import types

from numopt.core.dispatch import generic, method_of
from numopt.core.jit import inner, kernel
from numopt.core.stubs import (
    at,
    conjugate_1d,
    conjugate_bound_1d,
    curvature_1d,
    dual_terms,
    fixed_point_residual,
    gradient_1d,
    hessian_1d,
    prox_1d,
    prox_in_metric,
    prox_into,
    separable_dual_terms,
    stationarity,
    subdiff_distance_1d,
    value_1d,
    value_of,
)
from numopt.core.totals import (
    newton_prox,
    sample_prox,
    sum_conjugate,
    sum_gradient,
    sum_prox,
    sum_value,
    total_conjugate,
    total_gradient,
    total_prox,
    total_value,
)

# ---- scalar forms --------------------------------------------------------------------------------


@generic(value_1d)
def _value_1d(block, x, j):
    return method_of(block, "value_1d")


@generic(prox_1d)
def _prox_1d(block, x, step, j):
    return method_of(block, "prox_1d")


@generic(subdiff_distance_1d)
def _subdiff_distance_1d(block, x, grad, j):
    return method_of(block, "subdiff_distance_1d")


@generic(gradient_1d)
def _gradient_1d(loss, z, i):
    return method_of(loss, "gradient_1d")


@generic(hessian_1d)
def _hessian_1d(loss, z, i):
    return method_of(loss, "hessian_1d")


@generic(conjugate_1d)
def _conjugate_1d(block, u, i):
    return method_of(block, "conjugate_1d")


@generic(conjugate_bound_1d)
def _conjugate_bound_1d(penalty, j):
    return method_of(penalty, "conjugate_bound_1d") or (lambda penalty, j: 0.0)


@generic(curvature_1d)
def _curvature_1d(penalty, j):
    return method_of(penalty, "curvature_1d")


@generic(at)
def _at(value, j):
    if isinstance(value, types.Array):
        return lambda value, j: value[j]
    return lambda value, j: value


# ---- vector forms --------------------------------------------------------------------------------


@generic(value_of)
def _value_of(block, x):
    whole = method_of(block, "value_of") or method_of(block, "value")
    if whole is not None:
        return whole
    if method_of(block, "value_1d") is not None:

        def separable(block, x):
            total = 0.0
            for j in range(x.size):
                total += value_1d(block, x[j], j)
            return total

        return separable
    return None


@generic(prox_into)
def _prox_into(block, v, step, out):
    whole = method_of(block, "prox_into")
    if whole is not None:
        return whole
    if method_of(block, "prox_1d") is not None:

        def separable(block, v, step, out):
            for j in range(v.size):
                out[j] = prox_1d(block, v[j], step, j)

        return separable
    if prox_method := method_of(block, "prox"):
        prox = inner(prox_method)

        def allocating(block, v, step, out):
            out[:] = prox(block, v, step)

        return allocating
    if project_method := method_of(block, "project"):
        project = inner(project_method)

        def projecting(block, v, step, out):
            out[:] = project(block, v)

        return projecting
    return None


@generic(prox_in_metric)
def _prox_in_metric(block, v, step, metric, out):
    if method_of(block, "prox_1d") is not None:

        def separable(block, v, step, metric, out):
            for j in range(v.size):
                out[j] = prox_1d(block, v[j], step / metric[j], j)

        return separable
    return lambda block, v, step, metric, out: prox_into(block, v, step, out)


@generic(fixed_point_residual)
def _fixed_point_residual(block, x, grad, step, scratch):
    return fixed_point_residual


@generic(stationarity)
def _stationarity(block, x, grad, step, scratch):
    if whole_method := method_of(block, "subdiff_distance_of"):
        whole = inner(whole_method)
        return lambda block, x, grad, step, scratch: whole(block, x, grad)
    if method_of(block, "subdiff_distance_1d") is not None:

        def separable(block, x, grad, step, scratch):
            worst = 0.0
            for j in range(x.size):
                distance = subdiff_distance_1d(block, x[j], grad[j], j)
                if not distance <= worst:  # keeps NaN
                    worst = distance
            return worst

        return separable
    return lambda block, x, grad, step, scratch: fixed_point_residual(block, x, grad, step, scratch)


# ---- losses over all samples ---------------------------------------------------------------------
# f(z) = sum_i scale_i loss_i(z_i), unless the block has a `total` of its own.


@generic(total_value)
def _total_value(loss, scale, z):
    return method_of(loss, "total") or sum_value


@generic(total_gradient)
def _total_gradient(loss, scale, z, out):
    return method_of(loss, "total_gradient") or sum_gradient


@generic(total_conjugate)
def _total_conjugate(loss, scale, u):
    return method_of(loss, "total_conjugate") or sum_conjugate


@generic(total_prox)
def _total_prox(loss, scale, v, step, out):
    return method_of(loss, "total_prox") or sum_prox


@generic(sample_prox)
def _sample_prox(loss, v, step, i):
    return method_of(loss, "prox_1d") or newton_prox


@kernel
def loss_value(loss, scale, z):
    """f(z)."""
    return total_value(loss, scale, z)


@kernel
def loss_gradient(loss, scale, z, out):
    """Write the gradient of f at z into out and return f(z)."""
    return total_gradient(loss, scale, z, out)


@kernel
def loss_hessian(loss, scale, z):
    """Diagonal of the Hessian of f at z."""
    out = np.empty_like(z)
    for i in range(z.size):
        out[i] = scale[i] * hessian_1d(loss, z[i], i)
    return out


@kernel
def loss_conjugate(loss, scale, u):
    """f*(u)."""
    return total_conjugate(loss, scale, u)


@kernel
def loss_prox(loss, scale, v, step):
    """Prox of f at v, in a new array."""
    out = np.empty_like(v)
    total_prox(loss, scale, v, step, out)
    return out


# ---- certificates --------------------------------------------------------------------------------


@generic(dual_terms)
def _dual_terms(loss, scale, shift, penalty, r, g):
    if method_of(loss, "conjugate_1d") is None or method_of(penalty, "conjugate_1d") is None:
        return lambda loss, scale, shift, penalty, r, g: np.nan
    return separable_dual_terms


@kernel
def judge(loss, scale, shift, penalty, x, g, step, r_dual, g_dual):
    """Penalty at x, its residual with the gradient g, and `dual_terms` at (r_dual, g_dual)."""
    residual = stationarity(penalty, x, g, step, np.empty_like(x))
    dual = dual_terms(loss, scale, shift, penalty, r_dual, g_dual)
    return value_of(penalty, x), residual, dual


# ---- the public methods of penalties, over generic scalar forms ----------------------------------


@kernel
def penalty_value(penalty, x):
    """Value of a penalty at x."""
    return value_of(penalty, x)


@kernel
def penalty_prox(penalty, v, step):
    """Prox of a penalty at v, in a new array."""
    out = np.empty_like(v)
    prox_into(penalty, v, step, out)
    return out


@kernel
def penalty_distances(penalty, x, grad):
    """Per coordinate, the distance of -grad to the subdifferential at x."""
    out = np.empty_like(x)
    for j in range(x.size):
        out[j] = subdiff_distance_1d(penalty, x[j], grad[j], j)
    return out


@kernel
def penalty_distance(penalty, x, grad):
    """Largest distance of -grad to the subdifferential at x."""
    return stationarity(penalty, x, grad, 1.0, x)


@kernel
def penalty_conjugate(penalty, u):
    """Conjugate of a separable penalty at u."""
    total = 0.0
    for j in range(u.size):
        total += conjugate_1d(penalty, u[j], j)
    return total


@kernel
def penalty_dual_scale(penalty, u):
    """Largest s <= 1 such that the conjugate is finite at s u, for separable penalties."""
    s = 1.0
    for j in range(u.size):
        if not np.isfinite(conjugate_1d(penalty, u[j], j)):
            s = min(s, conjugate_bound_1d(penalty, j) / abs(u[j]))
    return s
