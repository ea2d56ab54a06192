"""Parts of an iteration of the interior point method for quadratic programs, compiled.

Variables and rows are treated alike: *entity* k < n is variable k, entity n + i is row i, each
with a value v_k (x_k, or entry i of A x), sides lo_k <= v_k <= hi_k, slacks and multipliers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.ldl_kernels.symbolic import span
from numopt.linalg.sparse import CSR, row_axpy, row_dot

# What sides an entity has.
LOWER, UPPER, EQUATION = 1, 2, 4

# Diagonal entry that keeps a variable, or a multiplier, where it is.
FIXED = 1e20

# How a chunk ends.
GOING, SOLVED, STUCK, INFEASIBLE, UNBOUNDED = range(5)

# Places in `scalars`.
RHO, DELTA, MU, TOL, PRIMAL, DUAL, GAP, RESIDUAL, FACTORS, MISSES, BEST = range(11)
FARKAS, RAY = 11, 12  # residuals of the multipliers, of the point, as proofs
ENOUGH = 15  # mean product that closes the gap
NO_POINT, NO_END = 13, 14  # residuals at which to try those proofs
MARKS, FLOORS = 16, 20  # least of PRIMAL, DUAL, MU and their worst; limits of RHO, DELTA
SCALARS = 22

# Share of the way to the boundary.
TAU = 0.99
# Iterations without progress after which to give up.
PATIENCE = 10
# Least slack and multiplier to start from, where they are equal.
START = 100.0


class Model(NamedTuple):
    """The scaled problem."""

    P: CSR
    A: CSR  # by columns
    q: np.ndarray
    lo: np.ndarray  # of entities; 0 where there is no side
    hi: np.ndarray
    kind: np.ndarray
    unit: np.ndarray  # v = unit * scaled v; multipliers are divided by unit and `cost`
    cost: float
    diagonal: np.ndarray  # of P


class Point(NamedTuple):
    """Iterate, and what is computed from it."""

    x: np.ndarray
    y: np.ndarray  # of rows; for variables z_u - z_l
    v: np.ndarray  # of entities: x, A x
    slack: np.ndarray  # (2, n + m): below, above
    z: np.ndarray  # (2, n + m): multipliers of the same
    Px: np.ndarray
    Ay: np.ndarray  # A'y
    scalars: np.ndarray


class Room(NamedTuple):
    """Work arrays."""

    weight: np.ndarray  # (2, n + m)
    target: np.ndarray  # (2, n + m): what products of slack and multiplier should fall by
    dslack: np.ndarray  # (2, n + m)
    dz: np.ndarray  # (2, n + m)
    dv: np.ndarray  # n + m
    rhs: np.ndarray  # n + m
    step: np.ndarray  # n + m
    fix: np.ndarray  # n + m
    r: np.ndarray  # n + m
    kept: np.ndarray  # (6, n + m): a direction to come back to


class Kkt(NamedTuple):
    """Upper triangle of the KKT matrix by columns."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    diagonal: np.ndarray  # places of the diagonal


@inner
def largest(v):
    """Largest magnitude; inf if there is a NaN."""
    top = 0.0
    for i in range(v.size):
        a = abs(v[i])
        if not a <= top:
            top = a if a == a else np.inf
    return top


