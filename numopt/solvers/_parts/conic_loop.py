"""Iterations of the interior point method for conic programs, compiled.

References
----------
Those of `numopt.solvers.InteriorPointConic`.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels import simplicial, supernodal
from numopt.linalg.ldl_kernels.symbolic import span
from numopt.linalg.sparse import row_axpy, row_dot
from numopt.solvers._parts.conic_kernels import (
    BEST,
    D_KAPPA,
    D_TAU,
    FARKAS,
    GOING,
    INFEASIBLE,
    KAPPA,
    MARKS,
    MISSES,
    MU,
    NO_END,
    NO_POINT,
    R_TAU,
    RAY,
    RESIDUAL,
    SHIFT,
    SOLVED,
    STUCK,
    TAU,
    TOL,
    UNBOUNDED,
    correct,
    evaluate,
    longest,
    note_progress,
    push_inside,
    remember,
    scale_by,
    weigh,
)  # fmt: skip

# Share of the way to the boundary.
SHARE = 0.99
# Iterations without progress after which to give up, and steps too short to go on.
PATIENCE, SHORTEST = 8, 1e-7
REFINEMENTS = 10
# Regularisation of the factor, which refinement takes out again, and factors tried at most.
LEAST, FIRST, TRIES = 1e-8, 1e-4, 5


@inner(contract=True)
def _residual(kkt, b, x, r):
    """r = b - K x; its largest magnitude, inf for NaN."""
    indptr, indices, values = kkt.indptr, kkt.indices, kkt.values
    n, top = b.size, 0.0
    for j in range(n):
        r[j] = b[j]
    for j in range(n):
        xj, total = x[j], 0.0
        last = np.uintp(indptr[j + 1] - 1)
        for p in span(indptr[j], indptr[j + 1] - 1):
            i = indices[p]
            total += values[p] * x[i]
            r[i] -= values[p] * xj
        r[j] -= total + values[last] * xj
    for j in range(n):
        if not abs(r[j]) <= top:
            top = abs(r[j]) if r[j] == r[j] else np.inf
    return top


def _build(factor, solve):
    """The iterations around one kind of factorisation."""

    @inner
    def factored(point, kkt, signs, arguments):
        """Factor K with as little on its diagonal as leaves every pivot its sign."""
        scalars, values = point.scalars, arguments[0]
        scalars[SHIFT] = max(0.1 * scalars[SHIFT], LEAST)
        for _ in range(TRIES):
            for k in range(values.size):
                values[k] = kkt.values[k]
            for k in range(signs.size):
                values[kkt.diagonal[k]] += signs[k] * scalars[SHIFT]
            failed, perturbed, wrong = factor(*arguments)
            if failed < 0 and perturbed == 0:
                return True
            scalars[SHIFT] *= 10
        return failed < 0 and wrong == 0

    @inner
    def refined(kkt, room, out, order, numbers, enough):
        """Solve K out = rhs and refine; False if that fails."""
        rhs, fix, r = room.rhs, room.fix, room.r
        top = 0.0
        for k in range(rhs.size):
            top = max(top, abs(rhs[k]))
        goal = max(1e-13 * top, enough)
        if not solve(rhs, out, order, numbers):
            return False
        error = _residual(kkt, rhs, out, r)
        for _ in range(REFINEMENTS):
            if error <= goal:
                break
            solve(r, fix, order, numbers)
            for k in range(out.size):
                out[k] += fix[k]
            after = _residual(kkt, rhs, out, r)
            if not after < 0.5 * error:
                if not after < error:
                    for k in range(out.size):
                        out[k] -= fix[k]
                break
            error = after
        return error < np.inf

    @inner(contract=True)
    def direction(model, point, room, kkt, order, numbers, keep, d_kappa, denominator):
        """Step that leaves `keep` of the residuals and takes s + W^2 z down by `target`."""
        q, b, cones, scalars = model.q, model.b, model.cones, point.scalars
        n, m, rhs, step, still = q.size, b.size, room.rhs, room.step, room.still
        tau = scalars[TAU]
        for j in range(n):
            rhs[j] = (keep - 1) * point.rx[j]
        for i in range(m):
            rhs[n + i] = (keep - 1) * point.rz[i] + room.target[i]
        for k in range(n + m, rhs.size):
            rhs[k] = 0.0
        if not refined(kkt, room, step, order, numbers, 1e-3 * scalars[RESIDUAL]):
            return False
        total = (1 - keep) * scalars[R_TAU] - d_kappa / tau
        for j in range(n):
            total += (2 * point.Px[j] / tau + q[j]) * step[j]
        for i in range(m):
            total += b[i] * step[n + i]
        d_tau = total / denominator
        for k in range(step.size):
            step[k] += d_tau * still[k]
        scalars[D_TAU] = d_tau
        scalars[D_KAPPA] = -(d_kappa + scalars[KAPPA] * d_tau) / tau
        scale_by(cones, point.w, point.eta, False, step[n : n + m], room.Wz)
        # From the rows, not from the scaling: what solves leave then stays out of feasibility.
        for i in range(m):
            room.ds[i] = 0.0
        for j in range(n):
            row_axpy(model.A, j, step[j], room.ds)
        for i in range(m):
            room.ds[i] = (keep - 1) * point.rz[i] + b[i] * d_tau - room.ds[i]
        for i in range(cones.zero):
            room.ds[i] = 0.0
        return True

    @inner
    def reach(model, point, room):
        """Length of the step to the boundary, at most 1."""
        scalars, n, m = point.scalars, model.q.size, model.b.size
        a = 1.0
        if scalars[D_TAU] < 0:
            a = min(a, -scalars[TAU] / scalars[D_TAU])
        if scalars[D_KAPPA] < 0:
            a = min(a, -scalars[KAPPA] / scalars[D_KAPPA])
        a = longest(model.cones, point.z, room.step[n : n + m], a)
        return longest(model.cones, point.s, room.ds, a)

    @inner
    def begin(model, point, room, kkt, best, signs, arguments, order, numbers):
        """The first point: least squares for slacks, and for multipliers, moved into the cones."""
        q, b, cones, scalars = model.q, model.b, model.cones, point.scalars
        n, m = q.size, b.size
        for i in range(cones.nonneg):
            point.s[i] = point.z[i] = 1.0
        for c in range(cones.starts.size - 1):
            for i in range(cones.starts[c], cones.starts[c + 1]):
                point.s[i] = point.z[i] = 1.0 if i == cones.starts[c] else 0.0
        weigh(model, point, kkt)
        scalars[TAU] = scalars[KAPPA] = 1.0
        scalars[BEST] = np.inf
        for k in range(4):
            scalars[MARKS + k] = np.inf
        # So much regularisation that no direction without a minimum leads far away.
        scalars[SHIFT] = 10 * FIRST
        failed = not factored(point, kkt, signs, arguments)
        both = model.P.data.size > 0  # without P the two systems are independent
        for part in range(1 if both else 2):
            for k in range(room.rhs.size):
                room.rhs[k] = 0.0
            for j in range(n):
                room.rhs[j] = -q[j] if both or part == 1 else 0.0
            for i in range(m):
                room.rhs[n + i] = b[i] if both or part == 0 else 0.0
            failed = failed or not refined(kkt, room, room.step, order, numbers, np.inf)
            if part == 0:
                for j in range(n):
                    point.x[j] = room.step[j]
                for i in range(m):
                    point.s[i] = -room.step[n + i]
            if both or part == 1:
                for i in range(m):
                    point.z[i] = room.step[n + i]
        for i in range(cones.zero):
            point.s[i] = 0.0
        push_inside(cones, point.s)
        push_inside(cones, point.z)
        scalars[SHIFT] = LEAST
        evaluate(model, point)
        remember(point, best)
        return not failed

    @kernel
    def iterate(model, point, room, kkt, best, signs, arguments, order, numbers, most):
        """At most `most` iterations; return (how many were done, how the chunk ended)."""
        q, b, cones, scalars = model.q, model.b, model.cones, point.scalars
        n, m = q.size, b.size
        step, still = room.step, room.still
        if scalars[TAU] == 0 and not begin(
            model, point, room, kkt, best, signs, arguments, order, numbers
        ):
            return 0, STUCK
        for done in range(most):
            if scalars[BEST] <= scalars[TOL]:
                return done, SOLVED
            if scalars[FARKAS] < scalars[NO_POINT]:
                return done, INFEASIBLE
            if scalars[RAY] < scalars[NO_END]:
                return done, UNBOUNDED
            if scalars[MISSES] > PATIENCE or not weigh(model, point, kkt):
                return done, STUCK
            if not factored(point, kkt, signs, arguments):
                return done, STUCK
            for j in range(n):
                room.rhs[j] = -q[j]
            for i in range(m):
                room.rhs[n + i] = b[i]
            for k in range(n + m, step.size):
                room.rhs[k] = 0.0
            if not refined(kkt, room, still, order, numbers, 0.0):
                return done, STUCK
            tau, mu = scalars[TAU], scalars[MU]
            denominator = scalars[KAPPA] / tau
            for j in range(n):
                room.fix[j] = still[j] - point.x[j] / tau
            for j in range(n):
                denominator += room.fix[j] * row_dot(model.P, j, room.fix)
                denominator -= still[j] * (row_dot(model.P, j, still) + q[j])
            for i in range(m):
                denominator -= b[i] * still[n + i]
            for i in range(m):
                room.target[i] = point.s[i]
            product, keep, a = tau * scalars[KAPPA], 0.0, 0.0
            for step_again in range(2):
                if step_again:
                    # The first step tells how much can be had, and what it did to the products.
                    keep = (1 - a) ** 3
                    scale_by(cones, point.w, point.eta, True, room.ds, room.Ws)
                    correct(cones, point, room, keep * mu)
                    product += scalars[D_TAU] * scalars[D_KAPPA] - keep * mu
                if not direction(
                    model, point, room, kkt, order, numbers, keep, product, denominator
                ):
                    return done, STUCK
                a = reach(model, point, room)
            a *= SHARE
            if not a > SHORTEST:
                return done, STUCK
            for j in range(n):
                point.x[j] += a * step[j]
            for i in range(m):
                point.z[i] += a * step[n + i]
                point.s[i] += a * room.ds[i]
            scalars[TAU] += a * scalars[D_TAU]
            scalars[KAPPA] += a * scalars[D_KAPPA]
            evaluate(model, point)
            remember(point, best)
            note_progress(scalars)
        return most, GOING

    return iterate


# Iterations, by the method of the factorisation.
FOR = {
    "simplicial": _build(simplicial.factor, simplicial.solve),
    "supernodal": _build(supernodal.factor, supernodal.solve),
}
