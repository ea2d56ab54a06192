"""Residuals of conic programs, in compiled passes over the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.cones import Product, project_into
from numopt.linalg.sparse import CSR, row_axpy, row_dot
from numopt.problems._qp_kernels import ROUNDED, row_size


class Arrays(NamedTuple):
    """A conic program as kernels see it."""

    P: CSR  # CSR of the whole symmetric P
    A: CSR  # CSR of A', that is A by columns
    q: np.ndarray
    b: np.ndarray
    cones: Product


@inner(merged=True)
def _largest(a, b):
    """The larger magnitude; NaN wins."""
    b = abs(b)
    return a if b <= a or a != a else b


@kernel(contract=True)
def slack(data, x, s):
    """S = the member of the cones nearest to b - Ax."""
    for i in range(s.size):
        s[i] = data.b[i]
    for j in range(x.size):
        row_axpy(data.A, j, -x[j], s)
    project_into(data.cones, s, False, s)


@kernel(contract=True)
def kkt_residuals(data, x, y):
    """Primal, dual and gap residual, each relative, and the objective.

    What y lies outside the dual cone counts as dual residual and not in the gap.
    """
    P, A, q, b, cones = data
    n, m = q.size, b.size
    Ax, near = np.zeros(m), np.empty(m)
    for j in range(n):
        row_axpy(A, j, x[j], Ax)
    for i in range(m):
        near[i] = b[i] - Ax[i]
    project_into(cones, near, False, near)
    outside, scale = 0.0, 0.0
    for i in range(m):
        side = b[i] - near[i]
        outside = _largest(outside, Ax[i] - side)
        scale = max(scale, abs(Ax[i]), abs(side))
    primal = outside / (1 + scale)
    project_into(cones, y, True, near)
    support, wrong = 0.0, 0.0
    for i in range(m):
        wrong = _largest(wrong, y[i] - near[i])
        support += b[i] * near[i]
    dual, scale, quadratic, linear = 0.0, 0.0, 0.0, 0.0
    for j in range(n):
        Px, Ay = row_dot(P, j, x), row_dot(A, j, y)
        dual = _largest(dual, Px + q[j] + Ay)
        scale = max(scale, abs(Px), abs(q[j]), abs(Ay))
        quadratic += x[j] * Px
        linear += x[j] * q[j]
    dual = _largest(dual, wrong) / (1 + scale)
    gap = abs(quadratic + linear + support)
    gap /= 1 + max(abs(quadratic), abs(linear), abs(support))
    return primal, dual, gap, 0.5 * quadratic + linear


@kernel
def reaches(data):
    """The largest |b| in units of its row, and the largest entry of every row.

    Rows of a second-order cone have their largest entry in common.
    """
    A, b, cones = data.A, data.b, data.cones
    rows = np.zeros(b.size)
    for k in range(A.data.size):
        rows[A.indices[k]] = max(rows[A.indices[k]], abs(A.data[k]))
    for c in range(cones.starts.size - 1):
        top = 0.0
        for i in range(cones.starts[c], cones.starts[c + 1]):
            top = max(top, rows[i])
        for i in range(cones.starts[c], cones.starts[c + 1]):
            rows[i] = top
    reach = 0.0
    for i in range(b.size):
        if rows[i] > 0:
            reach = max(reach, abs(b[i]) / rows[i])
    return reach, rows


@kernel(contract=True)
def farkas_residual(data, y):
    """Move y into the dual cone, scaled to largest magnitude 1.

    Returns (-b'y, |A'y|, the same relative to the largest entry of its column, rounding).
    """
    A, b = data.A, data.b
    project_into(data.cones, y, True, y)
    largest, value, terms, residual, relative = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(y.size):
        largest = _largest(largest, y[i])
    if not (largest > 0 and largest < np.inf):
        return -1.0, np.inf, np.inf, 0.0
    for i in range(y.size):
        y[i] /= largest
        value -= b[i] * y[i]
        terms += abs(b[i] * y[i])
    for j in range(data.q.size):
        r = row_dot(A, j, y)
        residual = _largest(residual, r)
        if r != 0:
            relative = _largest(relative, r / row_size(A, j))
    return value, residual, relative, terms * 1e-15


@kernel(contract=True)
def ray_residual(data, rows, d):
    """Scale a ray in place to largest magnitude 1.

    Returns (-q'd, |Pd|, violation, relative residual, rounding). The violation is how far -Ad lies
    outside the cone, relative to the largest entry of each row, as are both in the residual.
    """
    P, A, q, b, cones = data
    largest = 0.0
    for j in range(d.size):
        largest = _largest(largest, d[j])
    if not (largest > 0 and largest < np.inf):
        return -1.0, np.inf, np.inf, np.inf, 0.0
    Ad, near = np.zeros(b.size), np.empty(b.size)
    slope, terms, curved, violation = 0.0, 0.0, 0.0, 0.0
    for j in range(d.size):
        d[j] /= largest
        row_axpy(A, j, -d[j], Ad)
        slope -= q[j] * d[j]
        terms += abs(q[j] * d[j])
    relative, most = 0.0, np.abs(P.data).max() if P.data.size else 0.0
    for j in range(d.size):
        r = row_dot(P, j, d)
        curved = _largest(curved, r)
        if r != 0:
            relative = _largest(relative, r / max(row_size(P, j), ROUNDED * most))
    project_into(cones, Ad, False, near)
    for i in range(b.size):
        if Ad[i] != near[i]:
            violation = _largest(violation, (Ad[i] - near[i]) / rows[i])
    return slope, curved, violation, max(relative, violation), terms * 1e-15