@inner(contract=True)
def evaluate(model, point):
    """Values, products and residuals in the units of the data; mu. Returns nothing."""
    P, A, q, lo, hi, kind, unit, cost, _ = model
    x, y, v, slack, z, Px, Ay, scalars = point
    n, total = q.size, v.size
    for k in range(n, total):
        v[k] = 0
    rows = v[n:]
    for j in range(n):
        v[j] = x[j]
        row_axpy(A, j, x[j], rows)
    products, count = 0.0, 0
    for k in range(total):
        y_k = 0.0
        if kind[k] & LOWER:
            products += slack[0, k] * z[0, k]
            count += 1
            y_k -= z[0, k]
        if kind[k] & UPPER:
            products += slack[1, k] * z[1, k]
            count += 1
            y_k += z[1, k]
        if kind[k] != EQUATION:
            y[k] = y_k
    scalars[MU] = products / count if count else 0.0
    pairs = max(count, 1)
    dual, dual_scale = 0.0, 0.0
    quadratic, linear, support = 0.0, 0.0, 0.0
    ray, farkas, proof = 0.0, 0.0, 0.0
    multipliers = y[n:]
    for j in range(n):
        Px[j], Ay[j] = row_dot(P, j, x), row_dot(A, j, multipliers)
        if kind[j] == EQUATION:
            y[j] = -(Px[j] + q[j] + Ay[j])
        f = 1 / (cost * unit[j])
        r = abs(Px[j] + q[j] + Ay[j] + y[j]) * f
        dual = r if not r <= dual else dual
        dual_scale = max(dual_scale, abs(Px[j]) * f, abs(q[j]) * f, abs(Ay[j]) * f, abs(y[j]) * f)
        quadratic += x[j] * Px[j]
        linear += x[j] * q[j]
        ray = max(ray, abs(Px[j]))
        # A proof of infeasibility needs multipliers of bounds that cancel A'y.
        wanted = -Ay[j]
        if (wanted > 0 and kind[j] & (UPPER | EQUATION)) or kind[j] == EQUATION:
            proof += hi[j] * wanted
        elif wanted < 0 and kind[j] & LOWER:
            proof += lo[j] * wanted
        else:
            farkas = max(farkas, abs(wanted))
    primal, scale, worst = 0.0, 0.0, 0.0
    cone = 0.0
    for k in range(total):
        if k == n:
            worst, primal, scale = primal / (1 + scale), 0.0, 0.0
        if kind[k] == 0:
            continue
        below, above = lo[k] - v[k], v[k] - hi[k]
        far = 0.0
        if kind[k] == EQUATION:
            far = abs(below)
            support += hi[k] * y[k]
            proof += hi[k] * y[k] if k >= n else 0.0
            cone = max(cone, abs(v[k]))
        else:
            if kind[k] & LOWER:
                far = max(far, below)
                support -= lo[k] * z[0, k]
                proof -= lo[k] * z[0, k] if k >= n else 0.0
                cone = max(cone, -v[k])
            if kind[k] & UPPER:
                far = max(far, above)
                support += hi[k] * z[1, k]
                proof += hi[k] * z[1, k] if k >= n else 0.0
                cone = max(cone, v[k])
        far = far * unit[k]
        primal = far if not far <= primal else primal
        scale = max(scale, abs(v[k]) * unit[k], abs(v[k]) * unit[k] - far)
    scalars[PRIMAL] = max(worst, primal / (1 + scale))
    scalars[DUAL] = dual / (1 + dual_scale)
    gap = abs(quadratic + linear + support) / cost
    top = max(abs(quadratic), abs(linear), abs(support)) / cost
    scalars[GAP] = gap / (1 + top)
    scalars[ENOUGH] = 0.02 * scalars[TOL] * (1 + top) * cost / pairs
    top = largest(y)
    # How far multipliers are from a Farkas vector, the point from a ray: relative residuals.
    scalars[FARKAS] = farkas / -proof if proof < -1e-10 * top else np.inf
    scalars[RAY] = max(ray, cone) / -linear if linear < 0 else np.inf


@inner
def weigh(model, point, room, kkt):
    """Diagonal of the KKT matrix at the current point."""
    kind, slack, z, scalars = model.kind, point.slack, point.z, point.scalars
    weight, values, diagonal = room.weight, kkt.values, kkt.diagonal
    n, total = model.q.size, kind.size
    rho, delta = scalars[RHO], scalars[DELTA]
    for k in range(total):
        both = 0.0
        for side in range(2):
            w = 0.0
            if kind[k] & (LOWER << side):
                w = 1 / (slack[side, k] / z[side, k] + delta)
            weight[side, k] = w
            both += w
        if k < n:
            values[diagonal[k]] = model.diagonal[k] + rho + both
            if kind[k] == EQUATION:
                values[diagonal[k]] = FIXED
        elif kind[k] == EQUATION:
            values[diagonal[k]] = -delta
        else:
            # A row without sides is out of the way.
            values[diagonal[k]] = -1 / both if both > 0 else -FIXED


