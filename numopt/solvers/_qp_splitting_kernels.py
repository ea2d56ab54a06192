"""Compiled iterations of `OperatorSplittingQP`, in scaled units.

Rows of C are those of A and, after them, one for each bounded variable: min x'Px/2 + q'x with
lo <= Cx <= hi, multipliers y > 0 at upper sides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.solver import BREAKDOWN, DONE, INFEASIBLE, RUNNING, UNBOUNDED
from numopt.linalg.ldl_kernels import simplicial, supernodal
from numopt.linalg.sparse import CSR, row_axpy, row_dot

# Places in State.scalars.
(
    RHO, COUNT, FACTORED, CHANGES, TOL, RESIDUAL, TRIED, SUSPECT, FINISHES, ROUNDS, FOUND, WARM,
    NEXT, PROOF,
) = range(14)  # fmt: skip

SIGMA = 1e-6  # proximal term of x
EQUAL, FREE = 1e3, 1e-6  # factors of rho at equations and at rows without sides
LOW, HIGH = 1e-6, 1e6  # range of rho
# Iterations between checks, and between looks at rho; the first check, for what is easy.
CHECK, ADAPT, FIRST = 25, 50, 10
SHIFT = 5.0  # rho moves if its estimate differs by this factor
ACTIVE, INACTIVE = 1e-9, 1e20  # minus the diagonal of the finishing system
REFINEMENTS = 12


class Model(NamedTuple):
    """What depends on P, A and on which variables have bounds."""

    P: CSR  # scaled, all of it
    C: CSR  # scaled, by columns
    D: np.ndarray  # n, x = D scaled x
    E: np.ndarray  # m, scaled Cx = E Cx
    cost: float  # scaled objective = cost times objective
    bounded: np.ndarray  # variable of each row after those of A
    diagonal: np.ndarray  # places of the last m diagonal entries in the values of the KKT matrix
    order: np.ndarray  # of elimination


class Factor(NamedTuple):
    """A factor of the KKT matrix [[P + sigma I, C'], [C, -diag]]."""

    arguments: Any  # of the factorisation; the values come first
    numbers: Any  # of the solve


class State(NamedTuple):
    """One solve."""

    q: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    x: np.ndarray
    z: np.ndarray  # within [lo, hi], the splitting's copy of Cx
    y: np.ndarray
    x_old: np.ndarray  # at the iteration before the last check
    y_old: np.ndarray
    rho: np.ndarray  # penalty of each row
    px: np.ndarray  # point of the finish
    py: np.ndarray
    side: np.ndarray  # -1, 0, 1: active lower, free, active upper; 2 where they are equal
    factored: np.ndarray  # sides that the finishing factor belongs to
    b: np.ndarray  # n + m, right-hand side
    v: np.ndarray  # n + m, solution
    Cx: np.ndarray  # m, scratch
    scalars: np.ndarray  # see the names above


@inner
def _set_rho(state, rho):
    state.scalars[RHO] = rho
    for i in range(state.rho.size):
        factor = 1.0
        if state.lo[i] == state.hi[i]:
            factor = EQUAL
        elif state.lo[i] == -np.inf and state.hi[i] == np.inf:
            factor = FREE
        state.rho[i] = min(max(rho * factor, LOW), HIGH)


@kernel
def prepare(model, state, data, x, y, z_lb, z_ub, rho):
    """Scale the vectors of a problem and a start; 1: sides cross, 2: the start is not finite."""
    _, _, q, l, u, lb, ub = data  # noqa: E741
    n, rows = q.size, l.size
    total, crossed = 0.0, False
    for j in range(n):
        total += abs(x[j])
        crossed = crossed or lb[j] > ub[j]
        state.q[j] = model.cost * model.D[j] * q[j]
        state.x[j] = state.x_old[j] = x[j] / model.D[j]
    for i in range(state.lo.size):
        low, high = 0.0, 0.0
        if i < rows:
            low, high = l[i], u[i]
        else:
            low, high = lb[model.bounded[i - rows]], ub[model.bounded[i - rows]]
        state.lo[i] = model.E[i] * low
        state.hi[i] = model.E[i] * high
        crossed = crossed or low > high
        multiplier = y[i] if i < rows else 0.0
        if i >= rows:
            multiplier = z_ub[model.bounded[i - rows]] - z_lb[model.bounded[i - rows]]
        total += abs(multiplier)
        state.y[i] = state.y_old[i] = model.cost * multiplier / model.E[i]
    _product(model, state.x, state.Cx)
    for i in range(state.lo.size):
        state.z[i] = min(max(state.Cx[i], state.lo[i]), state.hi[i])
    _set_rho(state, rho)
    return 1 if crossed else 0 if total < np.inf else 2


@kernel
def unscale(model, state, rows, x, y, z_lb, z_ub):
    """The point in the problem's units: the finish's where there is one."""
    found = state.scalars[FOUND] > 0
    px, py = (state.px, state.py) if found else (state.x, state.y)
    for j in range(x.size):
        x[j] = model.D[j] * px[j]
        z_lb[j] = 0.0
        z_ub[j] = 0.0
    for i in range(py.size):
        value = model.E[i] * py[i] / model.cost
        if i < rows:
            y[i] = value
        elif value > 0:
            z_ub[model.bounded[i - rows]] = value
        else:
            z_lb[model.bounded[i - rows]] = -value


@inner
def _product(model, x, out):
    """Out = C x."""
    for i in range(out.size):
        out[i] = 0.0
    for j in range(x.size):
        row_axpy(model.C, j, x[j], out)


@inner
def _worse(a, b):
    """The larger; NaN wins."""
    return b if not b <= a else a


@inner
def _residuals(model, state, x, y):
    """Primal, dual and gap residual in the problem's units, and the two ratios rho goes by."""
    n, m = x.size, y.size
    rows = m - model.bounded.size
    _product(model, x, state.Cx)
    primal, size, scaled, scaled_size = 0.0, 0.0, 0.0, 0.0
    bounds, bounds_size, support = 0.0, 0.0, 0.0
    for i in range(m):
        c = state.Cx[i]
        near = min(max(c, state.lo[i]), state.hi[i])
        off = abs(c - near)
        scaled = _worse(scaled, abs(c - state.z[i]))
        scaled_size = max(scaled_size, abs(c), abs(state.z[i]))
        if i < rows:
            primal = _worse(primal, off / model.E[i])
            size = max(size, abs(c) / model.E[i])
        else:
            bounds = _worse(bounds, off / model.E[i])
            bounds_size = max(bounds_size, abs(c) / model.E[i])
        if y[i] > 0:
            support += y[i] * state.hi[i]
        elif y[i] < 0:
            support += y[i] * state.lo[i]
    primal = max(primal / (1 + size), bounds / (1 + bounds_size))
    dual, dual_size, other, other_size, bend, slope = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(n):
        Px, Cy = row_dot(model.P, j, x), row_dot(model.C, j, y)
        unit = model.cost * model.D[j]
        r = abs(Px + state.q[j] + Cy)
        most = max(abs(Px), abs(Cy), abs(state.q[j]))
        other = _worse(other, r)
        other_size = max(other_size, most)
        dual = _worse(dual, r / unit)
        dual_size = max(dual_size, most / unit)
        bend += x[j] * Px
        slope += x[j] * state.q[j]
    gap = abs(bend + slope + support) / model.cost
    gap /= 1 + max(abs(bend), abs(slope), abs(support)) / model.cost
    worst = _worse(_worse(primal, dual / (1 + dual_size)), gap)
    return worst, scaled / max(scaled_size, 1e-10), other / max(other_size, 1e-10)


@inner
def _proof(model, state):
    """INFEASIBLE if y - y_old looks like a Farkas vector, UNBOUNDED if x - x_old like a ray."""
    n, m = state.x.size, state.y.size
    top, support, terms = 0.0, 0.0, 0.0
    for i in range(m):
        d = state.y[i] - state.y_old[i]
        if (d > 0 and state.hi[i] == np.inf) or (d < 0 and state.lo[i] == -np.inf):
            d = 0.0
        state.Cx[i] = d
        top = max(top, abs(d))
        if d != 0:
            t = d * state.hi[i] if d > 0 else d * state.lo[i]
            support += t
            terms += abs(t)
    if top > 1e-14 and support < -1e-6 * terms and support < 0:
        off = 0.0
        for j in range(n):
            off = _worse(off, abs(row_dot(model.C, j, state.Cx)))
        if off <= state.scalars[PROOF] * top:
            return INFEASIBLE
    top, slope, cost = 0.0, 0.0, 0.0
    for j in range(n):
        d = state.x[j] - state.x_old[j]
        state.px[j] = d
        top = max(top, abs(d))
        slope += state.q[j] * d
        cost = max(cost, abs(state.q[j]))
    if top > 1e-14 and slope < -1e-6 * cost * top:
        off = 0.0
        for j in range(n):
            off = _worse(off, abs(row_dot(model.P, j, state.px)))
        _product(model, state.px, state.Cx)
        for i in range(m):
            t = state.Cx[i]
            if (t > 0 and state.hi[i] < np.inf) or (t < 0 and state.lo[i] > -np.inf):
                off = _worse(off, abs(t))
        if off <= state.scalars[PROOF] * top:
            return UNBOUNDED
    return RUNNING


@kernel
def proof(model, state, rows, y, z_lb, z_ub, ray):
    """The last differences in the problem's units."""
    for j in range(ray.size):
        ray[j] = model.D[j] * (state.x[j] - state.x_old[j])
    for i in range(state.y.size):
        d = model.E[i] * (state.y[i] - state.y_old[i])
        if i < rows:
            y[i] = d
        elif d > 0:
            z_ub[model.bounded[i - rows]] = d
        else:
            z_lb[model.bounded[i - rows]] = -d


def _build(factor, solve):
    """The iterations with one kind of factor."""

    @inner
    def refactor(model, state, system):
        values = system.arguments[0]
        n = state.x.size
        for i in range(state.rho.size):
            values[model.diagonal[i]] = -1 / state.rho[i]
        state.scalars[FACTORED] = 1
        return factor(*system.arguments)[0] < 0 and n >= 0

    @inner
    def finish(model, state, system, most):
        """Solve for the sides that seem active, correct them, and again; whether it is solved."""
        s = state.scalars
        x, y, side = state.px, state.py, state.side
        n, m = x.size, y.size
        values = system.arguments[0]
        goal = max(1e-14, 1e-4 * s[TOL])
        for _ in range(most):
            s[ROUNDS] += 1
            same = True
            for i in range(m):
                same = same and (side[i] != 0) == (state.factored[i] != 0)
            if not same or s[FINISHES] == 0:
                for i in range(m):
                    values[model.diagonal[i]] = -ACTIVE if side[i] != 0 else -INACTIVE
                    state.factored[i] = side[i]
                s[FINISHES] = 1
                if factor(*system.arguments)[0] >= 0:
                    s[FINISHES] = 0
                    return False
            before = np.inf
            for _step in range(REFINEMENTS):
                _product(model, x, state.Cx)
                worst, top = 0.0, 1.0
                for j in range(n):
                    Px, Cy = row_dot(model.P, j, x), row_dot(model.C, j, y)
                    state.b[j] = -state.q[j] - Px - Cy
                    worst = _worse(worst, abs(state.b[j]))
                    top = max(top, abs(Px), abs(Cy))
                for i in range(m):
                    r = 0.0
                    if side[i] != 0:
                        r = (state.lo[i] if side[i] < 0 else state.hi[i]) - state.Cx[i]
                        top = max(top, abs(state.Cx[i]))
                    state.b[n + i] = r
                    worst = _worse(worst, abs(r))
                if not worst < np.inf:
                    return False
                if worst <= goal * top or (_step > 2 and worst > 0.5 * before):
                    break
                before = worst
                solve(state.b, state.v, model.order, system.numbers)
                for j in range(n):
                    x[j] += state.v[j]
                for i in range(m):
                    y[i] = y[i] + state.v[n + i] if side[i] != 0 else 0.0
            # Sides by the signs of multipliers and of violations, at rows where they tell.
            changed = False
            _product(model, x, state.Cx)
            for i in range(m):
                if side[i] == 2:
                    continue
                new = 0
                noise = 1e-12 * (1 + abs(state.Cx[i]))
                if side[i] == 0:
                    if state.Cx[i] > state.hi[i] + noise:
                        new = 1
                    elif state.Cx[i] < state.lo[i] - noise:
                        new = -1
                elif side[i] * y[i] > 0:
                    new = side[i]
                if new != side[i]:
                    side[i] = new
                    changed = True
                if new == 0:
                    y[i] = 0.0
            worst = _residuals(model, state, x, y)[0]
            if worst <= s[TOL]:
                s[RESIDUAL] = worst
                s[FOUND] = 1
                return True
            if not changed:
                return False
        return False

    @inner
    def attempt(model, state, system, most):
        """Finish from the sides that the splitting shows."""
        for j in range(state.x.size):
            state.px[j] = state.x[j]
        for i in range(state.y.size):
            y, lo, hi = state.y[i], state.lo[i], state.hi[i]
            state.side[i] = 2 if lo == hi else 1 if y > 0 else -1 if y < 0 else 0
            state.py[i] = y
        return finish(model, state, system, most)

    @kernel
    def run(model, state, system, ending, n_iter, relaxation, polish):
        """At most n_iter iterations; how many were done and a code.

        From a warm start the first one is an attempt to finish.
        """
        s = state.scalars
        if s[WARM] > 0:
            s[WARM] = 0
            s[COUNT] += 1
            if attempt(model, state, ending, polish):
                return 1, DONE
            return 1, RUNNING
        x, z, y, rho, b, v = state.x, state.z, state.y, state.rho, state.b, state.v
        n, m = x.size, z.size
        if s[FACTORED] == 0 and not refactor(model, state, system):
            return 0, BREAKDOWN
        for k in range(n_iter):
            keep = (s[COUNT] + 1) % CHECK == 0 or s[COUNT] + 1 == FIRST
            for j in range(n):
                b[j] = SIGMA * x[j] - state.q[j]
                if keep:
                    state.x_old[j] = x[j]
            for i in range(m):
                b[n + i] = z[i] - y[i] / rho[i]
                if keep:
                    state.y_old[i] = y[i]
            if not solve(b, v, model.order, system.numbers):
                return k + 1, BREAKDOWN
            for j in range(n):
                x[j] += relaxation * (v[j] - x[j])
            for i in range(m):
                moved = z[i] + relaxation * (v[n + i] - y[i]) / rho[i] + y[i] / rho[i]
                z[i] = min(max(moved, state.lo[i]), state.hi[i])
                y[i] = rho[i] * (moved - z[i])
            s[COUNT] += 1
            s[FOUND] = 0
            if not keep:
                continue
            worst, primal, dual = _residuals(model, state, x, y)
            if not worst < np.inf:
                return k + 1, BREAKDOWN
            s[RESIDUAL] = worst
            if worst <= s[TOL]:
                return k + 1, DONE
            code = _proof(model, state)
            s[SUSPECT] = s[SUSPECT] + 1 if code != RUNNING else 0
            if s[SUSPECT] >= 3:
                s[SUSPECT] = 0
                return k + 1, code
            if polish and code == RUNNING and (worst <= 0.2 * s[TRIED] or s[COUNT] >= s[NEXT]):
                s[TRIED] = worst
                s[NEXT] = 2 * s[COUNT]
                if attempt(model, state, ending, polish):
                    return k + 1, DONE
            if s[COUNT] % ADAPT == 0:
                ratio = np.sqrt(primal / max(dual, 1e-300))
                new = min(max(s[RHO] * ratio, LOW), HIGH)
                if new > SHIFT * s[RHO] or SHIFT * new < s[RHO]:
                    _set_rho(state, new)
                    s[CHANGES] += 1
                    if not refactor(model, state, system):
                        return k + 1, BREAKDOWN
        return n_iter, RUNNING

    return run


run_simplicial = _build(simplicial.factor, simplicial.solve)
run_supernodal = _build(supernodal.factor, supernodal.solve)
