"""Compiled finishes of `OperatorSplittingQP` on an active set, in scaled units.

Variables and rows are treated alike: *entity* k < n is variable k, entity n + i is row i of A,
each with a value (x_k, or entry i of A x), sides, and a multiplier y > 0 at the upper one. What
they have is kept in rows of one array, because a call costs time by the array, and so does its
compilation.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.sparse import row_axpy, row_dot
from numopt.problems._qp_kernels import kkt_residuals

# Rows of `work`, n + m entries each; OWN, X, OLD_X, Q, PX and AY use the first n.
(
    UNIT, OWN,  # value = unit times scaled value; diagonal of P
    LO, HI, Z, Y, RHO, OLD_Y, X, OLD_X, Q,
    POINT,  # of the finish: x, then multipliers of rows
    MULTIPLIERS,  # of the finish, of all entities
    VALUES, PX, AY,  # of `products`: x and A x, P x, A'y
    B, V,  # right-hand side and solution
    WORK,
) = range(19)  # fmt: skip

# Rows of `sides`: -1, 0, 1: at the lower side, free, at the upper one; 2 where they are equal.
# Those of the finish, and those that its factor belongs to.
SIDE, FACTORED_SIDE = range(2)

# Places in `scalars`; the last two outlive a solve.
(
    PENALTY, COUNT, CHANGES, TOL, RESIDUAL, TRIED, SUSPECT, ROUNDS, FOUND, FINISHING, NEXT, PROOF,
    STARTED, PRIMAL, DUAL, GAP, OBJECTIVE,
    FACTORED, COST,  # what the factor is of; scaled objective = cost times objective
    SCALARS,
) = range(20)  # fmt: skip

NOTHING, SPLITTING, FINISH = range(3)  # what the factor may be of

SIGMA = 1e-6  # proximal term of x
# Minus the diagonal of active rows in the finish; what keeps active variables and other rows out.
# More would make all other pivots look tiny.
ACTIVE, OUT = 1e-9, 1e10
# The proximal term of the finish where P has a diagonal above a limit, relative to it.
NEARLY, FLAT = 1e-9, 1e-3
REFINEMENTS = 12
# Multiplier of a side, beside the distance from it, from which on an interior point is at it.
SHARE = 1e-4


@inner
def worse(a, b):
    """The larger; NaN wins."""
    return b if not b <= a else a


@inner
def products(P, A, work, x, y):
    """VALUES = (x, A x), PX = P x and AY = A'y, for vectors of entities x and y."""
    n = P.indptr.size - 1
    rows, Ax = y[n:], work[VALUES][n:]
    for i in range(Ax.size):
        Ax[i] = 0.0
    for j in range(n):
        work[VALUES, j] = x[j]
        row_axpy(A, j, x[j], Ax)
        work[PX, j], work[AY, j] = row_dot(P, j, x), row_dot(A, j, rows)


@inner
def write(work, scalars, n, x, multipliers, point):
    """A point in the problem's units: x, y, z_lb, z_ub one after the other."""
    total = work.shape[1]
    for k in range(total):
        y = multipliers[k] / (scalars[COST] * work[UNIT, k])
        if k < n:
            point[k] = work[UNIT, k] * x[k]
            point[total + k], point[total + n + k] = max(-y, 0.0), max(y, 0.0)
        else:
            point[k] = y


@inner
def _guess(P, A, work, sides, scalars):
    """Sides that the splitting, or the start, shows."""
    n, y, low, high, side = P.indptr.size - 1, work[Y], work[LO], work[HI], sides[SIDE]
    if scalars[FINISHING] == 2:
        products(P, A, work, work[X], work[Y])
    for k in range(y.size):
        if scalars[FINISHING] == 2:
            near = high[k] if y[k] > 0 else low[k]
            if not abs(y[k]) > SHARE * abs(near - work[VALUES, k]):
                y[k] = 0.0
        side[k] = 0
        if low[k] == high[k]:
            side[k] = 2
        elif y[k] > 0 and high[k] < np.inf:
            side[k] = 1
        elif y[k] < 0 and low[k] > -np.inf:
            side[k] = -1
        work[POINT, k] = work[X, k] if k < n else y[k]
    scalars[FINISHING] = 0


