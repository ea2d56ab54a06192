"""Finish of `HalpernPDHG`: the equations of the sides that are active, solved by LSQR."""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.vector import dot

# Residual of LSQR, beside the first one, up to which equations count as solvable.
NEAR = 1e-3


@inner(contract=True)
def product(M, i, x):
    """m_i'x of row i of M. Not that of `numopt.linalg.sparse`, which takes longer to compile."""
    i, total = np.uint64(i), 0.0
    for k in range(np.uint64(M.indptr[i]), np.uint64(M.indptr[i + np.uint64(1)])):
        total += M.data[k] * x[np.uint64(M.indices[k])]
    return total


@inner
def _apply(M, mask, v, shift, u):
    """u = M v - shift u where the mask is set; its length."""
    total = 0.0
    for i in range(u.size):
        if mask[i]:
            u[i] = product(M, i, v) - shift * u[i]
            total += u[i] * u[i]
    return np.sqrt(total)


@inner
def _divide(v, mask, by):
    for j in range(v.size):
        v[j] = v[j] / by if mask[j] else 0.0


@inner
def least_change(M, N, mask_u, mask_v, u, x, v, w, limit, goal):
    """x += the shortest d, 0 outside mask_v, with M d = u inside mask_u, by LSQR.

    Iterations, and whether the residual fell at all near 0. N is the transpose of M; u,
    v and w are overwritten.
    """
    beta = 0.0
    for i in range(u.size):
        u[i] = u[i] if mask_u[i] else 0.0
    beta = np.sqrt(dot(u, u))
    if not (beta > 0 and beta < np.inf):
        return 0, beta == 0
    _divide(u, mask_u, beta)
    for j in range(v.size):
        v[j] = 0.0
    alpha = _apply(N, mask_v, u, 0.0, v)
    if not alpha > 0:
        return 0, False
    _divide(v, mask_v, alpha)
    for j in range(v.size):
        w[j] = v[j]
    residual, rho_bar, first = beta, alpha, beta
    for k in range(limit):
        beta = _apply(M, mask_u, v, alpha, u)
        if beta > 0:
            _divide(u, mask_u, beta)
        alpha = _apply(N, mask_v, u, beta, v)
        if alpha > 0:
            _divide(v, mask_v, alpha)
        rho = np.sqrt(rho_bar * rho_bar + beta * beta)
        cosine, sine = rho_bar / rho, beta / rho
        theta, rho_bar = sine * alpha, -cosine * alpha
        step = cosine * residual / rho
        residual *= sine
        for j in range(v.size):
            if mask_v[j]:
                x[j] += step * w[j]
                w[j] = v[j] - theta / rho * w[j]
        if not (residual > goal * first and alpha > 0 and rho_bar != 0):
            return k + 1, residual <= NEAR * first
    return limit, residual <= NEAR * first


@inner
def guess(model, work, free, active, reach_x, reach_y):
    """Which variables are inside their bounds and which rows at a side, some steps ahead.

    xp goes to the bounds it is drawn to, yp to 0; `r` and `Ax` are those of (xp, yp). Reaches are
    lengths of steps.
    """
    x, y, r, Ax = work.xp, work.yp, work.r, work.Ax
    for j in range(x.size):
        ahead = x[j] - reach_x * r[j]
        if ahead <= model.lb[j] and r[j] > 0:
            x[j] = model.lb[j]
        elif ahead >= model.ub[j] and r[j] < 0:
            x[j] = model.ub[j]
        free[j] = x[j] > model.lb[j] and x[j] < model.ub[j]
    for i in range(y.size):
        low, high = model.l[i], model.u[i]
        active[i] = True
        if low == high:
            continue
        if y[i] > 0:
            active[i] = y[i] + reach_y * (Ax[i] - high) > 0
        elif y[i] < 0:
            active[i] = y[i] + reach_y * (Ax[i] - low) < 0
        else:
            active[i] = Ax[i] > high or Ax[i] < low
        if not active[i]:
            y[i] = 0.0


@inner
def solve_active(model, work, free, active, limit, goal):
    """Move xp onto the active sides and yp to where reduced costs of free variables vanish.

    Iterations of LSQR, and whether the first equations could be solved. Multipliers that end with
    the wrong sign become 0, x stays in its bounds.
    """
    x, y = work.xp, work.yp
    for i in range(y.size):
        if active[i]:
            low, high = model.l[i], model.u[i]
            Ax = product(model.R, i, x)
            upper = y[i] > 0 or (y[i] == 0 and Ax > high)
            work.dy[i] = (high if upper else low) - Ax
    done, solved = least_change(
        model.R, model.A, active, free, work.dy, x, work.dx, work.xr, limit, goal
    )
    if not solved:
        return done, False
    for j in range(x.size):
        x[j] = min(max(x[j], model.lb[j]), model.ub[j])
        work.dx[j] = -model.c[j] - product(model.A, j, y)
    more, _ = least_change(model.A, model.R, free, active, work.dx, y, work.dy, work.s, limit, goal)
    for i in range(y.size):
        work.s[i] = 0.0
        if (y[i] > 0 and model.u[i] == np.inf) or (y[i] < 0 and model.l[i] == -np.inf):
            y[i] = 0.0
    return done + more, True
