"""Compiled iterations of `OperatorSplittingQP`, in scaled units; see `qp_active_set`."""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.solver import BREAKDOWN, DONE, INFEASIBLE, RUNNING, UNBOUNDED
from numopt.linalg.ldl_kernels import simplicial, supernodal
from numopt.linalg.sparse import CSR
from numopt.problems._qp_kernels import Arrays
from numopt.solvers._parts.qp_active_set import (
    AY,
    CHANGES,
    COST,
    COUNT,
    FACTORED,
    FINISH,
    FINISHING,
    FOUND,
    HI,
    LO,
    NEXT,
    NOTHING,
    OLD_X,
    OLD_Y,
    OWN,
    PENALTY,
    PROOF,
    PX,
    RESIDUAL,
    RHO,
    SIGMA,
    SPLITTING,
    STARTED,
    SUSPECT,
    TOL,
    TRIED,
    UNIT,
    VALUES,
    B,
    Q,
    V,
    X,
    Y,
    Z,
    build_finish,
    products,
    worse,
    write,
)  # fmt: skip

EQUAL, FREE = 1e3, 1e-6  # factors of rho at equations and at rows without sides
LOW, HIGH = 1e-6, 1e6  # range of rho
# Iterations between checks, and between looks at rho; the first check, for what is easy.
CHECK, ADAPT, FIRST = 25, 50, 10
SHIFT = 5.0  # rho moves if its estimate differs by this factor


@kernel
def load(matrices, unit, cost, tops, places, work, scalars, P_data, A_data, values):
    """Scale P and A by units that are known, and put them into the KKT matrix.

    `matrices`: the parts of P and of A, by columns. Returns whether the units still suit them: the
    largest scaled entries are near `tops`.
    """
    P, A = CSR(matrices[0], matrices[1], matrices[2]), CSR(matrices[3], matrices[4], matrices[5])
    n, diagonal = P.indptr.size - 1, places[1]
    # Columns of the upper triangle end with the diagonal: each begins after that of the last one.
    at = np.zeros(unit.size, np.int64)
    scalars[COST], scalars[FACTORED] = cost, NOTHING
    for k in range(unit.size):
        work[UNIT, k] = unit[k]
        values[diagonal[k]] = 0.0
        if k > 0:
            at[k] = diagonal[k - 1] + 1
    P_top, A_top = 0.0, 0.0
    for j in range(n):
        work[OWN, j] = 0.0
        for p in range(P.indptr[j], P.indptr[j + 1]):
            i = P.indices[p]
            P_data[p] = P.data[p] * (cost * unit[j] * unit[i])
            P_top = max(P_top, abs(P_data[p]))
            if i < j:
                values[at[j]] = P_data[p]
                at[j] += 1
            elif i == j:
                work[OWN, j] = P_data[p]
        for p in range(A.indptr[j], A.indptr[j + 1]):
            k = n + A.indices[p]
            A_data[p] = A.data[p] * (unit[j] / unit[k])
            A_top = max(A_top, abs(A_data[p]))
            values[at[k]] = A_data[p]
            at[k] += 1
    fit = 0.1 * tops[0] <= P_top and P_top <= 10 * tops[0]
    return fit and 0.1 * tops[1] <= A_top and A_top <= 10 * tops[1]


@inner
def _set_rho(work, scalars, n, rho):
    """Penalties of entities; 0 at variables without bounds."""
    low, high, penalty = work[LO], work[HI], work[RHO]
    scalars[PENALTY], scalars[FACTORED] = rho, NOTHING
    for k in range(low.size):
        factor, open_end = 1.0, low[k] == -np.inf and high[k] == np.inf
        if low[k] == high[k]:
            factor = EQUAL
        elif open_end:
            factor = FREE
        penalty[k] = min(max(rho * factor, LOW), HIGH)
        if open_end and k < n:
            penalty[k] = 0.0


@inner
def _begin(data, work, scalars, point, options):
    """Scale the vectors of a problem and a start; False if sides cross or it is not finite.

    `options`: tolerance, first penalty, whether to try a finish first (2: from an interior point,
    whose multipliers are nowhere 0).
    """
    unit, x, y, n = work[UNIT], work[X], work[Y], data[6].size
    q, lower, upper, lb, ub = data[6], data[7], data[8], data[9], data[10]
    tol, rho, first = options
    for k in range(FACTORED):
        scalars[k] = 0.0
    scalars[TOL], scalars[FINISHING], scalars[PENALTY] = tol, first, rho
    scalars[RESIDUAL], scalars[TRIED] = np.inf, 1.0
    # At this residual dx or dy is shown as a proof, which the problem then checks.
    scalars[PROOF] = 1e-6
    crossed, size, cost, total = False, 0.0, scalars[COST], unit.size
    for k in range(total):
        u = unit[k]
        if k < n:
            low, high = lb[k], ub[k]
            multiplier = point[total + n + k] - point[total + k]
            work[Q, k] = cost * u * q[k]
            x[k] = work[OLD_X, k] = point[k] / u
            size += abs(point[k])
        else:
            low, high, multiplier = lower[k - n], upper[k - n], point[k]
        crossed = crossed or low > high
        size += abs(multiplier)
        work[LO, k], work[HI, k] = low / u, high / u
        y[k] = work[OLD_Y, k] = cost * u * multiplier
    if scalars[FACTORED] != FINISH:
        scalars[FACTORED] = NOTHING
    return size < np.inf and not crossed


