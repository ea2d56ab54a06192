"""Parts of an iteration of the interior point method for quadratic programs, compiled.

Variables and rows are treated alike: *entity* k < n is variable k, entity n + i is row i, each
with a value v_k (x_k, or entry i of A x). Every finite *side* of an entity that is no equation has
a slack and a multiplier z: sign (v - limit) + slack = 0, sign being 1 at upper sides, -1 at lower
ones. Sides stand packed: those of variables, of rows with one, of rows with both (lower, upper).
Loops over them are kept short and free of branches, so that they are vectorised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.ldl_kernels.symbolic import span
from numopt.linalg.sparse import CSR, row_axpy, row_dot
from numopt.linalg.vector import bits, copy_into, dot, finite_or_inf, largest, number

# What entities are.
FREE, SIDED, EQUATION = 0, 1, 2

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
FACTORED = 22  # RHO, DELTA of the factor
BEGUN = 24  # whether there is a point
SCALARS = 25

# Share of the way to the boundary.
TAU = 0.99
# Iterations without progress after which to give up.
PATIENCE = 10
# Steps of refinement at most.
REFINEMENTS = 5
# Sides beyond the inverse count less in the least squares problem that gives the first point.
PULL = 1e-5
# Least slack and multiplier to start from, where they are equal.
START = 100.0


class Model(NamedTuple):
    """The scaled problem."""

    P: CSR
    A: CSR  # by columns
    q: np.ndarray
    lo: np.ndarray  # of entities; infinite where there is no side
    hi: np.ndarray
    kind: np.ndarray
    unit: np.ndarray  # v = unit * scaled v
    worth: np.ndarray  # multiplier of an entity = worth * scaled multiplier
    cost: float  # factor of the objective
    own: np.ndarray  # diagonal of P
    at: np.ndarray  # entities of the sides
    sign: np.ndarray
    limit: np.ndarray
    variables: int  # sides of variables end here
    singles: int  # sides of rows with one end here


class Point(NamedTuple):
    """Iterate, and what is computed from it."""

    x: np.ndarray
    y: np.ndarray  # of entities: the sum of sign z; equations have it as their own
    v: np.ndarray  # of entities: x, A x
    slack: np.ndarray  # of sides
    z: np.ndarray
    gap: np.ndarray  # of sides: sign (v - limit) + slack
    base: np.ndarray  # of entities: - P x - q - A'y - y, sides less values of equations
    scalars: np.ndarray


class Room(NamedTuple):
    """Work arrays: of sides, then of entities."""

    weight: np.ndarray
    inverse_slack: np.ndarray
    inverse_z: np.ndarray
    target: np.ndarray  # what products of slack and multiplier should fall by
    dslack: np.ndarray
    dz: np.ndarray
    kept: np.ndarray  # (2, sides): a direction to come back to
    turn: np.ndarray  # factor of what sides add to the right-hand side
    dv: np.ndarray
    rhs: np.ndarray
    step: np.ndarray
    r: np.ndarray
    kept_step: np.ndarray
    fixes: np.ndarray  # (REFINEMENTS, entities): orthonormal images and what they are of
    images: np.ndarray


class Kkt(NamedTuple):
    """Upper triangle of the KKT matrix by columns."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    diagonal: np.ndarray  # places of the diagonal


@inner
def longest(steps, inverse):
    """Largest step in [0, 1] that keeps values of these inverses nonnegative."""
    top = np.int64(0)
    for s in range(steps.size):
        top = max(top, bits(-(steps[s] * inverse[s])))
    top = number(top)
    return 1 / top if top > 1 else 1.0


@inner(reduction=True)
def support(sign, limit, z, start, stop):
    """Sum of sign limit z."""
    total = 0.0
    for s in range(start, stop):
        total += sign[s] * limit[s] * z[s]
    return total


@inner
def add_multipliers(at, sign, z, kind, y):
    """Multipliers of entities from those of their sides."""
    for k in range(y.size):
        if kind[k] != EQUATION:
            y[k] = 0.0
    for s in range(at.size):
        y[at[s]] += sign[s] * z[s]


