"""Compiled iterations of `ConicSplitting`, in scaled units.

The iteration is a map of one vector w = (x, v): z = b - P_K(b - v) and y = rho (v - z) are read
from it, so that b - z lies in the cones, y in their duals, and their product is 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.solver import BREAKDOWN, DONE, INFEASIBLE, RUNNING, UNBOUNDED
from numopt.linalg.cones import project_into
from numopt.linalg.ldl_kernels import simplicial, supernodal
from numopt.linalg.sparse import row_axpy, row_dot

# Places in State.scalars.
(
    RHO, COUNT, FACTORED, TOL, RESIDUAL, SUSPECT, PROOF, PRIMAL, DUAL,
    LAST, KEPT, PLACE, TAKEN, MARK, IDLE,
) = range(15)  # fmt: skip
SCALARS = 15

SIGMA = 1e-6  # proximal term of x
EQUAL = 1e3  # factor of rho at equations
LOW, HIGH = 1e-6, 1e6  # range of rho
# Iterations between checks, and between looks at rho; the first check, for what is easy.
CHECK, ADAPT, EASY = 25, 100, 10
SHIFT = 5.0  # rho moves if its estimate differs by this factor
RIDGE = 1e-10  # of Anderson's least squares, relative to its diagonal


class State(NamedTuple):
    """One solve; w and everything that goes with it holds x first, then v."""

    w: np.ndarray
    plain: np.ndarray  # w after a step without acceleration
    g: np.ndarray  # plain - w
    w_last: np.ndarray
    g_last: np.ndarray
    z: np.ndarray
    y: np.ndarray
    rho: np.ndarray  # penalty of each row
    rhs: np.ndarray
    solution: np.ndarray
    dx: np.ndarray  # differences of one iteration
    dy: np.ndarray
    room: np.ndarray  # m
    moves: np.ndarray  # memory x (n + m): differences of w, and of g after them
    changes: np.ndarray
    gram: np.ndarray  # products of the changes
    small: np.ndarray  # memory x (memory + 1)
    scalars: np.ndarray


@inner
def _set_rho(model, state, rho):
    state.scalars[RHO] = rho
    for i in range(state.rho.size):
        factor = EQUAL if i < model.cones.zero else 1.0
        state.rho[i] = min(max(rho * factor, LOW), HIGH)


@inner
def _forget(state):
    """Drop Anderson's memory: it misled, or the map has changed."""
    s = state.scalars
    s[KEPT] = s[PLACE] = s[TAKEN] = 0
    s[LAST] = np.inf


@kernel
def prepare(model, state, x, y, rho):
    """Start from x and y in the problem's units; False if they are not finite."""
    n, total = x.size, 0.0
    _set_rho(model, state, rho)
    for j in range(n):
        state.w[j] = x[j] / model.D[j]
        total += abs(x[j])
    _product(model, state.w, state.z)
    for i in range(y.size):
        state.room[i] = model.b[i] - state.z[i]
        total += abs(y[i])
    project_into(model.cones, state.room, False, state.room)
    for i in range(y.size):
        z = model.b[i] - state.room[i]
        state.w[n + i] = z + model.cost * y[i] / model.E[i] / state.rho[i]
    _forget(state)
    state.scalars[MARK] = np.inf
    _read(model, state)
    return total < np.inf


@kernel
def unscale(model, state, x, y):
    """The point in the problem's units."""
    for j in range(x.size):
        x[j] = model.D[j] * state.w[j]
    for i in range(y.size):
        y[i] = model.E[i] * state.y[i] / model.cost


@inner
def _product(model, x, out):
    """Out = A x; x may be longer."""
    for i in range(out.size):
        out[i] = 0.0
    for j in range(model.q.size):
        row_axpy(model.A, j, x[j], out)


@inner
def _read(model, state):
    """Z and y of v."""
    n = model.q.size
    for i in range(state.z.size):
        state.room[i] = model.b[i] - state.w[n + i]
    project_into(model.cones, state.room, False, state.room)
    for i in range(state.z.size):
        state.z[i] = model.b[i] - state.room[i]
        state.y[i] = state.rho[i] * (state.w[n + i] - state.z[i])


@inner
def _worse(a, b):
    """The larger; NaN wins."""
    return b if not b <= a else a