@inner
def _enter(work, sides, scalars, values, diagonal, n):
    """Put values to the sides; whether they need another factor, whose diagonal is then set."""
    side, factored, own, point = sides[SIDE], sides[FACTORED_SIDE], work[OWN], work[POINT]
    same = scalars[FACTORED] == FINISH
    for k in range(side.size):
        same = same and (side[k] != 0) == (factored[k] != 0)
        if (side[k] != 0) == (k < n):
            point[k] = 0.0
            if k < n:
                point[k] = work[LO, k] if side[k] < 0 else work[HI, k]
    if same:
        return False
    for k in range(side.size):
        factored[k] = side[k]
        if k < n:
            d = OUT if side[k] else own[k]
            d += NEARLY * d if d > FLAT else SIGMA
        else:
            d = -ACTIVE if side[k] else -OUT
        values[diagonal[k]] = d
    scalars[FACTORED] = FINISH
    return True


@inner
def _errors(work, side, n):
    """Right-hand side of the finish: what its equations are off by. The largest, relative.

    Multipliers of active variables are what their equations need.
    """
    point, multipliers, values, b = work[POINT], work[MULTIPLIERS], work[VALUES], work[B]
    Px, Ay, q = work[PX], work[AY], work[Q]
    dual, dual_size, primal, size = 0.0, 1.0, 0.0, 1.0
    for k in range(point.size):
        if k < n:
            r = -q[k] - Px[k] - Ay[k]
            dual_size = max(dual_size, abs(Px[k]), abs(Ay[k]))
            multipliers[k] = r if side[k] else 0.0
            b[k] = 0.0 if side[k] else r
            dual = worse(dual, abs(r) if r != r else abs(b[k]))
            continue
        multipliers[k] = point[k]
        b[k] = 0.0
        if side[k]:
            b[k] = (work[LO, k] if side[k] < 0 else work[HI, k]) - values[k]
            size = max(size, abs(values[k]))
        primal = worse(primal, abs(b[k]))
    return worse(dual / dual_size, primal / size)


@inner
def _correct(work, side):
    """Sides by the signs of multipliers and of violations, where they tell; whether any changed."""
    values, multipliers = work[VALUES], work[MULTIPLIERS]
    changed = False
    for k in range(side.size):
        if side[k] == 2:
            continue
        new, value = 0, values[k]
        noise = 1e-12 * (1 + abs(value))
        if side[k] == 0:
            if value > work[HI, k] + noise:
                new = 1
            elif value < work[LO, k] - noise:
                new = -1
        elif side[k] * multipliers[k] > 0:
            new = side[k]
        if new == 0:
            multipliers[k] = 0.0
        if new != side[k]:
            side[k] = new
            changed = True
    return changed


@inner
def _judge(data, work, scalars, n, point):
    """Write the point; whether its certificate meets the tolerance."""
    total = work.shape[1]
    write(work, scalars, n, work[POINT], work[MULTIPLIERS], point)
    primal, dual, gap, fun = kkt_residuals(
        data, point[:n], point[n:total], point[total : total + n], point[total + n :]
    )
    worst = worse(worse(primal, dual), gap)
    if not worst <= scalars[TOL]:
        return False
    scalars[PRIMAL], scalars[DUAL], scalars[GAP], scalars[OBJECTIVE] = primal, dual, gap, fun
    scalars[RESIDUAL], scalars[FOUND] = worst, 1
    return True


def build_finish(factor, solve, numbers_of):
    """The finish with one kind of factor."""

    @inner
    def finish(P, A, data, work, sides, scalars, places, arguments, point, most):
        """Solve for the sides that seem active, correct them, and again; whether it is solved."""
        n, side, at, v = P.indptr.size - 1, sides[SIDE], work[POINT], work[V]
        _guess(P, A, work, sides, scalars)
        # Of who asks for many digits a refinement more takes little.
        goal = max(1e-14, min(0.1, 1e3 * scalars[TOL]) * scalars[TOL])
        for _ in range(most):
            scalars[ROUNDS] += 1
            if _enter(work, sides, scalars, arguments[0], places[1], n):
                if factor(*arguments)[0] >= 0:
                    scalars[FACTORED] = NOTHING
                    return False
            before = np.inf
            for step in range(REFINEMENTS):
                products(P, A, work, at, at)
                worst = _errors(work, side, n)
                if not worst < np.inf:
                    return False
                if worst <= goal or (step > 2 and worst > 0.5 * before):
                    break
                before = worst
                solve(work[B], v, places[0], numbers_of(arguments))
                for k in range(at.size):
                    if (side[k] != 0) != (k < n):
                        at[k] += v[k]
            changed = _correct(work, side)
            if _judge(data, work, scalars, n, point):
                return True
            if not changed:
                return False
        return False

    return finish