@inner(contract=True)
def measure_gaps(at, sign, limit, v, slack, gap):
    """How far slacks are from fitting the values."""
    for s in range(at.size):
        gap[s] = sign[s] * (v[at[s]] - limit[s]) + slack[s]


@inner
def measure_values(lo, hi, unit, v, start, stop):
    """Of entities: worst violation, largest value (units of the data), distance from a ray."""
    primal, scale, cone = np.int64(0), np.int64(0), np.int64(0)
    for k in range(start, stop):
        value = v[k]
        primal = max(primal, bits(max(lo[k] - value, value - hi[k]) * unit[k]))
        scale = max(scale, bits(abs(value) * unit[k]))
        cone = max(cone, bits(-value if lo[k] > -np.inf else 0.0))
        cone = max(cone, bits(value if hi[k] < np.inf else 0.0))
    return number(primal), number(scale), number(cone)


@inner(contract=True)
def evaluate(model, point):
    """Values, products and residuals in the units of the data; mu. Returns nothing."""
    P, A, q, lo, hi, kind, worth = (
        model.P, model.A, model.q, model.lo, model.hi, model.kind, model.worth,
    )  # fmt: skip
    x, y, v, slack, z, gap, base, scalars = point
    n, total, sides, cost = q.size, v.size, z.size, model.cost
    rows = v[n:]
    for i in range(rows.size):
        rows[i] = 0
    for j in range(n):
        v[j] = x[j]
        row_axpy(A, j, x[j], rows)
    add_multipliers(model.at, model.sign, z, kind, y)
    measure_gaps(model.at, model.sign, model.limit, v, slack, gap)
    pairs = max(sides, 1)
    scalars[MU] = dot(slack, z) / pairs
    zero = n - n  # helpers are compiled once more for a literal
    ours = support(model.sign, model.limit, z, zero, model.variables)
    proof = support(model.sign, model.limit, z, model.variables, sides)
    for k in range(n, total):
        base[k] = 0.0
        if kind[k] == EQUATION:
            base[k] = lo[k] - v[k]
            proof += lo[k] * y[k]
    supported = ours + proof
    dual, dual_scale = 0.0, 0.0
    quadratic, linear = 0.0, 0.0
    ray, farkas = 0.0, 0.0
    multipliers = y[n:]
    for j in range(n):
        Pxj, Ayj = row_dot(P, j, x), row_dot(A, j, multipliers)
        if kind[j] == EQUATION:
            y[j] = -(Pxj + q[j] + Ayj)
            supported += lo[j] * y[j]
        r, f = Pxj + q[j] + Ayj + y[j], worth[j]
        base[j] = 0.0 if kind[j] == EQUATION else -r
        r = abs(r) * f
        dual = r if not r <= dual else dual
        dual_scale = max(dual_scale, max(max(abs(Pxj), abs(q[j])), max(abs(Ayj), abs(y[j]))) * f)
        quadratic += x[j] * Pxj
        linear += x[j] * q[j]
        ray = max(ray, abs(Pxj))
        # A proof of infeasibility needs multipliers of bounds that cancel A'y.
        side = hi[j] if Ayj < 0 else lo[j]
        if abs(side) < np.inf:
            proof -= side * Ayj
        else:
            farkas = max(farkas, abs(Ayj))
    primal, scale, cone = measure_values(lo, hi, model.unit, v, zero, n)
    primal_rows, scale_rows, cone_rows = measure_values(lo, hi, model.unit, v, n, total)
    scalars[PRIMAL] = finite_or_inf(
        max(primal / (1 + scale), primal_rows / (1 + scale_rows)) + 0 * (scale + scale_rows)
    )
    scalars[DUAL] = finite_or_inf(dual / (1 + dual_scale))
    gaps = abs(quadratic + linear + supported) / cost
    top = max(abs(quadratic), abs(linear), abs(supported)) / cost
    scalars[GAP] = finite_or_inf(gaps / (1 + top))
    scalars[ENOUGH] = 0.02 * scalars[TOL] * (1 + top) * cost / pairs
    scalars[RESIDUAL] = max(largest(base), largest(gap))
    # How far multipliers are from a Farkas vector, the point from a ray: relative residuals.
    scalars[FARKAS] = farkas / -proof if proof < -1e-10 * largest(y) else np.inf
    scalars[RAY] = max(ray, max(cone, cone_rows)) / -linear if linear < 0 else np.inf


