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
from numopt.linalg.vector import combine_into, dot, largest
from numopt.solvers._parts.interior_point_kernels import (
    BEGUN,
    DELTA,
    DUAL,
    ENOUGH,
    EQUATION,
    FACTORED,
    FACTORS,
    FARKAS,
    FLOORS,
    GAP,
    GOING,
    INFEASIBLE,
    MARKS,
    MISSES,
    MU,
    NO_END,
    NO_POINT,
    PATIENCE,
    PRIMAL,
    PULL,
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
    kkt_multiply,
    kkt_residual,
    lower_floors,
    measure_gaps,
    note_progress,
    product_after,
    raise_floors,
    remember,
    restore,
    spread,
    target_product,
    weigh,
)  # fmt: skip


def _build(factor, solve):
    """The iterations around one kind of factorisation."""

    @inner
    def refined(kkt, room, order, numbers, residual):
        """Solve K step = rhs until it can take away most of the residual; the error left.

        Refinement by conjugate residuals (GCR): converges where the plain one creeps or diverges.
        """
        rhs, step, r, fixes, images = room.rhs, room.step, room.r, room.fixes, room.images
        solve(rhs, step, order, numbers)
        goal = max(1e-15 * largest(rhs), 0.01 * residual)
        error = kkt_residual(kkt, rhs, step, r)
        for k in range(fixes.shape[0]):
            if error <= goal:
                break
            fix, image = fixes[k], images[k]
            solve(r, fix, order, numbers)
            kkt_multiply(kkt, fix, image)
            for i in range(k):
                overlap = dot(image, images[i])
                combine_into(image, -overlap, images[i], image)
                combine_into(fix, -overlap, fixes[i], fix)
            size = np.sqrt(dot(image, image))
            if not 0 < size < np.inf:
                break
            for i in range(fix.size):
                fix[i] /= size
                image[i] /= size
            length = dot(image, r)
            combine_into(step, length, fix, step)
            combine_into(r, -length, image, r)
            after = largest(r)
            if not after < 0.95 * error and k > 0:
                error = min(after, error)
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

    @inner
    def begin(model, point, room, kkt, arguments, order, numbers):
        """The first point: where a least squares problem puts values and multipliers."""
        kind, sign, slack, z, y = model.kind, model.sign, point.slack, point.z, point.y
        x, v, base, scalars, size = point.x, point.v, point.base, point.scalars, model.q.size
        scalars[RHO], scalars[DELTA] = 1e-6, 1e-4
        if z.size == 0:
            # A linear system: one factor and its refinement do.
            scalars[RHO] = scalars[DELTA] = 1e-8
        scalars[FLOORS] = scalars[FLOORS + 1] = 1e-10
        scalars[NO_POINT] = scalars[NO_END] = 1e-6
        for k in range(4):
            scalars[MARKS + k] = np.inf
        for k in range(kind.size):
            v[k] = 0
            y[k] = 0
        for s in range(z.size):
            # Sides far away must not pull the point there.
            slack[s] = max(1.0, PULL * abs(model.limit[s]))
            z[s] = 1 / slack[s]
            room.target[s] = 0
        for j in range(size):
            x[j] = v[j] = model.lo[j] if kind[j] == EQUATION else 0.0
            row_axpy(model.A, j, x[j], v[size:])
        for k in range(kind.size):
            base[k] = 0.0
            if k < size and kind[k] != EQUATION:
                base[k] = -row_dot(model.P, k, x) - model.q[k]
            elif k >= size and kind[k] == EQUATION:
                base[k] = model.lo[k] - v[k]
        factored(model, point, room, kkt, arguments)
        for s in range(z.size):
            slack[s] = 0
        measure_gaps(model.at, sign, model.limit, v, slack, point.gap)
        aim(model, point, room)
        refined(kkt, room, order, numbers, 1e-8 * largest(room.rhs))
        spread(model, point, room)
        for j in range(size):
            x[j] += room.step[j]
        for k in range(kind.size):
            v[k] += room.dv[k]
            if kind[k] == EQUATION:
                y[k] = room.step[k]
        worst = 0.0
        for s in range(z.size):
            slack[s] = sign[s] * (model.limit[s] - v[model.at[s]])
            worst = max(worst, -slack[s])
        # Every pair on one product, its difference being the distance from the side.
        mu = max(START, worst) ** 2
        for s in range(z.size):
            g = slack[s]
            larger = 0.5 * (abs(g) + np.sqrt(g * g + 4 * mu))
            slack[s] = larger if g > 0 else mu / larger
            z[s] = mu / larger if g > 0 else larger
        evaluate(model, point)

    @kernel
    def iterate(model, point, room, kkt, best, correctors, arguments, order, numbers, n):
        """At most n iterations; return (how many were done, how the chunk ended)."""
        slack, z, y, scalars = point.slack, point.z, point.y, point.scalars
        size = model.q.size
        if not scalars[BEGUN]:
            scalars[BEGUN] = 1
            begin(model, point, room, kkt, arguments, order, numbers)
            remember(point, best)
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
            same = scalars[FACTORED] == scalars[RHO] and scalars[FACTORED + 1] == scalars[DELTA]
            if (z.size or not same) and not factored(model, point, room, kkt, arguments):
                return done, STUCK
            target_product(slack, z, room, 0.0)
            aim(model, point, room)
            error = refined(kkt, room, order, numbers, scalars[RESIDUAL])
            a_primal, a_dual = spread(model, point, room)
            mu, sigma = scalars[MU], 0.0
            if mu > 0:
                sigma = (product_after(slack, z, room.dslack, room.dz, a_primal, a_dual) / mu) ** 3
                sigma = min(max(sigma, 1e-9), 1.0)
                # Products far below what is wanted only ruin the matrix.
                sigma = max(sigma, scalars[ENOUGH] / mu)
                target_product(room.dslack, room.dz, room, 1.0)
                goal = sigma * mu
                for s in range(z.size):
                    room.target[s] -= goal
                aim(model, point, room)
                error = refined(kkt, room, order, numbers, scalars[RESIDUAL])
                a_primal, a_dual = spread(model, point, room)
                for _ in range(correctors):
                    if min(a_primal, a_dual) > 0.9:
                        break
                    keep(room)
                    shorter = min(a_primal, a_dual)
                    wanted = min(1.0, 1.5 * shorter + 0.3)
                    centre(slack, z, room, max(wanted, a_primal), max(wanted, a_dual), goal)
                    aim(model, point, room)
                    error = refined(kkt, room, order, numbers, scalars[RESIDUAL])
                    b_primal, b_dual = spread(model, point, room)
                    if min(b_primal, b_dual) < shorter + 0.1 * (wanted - shorter):
                        restore(room)
                        break
                    a_primal, a_dual = b_primal, b_dual
            a_primal = min(1.0, TAU * a_primal) if a_primal < 1 else 1.0
            a_dual = min(1.0, TAU * a_dual) if a_dual < 1 else 1.0
            if a_primal != a_dual and model.P.data.size:
                if not apart_is_better(model, point, room, a_primal, a_dual):
                    a_primal = a_dual = min(a_primal, a_dual)
            for j in range(size):
                point.x[j] += a_primal * room.step[j]
            for k in range(size, y.size):
                if model.kind[k] == EQUATION:
                    y[k] += a_dual * room.step[k]
            combine_into(slack, a_primal, room.dslack, slack)
            combine_into(z, a_dual, room.dz, z)
            if error > 0.3 * scalars[RESIDUAL]:
                raise_floors(scalars)
                error = np.inf
            primal, dual = scalars[PRIMAL], scalars[DUAL]
            evaluate(model, point)
            rate = min(1.0, scalars[MU] / mu) if mu > 0 else 0.1
            rate = max(rate, 0.01)
            if error < np.inf:
                lower_floors(scalars, primal, dual, a_primal, a_dual)
            scalars[RHO] = max(scalars[FLOORS], scalars[RHO] * rate)
            scalars[DELTA] = max(scalars[FLOORS + 1], scalars[DELTA] * rate)
            worst = max(scalars[PRIMAL], scalars[DUAL], scalars[GAP])
            remember(point, best)
            note_progress(scalars, worst)
        return n, GOING

    return iterate


# Iterations, by the method of the factorisation.
FOR = {
    "simplicial": _build(simplicial.factor, simplicial.solve),
    "supernodal": _build(supernodal.factor, supernodal.solve),
}
