"""Small quadratic programs in one compiled call: the interior point method with dense matrices.

The iteration is that of `InteriorPointQP` without its refinements for hard cases: what is not
solved here is left to it. Variables and rows are *entities* as in `interior_point_kernels`; S is
the scaled matrix [[P, A'], [A, 0]], so that S (x, y) holds both P x + A'y and A x.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.sparse import CSR
from numopt.problems._qp_kernels import Arrays, kkt_residuals
from numopt.solvers._parts.interior_point_kernels import PULL

# Variables and rows together, at most.
LARGEST = 64

# Rows of the work array.
(
    UNIT, Q, LO, HI, KIND,  # v = UNIT * scaled v; sides, and which there are
    POINT, PRODUCT, V,  # x and the rows' y; S times it; x and A x
    S_LO, S_HI, Z_LO, Z_HI,  # slacks and multipliers of sides
    W_LO, W_HI, T_LO, T_HI,  # weights; what products of slack and multiplier should fall by
    DS_LO, DS_HI, DZ_LO, DZ_HI,
    DIAGONAL, PIVOT, RHS, STEP, DPRODUCT, FIX,  # of the KKT system
    ROWS,
) = range(27)  # fmt: skip
LOWER, UPPER, EQUATION = 1.0, 2.0, 4.0
FIXED = 1e20
FAR = 1e18  # sides beyond are left out: the certificate shows whether they were wanted
TAU = 0.99  # share of the way to the boundary
LEAST, MOST = 1e-4, 1e4  # limits of norms in scaling
FLOOR = 1e-11  # of the regularisation


@inner
def _scaled(data, S, work):
    """Fill S, equilibrate it, and scale the vectors; the factor of the objective."""
    n, m = data.q.size, data.l.size
    unit = work[UNIT]
    for j in range(n):
        for k in range(data.P.indptr[j], data.P.indptr[j + 1]):
            S[data.P.indices[k], j] = data.P.data[k]
        for k in range(data.A.indptr[j], data.A.indptr[j + 1]):
            i = n + data.A.indices[k]
            S[i, j] = S[j, i] = data.A.data[k]
    for k in range(n + m):
        unit[k] = 1.0
    for _ in range(6):
        spread = 0.0
        for k in range(n + m):
            top = 0.0
            for i in range(n + m):
                top = max(top, abs(S[k, i]))
            spread = max(spread, abs(top - 1) if top > 0 else 0.0)
            work[FIX, k] = 1 / np.sqrt(1.0 if top < LEAST else min(top, MOST))
        if spread < 0.1:
            break
        for k in range(n + m):
            unit[k] *= work[FIX, k]
            for i in range(n + m):
                S[k, i] *= work[FIX, k] * work[FIX, i]
    mean, top = 0.0, 0.0
    for j in range(n):
        column = 0.0
        for i in range(n):
            column = max(column, abs(S[j, i]))
        mean += column / n
        top = max(top, abs(data.q[j]) * unit[j])
    top = max(mean, top)
    cost = 1 / (1.0 if top < LEAST else top)
    for j in range(n):
        work[Q, j] = cost * unit[j] * data.q[j]
        for i in range(n):
            S[j, i] *= cost
    for k in range(n + m):
        if k >= n:
            unit[k] = 1 / unit[k]
        low, high = (data.lb[k], data.ub[k]) if k < n else (data.l[k - n], data.u[k - n])
        kind = EQUATION if low == high else 0.0
        if low != high:
            kind = (LOWER if low > -FAR else 0.0) + (UPPER if high < FAR else 0.0)
        work[KIND, k] = kind
        work[LO, k] = low / unit[k] if low > -FAR else 0.0
        work[HI, k] = high / unit[k] if high < FAR else 0.0
    return cost


@inner
def _has(kind, side):
    """Whether an entity has its lower (0) or upper (1) side, and slack and multiplier for it."""
    return kind == LOWER + UPPER or kind == (UPPER if side else LOWER)


@inner(reduction=True)
def _dot(A, i, b, n):
    """Inner product of the first n entries of row i and b."""
    total = 0.0
    for k in range(n):
        total += A[i, k] * b[k]
    return total


@inner
def _multiply(S, x, out):
    """Out = S x."""
    for k in range(x.size):
        out[k] = _dot(S, k, x, x.size)


@inner
def _factor(S, L, work, n):
    """L D L' of S + DIAGONAL, n positive pivots first; whether they all are of their sign."""
    pivot = work[PIVOT]
    for i in range(pivot.size):
        row = L[i]
        d = S[i, i] + work[DIAGONAL, i]
        for j in range(i):
            row[j] = S[i, j] - _dot(L, j, row, j)
        for j in range(i):
            t = row[j]
            row[j] = t / pivot[j]
            d -= t * row[j]
        if not (d if i < n else -d) > 1e-15:
            return False
        pivot[i] = d
    return True