@inner
def _residuals(work, scalars, n):
    """The worst residual in the problem's units, and the two ratios that rho goes by."""
    unit, x, y, z, rho, q = work[UNIT], work[X], work[Y], work[Z], work[RHO], work[Q]
    values, Px, Ay, low, high = work[VALUES], work[PX], work[AY], work[LO], work[HI]
    worst, primal, size, dual, dual_size = 0.0, 0.0, 0.0, 0.0, 0.0
    scaled, scaled_size, other, other_size = 0.0, 0.0, 0.0, 0.0
    bend, slope, support, cost = 0.0, 0.0, 0.0, scalars[COST]
    for k in range(y.size):
        if k == n:
            worst, primal, size = primal / (1 + size), 0.0, 0.0
        if k < n:
            r = abs(Px[k] + q[k] + Ay[k] + y[k])
            most = max(abs(Px[k]), abs(Ay[k]), abs(y[k]), abs(q[k]))
            other, other_size = worse(other, r), max(other_size, most)
            dual = worse(dual, r / (cost * unit[k]))
            dual_size = max(dual_size, most / (cost * unit[k]))
            bend += x[k] * Px[k]
            slope += x[k] * q[k]
        if rho[k] == 0:
            continue
        v = values[k]
        near = min(max(v, low[k]), high[k])
        scaled = worse(scaled, abs(v - z[k]))
        scaled_size = max(scaled_size, abs(v), abs(z[k]))
        primal = worse(primal, abs(v - near) * unit[k])
        size = max(size, abs(v) * unit[k])
        if y[k] != 0:
            support += y[k] * (high[k] if y[k] > 0 else low[k])
    worst = worse(worst, primal / (1 + size))
    gap = abs(bend + slope + support) / cost
    gap /= 1 + max(abs(bend), abs(slope), abs(support)) / cost
    worst = worse(worse(worst, dual / (1 + dual_size)), gap)
    return worst, scaled / max(scaled_size, 1e-10), other / max(other_size, 1e-10)


@inner
def _proof(P, A, work, limit):
    """INFEASIBLE if y - y_old looks like a Farkas vector, UNBOUNDED if x - x_old like a ray."""
    n, dx, dy, low, high = P.indptr.size - 1, work[B], work[V], work[LO], work[HI]
    values, Px, Ay, q = work[VALUES], work[PX], work[AY], work[Q]
    top, support, terms = 0.0, 0.0, 0.0
    for k in range(dy.size):
        if k < n:
            dx[k] = work[X, k] - work[OLD_X, k]
        d = work[Y, k] - work[OLD_Y, k]
        if (d > 0 and high[k] == np.inf) or (d < 0 and low[k] == -np.inf):
            d = 0.0
        top, dy[k] = max(top, abs(d)), d
        if d != 0:
            t = d * (high[k] if d > 0 else low[k])
            support += t
            terms += abs(t)
    products(P, A, work, dx, dy)
    off = 0.0
    for j in range(n):
        off = worse(off, abs(Ay[j] + dy[j]))
    if top > 1e-14 and support < -1e-6 * terms and support < 0 and off <= limit * top:
        return INFEASIBLE
    top, slope, cost, off = 0.0, 0.0, 0.0, 0.0
    for k in range(dy.size):
        if k < n:
            top = max(top, abs(dx[k]))
            slope += q[k] * dx[k]
            cost = max(cost, abs(q[k]))
            off = worse(off, abs(Px[k]))
        t = values[k]
        if (t > 0 and high[k] < np.inf) or (t < 0 and low[k] > -np.inf):
            off = worse(off, abs(t))
    if top > 1e-14 and slope < -1e-6 * cost * top and off <= limit * top:
        return UNBOUNDED
    return RUNNING


@kernel
def differences(n, work, scalars, point, ray):
    """The last differences in the problem's units: of multipliers, of x."""
    for k in range(work.shape[1]):
        work[V, k] = work[Y, k] - work[OLD_Y, k]
    write(work, scalars, n, work[X], work[V], point)
    for j in range(n):
        ray[j] = work[UNIT, j] * (work[X, j] - work[OLD_X, j])