@inner(contract=True)
def residuals(model, state):
    """The worst residual in the problem's units; the two that rho goes by."""
    s, w, y, z, b, Ax = state.scalars, state.w, state.y, state.z, model.b, state.room
    n, m = model.q.size, b.size
    _product(model, w, Ax)
    primal, size, scaled, scaled_size, support = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(m):
        off, e = abs(Ax[i] - z[i]), 1 / model.E[i]
        scaled = _worse(scaled, off)
        scaled_size = max(scaled_size, abs(Ax[i]), abs(z[i]))
        primal = _worse(primal, off * e)
        size = max(size, abs(Ax[i]) * e, abs(z[i]) * e)
        support += b[i] * y[i]
    primal /= 1 + size
    dual, size, other, other_size, bend, slope = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(n):
        Px, Ay = row_dot(model.P, j, w), row_dot(model.A, j, y)
        f = 1 / (model.cost * model.D[j])
        r = abs(Px + model.q[j] + Ay)
        top = max(abs(Px), abs(Ay), abs(model.q[j]))
        other = _worse(other, r)
        other_size = max(other_size, top)
        dual = _worse(dual, r * f)
        size = max(size, top * f)
        bend += w[j] * Px
        slope += w[j] * model.q[j]
    dual /= 1 + size
    gap = abs(bend + slope + support) / model.cost
    gap /= 1 + max(abs(bend), abs(slope), abs(support)) / model.cost
    s[PRIMAL], s[DUAL] = scaled / max(scaled_size, 1e-10), other / max(other_size, 1e-10)
    s[RESIDUAL] = _worse(_worse(primal, dual), gap)
    return s[RESIDUAL]


@inner
def _proof(model, state):
    """INFEASIBLE if dy looks like a Farkas vector, UNBOUNDED if dx like a ray."""
    n, limit, dx, dy = model.q.size, state.scalars[PROOF], state.dx, state.dy
    project_into(model.cones, dy, True, dy)
    support, off = 0.0, 0.0
    for i in range(dy.size):
        support += model.b[i] * dy[i]
    for j in range(n):
        off = _worse(off, abs(row_dot(model.A, j, dy)) / model.D[j])
    if support < 0 and off * model.reach <= -limit * support:
        return INFEASIBLE
    slope, flat, steepest = 0.0, 0.0, 0.0
    for j in range(n):
        slope += model.q[j] * dx[j]
        flat = _worse(flat, abs(row_dot(model.P, j, dx)) / model.D[j])
        steepest = max(steepest, abs(model.q[j]) / model.D[j])
    if not slope < 0:
        return RUNNING
    _product(model, dx, state.room)
    off = 0.0
    for i in range(dy.size):
        state.room[i] = dy[i] = -state.room[i]
    project_into(model.cones, dy, False, dy)
    for i in range(dy.size):
        if state.room[i] != dy[i]:
            off = _worse(off, abs(state.room[i] - dy[i]) / (model.E[i] * model.rows[i]))
    return UNBOUNDED if max(flat * model.reach, off * steepest) <= -limit * slope else RUNNING


@inner(contract=True)
def _accelerate(model, state, size):
    """The next w, by Anderson's type II from plain steps; `size` is the length of g."""
    s, w, g, n = state.scalars, state.w, state.g, model.q.size
    moves, changes, gram, small = state.moves, state.changes, state.gram, state.small
    memory = moves.shape[0]
    if s[TAKEN] > 0:
        s[TAKEN] = 0
        if not size <= s[LAST]:
            # Back to where the plain step would have led.
            for k in range(w.size):
                w[k] = state.plain[k]
            _forget(state)
            return
    if s[LAST] < np.inf:
        row = int(s[PLACE])
        for k in range(w.size):
            moves[row, k] = w[k] - state.w_last[k]
            changes[row, k] = g[k] - state.g_last[k]
        s[PLACE] = (row + 1) % memory
        s[KEPT] = min(s[KEPT] + 1, memory)
        for i in range(int(s[KEPT])):
            gram[row, i] = gram[i, row] = _weighted(changes[row], changes[i], state.rho, n)
    s[LAST] = size
    for k in range(w.size):
        state.w_last[k], state.g_last[k] = w[k], g[k]
        w[k] += g[k]
        state.plain[k] = w[k]
    kept = int(s[KEPT])
    if kept < 2:
        return
    for i in range(kept):
        for j in range(kept):
            small[i, j] = gram[i, j]
        small[i, i] *= 1 + RIDGE
        small[i, memory] = _weighted(changes[i], g, state.rho, n)
    if not _solve_small(small, kept, memory):
        return
    for i in range(kept):
        weight = small[i, memory]
        for k in range(w.size):
            w[k] -= weight * (moves[i, k] + changes[i, k])
    s[TAKEN] = 1


