"""Generic functions on blocks, as plain Python.

Called from Python they look the method up on the block; inside a kernel the overloads of
``core/generic.py`` resolve them, by the namedtuple class of the block, to its compiled method.
They stand apart so that blocks made of blocks can name them without importing Numba.
"""

from __future__ import annotations

import numpy as np


def value_1d(block, x, j):
    """Penalty of coordinate j at x, or loss of sample j at prediction x."""
    return block.value_1d(x, j)


def prox_1d(block, x, step, j):
    """argmin_z (z - x)^2 / 2 + step * value_1d(z, j)."""
    return block.prox_1d(x, step, j)


def subdiff_distance_1d(block, x, grad, j):
    """Distance of -grad to the subdifferential of coordinate j's penalty at x."""
    return block.subdiff_distance_1d(x, grad, j)


def gradient_1d(loss, z, i):
    """Derivative of the loss of sample i at prediction z."""
    return loss.gradient_1d(z, i)


def hessian_1d(loss, z, i):
    """Second derivative of the loss of sample i at prediction z."""
    return loss.hessian_1d(z, i)


def conjugate_1d(block, u, i):
    """Convex conjugate of the scalar form at u."""
    return block.conjugate_1d(u, i)


def conjugate_bound_1d(penalty, j):
    """Largest |u| at which the conjugate of coordinate j is finite; 0 if it does not say."""
    return penalty.conjugate_bound_1d(j) if hasattr(penalty, "conjugate_bound_1d") else 0.0


def curvature_1d(penalty, j):
    """r where coordinate j's penalty is r x^2 / 2."""
    return penalty.curvature_1d(j)


def at(value, j):
    """Entry j of an array, or the number itself: blocks take either for bounds and weights."""
    return value[j] if np.ndim(value) else value


def value_of(block, x):
    """Value of a block at a vector."""
    spec = type(block)
    if "value_of" in spec.compiled_methods:
        return block.value_of(x)
    if "value_1d" in spec.compiled_methods:
        total = 0.0
        for j in range(x.size):
            total += value_1d(block, x[j], j)
        return total
    return block.value(x)


def prox_into(block, v, step, out):
    """Write prox_{step * block}(v) into out; v and out may be the same array."""
    spec = type(block)
    if "prox_into" in spec.compiled_methods:
        block.prox_into(v, step, out)
    elif "prox_1d" in spec.compiled_methods:
        for j in range(v.size):
            out[j] = prox_1d(block, v[j], step, j)
    elif "prox" in spec.compiled_methods:
        out[:] = block.prox(v, step)
    else:
        out[:] = block.project(v)


def prox_in_metric(block, v, step, metric, out):
    """Prox in the metric diag(metric) / step: coordinate j takes the step ``step / metric[j]``.

    Blocks that do not separate take `step` itself; for them `metric` has to be ones.
    """
    if "prox_1d" in type(block).compiled_methods:
        for j in range(v.size):
            out[j] = prox_1d(block, v[j], step / metric[j], j)
    else:
        prox_into(block, v, step, out)


def stationarity(block, x, grad, step, scratch):
    """Residual of 0 in grad + subdifferential at x, see `Composite.certificate`.

    The largest distance where the block knows distances, otherwise the norm of the fixed-point
    residual of its prox with `step`; `scratch` has the length of x.
    """
    methods = type(block).compiled_methods
    if "subdiff_distance_of" in methods:
        return block.subdiff_distance_of(x, grad)
    if "subdiff_distance_1d" in methods:
        worst = 0.0
        for j in range(x.size):
            distance = subdiff_distance_1d(block, x[j], grad[j], j)
            if not distance <= worst:
                worst = distance
        return worst
    return fixed_point_residual(block, x, grad, step, scratch)


def fixed_point_residual(block, x, grad, step, scratch):
    """|x - prox(x - step * grad)| / step."""
    for j in range(x.size):
        scratch[j] = x[j] - step * grad[j]
    prox_into(block, scratch, step, scratch)
    total = 0.0
    for j in range(x.size):
        total += (x[j] - scratch[j]) ** 2
    return np.sqrt(total) / step


def dual_terms(loss, scale, shift, penalty, r, g):
    """`separable_dual_terms`, or NaN where a conjugate is not known in scalar form."""
    try:
        return separable_dual_terms(loss, scale, shift, penalty, r, g)
    except AttributeError:
        return np.nan


def separable_dual_terms(loss, scale, shift, penalty, r, g):
    """f*(s r) - s r'shift + penalty*(-s g), with the largest s <= 1 at which they are finite."""
    s = 1.0
    for j in range(g.size):
        if not np.isfinite(conjugate_1d(penalty, -g[j], j)):
            s = min(s, conjugate_bound_1d(penalty, j) / abs(g[j]))
    total = 0.0
    for j in range(g.size):
        total += conjugate_1d(penalty, -s * g[j], j)
    for i in range(r.size):
        if scale[i] > 0:
            total += scale[i] * conjugate_1d(loss, s * r[i] / scale[i], i) - s * r[i] * shift[i]
        elif r[i] != 0:
            return np.inf
    return total
