"""Iterations of the interior point method for quadratic programs, compiled.

References
----------
Those of `numopt.solvers.InteriorPointQP`.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels import simplicial, supernodal
from numopt.linalg.sparse import row_axpy, row_dot
from numopt.solvers._interior_point_kernels import (
    DELTA,
    DUAL,
    ENOUGH,
    EQUATION,
    FACTORS,
    FARKAS,
    FLOORS,
    GAP,
    GOING,
    INFEASIBLE,
    LOWER,
    MARKS,
    MISSES,
    MU,
    NO_END,
    NO_POINT,
    PATIENCE,
    PRIMAL,
    RAY,
    RESIDUAL,
    RHO,
    SOLVED,
    START,
    STUCK,
    TAU,
    TOL,
    UNBOUNDED,
    aim,
    apart_is_better,
    centre,
    evaluate,
    keep,
    kkt_residual,
    largest,
    longest,
    move_floors,
    note_progress,
    products_after,
    remember,
    restore,
    spread,
    weigh,
)  # fmt: skip


def _build(factor, solve):
    """The iterations around one kind of factorisation."""

    @inner
    def refined(kkt, room, order, numbers, most, residual):
        """Solve K step = rhs until it can take away most of the residual; the error left."""
        rhs, step, fix, r = room.rhs, room.step, room.fix, room.r
        solve(rhs, step, order, numbers)
        size = largest(rhs)
        goal = max(1e-15 * size, 0.01 * residual)
        error = kkt_residual(kkt, rhs, step, r)
        for _ in range(most):
            if error <= goal:
                break
            solve(r, fix, order, numbers)
            for k in range(step.size):
                step[k] += fix[k]
            after = kkt_residual(kkt, rhs, step, r)
            if not after < 0.5 * error:
                if not after < error:
                    for k in range(step.size):
                        step[k] -= fix[k]
                break
            error = after
        return error

    @inner
    def factored(model, point, room, kkt, arguments):
        """Factor at the current point, with more regularisation after a failure."""
        scalars = point.scalars
        for _ in range(8):
            weigh(model, point, room, kkt)
            failed, _, wrong = factor(*arguments)
            scalars[FACTORS] += 1
            if failed < 0 and wrong == 0:
                return True
            scalars[RHO] = min(100 * scalars[RHO], 1e-2)
            scalars[DELTA] = min(100 * scalars[DELTA], 1e-2)
        return False

    @kernel
    def iterate(model, point, room, kkt, best, correctors, arguments, order, numbers, n):
        """At most n iterations; return (how many were done, how the chunk ended)."""
        kind, slack, z, y, scalars = model.kind, point.slack, point.z, point.y, point.scalars
        target, dslack, dz, step = room.target, room.dslack, room.dz, room.step
        size = model.q.size
        for done in range(n):
            worst = max(scalars[PRIMAL], scalars[DUAL], scalars[GAP])
            if worst <= scalars[TOL]:
                return done, SOLVED
            if scalars[FARKAS] < scalars[NO_POINT]:
                return done, INFEASIBLE
            if scalars[RAY] < scalars[NO_END]:
                return done, UNBOUNDED
            if scalars[MISSES] > PATIENCE:
                return done, STUCK
            if not factored(model, point, room, kkt, arguments):
                return done, STUCK
            for side in range(2):
                for k in range(kind.size):
                    target[side, k] = slack[side, k] * z[side, k]
            aim(model, point, room)
            error = refined(kkt, room, order, numbers, 4, scalars[RESIDUAL])
            spread(model, point, room)
            a_primal = longest(kind, slack, dslack)
            a_dual = longest(kind, z, dz)
            mu = scalars[MU]
            sigma = 0.0
            if mu > 0:
                sigma = (products_after(kind, point, room, a_primal, a_dual) / mu) ** 3
                sigma = min(max(sigma, 1e-9), 1.0)
                # Products far below what is wanted only ruin the matrix.
                sigma = max(sigma, scalars[ENOUGH] / mu)
                for side in range(2):
                    for k in range(kind.size):
                        target[side, k] += dslack[side, k] * dz[side, k] - sigma * mu
                aim(model, point, room)
                error = refined(kkt, room, order, numbers, 4, scalars[RESIDUAL])
                spread(model, point, room)
                a_primal = longest(kind, slack, dslack)
                a_dual = longest(kind, z, dz)
                for _ in range(correctors):
                    if min(a_primal, a_dual) > 0.9:
                        break
                    keep(room)
                    shorter = min(a_primal, a_dual)
                    wanted = min(1.0, 1.5 * shorter + 0.3)
                    centre(
                        kind, point, room, max(wanted, a_primal), max(wanted, a_dual), sigma * mu
                    )
                    aim(model, point, room)
                    error = refined(kkt, room, order, numbers, 4, scalars[RESIDUAL])
                    spread(model, point, room)
                    b_primal = longest(kind, slack, dslack)
                    b_dual = longest(kind, z, dz)
                    if min(b_primal, b_dual) < shorter + 0.1 * (wanted - shorter):
                        restore(room)
                        break
                    a_primal, a_dual = b_primal, b_dual
            a_primal = min(1.0, TAU * a_primal) if a_primal < 1 else 1.0
            a_dual = min(1.0, TAU * a_dual) if a_dual < 1 else 1.0
            if model.P.data.size and not apart_is_better(model, point, room, a_primal, a_dual):
                a_primal = a_dual = min(a_primal, a_dual)
            for j in range(size):
                point.x[j] += a_primal * step[j]
            for k in range(kind.size):
                if kind[k] == EQUATION and k >= size:
                    y[k] += a_dual * step[k]
                for side in range(2):
                    if kind[k] & (LOWER << side) and kind[k] != EQUATION:
                        slack[side, k] += a_primal * dslack[side, k]
                        z[side, k] += a_dual * dz[side, k]
            primal, dual = scalars[PRIMAL], scalars[DUAL]
            evaluate(model, point)
            rate = min(1.0, scalars[MU] / mu) if mu > 0 else 0.1
            rate = max(rate, 0.01)
            move_floors(scalars, error, primal, dual, a_primal, a_dual)
            scalars[RHO] = max(scalars[FLOORS], scalars[RHO] * rate)
            scalars[DELTA] = max(scalars[FLOORS + 1], scalars[DELTA] * rate)
            worst = max(scalars[PRIMAL], scalars[DUAL], scalars[GAP])
            remember(point, best)
            note_progress(scalars, worst)
        return n, GOING

    @kernel
    def begin(model, point, room, kkt, best, arguments, order, numbers):
        """The first point: where a least squares problem puts values and multipliers."""
        kind, slack, z, y, scalars = model.kind, point.slack, point.z, point.y, point.scalars
        scalars[RHO], scalars[DELTA] = 1e-6, 1e-4
        scalars[FLOORS] = scalars[FLOORS + 1] = 1e-10
        scalars[NO_POINT] = scalars[NO_END] = 1e-6
        for k in range(4):
            scalars[MARKS + k] = np.inf
        for k in range(kind.size):
            point.v[k] = 0
            y[k] = 0
            for side in range(2):
                slack[side, k] = 0
                z[side, k] = 1
                room.target[side, k] = 0
        for j in range(model.q.size):
            point.Ay[j] = 0
            point.x[j] = point.v[j] = model.lo[j] if kind[j] == EQUATION else 0.0
            row_axpy(model.A, j, point.x[j], point.v[model.q.size :])
        for j in range(model.q.size):
            point.Px[j] = row_dot(model.P, j, point.x)
        for side in range(2):
            for k in range(kind.size):
                slack[side, k] = 1
        ok = factored(model, point, room, kkt, arguments)
        for side in range(2):
            for k in range(kind.size):
                slack[side, k] = 0
                if not kind[k] & (LOWER << side):
                    z[side, k] = 0
        aim(model, point, room)
        refined(kkt, room, order, numbers, 4, 0.0)
        spread(model, point, room)
        for j in range(model.q.size):
            point.x[j] += room.step[j]
        worst = 0.0
        for k in range(kind.size):
            if kind[k] == EQUATION:
                y[k] = room.step[k]
                continue
            for side in range(2):
                if kind[k] & (LOWER << side):
                    value = point.v[k] + room.dv[k]
                    g = value - model.lo[k] if side == 0 else model.hi[k] - value
                    slack[side, k] = g
                    worst = max(worst, -g)
        # Every pair on one product, its difference being the distance from the side.
        mu = max(START, worst) ** 2
        for side in range(2):
            for k in range(kind.size):
                if kind[k] & (LOWER << side):
                    g = slack[side, k]
                    root = np.sqrt(g * g + 4 * mu)
                    larger = 0.5 * (abs(g) + root)
                    slack[side, k] = larger if g > 0 else mu / larger
                    z[side, k] = mu / larger if g > 0 else larger
        evaluate(model, point)
        remember(point, best)
        return ok

    return begin, iterate


# First point and iterations, by the method of the factorisation.
FOR = {
    "simplicial": _build(simplicial.factor, simplicial.solve),
    "supernodal": _build(supernodal.factor, supernodal.solve),
}
