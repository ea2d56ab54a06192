"""Losses over all samples, as plain Python.

A loss is f(z) = sum_i scale_i loss_i(z_i) unless the block has a `total` of its own, as losses with
several outputs have. Like ``core/stubs.py`` this serves Python as it stands and kernels through the
overloads of ``core/generic.py``.
"""

from __future__ import annotations

import numpy as np

from numopt.core.stubs import conjugate_1d, gradient_1d, hessian_1d, value_1d


def sum_value(loss, scale, z):
    """Loss of a block that is a sum over samples."""
    total = 0.0
    for i in range(z.size):
        total += scale[i] * value_1d(loss, z[i], i)
    return total


def sum_gradient(loss, scale, z, out):
    """... and its gradient."""
    total = 0.0
    for i in range(z.size):
        total += scale[i] * value_1d(loss, z[i], i)
        out[i] = scale[i] * gradient_1d(loss, z[i], i)
    return total


def sum_conjugate(loss, scale, u):
    """... and its conjugate."""
    total = 0.0
    for i in range(u.size):
        if scale[i] > 0:
            total += scale[i] * conjugate_1d(loss, u[i] / scale[i], i)
        elif u[i] != 0:
            return np.inf
    return total


def sum_prox(loss, scale, v, step, out):
    """... and its prox."""
    for i in range(v.size):
        out[i] = sample_prox(loss, v[i], step * scale[i], i)


def total_value(loss, scale, z):
    """f(z)."""
    return type(loss).compiled_methods.get("total", sum_value)(loss, scale, z)


def total_gradient(loss, scale, z, out):
    """Write the gradient of f at z into out and return f(z)."""
    return type(loss).compiled_methods.get("total_gradient", sum_gradient)(loss, scale, z, out)


def total_conjugate(loss, scale, u):
    """f*(u); samples of weight 0 need u_i = 0."""
    return type(loss).compiled_methods.get("total_conjugate", sum_conjugate)(loss, scale, u)


def total_prox(loss, scale, v, step, out):
    """Write argmin_z |z - v|^2 / 2 + step * f(z) into out."""
    return type(loss).compiled_methods.get("total_prox", sum_prox)(loss, scale, v, step, out)


def sample_prox(loss, v, step, i):
    """argmin_z (z - v)^2 / 2 + step * loss_i(z)."""
    return type(loss).compiled_methods.get("prox_1d", newton_prox)(loss, v, step, i)


def newton_prox(loss, v, step, i):
    """Prox of a convex smooth loss: Newton's method, bisection where it does not halve its step."""
    slope = gradient_1d(loss, v, i) * 1.0
    if step == 0 or slope == 0:
        return v
    # The root of z - v + step * slope(z), which increases: on the downhill side of v.
    side = -1.0 if slope > 0 else 1.0
    near, far, reach = v * 1.0, v * 1.0, 1.0
    while True:
        far = v + side * reach
        if not side * (far - v + step * gradient_1d(loss, far, i)) < 0:
            break
        near, reach = far, 2 * reach
    z, last = near, reach
    for _ in range(200):
        excess = z - v + step * gradient_1d(loss, z, i)
        if side * excess < 0:
            near = z
        else:
            far = z
        move = -excess / (1 + step * hessian_1d(loss, z, i))
        if not (abs(move) <= 0.5 * last and (z + move - near) * (z + move - far) <= 0):
            move = near + (far - near) / 2 - z
        before, last = z, abs(move)
        z += move
        if z == before or abs(move) <= 1e-17 * abs(z):
            break
    return z
