"""Scaling of quadratic programs and assembly of their KKT matrices, compiled."""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.symbolic import span
from numopt.solvers._parts.interior_point_kernels import EQUATION, FREE, SIDED

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
        if spread < 0.1:
            break
    return cost


@kernel
def take_sides(lo, hi, unit, kind, n):
    """Scale the sides of entities in place and pack those that are no equations.

    Returns entities, signs and limits of the sides, the number of those of variables, and of those
    before rows with two.
    """
    count = np.zeros(4, np.int64)  # of variables, of rows with one side, of rows with both
    for k in range(kind.size):
        below, above = lo[k] > -FAR, hi[k] < FAR
        kind[k] = SIDED if below or above else FREE
        if lo[k] == hi[k]:
            kind[k] = EQUATION
        elif k < n:
            count[1] += below + above
        elif below and above:
            count[3] += 2
        else:
            count[2] += below or above
        lo[k] = lo[k] / unit[k] if below else -np.inf
        hi[k] = hi[k] / unit[k] if above else np.inf
    count[2] += count[1]
    variables, singles, size = count[1], count[2], count[2] + count[3]
    at, sign, limit = np.empty(size, np.uint32), np.empty(size), np.empty(size)
    for k in range(kind.size):
        if kind[k] == EQUATION:
            continue
        both = lo[k] > -np.inf and hi[k] < np.inf
        group = 0 if k < n else 2 if both else 1
        for upper in range(2):
            side = hi[k] if upper else lo[k]
            if abs(side) < np.inf:
                s = count[group]
                at[s], sign[s], limit[s] = k, 2.0 * upper - 1.0, side
                count[group] += 1
    return at, sign, limit, variables, singles


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
def unscale(model, x, y, z, plain_x, plain_y, z_lb, z_ub):
    """Write a point in the units of the data; fixed variables keep one multiplier of the two."""
    unit, worth, kind = model.unit, model.worth, model.kind
    n = x.size
    for j in range(n):
        plain_x[j] = x[j] * unit[j]
        z_lb[j] = z_ub[j] = 0
        if kind[j] == EQUATION:
            z_lb[j], z_ub[j] = max(-y[j], 0.0) * worth[j], max(y[j], 0.0) * worth[j]
    for s in range(model.variables):
        j = model.at[s]
        if model.sign[s] < 0:
            z_lb[j] = z[s] * worth[j]
        else:
            z_ub[j] = z[s] * worth[j]
    for j in range(n):
        # What both bounds have in common only adds to the gap.
        both = min(z_lb[j], z_ub[j])
        z_lb[j] -= both
        z_ub[j] -= both
    for i in range(plain_y.size):
        plain_y[i] = y[n + i] * worth[n + i]