@inner(contract=True)
def aim(model, point, room):
    """Right-hand side for products of slack and multiplier to fall by `target`."""
    kind, lo, hi, q = model.kind, model.lo, model.hi, model.q
    v, y, slack, z = point.v, point.y, point.slack, point.z
    weight, target, rhs = room.weight, room.target, room.rhs
    n, residual = q.size, 0.0
    for k in range(kind.size):
        t = 0.0
        if kind[k] & UPPER:
            r = v[k] - hi[k] + slack[1, k]
            residual = max(residual, abs(r))
            t += weight[1, k] * (r - target[1, k] / z[1, k])
        if kind[k] & LOWER:
            r = lo[k] - v[k] + slack[0, k]
            residual = max(residual, abs(r))
            t -= weight[0, k] * (r - target[0, k] / z[0, k])
        if k < n:
            r = point.Px[k] + q[k] + point.Ay[k] + y[k]
            rhs[k] = -r - t
            if kind[k] == EQUATION:
                rhs[k] = 0.0
            else:
                residual = max(residual, abs(r))
        elif kind[k] == EQUATION:
            rhs[k] = lo[k] - v[k]
            residual = max(residual, abs(rhs[k]))
        else:
            both = weight[0, k] + weight[1, k]
            rhs[k] = -t / both if both > 0 else 0.0
    point.scalars[RESIDUAL] = residual


@inner(contract=True)
def spread(model, point, room):
    """Steps of slacks and multipliers that go with a solution of the KKT system."""
    kind, lo, hi, A = model.kind, model.lo, model.hi, model.A
    v, slack, z, scalars = point.v, point.slack, point.z, point.scalars
    weight, target, dslack, dz, dv, step = (
        room.weight, room.target, room.dslack, room.dz, room.dv, room.step,
    )  # fmt: skip
    n, delta = model.q.size, scalars[DELTA]
    for k in range(n, kind.size):
        dv[k] = 0
    rows = dv[n:]
    for j in range(n):
        dv[j] = step[j]
        row_axpy(A, j, step[j], rows)
    for k in range(kind.size):
        if kind[k] == 0 or kind[k] == EQUATION:
            continue
        below = lo[k] - v[k] + slack[0, k]
        above = v[k] - hi[k] + slack[1, k]
        if kind[k] & LOWER:
            dz[0, k] = weight[0, k] * (below - dv[k] - target[0, k] / z[0, k])
        if kind[k] & UPPER:
            dz[1, k] = weight[1, k] * (above + dv[k] - target[1, k] / z[1, k])
        if k >= n:
            # The stronger side from the multiplier of the row: no digit is lost there.
            if kind[k] == UPPER:
                dz[1, k] = step[k]
            elif kind[k] == LOWER:
                dz[0, k] = -step[k]
            elif weight[1, k] > weight[0, k]:
                dz[1, k] = step[k] + dz[0, k]
            else:
                dz[0, k] = dz[1, k] - step[k]
        if kind[k] & LOWER:
            if slack[0, k] < z[0, k]:
                dslack[0, k] = -(target[0, k] + slack[0, k] * dz[0, k]) / z[0, k]
            else:
                dslack[0, k] = dv[k] - below + delta * dz[0, k]
        if kind[k] & UPPER:
            if slack[1, k] < z[1, k]:
                dslack[1, k] = -(target[1, k] + slack[1, k] * dz[1, k]) / z[1, k]
            else:
                dslack[1, k] = -dv[k] - above + delta * dz[1, k]


@inner
def longest(kind, values, steps):
    """Largest step in [0, 1] that keeps values nonnegative."""
    a = 1.0
    for side in range(2):
        for k in range(kind.size):
            if kind[k] & (LOWER << side) and steps[side, k] * a < -values[side, k]:
                a = -values[side, k] / steps[side, k]
    return a


@inner
def products_after(kind, point, room, a_primal, a_dual):
    """Mean product of slack and multiplier after steps of these lengths."""
    slack, z, dslack, dz = point.slack, point.z, room.dslack, room.dz
    total, count = 0.0, 0
    for side in range(2):
        for k in range(kind.size):
            if kind[k] & (LOWER << side):
                s = slack[side, k] + a_primal * dslack[side, k]
                total += s * (z[side, k] + a_dual * dz[side, k])
                count += 1
    return total / max(count, 1)


@inner
def keep(room):
    """Remember the direction."""
    dslack, dz, step, dv, kept = room.dslack, room.dz, room.step, room.dv, room.kept
    for k in range(step.size):
        kept[0, k], kept[1, k] = dslack[0, k], dslack[1, k]
        kept[2, k], kept[3, k] = dz[0, k], dz[1, k]
        kept[4, k], kept[5, k] = step[k], dv[k]