@inner
def _solve(L, pivot, b, x):
    """Solve with the factor."""
    for i in range(x.size):
        x[i] = b[i] - _dot(L, i, x, i)
    for i in range(x.size):
        x[i] /= pivot[i]
    for i in range(x.size - 1, -1, -1):
        for j in range(i):
            x[j] -= L[i, j] * x[i]


@inner
def _weigh(work, n, rho, delta):
    """Weights of sides and the diagonal of the KKT matrix."""
    for k in range(work.shape[1]):
        kind, both = work[KIND, k], 0.0
        for side in range(2):
            w = 0.0
            if _has(kind, side):
                w = 1 / (work[S_LO + side, k] / work[Z_LO + side, k] + delta)
            work[W_LO + side, k] = w
            both += w
        if k < n:
            work[DIAGONAL, k] = FIXED if kind == EQUATION else rho + both
        elif kind == EQUATION:
            work[DIAGONAL, k] = -delta
        else:
            work[DIAGONAL, k] = -1 / both if both > 0 else -FIXED


@inner
def _direct(S, L, work, n, delta):
    """The step at which products of slack and multiplier fall by the targets, and all residuals."""
    for k in range(work.shape[1]):
        kind, t, v = work[KIND, k], 0.0, work[V, k]
        for side in range(2):
            if _has(kind, side):
                sign = 1.0 if side else -1.0
                r = sign * (v - work[LO + side, k]) + work[S_LO + side, k]
                t += sign * work[W_LO + side, k] * (r - work[T_LO + side, k] / work[Z_LO + side, k])
        if k < n:
            dual = work[PRODUCT, k] + work[Q, k] + work[Z_HI, k] - work[Z_LO, k]
            work[RHS, k] = 0.0 if kind == EQUATION else -dual - t
        elif kind == EQUATION:
            work[RHS, k] = work[LO, k] - v
        else:
            both = work[W_LO, k] + work[W_HI, k]
            work[RHS, k] = -t / both if both > 0 else 0.0
    step, fix, product = work[STEP], work[FIX], work[DPRODUCT]
    _solve(L, work[PIVOT], work[RHS], step)
    before = np.inf
    for _ in range(4):
        _multiply(S, step, product)
        error, size = 0.0, 0.0
        for k in range(step.size):
            fix[k] = work[RHS, k] - product[k] - work[DIAGONAL, k] * step[k]
            error, size = max(error, abs(fix[k])), max(size, abs(work[RHS, k]))
        if error <= 1e-13 * size or not error < 0.5 * before:
            break
        before = error
        _solve(L, work[PIVOT], fix, fix)
        for k in range(step.size):
            step[k] += fix[k]
    for k in range(step.size):
        kind, v = work[KIND, k], work[V, k]
        dv = step[k] if k < n else product[k]
        for side in range(2):
            if _has(kind, side):
                sign = 1.0 if side else -1.0
                r = sign * (v + dv - work[LO + side, k]) + work[S_LO + side, k]
                r -= work[T_LO + side, k] / work[Z_LO + side, k]
                work[DZ_LO + side, k] = work[W_LO + side, k] * r
        # The stronger side from the equation it stands in: no digit is lost there.
        change = step[k]
        if k < n:
            change = work[Z_LO, k] - work[Z_HI, k] - work[PRODUCT, k] - work[Q, k] - product[k]
        if kind == UPPER or (kind == LOWER + UPPER and work[W_HI, k] > work[W_LO, k]):
            work[DZ_HI, k] = change + work[DZ_LO, k]
        elif kind == LOWER or kind == LOWER + UPPER:
            work[DZ_LO, k] = work[DZ_HI, k] - change
        for side in range(2):
            if _has(kind, side):
                s, z, dz = work[S_LO + side, k], work[Z_LO + side, k], work[DZ_LO + side, k]
                if s < z:
                    work[DS_LO + side, k] = -(work[T_LO + side, k] + s * dz) / z
                else:
                    sign = 1.0 if side else -1.0
                    r = sign * (v + dv - work[LO + side, k]) + s
                    work[DS_LO + side, k] = delta * dz - r


