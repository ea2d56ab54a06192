"""Residuals of quadratic programs, in compiled passes over the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.sparse import CSR, row_axpy, row_dot

# What proofs leave has to be this much less than their tolerance in units of the largest entry of
# its row or column: far away, small entries decide.
STRICTER = 100.0
# Rows of P below this part of its largest entry are taken for what is left of sums that cancel.
ROUNDED = 1e-13
# Rounding of a sum, in units of the magnitudes of its terms: four times the machine's.
ROUNDING = 9e-16


class Arrays(NamedTuple):
    """A quadratic program as kernels see it."""

    P: CSR  # CSR of the whole symmetric P
    A: CSR  # CSR of A', that is A by columns
    q: np.ndarray
    l: np.ndarray  # noqa: E741
    u: np.ndarray
    lb: np.ndarray
    ub: np.ndarray


@kernel
def acceptable(q, l, u, lb, ub):  # noqa: E741
    """Whether no cost is NaN or infinite, and no bound NaN or infinite on the wrong side."""
    fine = True
    for j in range(q.size):
        fine = fine and abs(q[j]) < np.inf and lb[j] < np.inf and ub[j] > -np.inf
    for i in range(l.size):
        fine = fine and l[i] < np.inf and u[i] > -np.inf
    return fine


@kernel
def same_layout(data, indices, indptr, known_indices, known_indptr):
    """Whether a matrix has finite entries, and in the places that are known."""
    if data.size != known_indices.size or indices.size != data.size:
        return False
    for j in range(indptr.size):
        if indptr[j] != known_indptr[j]:
            return False
    same, size = True, 0.0
    for k in range(data.size):
        same = same and indices[k] == known_indices[k]
        size = max(size, abs(data[k])) if data[k] == data[k] else np.inf
    return same and size < np.inf


@inner(merged=True)
def _largest(a, b):
    """The larger magnitude; NaN wins."""
    b = abs(b)
    return a if b <= a or a != a else b


@inner(merged=True)
def _outside(v, low, high):
    """How far v lies outside [low, high]; NaN stays."""
    return max(low - v, 0.0) if v < low else v - high if not v <= high else 0.0


@inner(merged=True)
def _term(bound, multiplier):
    """The product, 0 where the multiplier is: 0 times an infinite bound is 0."""
    return bound * multiplier if multiplier != 0 else 0.0


@kernel(contract=True)
def kkt_residuals(data, x, y, z_lb, z_ub):
    """Primal, dual and gap residual, each relative, and the objective.

    Multipliers of the wrong sign or of infinite bounds count as dual residual and as 0 in the gap.
    What rounding may hide in the gap, `ROUNDING` times the sum of the magnitudes of its terms,
    is added to it.
    """
    P, A, q, lower, upper, lb, ub = data
    n, m = q.size, lower.size
    Ax = np.zeros(m)
    dual, dual_scale, wrong = 0.0, 0.0, 0.0
    quadratic, linear, support, terms = 0.0, 0.0, 0.0, 0.0
    outside, scale = 0.0, 0.0
    for j in range(n):
        row_axpy(A, j, x[j], Ax)
        Px, Ay = row_dot(P, j, x), row_dot(A, j, y)
        low, high = z_lb[j], z_ub[j]
        dual = _largest(dual, Px + q[j] + Ay + (high - low))
        dual_scale = max(dual_scale, abs(Px), abs(q[j]), abs(Ay), abs(high - low))
        quadratic += x[j] * Px
        linear += x[j] * q[j]
        if not low >= 0 or (low > 0 and lb[j] == -np.inf):
            wrong, low = _largest(wrong, low), 0.0
        if not high >= 0 or (high > 0 and ub[j] == np.inf):
            wrong, high = _largest(wrong, high), 0.0
        above, below = _term(ub[j], high), _term(lb[j], low)
        support += above - below
        terms += abs(x[j] * Px) + abs(x[j] * q[j]) + abs(above) + abs(below)
        if lb[j] > -np.inf or ub[j] < np.inf:
            far = _outside(x[j], lb[j], ub[j])
            outside = _largest(outside, far)
            scale = max(scale, abs(x[j]), abs(x[j]) + far if far > 0 else 0.0)
    primal = outside / (1 + scale)
    outside, scale = 0.0, 0.0
    for i in range(m):
        far = _outside(Ax[i], lower[i], upper[i])
        outside = _largest(outside, far)
        near = lower[i] if Ax[i] < lower[i] else upper[i] if Ax[i] > upper[i] else Ax[i]
        scale = max(scale, abs(Ax[i]), abs(near) if near < np.inf and near > -np.inf else 0.0)
        v = y[i]
        if (v > 0 and upper[i] == np.inf) or (v < 0 and lower[i] == -np.inf) or v != v:
            wrong, v = _largest(wrong, v), 0.0
        side = _term(upper[i], max(v, 0.0)) + _term(lower[i], min(v, 0.0))
        support += side
        terms += abs(side)
    primal = _largest(primal, outside / (1 + scale))
    dual = _largest(dual, wrong) / (1 + dual_scale)
    gap = abs(quadratic + linear + support) + ROUNDING * terms
    gap /= 1 + max(abs(quadratic), abs(linear), abs(support))
    return primal, dual, gap, 0.5 * quadratic + linear


@kernel(contract=True)
def objective(data, x):
    """x'Px/2 + q'x, summed as in the certificate."""
    P, q = data[0], data[2]
    quadratic, linear = 0.0, 0.0
    for j in range(q.size):
        quadratic += x[j] * row_dot(P, j, x)
        linear += x[j] * q[j]
    return 0.5 * quadratic + linear


@kernel
def reaches(data):
    """Scales: largest distance of a finite bound's hyperplane from 0, and largest of each row."""
    A, lower, upper, lb, ub = data[1], data[3], data[4], data[5], data[6]
    rows = np.zeros(lower.size)
    for k in range(A.data.size):
        rows[A.indices[k]] = max(rows[A.indices[k]], abs(A.data[k]))
    reach = 0.0
    for i in range(lower.size):
        for b in (lower[i], upper[i]):
            if abs(b) < np.inf and rows[i] > 0:
                reach = max(reach, abs(b) / rows[i])
    for j in range(lb.size):
        for b in (lb[j], ub[j]):
            if abs(b) < np.inf:
                reach = max(reach, abs(b))
    return reach, rows


