"""Compiled iterations of `OperatorSplittingQP`, in scaled units.

Variables and rows are treated alike: *entity* k < n is variable k, entity n + i is row i of A,
each with a value (x_k, or entry i of A x), sides, a multiplier y > 0 at the upper one, and a
penalty. The vectors of entities are rows of one array: a call costs time by the array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.solver import BREAKDOWN, DONE, INFEASIBLE, RUNNING, UNBOUNDED
from numopt.linalg.ldl_kernels import simplicial, supernodal
from numopt.linalg.sparse import CSR, row_axpy, row_dot
from numopt.problems._qp_kernels import Arrays, kkt_residuals

# Rows of `work`, n + m entries each; X, OLD_X and Q use the first n.
(
    LO, HI, Z, Y, RHO, OLD_Y, X, OLD_X, Q,
    POINT,  # of the finish: x, then multipliers of rows
    MULTIPLIERS,  # of the finish, of all entities
    VALUES, B, V,  # x and A x; right-hand side; solution
    WORK,
) = range(15)  # fmt: skip

# Rows of `sides`: -1, 0, 1: at the lower side, free, at the upper one; 2 where they are equal.
# Those of the finish, and those that its factor belongs to.
SIDE, FACTORED_SIDE = range(2)

# Places in `scalars`.
(
    PENALTY, COUNT, FACTORED, CHANGES, TOL, RESIDUAL, TRIED, SUSPECT, ROUNDS, FOUND, FINISHING,
    NEXT, PROOF, STARTED, PRIMAL, DUAL, GAP, OBJECTIVE, SCALARS,
) = range(19)  # fmt: skip


# What the factor is of.
NOTHING, SPLITTING, FINISH = range(3)

SIGMA = 1e-6  # proximal term of x
EQUAL, FREE = 1e3, 1e-6  # factors of rho at equations and at rows without sides
LOW, HIGH = 1e-6, 1e6  # range of rho
# Iterations between checks, and between looks at rho; the first check, for what is easy.
CHECK, ADAPT, FIRST = 25, 50, 10
SHIFT = 5.0  # rho moves if its estimate differs by this factor
# Minus the diagonal of active rows in the finish; what keeps active variables and other rows out.
# More would make all other pivots look tiny.
ACTIVE, OUT = 1e-9, 1e10
# The proximal term of the finish where P has a diagonal above a limit, relative to it.
NEARLY, FLAT = 1e-9, 1e-3
REFINEMENTS = 12
# Multiplier of a side, beside the distance from it, from which on an interior point is at it.
SHARE = 1e-4


class Model(NamedTuple):
    """What depends on P and A."""

    P: CSR  # scaled, all of it
    A: CSR  # scaled, by columns
    unit: np.ndarray  # n + m, value = unit times scaled value
    own: np.ndarray  # n, diagonal of P
    diagonal: np.ndarray  # places of the diagonal in the values of the KKT matrix
    order: np.ndarray  # of elimination
    cost: float  # scaled objective = cost times objective


# Arguments come in plain tuples: named ones take several times as long to pass.


@inner(merged=True)
def _model(fixed, data):
    """`fixed`: entries of the scaled P and A, then the other fields."""
    return Model(
        CSR(fixed[0], data[1], data[2]), CSR(fixed[1], data[4], data[5]), fixed[2], fixed[3],
        fixed[4], fixed[5], fixed[6],
    )  # fmt: skip


@inner(merged=True)
def _arrays(data):
    """`data`: the parts of P and of A, and the vectors."""
    return Arrays(
        CSR(data[0], data[1], data[2]), CSR(data[3], data[4], data[5]), data[6], data[7], data[8],
        data[9], data[10],
    )  # fmt: skip


@inner
def _set_rho(work, scalars, n, rho):
    """Penalties of entities; 0 at variables without bounds."""
    scalars[PENALTY], scalars[FACTORED] = rho, NOTHING
    for k in range(work.shape[1]):
        factor, open_end = 1.0, work[LO, k] == -np.inf and work[HI, k] == np.inf
        if work[LO, k] == work[HI, k]:
            factor = EQUAL
        elif open_end:
            factor = FREE
        work[RHO, k] = min(max(rho * factor, LOW), HIGH)
        if open_end and k < n:
            work[RHO, k] = 0.0


@inner
def _load(model, data, work, scalars, start):
    """Begin: scale the vectors of a problem and a start; False if sides cross or it is not finite.

    `start`: x, y, z_lb, z_ub, tolerance, first penalty, whether to try a finish first (2: from
    an interior point, whose multipliers are nowhere 0).
    """
    n, total = model.own.size, model.unit.size
    x, y, z_lb, z_ub, tol, rho, first = start
    factored = scalars[FACTORED]
    for k in range(SCALARS):
        scalars[k] = 0.0
    scalars[TOL], scalars[FINISHING], scalars[PENALTY] = tol, first, rho
    scalars[RESIDUAL], scalars[TRIED] = np.inf, 1.0
    # At this residual dx or dy is shown as a proof, which the problem then checks.
    scalars[PROOF] = 1e-6
    crossed, size = False, 0.0
    for k in range(total):
        unit, i = model.unit[k], k - n
        low, high = (data.lb[k], data.ub[k]) if k < n else (data.l[i], data.u[i])
        crossed = crossed or low > high
        multiplier = z_ub[k] - z_lb[k] if k < n else y[i]
        size += abs(multiplier)
        work[LO, k], work[HI, k] = low / unit, high / unit
        work[Y, k] = work[OLD_Y, k] = model.cost * unit * multiplier
    for j in range(n):
        size += abs(x[j])
        work[Q, j] = model.cost * model.unit[j] * data.q[j]
        work[X, j] = work[OLD_X, j] = x[j] / model.unit[j]
    scalars[FACTORED] = factored if factored == FINISH else NOTHING
    return size < np.inf and not crossed


@inner
def _values(model, x, values):
    """Values of entities at x."""
    n = model.own.size
    rows = values[n:]
    for i in range(rows.size):
        rows[i] = 0.0
    for j in range(n):
        values[j] = x[j]
        row_axpy(model.A, j, x[j], rows)


@inner
def _write(model, x, multipliers, point):
    """A point in the problem's units: x, y, z_lb, z_ub one after the other."""
    n, m = model.own.size, model.unit.size - model.own.size
    for j in range(n):
        z = multipliers[j] / (model.cost * model.unit[j])
        point[j] = model.unit[j] * x[j]
        point[n + m + j], point[2 * n + m + j] = max(-z, 0.0), max(z, 0.0)
    for k in range(n, n + m):
        point[k] = multipliers[k] / (model.cost * model.unit[k])


