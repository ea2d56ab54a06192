"""Compiled iterations of `HalpernPDHG`, in scaled units.

The Lagrangian is c'x + y'A x with x in [lb, ub], less the support function of [l, u] at y; steps of
x are tau = eta / weight, of y sigma = eta weight. In the norm of the method
|dz|^2 = |dx|^2 / tau + |dy|^2 / sigma - 2 dy'A dx.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.solver import BREAKDOWN, DONE, RUNNING
from numopt.linalg.sparse import CSR
from numopt.solvers._parts.pdhg_finish import guess, product, solve_active

# Places in `scalars`.
(
    ETA, WEIGHT, COUNT, TOTAL, FIRST, LAST, TOL, WORST, PRIMAL, DUAL, GAP, OBJECTIVE, ERRORS,
    BEST_WEIGHT, BEST_BALANCE, RESTARTS, PROOF, AT_BOUNDS, TRIED, NEXT, FINISHES, INNER, FOUND,
    RIGID, SCALARS,
) = range(25)  # fmt: skip

# Code of `iterate` besides those of solvers: it is time for `finish`.
FINISH = 100

# Iterations between checks.
CHECK = 40
# A restart pays: the fixed-point residual fell to this share since the last one; or to this one
# and grows again; or the iterations since then are this share of all.
SUFFICIENT, NECESSARY, LONG = 0.2, 0.5, 0.2
# Control of the weight by the ratio of movements, in logarithms: the most that it changes at once,
# what each digit by which the dual residual exceeds the primal one takes off, and its range.
PROPORTIONAL, INTEGRAL, FORGET = 0.99, 0.01, 0.3
LEAP, LEAN, STEEPEST = 3.0, 0.5, 1e4
# Ratios of the dual to the primal residual up to which control makes sense.
BALANCED = 8.0


# Steps of LSQR at an attempt to finish, as a share of the iterations before.
SHARE = 0.1


class Model(NamedTuple):
    """A scaled linear program: diag(rows) A diag(columns), in units `length` of x, `cost` of c."""

    A: CSR  # by columns
    R: CSR  # by rows
    c: np.ndarray
    l: np.ndarray  # noqa: E741
    u: np.ndarray
    lb: np.ndarray
    ub: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    length: float
    cost: float


class Work(NamedTuple):
    """Iterates, n or m entries each."""

    x: np.ndarray
    x0: np.ndarray  # anchor
    xp: np.ndarray  # step from x, as of the last check: what results show
    dx: np.ndarray  # xp - x
    xr: np.ndarray  # reflected step
    y: np.ndarray
    y0: np.ndarray
    yp: np.ndarray
    dy: np.ndarray
    s: np.ndarray  # A xr, summed up by columns
    r: np.ndarray  # c + A'yp
    Ax: np.ndarray  # A xp
    kept: np.ndarray  # n + m: xp and yp during an attempt to finish
    free: np.ndarray  # bool, n
    active: np.ndarray  # bool, m


@inner
def _step_x(model, work, tau, share, keep, scatter):
    """Step in x, reflected and drawn to the anchor; A times the reflection goes to s."""
    A, c, lb, ub = model.A, model.c, model.lb, model.ub
    x, x0, y, s, xr = work.x, work.x0, work.y, work.s, work.xr
    rest = 1.0 - share
    for j in range(np.uint64(c.size)):
        start, stop = np.uint64(A.indptr[j]), np.uint64(A.indptr[j + np.uint64(1)])
        g = c[j]
        for t in range(start, stop):
            g += A.data[t] * y[np.uint64(A.indices[t])]
        old = x[j]
        new = min(max(old - tau * g, lb[j]), ub[j])
        r = 2 * new - old
        if keep:
            work.xp[j] = new
            work.dx[j] = new - old
        if not scatter:
            xr[j] = r
        elif r != 0:
            for t in range(start, stop):
                s[np.uint64(A.indices[t])] += A.data[t] * r
        x[j] = share * r + rest * x0[j]


@inner
def _step_y(model, work, sigma, share, keep, scatter):
    """Step in y. Sums over rows go as those of `_step_x`: both ways give the same bits."""
    R, low, high = model.R, model.l, model.u
    y, y0, s, xr = work.y, work.y0, work.s, work.xr
    rest = 1.0 - share
    for i in range(np.uint64(low.size)):
        if scatter:
            a = s[i]
            s[i] = 0.0
        else:
            a = 0.0
            for t in range(np.uint64(R.indptr[i]), np.uint64(R.indptr[i + np.uint64(1)])):
                a += R.data[t] * xr[np.uint64(R.indices[t])]
        old = y[i]
        v = old / sigma + a
        new = sigma * (v - min(max(v, low[i]), high[i]))
        if keep:
            work.yp[i] = new
            work.dy[i] = new - old
        y[i] = share * (2 * new - old) + rest * y0[i]


@inner
def _moved(model, work, s):
    """|dz|^2 in the norm of the method, and the three terms it is made of."""
    dx, dy, R = work.dx, work.dy, model.R
    by_x, by_y, cross = 0.0, 0.0, 0.0
    for j in range(dx.size):
        by_x += dx[j] * dx[j]
    for i in range(dy.size):
        by_y += dy[i] * dy[i]
        cross += dy[i] * product(R, i, dx)
    tau, sigma = s[ETA] / s[WEIGHT], s[ETA] * s[WEIGHT]
    return by_x / tau + by_y / sigma - 2 * cross


@inner
def _larger(a, b):
    """The larger magnitude; NaN wins."""
    b = abs(b)
    return a if b <= a or a != a else b


@inner
def _measure(model, work, s):
    """Residuals of the certificate at (xp, yp), in the units of the problem before scaling.

    Reduced costs are multipliers of bounds: of all, or of those that x is at, whichever is better.
    """
    x, y, r, Ax = work.xp, work.yp, work.r, work.Ax
    n, m = x.size, y.size
    outside, scale = 0.0, 0.0
    value, support = 0.0, 0.0
    for i in range(m):
        Ax[i] = product(model.R, i, x)
        unit = model.length / model.rows[i]
        low, high = model.l[i], model.u[i]
        far = max(low - Ax[i], Ax[i] - high, 0.0)
        outside = _larger(outside, far * unit)
        if Ax[i] != Ax[i]:
            outside = np.nan
        scale = max(scale, (abs(Ax[i]) + far) * unit)
        if y[i] != 0:
            support += y[i] * (high if y[i] > 0 else low)
    primal = outside / (1 + scale)
    off, off_here, size, here = 0.0, 0.0, 0.0, 0.0
    everywhere = 0.0
    for j in range(n):
        a = product(model.A, j, y)
        r[j] = model.c[j] + a
        unit = model.cost / model.columns[j]
        size = max(size, abs(model.c[j]) * unit, abs(a) * unit)
        value += model.c[j] * x[j]
        bound = model.lb[j] if r[j] > 0 else model.ub[j]
        if abs(bound) < np.inf:
            everywhere -= bound * r[j]
        else:
            off = _larger(off, r[j] * unit)
        if x[j] == bound:
            here -= bound * r[j]
        else:
            off_here = _larger(off_here, r[j] * unit)
    scaled = model.length * model.cost
    gap = abs(value + support + everywhere) * scaled
    gap /= 1 + max(abs(value), abs(support + everywhere)) * scaled
    gap_here = abs(value + support + here) * scaled
    gap_here /= 1 + max(abs(value), abs(support + here)) * scaled
    dual, dual_here = off / (1 + size), off_here / (1 + size)
    s[AT_BOUNDS] = 0.0
    if max(dual_here, gap_here) < max(dual, gap):
        dual, gap = dual_here, gap_here
        s[AT_BOUNDS] = 1.0
    s[PRIMAL], s[DUAL], s[GAP], s[OBJECTIVE] = primal, dual, gap, value * scaled
    s[WORST] = _larger(_larger(primal, dual), gap)


@kernel
def finish(model, work, scalars):
    """Solve for the sides that seem active; whether the result is good enough, else all is back."""
    n, m, s = work.xp.size, work.yp.size, scalars
    limit = int(min(SHARE * s[TOTAL] + 10, 2 * (n + m)))
    for j in range(n):
        work.kept[j] = work.xp[j]
    for i in range(m):
        work.kept[n + i] = work.yp[i]
    for ahead in (0.0, s[TOTAL]):
        reach = ahead * s[ETA]
        guess(model, work, work.free, work.active, reach / s[WEIGHT], reach * s[WEIGHT])
        inner, solved = solve_active(model, work, work.free, work.active, limit, 1e-11)
        s[INNER] += inner
        s[FINISHES] += 1
        if solved:
            _measure(model, work, s)
            if s[WORST] <= s[TOL]:
                s[FOUND] = 1.0
                return True
        for j in range(n):
            work.xp[j] = work.kept[j]
        for i in range(m):
            work.yp[i] = work.kept[n + i]
        _measure(model, work, s)
    return False


@inner
def _reweigh(work, s):
    """Weight of the next epoch, by how far x and y went in this one, and by the residuals.

    Without cost the weight stays: how far y goes would say nothing but what the weight was.
    """
    if s[RIGID]:
        return
    far_x, far_y = 0.0, 0.0
    for j in range(work.xp.size):
        d = work.xp[j] - work.x0[j]
        far_x += d * d
    for i in range(work.yp.size):
        d = work.yp[i] - work.y0[i]
        far_y += d * d
    far_x, far_y = np.sqrt(far_x), np.sqrt(far_y)
    lean = np.log10(max(s[DUAL], 1e-12) / max(s[PRIMAL], 1e-12))
    balance = abs(lean)
    if 1e-16 < far_x < 1e12 and 1e-16 < far_y < 1e12 and balance < BALANCED:
        error = np.log(far_y / far_x) - np.log(s[WEIGHT]) - LEAN * lean
        s[ERRORS] = FORGET * s[ERRORS] + error
        change = PROPORTIONAL * error + INTEGRAL * s[ERRORS]
        weight = s[WEIGHT] * np.exp(min(max(change, -LEAP), LEAP))
        s[WEIGHT] = min(max(weight, 1 / STEEPEST), STEEPEST)
    else:
        s[WEIGHT], s[ERRORS] = s[BEST_WEIGHT], 0.0
    if balance < s[BEST_BALANCE]:
        s[BEST_BALANCE], s[BEST_WEIGHT] = balance, s[WEIGHT]


@inner
def _restart(work, s):
    for j in range(work.x.size):
        work.x[j] = work.x0[j] = work.xp[j]
    for i in range(work.y.size):
        work.y[i] = work.y0[i] = work.yp[i]
    s[COUNT] = 0.0
    s[RESTARTS] += 1


@kernel
def iterate(model, work, scalars, n, scatter):
    """At most n iterations; how many were done and a code."""
    s = scalars
    for done in range(n):
        tau, sigma = s[ETA] / s[WEIGHT], s[ETA] * s[WEIGHT]
        k = s[COUNT]
        first, check = k == 0, (s[TOTAL] + 1) % CHECK == 0
        share = (k + 1) / (k + 2)
        _step_x(model, work, tau, share, first or check, scatter)
        _step_y(model, work, sigma, share, first or check, scatter)
        s[COUNT] += 1
        s[TOTAL] += 1
        if not (first or check):
            continue
        square = _moved(model, work, s)
        if not abs(square) < np.inf:
            return done + 1, BREAKDOWN
        if square < 0:  # eta is too long
            s[ETA] *= 0.95
            _restart(work, s)
            continue
        residual = np.sqrt(square)
        if first:
            s[FIRST] = s[LAST] = residual
        if not check:
            continue
        s[FOUND] = 0.0
        _measure(model, work, s)
        if s[WORST] <= s[TOL]:
            return done + 1, DONE
        if not s[WORST] < np.inf:
            return done + 1, BREAKDOWN
        later = s[TOTAL] / s[NEXT] if s[NEXT] > 0 else 1.0
        due = s[WORST] <= 1e-2 and (later >= 1 or (later > 0.6 and s[WORST] <= 0.2 * s[TRIED]))
        again = (
            s[TOTAL] == CHECK
            or residual <= SUFFICIENT * s[FIRST]
            or (residual <= NECESSARY * s[FIRST] and residual > s[LAST])
            or s[COUNT] >= LONG * s[TOTAL]
        )
        s[LAST] = residual
        if again:
            _reweigh(work, s)
            _restart(work, s)
        if due:
            s[TRIED], s[NEXT] = s[WORST], 2 * s[TOTAL]
            return done + 1, FINISH
    return n, RUNNING


@kernel
def norm(model, work, n_iter):
    """Estimate of |A|_2 from below, by power iteration."""
    x, y = work.xr, work.s
    for j in range(x.size):
        # As good as random, and the same every time.
        mixed = (np.uint64(j) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x[j] = np.float64(mixed >> np.uint64(11)) * 2.0**-53 - 0.3
    size = 0.0
    for _ in range(n_iter):
        size = 0.0
        for i in range(y.size):
            y[i] = product(model.R, i, x)
        for j in range(x.size):
            x[j] = product(model.A, j, y)
            size += x[j] * x[j]
        size = np.sqrt(size)
        if not size > 0:
            break
        for j in range(x.size):
            x[j] /= size
    for i in range(y.size):
        y[i] = 0.0
    return np.sqrt(size)