@inner
def _longest(work, values):
    """Largest step in [0, 1] that keeps the values of both sides nonnegative."""
    a = 1.0
    for k in range(work.shape[1]):
        for side in range(2):
            if _has(work[KIND, k], side):
                step = work[DS_LO - S_LO + values + side, k]
                if step * a < -work[values + side, k]:
                    a = -work[values + side, k] / step
    return a


@inner
def _products(work, a_primal, a_dual):
    """Mean product of slack and multiplier after steps of these lengths; how many there are."""
    total, count = 0.0, 0
    for k in range(work.shape[1]):
        for side in range(2):
            if _has(work[KIND, k], side):
                s = work[S_LO + side, k] + a_primal * work[DS_LO + side, k]
                total += s * (work[Z_LO + side, k] + a_dual * work[DZ_LO + side, k])
                count += 1
    return total / max(count, 1), count


@inner
def _write(work, n, cost, point):
    """The point in the problem's units: x, y, z_lb, z_ub one after the other."""
    m = work.shape[1] - n
    for k in range(n + m):
        if k >= n:
            point[k] = work[POINT, k] / (cost * work[UNIT, k])
            continue
        low, high = work[Z_LO, k], work[Z_HI, k]
        if work[KIND, k] == EQUATION:
            z = -(work[PRODUCT, k] + work[Q, k])
            low, high = max(-z, 0.0), max(z, 0.0)
        both = min(low, high)  # what they have in common only adds to the gap
        low, high = low - both, high - both
        point[k] = work[POINT, k] * work[UNIT, k]
        point[n + m + k] = low / (cost * work[UNIT, k])
        point[2 * n + m + k] = high / (cost * work[UNIT, k])


@inner
def _begin(S, L, work, n):
    """The first point: where a least squares problem puts values and multipliers."""
    total = work.shape[1]
    for k in range(total):
        for side in range(2):
            # Sides far away must not pull the point there.
            far = max(1.0, PULL * abs(work[LO + side, k]))
            work[S_LO + side, k], work[Z_LO + side, k] = far, 1 / far
        fixed = k < n and work[KIND, k] == EQUATION
        work[POINT, k] = work[LO, k] if fixed else 0.0
    _multiply(S, work[POINT], work[PRODUCT])
    _weigh(work, n, 1e-6, 1e-4)
    if not _factor(S, L, work, n):
        return False
    for k in range(total):
        work[V, k] = work[POINT, k] if k < n else work[PRODUCT, k]
        for side in range(2):
            work[S_LO + side, k] = 0.0
            work[Z_LO + side, k] = 1.0 if _has(work[KIND, k], side) else 0.0
    _direct(S, L, work, n, 1e-4)
    worst = 0.0
    for k in range(total):
        work[POINT, k] += work[STEP, k]
        v = work[V, k] + (work[STEP, k] if k < n else work[DPRODUCT, k])
        for side in range(2):
            work[S_LO + side, k] = v - work[LO, k] if side == 0 else work[HI, k] - v
            if _has(work[KIND, k], side):
                worst = max(worst, -work[S_LO + side, k])
    # Every pair on one product, its difference being the distance from the side.
    mu = max(10.0, worst) ** 2
    for k in range(total):
        for side in range(2):
            g = work[S_LO + side, k]
            larger = 0.5 * (abs(g) + np.sqrt(g * g + 4 * mu))
            has = _has(work[KIND, k], side)
            work[S_LO + side, k] = larger if g > 0 else mu / larger
            work[Z_LO + side, k] = (mu / larger if g > 0 else larger) if has else 0.0
    return True