@inner
def _worse(a, b):
    """The larger; NaN wins."""
    return b if not b <= a else a


@inner
def _residuals(model, work):
    """The worst residual in the problem's units, and the two ratios that rho goes by."""
    n, total = model.own.size, model.unit.size
    x, y, values = work[X], work[Y], work[VALUES]
    _values(model, x, values)
    worst, primal, size, support = 0.0, 0.0, 0.0, 0.0
    scaled, scaled_size = 0.0, 0.0
    for k in range(total):
        if k == n:
            worst, primal, size = primal / (1 + size), 0.0, 0.0
        if work[RHO, k] == 0:
            continue
        v = values[k]
        near = min(max(v, work[LO, k]), work[HI, k])
        scaled = _worse(scaled, abs(v - work[Z, k]))
        scaled_size = max(scaled_size, abs(v), abs(work[Z, k]))
        primal = _worse(primal, abs(v - near) * model.unit[k])
        size = max(size, abs(v) * model.unit[k])
        if y[k] != 0:
            support += y[k] * (work[HI, k] if y[k] > 0 else work[LO, k])
    worst = _worse(worst, primal / (1 + size))
    dual, dual_size, other, other_size, bend, slope = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    rows = y[n:]
    for j in range(n):
        Px, Ay, q = row_dot(model.P, j, x), row_dot(model.A, j, rows), work[Q, j]
        unit = model.cost * model.unit[j]
        r = abs(Px + q + Ay + y[j])
        most = max(abs(Px), abs(Ay), abs(y[j]), abs(q))
        other, other_size = _worse(other, r), max(other_size, most)
        dual, dual_size = _worse(dual, r / unit), max(dual_size, most / unit)
        bend += x[j] * Px
        slope += x[j] * q
    gap = abs(bend + slope + support) / model.cost
    gap /= 1 + max(abs(bend), abs(slope), abs(support)) / model.cost
    worst = _worse(_worse(worst, dual / (1 + dual_size)), gap)
    return worst, scaled / max(scaled_size, 1e-10), other / max(other_size, 1e-10)