@inner
def _prepare_step(work, scalars, n, keep):
    """Right-hand side of the system, and where the step starts from."""
    x, z, y, rho, b, q = work[X], work[Z], work[Y], work[RHO], work[B], work[Q]
    for k in range(y.size):
        if keep:
            work[OLD_X, k], work[OLD_Y, k] = x[k], y[k]
        if k < n:
            b[k] = SIGMA * x[k] - q[k] + rho[k] * z[k] - y[k]
        else:
            b[k] = z[k] - y[k] / rho[k]


@inner
def _take_step(work, n, relaxation):
    x, z, y, rho, v = work[X], work[Z], work[Y], work[RHO], work[V]
    for k in range(y.size):
        off = v[k] - z[k] if k < n else (v[k] - y[k]) / rho[k]
        if k < n:
            x[k] += relaxation * (v[k] - x[k])
        if rho[k] > 0:
            moved = z[k] + relaxation * off + y[k] / rho[k]
            z[k] = min(max(moved, work[LO, k]), work[HI, k])
            y[k] = rho[k] * (moved - z[k])


def _build(factor, solve, numbers_of):
    """The iterations with one kind of factor."""
    finish = build_finish(factor, solve, numbers_of)

    @kernel
    def run(
        P_data, A_data, data, work, sides, scalars, places, arguments, point, options, n,
        relaxation, polish, fresh,
    ):  # fmt: skip
        """At most n iterations; how many were done and a code. Writes the point.

        A solve begins with `fresh`, from the point. An attempt to finish counts as an iteration.
        `data`: the parts of P and of A, by columns, and the vectors.
        """
        s, size = scalars, data[6].size
        if fresh and not _begin(data, work, s, point, options):
            return 0, BREAKDOWN
        P, A = CSR(P_data, data[1], data[2]), CSR(A_data, data[4], data[5])
        done, code = 0, RUNNING
        while done < n and code == RUNNING:
            if s[FINISHING] > 0:
                raw = Arrays(
                    CSR(data[0], data[1], data[2]), CSR(data[3], data[4], data[5]), data[6],
                    data[7], data[8], data[9], data[10],
                )  # fmt: skip
                done += 1
                if finish(P, A, raw, work, sides, s, places, arguments, point, polish):
                    return done, DONE
                continue
            if s[STARTED] == 0:
                s[STARTED] = 1
                products(P, A, work, work[X], work[Y])
                for k in range(work.shape[1]):
                    work[Z, k] = min(max(work[VALUES, k], work[LO, k]), work[HI, k])
                _set_rho(work, s, size, s[PENALTY])
            if s[FACTORED] != SPLITTING:
                for k in range(work.shape[1]):
                    rho = work[RHO, k]
                    d = work[OWN, k] + SIGMA + rho if k < size else -1 / rho
                    arguments[0][places[1, k]] = d
                s[FACTORED] = SPLITTING
                if factor(*arguments)[0] >= 0:
                    code = BREAKDOWN
                    break
            s[COUNT] += 1
            s[FOUND] = 0
            keep = s[COUNT] % CHECK == 0 or s[COUNT] == FIRST
            done += 1
            _prepare_step(work, s, size, keep)
            if not solve(work[B], work[V], places[0], numbers_of(arguments)):
                code = BREAKDOWN
                break
            _take_step(work, size, relaxation)
            if not keep:
                continue
            products(P, A, work, work[X], work[Y])
            worst, primal, dual = _residuals(work, s, size)
            if not worst < np.inf:
                code = BREAKDOWN
                break
            s[RESIDUAL] = worst
            if worst <= s[TOL]:
                code = DONE
                break
            claim = _proof(P, A, work, s[PROOF])
            s[SUSPECT] = s[SUSPECT] + 1 if claim != RUNNING else 0
            if s[SUSPECT] >= 3:
                s[SUSPECT], code = 0, claim
                break
            if polish and claim == RUNNING and (worst <= 0.2 * s[TRIED] or s[COUNT] >= s[NEXT]):
                s[TRIED], s[NEXT], s[FINISHING] = worst, 2 * s[COUNT], 1
            if s[COUNT] % ADAPT == 0:
                ratio = np.sqrt(primal / max(dual, 1e-300))
                new = min(max(s[PENALTY] * ratio, LOW), HIGH)
                if new > SHIFT * s[PENALTY] or SHIFT * new < s[PENALTY]:
                    _set_rho(work, s, size, new)
                    s[CHANGES] += 1
        write(work, s, size, work[X], work[Y], point)
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