@inner
def row_size(M, i):
    """Largest magnitude in row i."""
    largest = 0.0
    for k in range(M.indptr[i], M.indptr[i + 1]):
        largest = max(largest, abs(M.data[k]))
    return largest


@kernel(contract=True)
def farkas_residual(data, y, z_lb, z_ub):
    """Repair multipliers in place so that they prove infeasibility.

    Returns (value, residual, the same relative to the largest entry of its column, rounding).

    They are scaled to largest magnitude 1, those of infinite bounds become 0, and what A'y leaves
    is taken up by bounds where there are any. Value: what the combined constraints ask of 0.
    """
    A, lower, upper, lb, ub = data[1], data[3], data[4], data[5], data[6]
    largest = 0.0
    for i in range(y.size):
        if (y[i] > 0 and upper[i] == np.inf) or (y[i] < 0 and lower[i] == -np.inf):
            y[i] = 0.0
        largest = _largest(largest, y[i])
    for j in range(lb.size):
        z_lb[j] = max(z_lb[j], 0.0) if lb[j] > -np.inf else 0.0
        z_ub[j] = max(z_ub[j], 0.0) if ub[j] < np.inf else 0.0
        largest = _largest(_largest(largest, z_lb[j]), z_ub[j])
    if not (largest > 0 and largest < np.inf):
        return -1.0, np.inf, np.inf, 0.0
    total, terms, residual, relative = 0.0, 0.0, 0.0, 0.0
    for i in range(y.size):
        y[i] /= largest
        t = _term(upper[i], max(y[i], 0.0)) + _term(lower[i], min(y[i], 0.0))
        total += t
        terms += abs(t)
    for j in range(lb.size):
        # One side at a time: both at once only ever weaken the proof.
        r = row_dot(A, j, y)
        z = (z_ub[j] - z_lb[j]) / largest
        left = r + z
        if (left > 0 and lb[j] > -np.inf) or (left < 0 and ub[j] < np.inf):
            z = -r
            left = 0.0
        if (z > 0 and ub[j] == np.inf) or (z < 0 and lb[j] == -np.inf):
            left, z = r, 0.0
        z_ub[j], z_lb[j] = max(z, 0.0), 0.0 - min(z, 0.0)
        t = _term(ub[j], z_ub[j]) - _term(lb[j], z_lb[j])
        total += t
        terms += abs(t)
        residual = _largest(residual, left)
        if left != 0:
            relative = _largest(relative, left / row_size(A, j))
    return -total, residual, relative, terms * 1e-15