@kernel
def solve(flat, point, tol, max_iter):
    """Solve and write the point; iterations, the certificate's numbers.

    `flat`: the parts of P and of A, by columns, and the vectors.
    """
    data = Arrays(
        CSR(flat[0], flat[1], flat[2]), CSR(flat[3], flat[4], flat[5]), flat[6], flat[7], flat[8],
        flat[9], flat[10],
    )  # fmt: skip
    n, total = data.q.size, data.q.size + data.l.size
    S, L, work = np.zeros((total, total)), np.zeros((total, total)), np.zeros((ROWS, total))
    cost = _scaled(data, S, work)
    failed = 0, np.inf, np.inf, np.inf, 0.0
    if not _begin(S, L, work, n):
        return failed
    rho, delta = 1e-6, 1e-4
    x, y, z_lb, z_ub = point[:n], point[n:total], point[total : total + n], point[total + n :]
    linear = data.P.data.size == 0
    for done in range(max_iter + 1):
        for k in range(n, total):
            if work[KIND, k] != EQUATION:
                work[POINT, k] = work[Z_HI, k] - work[Z_LO, k]
        _multiply(S, work[POINT], work[PRODUCT])
        for k in range(total):
            work[V, k] = work[POINT, k] if k < n else work[PRODUCT, k]
        _write(work, n, cost, point)
        primal, dual, gap, fun = kkt_residuals(data, x, y, z_lb, z_ub)
        worst = max(primal, dual, gap)
        if worst <= 0.9 * tol:
            return done, primal, dual, gap, fun
        if not worst < np.inf:
            break
        _weigh(work, n, rho, delta)
        if not _factor(S, L, work, n):
            if rho > 1e-6:
                break
            rho, delta = 100 * rho, 100 * delta
            continue
        for k in range(total):
            for side in range(2):
                work[T_LO + side, k] = work[S_LO + side, k] * work[Z_LO + side, k]
        _direct(S, L, work, n, delta)
        mu, count = _products(work, 0.0, 0.0)
        a_primal, a_dual = _longest(work, S_LO), _longest(work, Z_LO)
        if count and mu > 0:
            after, _ = _products(work, a_primal, a_dual)
            goal = max(min((after / mu) ** 3, 1.0), 1e-9) * mu
            # Products far below what is wanted only ruin the matrix.
            goal = max(goal, 0.02 * tol * (1 + abs(fun)) * cost / count)
            for k in range(total):
                for side in range(2):
                    t = work[S_LO + side, k] * work[Z_LO + side, k] - goal
                    work[T_LO + side, k] = t + work[DS_LO + side, k] * work[DZ_LO + side, k]
            _direct(S, L, work, n, delta)
            a_primal, a_dual = _longest(work, S_LO), _longest(work, Z_LO)
            if not linear:
                a_primal = a_dual = min(a_primal, a_dual)
            a_primal = a_primal if a_primal == 1 else TAU * a_primal
            a_dual = a_dual if a_dual == 1 else TAU * a_dual
        for k in range(total):
            if k < n:
                work[POINT, k] += a_primal * work[STEP, k]
            elif work[KIND, k] == EQUATION:
                work[POINT, k] += a_dual * work[STEP, k]
            for side in range(2):
                if _has(work[KIND, k], side):
                    work[S_LO + side, k] += a_primal * work[DS_LO + side, k]
                    work[Z_LO + side, k] += a_dual * work[DZ_LO + side, k]
        after, _ = _products(work, 0.0, 0.0)
        rate = min(1.0, max(after / mu, 0.01)) if mu > 0 else 0.1
        rho, delta = max(FLOOR, rho * rate), max(FLOOR, delta * rate)
    return failed