@inner
def restore(room):
    """Go back to the direction that was kept."""
    dslack, dz, step, dv, kept = room.dslack, room.dz, room.step, room.dv, room.kept
    for k in range(step.size):
        dslack[0, k], dslack[1, k] = kept[0, k], kept[1, k]
        dz[0, k], dz[1, k] = kept[2, k], kept[3, k]
        step[k], dv[k] = kept[4, k], kept[5, k]


@inner
def centre(kind, point, room, a_primal, a_dual, goal):
    """Ask products that a longer step would take far from `goal` to come back to it."""
    slack, z, dslack, dz, target = point.slack, point.z, room.dslack, room.dz, room.target
    for side in range(2):
        for k in range(kind.size):
            if kind[k] & (LOWER << side):
                product = slack[side, k] + a_primal * dslack[side, k]
                product *= z[side, k] + a_dual * dz[side, k]
                if product < 0.1 * goal:
                    target[side, k] -= 0.1 * goal - product
                elif product > 10 * goal:
                    target[side, k] += min(product - 10 * goal, 10 * goal)


@inner(contract=True)
def kkt_residual(kkt, b, x, r):
    """r = b - K x; its largest magnitude relative to b."""
    indptr, indices, values, _ = kkt
    n = b.size
    for j in range(n):
        r[j] = b[j]
    for j in range(n):
        xj, total = x[j], 0.0
        last = np.uintp(indptr[j + 1] - 1)  # the diagonal stands last
        for p in span(indptr[j], indptr[j + 1] - 1):
            i = indices[p]
            total += values[p] * x[i]
            r[i] -= values[p] * xj
        r[j] -= total + values[last] * xj
    return largest(r)


@inner(contract=True)
def apart_is_better(model, point, room, a_primal, a_dual):
    """Whether steps of different lengths leave no more dual residual than the shorter for both."""
    a = min(a_primal, a_dual)
    apart, together = 0.0, 0.0
    for j in range(model.q.size):
        Pd = row_dot(model.P, j, room.dv)
        r = point.Px[j] + model.q[j] + point.Ay[j] + point.y[j]
        apart = max(apart, abs((1 - a_dual) * r + (a_primal - a_dual) * Pd))
        together = max(together, abs((1 - a) * r))
    return apart <= together


@inner
def move_floors(scalars, error, primal, dual, a_primal, a_dual):
    """Lower the limit of a regularisation that holds up a residual; raise both if solves fail."""
    if error > 0.3 * scalars[RESIDUAL]:
        scalars[FLOORS] = min(10 * scalars[FLOORS], 1e-8)
        scalars[FLOORS + 1] = min(10 * scalars[FLOORS + 1], 1e-8)
        return
    # Also below the tolerance: what is left, times a point far away, keeps the gap open.
    least = 1e-4 * scalars[TOL]
    if scalars[DUAL] > max(least, (1.3 - a_dual) * dual):
        scalars[FLOORS] = max(0.1 * scalars[FLOORS], 1e-14)
    if scalars[PRIMAL] > max(least, (1.3 - a_primal) * primal):
        scalars[FLOORS + 1] = max(0.1 * scalars[FLOORS + 1], 1e-14)


@inner
def remember(point, best):
    """Copy the point to `best` if it is."""
    scalars = point.scalars
    worst = max(scalars[PRIMAL], scalars[DUAL], scalars[GAP])
    if worst < scalars[BEST]:
        scalars[BEST] = worst
        x, y, z = best
        for j in range(x.size):
            x[j] = point.x[j]
        for k in range(y.size):
            y[k], z[0, k], z[1, k] = point.y[k], point.z[0, k], point.z[1, k]


@inner
def note_progress(scalars, worst):
    """Count iterations in which no measure fell below what it was when there last was progress."""
    missed = True
    for k in range(4):
        value = worst
        if k < 3:
            value = scalars[PRIMAL] if k == 0 else scalars[DUAL] if k == 1 else scalars[MU]
        if value < 0.95 * scalars[MARKS + k]:
            scalars[MARKS + k] = value
            missed = False
    scalars[MISSES] = scalars[MISSES] + 1 if missed else 0.0