@inner
def invert(v, out):
    """out = 1 / v."""
    for s in range(v.size):
        out[s] = 1 / v[s]


@inner
def weigh_sides(slack, inverse_z, delta, weight):
    """weight = 1 / (slack / z + delta)."""
    for s in range(slack.size):
        weight[s] = 1 / (slack[s] * inverse_z[s] + delta)


@inner
def weigh(model, point, room, kkt):
    """Diagonal of the KKT matrix at the current point."""
    kind, at, scalars = model.kind, model.at, point.scalars
    weight, turn, values, diagonal = room.weight, room.turn, kkt.values, kkt.diagonal
    n, rho, delta = model.q.size, scalars[RHO], scalars[DELTA]
    scalars[FACTORED], scalars[FACTORED + 1] = rho, delta
    invert(point.slack, room.inverse_slack)
    invert(point.z, room.inverse_z)
    weigh_sides(point.slack, room.inverse_z, delta, weight)
    for k in range(kind.size):
        turn[k] = 0.0
    for s in range(at.size):
        turn[at[s]] += weight[s]
    for j in range(n):
        values[diagonal[j]] = FIXED if kind[j] == EQUATION else model.own[j] + rho + turn[j]
        turn[j] = -1.0
    for k in range(n, kind.size):
        if turn[k] > 0:
            turn[k] = values[diagonal[k]] = -1 / turn[k]
        else:
            # A row without sides is out of the way.
            values[diagonal[k]] = -delta if kind[k] == EQUATION else -FIXED


@inner(contract=True)
def aim(model, point, room):
    """Right-hand side for products of slack and multiplier to fall by `target`."""
    at, sign, gap, base = model.at, model.sign, point.gap, point.base
    weight, target, inverse_z = room.weight, room.target, room.inverse_z
    turn, rhs = room.turn, room.rhs
    for k in range(rhs.size):
        rhs[k] = 0.0
    for s in range(at.size):
        rhs[at[s]] += sign[s] * (weight[s] * (gap[s] - target[s] * inverse_z[s]))
    for k in range(rhs.size):
        rhs[k] = base[k] + turn[k] * rhs[k]


@inner(contract=True)
def spread_multipliers(at, sign, variables, singles, gap, weight, target, inverse_z, dv, step, dz):
    """Steps of multipliers."""
    for s in range(dz.size):
        dz[s] = weight[s] * (gap[s] + sign[s] * dv[at[s]] - target[s] * inverse_z[s])
    # Rows: the stronger side from the multiplier of the row, no digit is lost there.
    for s in range(variables, singles):
        dz[s] = sign[s] * step[at[s]]
    for s in range(singles, dz.size, 2):
        if weight[s + 1] > weight[s]:
            dz[s + 1] = step[at[s]] + dz[s]
        else:
            dz[s] = dz[s + 1] - step[at[s]]


@inner(contract=True)
def spread_slacks(at, sign, slack, z, gap, target, inverse_z, dv, dz, delta, dslack):
    """Steps of slacks."""
    for s in range(dz.size):
        by_product = -(target[s] + slack[s] * dz[s]) * inverse_z[s]
        by_value = delta * dz[s] - (gap[s] + sign[s] * dv[at[s]])
        dslack[s] = by_product if slack[s] < z[s] else by_value