@inner(reduction=True)
def _weighted(a, b, rho, n):
    """Product in the metric in which the map does not expand."""
    first, second = 0.0, 0.0
    for k in range(n):
        first += a[k] * b[k]
    for i in range(rho.size):
        second += rho[i] * a[n + i] * b[n + i]
    return SIGMA * first + second


@inner
def _solve_small(M, n, right):
    """Cholesky of the leading n x n part in place, and the solution in column `right`."""
    for j in range(n):
        d = M[j, j]
        for k in range(j):
            d -= M[j, k] * M[j, k]
        if not d > 0:
            return False
        d = np.sqrt(d)
        M[j, j] = d
        for i in range(j + 1, n):
            t = M[i, j]
            for k in range(j):
                t -= M[i, k] * M[j, k]
            M[i, j] = t / d
    for i in range(n):
        for k in range(i):
            M[i, right] -= M[i, k] * M[k, right]
        M[i, right] /= M[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            M[i, right] -= M[k, i] * M[k, right]
        M[i, right] /= M[i, i]
    return True


def _build(factor, solve):
    """The iterations with one kind of factor."""

    @inner
    def refactor(model, state, diagonal, arguments):
        values, n = arguments[0], model.q.size
        for i in range(state.rho.size):
            values[diagonal[n + i]] = -1 / state.rho[i]
        state.scalars[FACTORED] = 1
        return factor(*arguments)[0] < 0

    @kernel
    def run(model, state, diagonal, arguments, order, numbers, most, relaxation):
        """At most `most` iterations; how many were done and a code."""
        s, w, g, z, y, rho = state.scalars, state.w, state.g, state.z, state.y, state.rho
        rhs, solution, n, m = state.rhs, state.solution, model.q.size, model.b.size
        memory = state.moves.shape[0]
        if s[FACTORED] == 0 and not refactor(model, state, diagonal, arguments):
            return 0, BREAKDOWN
        if s[COUNT] == 0 and residuals(model, state) <= s[TOL]:
            return 0, DONE
        for done in range(1, most + 1):
            s[COUNT] += 1
            check = s[COUNT] % CHECK == 0 or s[COUNT] == EASY
            for j in range(n):
                rhs[j] = SIGMA * w[j] - model.q[j]
            for i in range(m):
                rhs[n + i] = z[i] - y[i] / rho[i]
            if not solve(rhs, solution, order, numbers):
                return done, BREAKDOWN
            for j in range(n):
                g[j] = relaxation * (solution[j] - w[j])
            for i in range(m):
                g[n + i] = relaxation * (solution[n + i] - y[i]) / rho[i]
            if check:
                # What one plain step does is what tells whether there is a solution.
                for j in range(n):
                    state.dx[j] = g[j]
                for i in range(m):
                    state.room[i] = model.b[i] - w[n + i] - g[n + i]
                project_into(model.cones, state.room, False, state.dy)
                for i in range(m):
                    state.dy[i] = rho[i] * (state.dy[i] - state.room[i]) - y[i]
            if memory > 0:
                _accelerate(model, state, np.sqrt(_weighted(g, g, rho, n)))
            else:
                for k in range(n + m):
                    w[k] += g[k]
            _read(model, state)
            if not check:
                continue
            worst = residuals(model, state)
            if not worst < np.inf:
                return done, BREAKDOWN
            if worst <= s[TOL]:
                return done, DONE
            s[IDLE] += 1
            if worst < 0.5 * s[MARK]:
                s[MARK], s[IDLE] = worst, 0
            code = _proof(model, state)
            s[SUSPECT] = s[SUSPECT] + 1 if code != RUNNING else 0
            if s[SUSPECT] >= 3:
                s[SUSPECT] = 0
                return done, code
            if s[COUNT] % ADAPT == 0:
                ratio = np.sqrt(s[PRIMAL] / max(s[DUAL], 1e-300))
                new = min(max(s[RHO] * ratio, LOW), HIGH)
                if new > SHIFT * s[RHO] or SHIFT * new < s[RHO]:
                    _set_rho(model, state, new)
                    for i in range(m):
                        w[n + i] = z[i] + y[i] / rho[i]
                    _forget(state)
                    if not refactor(model, state, diagonal, arguments):
                        return done, BREAKDOWN
        return most, RUNNING

    return run


# Iterations, by the method of the factorisation.
FOR = {
    "simplicial": _build(simplicial.factor, simplicial.solve),
    "supernodal": _build(supernodal.factor, supernodal.solve),
}