@kernel(contract=True)
def ray_residual(data, rows, d):
    """Scale a ray in place and clip it to the bounds' cone.

    Returns (-q'd, |Pd|, violation, relative residual, rounding); the violation of a row is relative
    to its largest entry, as are both in the relative residual.
    """
    P, A, q, lower, upper, lb, ub = data
    largest = 0.0
    for j in range(d.size):
        if lb[j] > -np.inf:
            d[j] = max(d[j], 0.0)
        if ub[j] < np.inf:
            d[j] = min(d[j], 0.0)
        largest = _largest(largest, d[j])
    if not (largest > 0 and largest < np.inf):
        return -1.0, np.inf, np.inf, np.inf, 0.0
    Ad = np.zeros(lower.size)
    for j in range(d.size):
        d[j] /= largest
    slope, terms, curved, relative = 0.0, 0.0, 0.0, 0.0
    most = np.abs(P.data).max() if P.data.size else 0.0
    for j in range(d.size):
        row_axpy(A, j, d[j], Ad)
        slope -= q[j] * d[j]
        terms += abs(q[j] * d[j])
        r = row_dot(P, j, d)
        curved = _largest(curved, r)
        if r != 0:
            relative = _largest(relative, r / max(row_size(P, j), ROUNDED * most))
    violation = 0.0
    for i in range(lower.size):
        t = Ad[i]
        if (t > 0 and upper[i] < np.inf) or (t < 0 and lower[i] > -np.inf) or t != t:
            violation = _largest(violation, t / rows[i])
    return slope, curved, violation, max(relative, violation), terms * 1e-15


@kernel
def asymmetry(data, indices, indptr):
    """Largest |P - P'|, where it is (-1 if nowhere), both entries, and the scale of P there."""
    n = indptr.size - 1
    diagonal = np.zeros(n)
    at = np.empty(n, np.int64)
    largest = 0.0
    for j in range(n):
        at[j] = indptr[j]
        for k in range(indptr[j], indptr[j + 1]):
            largest = max(largest, abs(data[k]))
            if indices[k] == j:
                diagonal[j] = abs(data[k])
    worst, row, column, a, b = -1.0, -1, -1, 0.0, 0.0
    for j in range(n):
        for k in range(indptr[j], indptr[j + 1]):
            i = indices[k]
            # Column i from where it was left: rows come in ascending order, and so does j.
            while at[i] < indptr[i + 1] and indices[at[i]] < j:
                r = indices[at[i]]
                if r > i and abs(data[at[i]]) > worst:  # (r, i) without a partner
                    worst, row, column, a, b = abs(data[at[i]]), r, i, data[at[i]], 0.0
                at[i] += 1
            other = 0.0
            lonely = True
            if at[i] < indptr[i + 1] and indices[at[i]] == j:
                other = data[at[i]]
                lonely = False
                at[i] += 1
            difference = abs(data[k] - other)
            if (difference > 0 or lonely) and difference > worst:
                worst, row, column, a, b = difference, i, j, data[k], other
    scale = largest
    if row >= 0 and diagonal[row] > 0 and diagonal[column] > 0:
        scale = max(abs(a), abs(b), np.sqrt(diagonal[row] * diagonal[column]))
    return worst, row, column, a, b, scale


@kernel
def gershgorin(data, indices, indptr):
    """A row that shows P not positive semidefinite, or -1; whether the diagonal dominates."""
    n = indptr.size - 1
    dominant = True
    for j in range(n):
        diagonal, others = 0.0, 0.0
        for k in range(indptr[j], indptr[j + 1]):
            if indices[k] == j:
                diagonal = data[k]
            else:
                others += abs(data[k])
        if diagonal < 0 or (diagonal == 0 and others > 0):
            return j, False
        dominant = dominant and others <= diagonal
    return -1, dominant


@kernel
def upper_triangle(data, indices, indptr):
    """Upper triangle of a symmetric matrix by columns, whole diagonal: indptr, indices, values."""
    n = indptr.size - 1
    starts = np.zeros(n + 1, np.int64)
    for j in range(n):
        starts[j + 1] = starts[j] + 1
        for k in range(indptr[j], indptr[j + 1]):
            starts[j + 1] += indices[k] < j
    rows, values = np.empty(starts[n], np.uint32), np.zeros(starts[n])
    at = 0
    for j in range(n):
        for k in range(indptr[j], indptr[j + 1]):
            if indices[k] < j:
                rows[at], values[at] = indices[k], data[k]
                at += 1
            elif indices[k] == j:
                values[starts[j + 1] - 1] = data[k]
        rows[at] = j
        at += 1
    return starts, rows, values
