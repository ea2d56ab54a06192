"""Scaling of quadratic programs and assembly of their KKT matrices, compiled."""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.symbolic import span
from numopt.solvers._interior_point_kernels import EQUATION, LOWER, UPPER

LEAST, MOST = 1e-4, 1e4
# Sides beyond this are left out: the certificate shows whether they were wanted.
FAR = 1e18


@inner(merged=True)
def _limited(norm):
    """Norm to divide by: rows of zeros stay, extremes are approached in steps."""
    return 1.0 if norm < LEAST else min(norm, MOST)


@kernel
def scale(P_data, P_indices, P_indptr, A_data, A_indices, A_indptr, q, unit, sweeps):
    """Ruiz' scaling of P, A (by columns) and q, all in place; units of entities; cost factor.

    Returns the factor of the objective. Afterwards v = unit * scaled v.
    """
    n, total = q.size, unit.size
    norm = np.empty(total)
    cost = 1.0
    for k in range(total):
        unit[k] = 1.0
    for _ in range(sweeps):
        for k in range(total):
            norm[k] = 0
        for j in range(n):
            top = 0.0
            for p in span(P_indptr[j], P_indptr[j + 1]):
                top = max(top, abs(P_data[p]))
            for p in span(A_indptr[j], A_indptr[j + 1]):
                a = abs(A_data[p])
                top = max(top, a)
                i = n + A_indices[p]
                norm[i] = max(norm[i], a)
            norm[j] = top
        spread = 0.0
        for k in range(total):
            if norm[k] > 0:
                spread = max(spread, abs(norm[k] - 1))
            norm[k] = 1 / np.sqrt(_limited(norm[k]))
        for j in range(n):
            d = norm[j]
            for p in span(P_indptr[j], P_indptr[j + 1]):
                P_data[p] *= d * norm[P_indices[p]]
            for p in span(A_indptr[j], A_indptr[j + 1]):
                A_data[p] *= d * norm[n + A_indices[p]]
            q[j] *= d
            unit[j] *= d
        for k in range(n, total):
            unit[k] /= norm[k]
        mean, top = 0.0, 0.0
        for j in range(n):
            column = 0.0
            for p in span(P_indptr[j], P_indptr[j + 1]):
                column = max(column, abs(P_data[p]))
            mean += column
            top = max(top, abs(q[j]))
        c = 1 / _limited(max(mean / max(n, 1), top))
        for p in range(P_data.size):
            P_data[p] *= c
        for j in range(n):
            q[j] *= c
        cost *= c
        if spread < 1e-2:
            break
    return cost


@kernel
def classify(lo, hi, unit, kind):
    """Scale the sides of entities in place, name what there is, put 0 where nothing is."""
    for k in range(kind.size):
        kind[k] = 0
        if lo[k] == hi[k]:
            kind[k] = EQUATION
        if lo[k] > -FAR:
            lo[k] /= unit[k]
            if kind[k] != EQUATION:
                kind[k] |= LOWER
        else:
            lo[k] = 0
        if hi[k] < FAR:
            hi[k] /= unit[k]
            if kind[k] != EQUATION:
                kind[k] |= UPPER
        else:
            hi[k] = 0


@kernel
def assemble(P_data, P_indices, P_indptr, A_data, A_indices, A_indptr, m):
    """Upper triangle of [[P, A'], [A, 0]] by columns, with the whole diagonal; A is by columns.

    Returns indptr, indices, values, places of the diagonal, diagonal of P.
    """
    n = P_indptr.size - 1
    indptr = np.zeros(n + m + 1, np.int64)
    for j in range(n):
        for p in span(P_indptr[j], P_indptr[j + 1]):
            if P_indices[p] < j:
                indptr[j + 1] += 1
        indptr[j + 1] += 1
        for p in span(A_indptr[j], A_indptr[j + 1]):
            indptr[n + A_indices[p] + 1] += 1
    for i in range(m):
        indptr[n + i + 1] += 1
    for k in range(n + m):
        indptr[k + 1] += indptr[k]
    indices = np.empty(indptr[n + m], np.uint32)
    values = np.zeros(indptr[n + m])
    diagonal = np.empty(n + m, np.int64)
    own = np.zeros(n)
    at = indptr[:-1].copy()
    for j in range(n):
        for p in span(P_indptr[j], P_indptr[j + 1]):
            i = P_indices[p]
            if i < j:
                indices[at[j]] = i
                values[at[j]] = P_data[p]
                at[j] += 1
            elif i == j:
                own[j] = P_data[p]
        for p in span(A_indptr[j], A_indptr[j + 1]):
            k = n + A_indices[p]
            indices[at[k]] = j
            values[at[k]] = A_data[p]
            at[k] += 1
    for k in range(n + m):
        diagonal[k] = indptr[k + 1] - 1
        indices[diagonal[k]] = k
        values[diagonal[k]] = own[k] if k < n else 0.0
    return indptr, indices, values, diagonal, own


@kernel
def unscale(unit, kind, cost, x, y, z, plain_x, plain_y, z_lb, z_ub):
    """Write a point in the units of the data; fixed variables keep one multiplier of the two."""
    n = x.size
    for j in range(n):
        factor = 1 / (cost * unit[j])
        plain_x[j] = x[j] * unit[j]
        z_lb[j], z_ub[j] = z[0, j] * factor, z[1, j] * factor
        if kind[j] == EQUATION:
            z_lb[j], z_ub[j] = max(-y[j], 0.0) * factor, max(y[j], 0.0) * factor
    for i in range(plain_y.size):
        plain_y[i] = y[n + i] / (cost * unit[n + i])