@inner(contract=True)
def spread(model, point, room):
    """Steps that go with a solution of the KKT system; the longest that slacks and z allow."""
    A, dv, step = model.A, room.dv, room.step
    n = model.q.size
    rows = dv[n:]
    for i in range(rows.size):
        rows[i] = 0
    for j in range(n):
        dv[j] = step[j]
        row_axpy(A, j, step[j], rows)
    spread_multipliers(
        model.at, model.sign, model.variables, model.singles, point.gap,
        room.weight, room.target, room.inverse_z, dv, step, room.dz,
    )  # fmt: skip
    spread_slacks(
        model.at, model.sign, point.slack, point.z, point.gap,
        room.target, room.inverse_z, dv, room.dz, point.scalars[DELTA], room.dslack,
    )  # fmt: skip
    return longest(room.dslack, room.inverse_slack), longest(room.dz, room.inverse_z)


@inner(contract=True)
def target_product(a, b, room, factor):
    """target = factor target + a b."""
    target = room.target
    for s in range(a.size):
        target[s] = factor * target[s] + a[s] * b[s]


@inner(reduction=True)
def product_after(slack, z, dslack, dz, a_primal, a_dual):
    """Mean product of slack and multiplier after steps of these lengths."""
    total = 0.0
    for s in range(z.size):
        total += (slack[s] + a_primal * dslack[s]) * (z[s] + a_dual * dz[s])
    return total / max(z.size, 1)


@inner
def keep(room):
    """Remember the direction."""
    copy_into(room.dslack, room.kept[0])
    copy_into(room.dz, room.kept[1])
    copy_into(room.step, room.kept_step)


@inner
def restore(room):
    """Go back to the direction that was kept."""
    copy_into(room.kept[0], room.dslack)
    copy_into(room.kept[1], room.dz)
    copy_into(room.kept_step, room.step)


@inner(contract=True)
def centre(slack, z, room, a_primal, a_dual, goal):
    """Ask products that a longer step would take far from `goal` to come back to it."""
    dslack, dz, target = room.dslack, room.dz, room.target
    for s in range(z.size):
        product = (slack[s] + a_primal * dslack[s]) * (z[s] + a_dual * dz[s])
        change = min(max(product - 10 * goal, 0.0), 10 * goal)
        target[s] += product - 0.1 * goal if product < 0.1 * goal else change


@inner(contract=True)
def kkt_multiply(kkt, x, out):
    """out = K x."""
    indptr, indices, values, _ = kkt
    for j in range(x.size):
        xj, total = x[j], 0.0
        last = np.uintp(indptr[j + 1] - 1)  # the diagonal stands last
        for p in span(indptr[j], indptr[j + 1] - 1):
            i = indices[p]
            total += values[p] * x[i]
            out[i] += values[p] * xj
        out[j] = total + values[last] * xj


@inner
def kkt_residual(kkt, b, x, r):
    """r = b - K x; its largest magnitude."""
    kkt_multiply(kkt, x, r)
    for j in range(b.size):
        r[j] = b[j] - r[j]
    return largest(r)


@inner(contract=True)
def apart_is_better(model, point, room, a_primal, a_dual):
    """Whether steps of different lengths leave no more dual residual than the shorter for both."""
    a = min(a_primal, a_dual)
    apart, together = 0.0, 0.0
    for j in range(model.q.size):
        Pd = row_dot(model.P, j, room.step)
        r = point.base[j]
        apart = max(apart, abs((1 - a_dual) * r - (a_primal - a_dual) * Pd))
        together = max(together, abs((1 - a) * r))
    return apart <= together


@inner
def raise_floors(scalars):
    """Raise the limits of the regularisations: solves fail."""
    scalars[FLOORS] = min(10 * scalars[FLOORS], 1e-8)
    scalars[FLOORS + 1] = min(10 * scalars[FLOORS + 1], 1e-8)


@inner
def lower_floors(scalars, primal, dual, a_primal, a_dual):
    """Lower the limit of a regularisation that holds up a residual."""
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
        copy_into(point.x, best[0])
        copy_into(point.y, best[1])
        copy_into(point.z, best[2])


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