@inner
def _proof(model, work, limit):
    """INFEASIBLE if y - y_old looks like a Farkas vector, UNBOUNDED if x - x_old like a ray."""
    n, total = model.own.size, model.unit.size
    d = work[V]
    top, support, terms = 0.0, 0.0, 0.0
    for k in range(total):
        d[k] = work[Y, k] - work[OLD_Y, k]
        if (d[k] > 0 and work[HI, k] == np.inf) or (d[k] < 0 and work[LO, k] == -np.inf):
            d[k] = 0.0
        top = max(top, abs(d[k]))
        if d[k] != 0:
            t = d[k] * (work[HI, k] if d[k] > 0 else work[LO, k])
            support += t
            terms += abs(t)
    if top > 1e-14 and support < -1e-6 * terms and support < 0:
        off, rows = 0.0, d[n:]
        for j in range(n):
            off = _worse(off, abs(row_dot(model.A, j, rows) + d[j]))
        if off <= limit * top:
            return INFEASIBLE
    top, slope, cost = 0.0, 0.0, 0.0
    for j in range(n):
        d[j] = work[X, j] - work[OLD_X, j]
        top = max(top, abs(d[j]))
        slope += work[Q, j] * d[j]
        cost = max(cost, abs(work[Q, j]))
    if top > 1e-14 and slope < -1e-6 * cost * top:
        off = 0.0
        for j in range(n):
            off = _worse(off, abs(row_dot(model.P, j, d)))
        _values(model, d, work[VALUES])
        for k in range(total):
            t = work[VALUES, k]
            if (t > 0 and work[HI, k] < np.inf) or (t < 0 and work[LO, k] > -np.inf):
                off = _worse(off, abs(t))
        if off <= limit * top:
            return UNBOUNDED
    return RUNNING


@kernel
def differences(fixed, data, work, point, ray):
    """The last differences in the problem's units: of multipliers, of x."""
    model = _model(fixed, data)
    n = model.own.size
    for k in range(model.unit.size):
        work[V, k] = work[Y, k] - work[OLD_Y, k]
    _write(model, work[X], work[V], point)
    for j in range(n):
        ray[j] = model.unit[j] * (work[X, j] - work[OLD_X, j])


@inner
def _errors(model, work, side):
    """Right-hand side of the finish: what its equations are off by. The largest, relative.

    Multipliers of active variables are what their equations need.
    """
    n = model.own.size
    point, multipliers, values, b = work[POINT], work[MULTIPLIERS], work[VALUES], work[B]
    _values(model, point, values)
    dual, dual_size, primal, size, rows = 0.0, 1.0, 0.0, 1.0, point[n:]
    for j in range(n):
        Px, Ay = row_dot(model.P, j, point), row_dot(model.A, j, rows)
        r = -work[Q, j] - Px - Ay
        dual_size = max(dual_size, abs(Px), abs(Ay))
        multipliers[j] = r if side[j] else 0.0
        b[j] = 0.0 if side[j] else r
        dual = _worse(dual, abs(r) if r != r else abs(b[j]))
    for k in range(n, point.size):
        multipliers[k] = point[k]
        r = 0.0
        if side[k]:
            r = (work[LO, k] if side[k] < 0 else work[HI, k]) - values[k]
            size = max(size, abs(values[k]))
        b[k] = r
        primal = _worse(primal, abs(r))
    return _worse(dual / dual_size, primal / size)


@inner
def _corrected(work, side):
    """Sides by the signs of multipliers and of violations, where they tell; whether any changed."""
    changed = False
    for k in range(side.size):
        if side[k] == 2:
            continue
        new, value = 0, work[VALUES, k]
        noise = 1e-12 * (1 + abs(value))
        if side[k] == 0:
            if value > work[HI, k] + noise:
                new = 1
            elif value < work[LO, k] - noise:
                new = -1
        elif side[k] * work[MULTIPLIERS, k] > 0:
            new = side[k]
        if new == 0:
            work[MULTIPLIERS, k] = 0.0
        if new != side[k]:
            side[k] = new
            changed = True
    return changed


def _build(factor, solve, numbers_of):
    """The iterations with one kind of factor."""

    @inner
    def refactored(model, work, scalars, arguments):
        values, n = arguments[0], model.own.size
        for k in range(model.unit.size):
            rho = work[RHO, k]
            values[model.diagonal[k]] = model.own[k] + SIGMA + rho if k < n else -1 / rho
        scalars[FACTORED] = SPLITTING
        return factor(*arguments)[0] < 0

    @inner
    def finish(model, data, work, sides, scalars, arguments, point, most):
        """Solve for the sides that seem active, correct them, and again; whether it is solved."""
        n, total = model.own.size, model.unit.size
        side, factored, v = sides[SIDE], sides[FACTORED_SIDE], work[V]
        x, y, z_lb, z_ub = point[:n], point[n:total], point[total : total + n], point[total + n :]
        # Of who asks for many digits a refinement more takes little.
        goal = max(1e-14, min(0.1, 1e3 * scalars[TOL]) * scalars[TOL])
        for _ in range(most):
            scalars[ROUNDS] += 1
            same = scalars[FACTORED] == FINISH
            for k in range(total):
                same = same and (side[k] != 0) == (factored[k] != 0)
            if not same:
                for k in range(total):
                    factored[k] = side[k]
                    if k < n:
                        d = OUT if side[k] else model.own[k]
                        d += NEARLY * d if d > FLAT else SIGMA
                    else:
                        d = -ACTIVE if side[k] else -OUT
                    arguments[0][model.diagonal[k]] = d
                scalars[FACTORED] = FINISH
                if factor(*arguments)[0] >= 0:
                    scalars[FACTORED] = NOTHING
                    return False
            for k in range(total):
                if (side[k] != 0) == (k < n):
                    at = work[LO, k] if side[k] < 0 else work[HI, k]
                    work[POINT, k] = at if k < n else 0.0
            before = np.inf
            for step in range(REFINEMENTS):
                worst = _errors(model, work, side)
                if not worst < np.inf:
                    return False
                if worst <= goal or (step > 2 and worst > 0.5 * before):
                    break
                before = worst
                solve(work[B], v, model.order, numbers_of(arguments))
                for k in range(total):
                    if (side[k] != 0) != (k < n):
                        work[POINT, k] += v[k]
            changed = _corrected(work, side)
            _write(model, work[POINT], work[MULTIPLIERS], point)
            primal, dual, gap, fun = kkt_residuals(data, x, y, z_lb, z_ub)
            worst = _worse(_worse(primal, dual), gap)
            if worst <= scalars[TOL]:
                scalars[PRIMAL], scalars[DUAL], scalars[GAP] = primal, dual, gap
                scalars[OBJECTIVE], scalars[RESIDUAL], scalars[FOUND] = fun, worst, 1
                return True
            if not changed:
                return False
        return False

    @inner
    def attempt(model, data, work, sides, scalars, arguments, point, most):
        """Finish from the sides that the splitting, or the start, shows."""
        n = model.own.size
        if scalars[FINISHING] == 2:
            _values(model, work[X], work[VALUES])
            for k in range(model.unit.size):
                near = work[HI, k] if work[Y, k] > 0 else work[LO, k]
                if not abs(work[Y, k]) > SHARE * abs(near - work[VALUES, k]):
                    work[Y, k] = 0.0
        scalars[FINISHING] = 0
        for k in range(model.unit.size):
            y = work[Y, k]
            equal = work[LO, k] == work[HI, k]
            sides[SIDE, k] = 2 if equal else 1 if y > 0 else -1 if y < 0 else 0
            work[POINT, k] = work[X, k] if k < n else y
            if (y > 0 and work[HI, k] == np.inf) or (y < 0 and work[LO, k] == -np.inf):
                sides[SIDE, k] = 0
        return finish(model, data, work, sides, scalars, arguments, point, most)

    @inner
    def iterations(
        model, data, work, sides, scalars, arguments, start, point, n, relaxation, polish, fresh
    ):  # fmt: skip
        s, size, total = scalars, model.own.size, model.unit.size
        if fresh and not _load(model, data, work, s, start):
            return 0, BREAKDOWN
        x, z, y, rho, b, v = work[X], work[Z], work[Y], work[RHO], work[B], work[V]
        for done in range(n):
            if s[FINISHING] > 0:
                if attempt(model, data, work, sides, s, arguments, point, polish):
                    return done + 1, DONE
                continue
            if s[STARTED] == 0:
                s[STARTED] = 1
                _values(model, x, work[VALUES])
                for k in range(total):
                    z[k] = min(max(work[VALUES, k], work[LO, k]), work[HI, k])
                _set_rho(work, s, size, s[PENALTY])
            if s[FACTORED] != SPLITTING and not refactored(model, work, s, arguments):
                return done, BREAKDOWN
            keep = (s[COUNT] + 1) % CHECK == 0 or s[COUNT] + 1 == FIRST
            for k in range(total):
                if keep:
                    work[OLD_X, k], work[OLD_Y, k] = x[k], y[k]
                b[k] = SIGMA * x[k] - work[Q, k] + rho[k] * z[k] - y[k]
                if k >= size:
                    b[k] = z[k] - y[k] / rho[k]
            if not solve(b, v, model.order, numbers_of(arguments)):
                return done + 1, BREAKDOWN
            for k in range(total):
                off = v[k] - z[k] if k < size else (v[k] - y[k]) / rho[k]
                if k < size:
                    x[k] += relaxation * (v[k] - x[k])
                if rho[k] > 0:
                    moved = z[k] + relaxation * off + y[k] / rho[k]
                    z[k] = min(max(moved, work[LO, k]), work[HI, k])
                    y[k] = rho[k] * (moved - z[k])
            s[COUNT] += 1
            s[FOUND] = 0
            if not keep:
                continue
            worst, primal, dual = _residuals(model, work)
            if not worst < np.inf:
                return done + 1, BREAKDOWN
            s[RESIDUAL] = worst
            if worst <= s[TOL]:
                return done + 1, DONE
            code = _proof(model, work, s[PROOF])
            s[SUSPECT] = s[SUSPECT] + 1 if code != RUNNING else 0
            if s[SUSPECT] >= 3:
                s[SUSPECT] = 0
                return done + 1, code
            if polish and code == RUNNING and (worst <= 0.2 * s[TRIED] or s[COUNT] >= s[NEXT]):
                s[TRIED], s[NEXT], s[FINISHING] = worst, 2 * s[COUNT], 1
            if s[COUNT] % ADAPT == 0:
                ratio = np.sqrt(primal / max(dual, 1e-300))
                new = min(max(s[PENALTY] * ratio, LOW), HIGH)
                if new > SHIFT * s[PENALTY] or SHIFT * new < s[PENALTY]:
                    _set_rho(work, s, size, new)
                    s[CHANGES] += 1
        return n, RUNNING

    @kernel
    def run(
        fixed, data, work, sides, scalars, arguments, start, point, n, relaxation, polish, fresh
    ):  # fmt: skip
        """At most n iterations; how many were done and a code. Writes the point.

        A solve begins with `fresh`. An attempt to finish counts as an iteration.
        """
        model = _model(fixed, data)
        done, code = iterations(
            model, _arrays(data), work, sides, scalars, arguments, start, point, n,
            relaxation, polish, fresh,
        )  # fmt: skip
        if scalars[FOUND] == 0:
            _write(model, work[X], work[Y], point)
        return done, code

    return run


@inner
def _simplicial_numbers(arguments):
    return arguments[1][1], arguments[3][0], arguments[7], arguments[8][1]


@inner
def _supernodal_numbers(arguments):
    return (
        arguments[9], arguments[10], arguments[11], arguments[15], arguments[17], arguments[20],
    )  # fmt: skip


# Iterations by the method of the factorisation.
RUN = {
    "simplicial": _build(simplicial.factor, simplicial.solve, _simplicial_numbers),
    "supernodal": _build(supernodal.factor, supernodal.solve, _supernodal_numbers),
}
