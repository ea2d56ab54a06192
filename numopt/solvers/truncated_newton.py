"""Newton's method with conjugate gradients for smooth linear models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DONE, RUNNING, Solver, time_left
from numopt.core.generic import (
    curvature_1d,
    hessian_1d,
    loss_gradient,
    stationarity,
    total_value,
    value_of,
)
from numopt.core.jit import inner, kernel
from numopt.core.matrices import n_columns, predict
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_count
from numopt.linalg.vector import dot
from numopt.solvers._parts.composite import free_part, gradient_affine, predict_affine, start_point
from numopt.solvers._parts.coordinate_descent import weighted_square

CHUNK = 2e8  # entries of A to read before a look at the clock
HALVINGS = 50

# Places in State.scalars.
FUN, RESIDUAL, TARGET, FIRST, RZ, ERROR, LIFT = range(7)


class State(NamedTuple):
    """What an iteration needs; vectors of p + 1 end in the intercept."""

    data: Any  # the problem as kernels see it
    w: np.ndarray  # p + 1, (x, b)
    g: np.ndarray  # p + 1, gradient of the objective
    rho: np.ndarray  # p + 1, curvature of the penalty
    inverse: np.ndarray  # p + 1, inverse diagonal of the Hessian: the preconditioner
    d: np.ndarray  # p + 1, Newton direction
    left: np.ndarray  # p + 1, -g - H d
    v: np.ndarray  # p + 1, direction of the conjugate gradients
    Hv: np.ndarray  # p + 1
    z: np.ndarray  # n, prediction
    r: np.ndarray  # n, gradient of the loss there
    h: np.ndarray  # n, second derivatives
    dz: np.ndarray  # n, what d adds to the prediction
    t: np.ndarray  # n, scratch
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class TruncatedNewton(Solver):
    r"""Newton's method for :math:`\min_{x, b} f(Ax + b) + \tfrac12 \sum_j \rho_j x_j^2`.

    .. math::
       (A^T H_k A + \mathrm{diag}(\rho))\, d_k \approx -g_k, \qquad x_{k+1} = x_k + t_k d_k

    with the second derivatives :math:`H_k` of the losses at the prediction. The system is never
    formed: conjugate gradients, preconditioned by its diagonal, stop at a residual of
    :math:`\min(0.1, \sqrt{|g_k| / |g_0|})\, |g_k|`, for quadratic losses at the tolerance. The
    step t is halved from 1 until the objective has fallen enough, which reads no column of A.

    It serves penalties without kinks (`Ridge`, `Zero`, weighted or not), whose answers are dense,
    where there are too many columns for their Gram matrix.

    Parameters
    ----------
    max_products : int, default 2000
        Products with the Hessian in an iteration at most.
    **limits
        See `Solver`.

    Notes
    -----
    Locally superlinear. An iteration reads A three times, and twice more for each product; the
    number of products grows with the square root of the condition number of the scaled Hessian,
    and the number of its separate eigenvalues bounds it.

    References
    ----------
    C.-J. Lin, R. Weng, S. Keerthi, "Trust region Newton method for large-scale logistic
    regression", J. Mach. Learn. Res. 9, 2008.
    R. Dembo, S. Eisenstat, T. Steihaug, "Inexact Newton methods", SIAM J. Numer. Anal. 19, 1982,
    doi:10.1137/0719025.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.penalties import Ridge
    >>> from numopt.problems import Composite
    >>> from numopt.solvers import TruncatedNewton
    >>> problem = Composite(LeastSquares([1.0, 2.0]), np.eye(2), Ridge(0.5))
    >>> TruncatedNewton().solve(problem).x.round(6).tolist()
    [0.5, 1.0]
    """

    name: ClassVar[str] = "truncated-newton"
    accepts: ClassVar[tuple[str, ...]] = ("Composite",)
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "loss": ("value_1d", "gradient_1d", "hessian_1d"),
        "penalty": ("curvature_1d",),
    }
    check_every: ClassVar[int] = 1
    descent: ClassVar[bool] = True

    max_iter: int = 200
    max_products: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.max_products, "max_products", 1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        w, n, p = start_point(problem, x0, warm), problem.A.shape[0], problem.size
        scalars = np.zeros(7)
        tol = problem.default_tol if self.tol is None else self.tol
        scalars[TARGET] = 0.5 * tol * problem.scales()[0]
        wide, tall = np.zeros((7, p + 1), w.dtype), np.zeros((5, n), w.dtype)
        state = State(problem.lowered(), w, *wide, *tall, scalars)
        curvatures(state.data, state.rho)
        evaluate(state)
        if not scalars[FUN] < np.inf:  # outside the domain: what is excluded is not 0
            w[:p] = problem.penalty.prox(w[:p], 1e-30)
            evaluate(state)
        scalars[FIRST] = np.abs(state.g).max(initial=0.0)
        return state

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if s[RESIDUAL] <= s[TARGET]:
            return 0, DONE
        size = np.abs(state.g).max()
        share = 0.0 if problem.loss.quadratic else min(0.1, np.sqrt(size / s[FIRST]))
        goal = max(share * size, 0.3 * s[TARGET])
        chunk = max(1, int(CHUNK / (2 * problem.nnz + 1)))
        begin(state, float(problem.loss.smoothness or 0.0))
        done = 0
        while done < self.max_products and s[ERROR] > goal and time_left() > 0:
            count = improve(state, goal, min(chunk, self.max_products - done))
            done += count
            if count == 0:  # no curvature along v
                break
        share = move(state)
        # Where second derivatives are nearly 0, steps by them go too far: lift them.
        if share == 0 and s[LIFT] >= 1:
            return 1, BREAKDOWN
        if share < 0.1:
            s[LIFT] = min(1.0, max(8 * s[LIFT], 1e-3))
        else:
            s[LIFT] = 0.25 * s[LIFT] if s[LIFT] > 1e-4 else 0.0
        evaluate(state)
        return 1, DONE if s[RESIDUAL] <= s[TARGET] else RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        kkt = Entry(state.scalars[RESIDUAL] / problem.scales()[0], "stationarity / alpha_max")
        return Certificate("stationary", {"kkt": kkt}, float(state.scalars[FUN]))

    def tighten(self, problem: Any, state: State) -> bool:
        state.scalars[TARGET] *= 0.25
        least = 1e-3 * np.finfo(problem.dtype).eps * problem.scales()[0]
        return bool(state.scalars[TARGET] > least)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        p = problem.size
        point = {"x": state.w[:p]}
        warm = {"x": point["x"]}
        if problem.fit_intercept:
            point["intercept"] = warm["intercept"] = free_part(state.w, p)
        return {**point, "warm_start": warm}

    def work(self, problem: Any) -> float:
        return 20.0 * problem.nnz


@kernel
def curvatures(data, rho):
    """Curvatures of the penalty; what is excluded, by an infinite one, is told by -1."""
    for j in range(n_columns(data.X)):
        r = curvature_1d(data.penalty, j)
        rho[j] = r if r < np.inf else -1


@kernel
def evaluate(state):
    """Prediction, objective, its gradient and stationarity at w."""
    data, w, g, rho, scalars = state.data, state.w, state.g, state.rho, state.scalars
    p = n_columns(data.X)
    predict_affine(data, w, state.z)
    scalars[FUN] = loss_gradient(data.loss, data.scale, state.z, state.r)
    scalars[FUN] += value_of(data.penalty, w[:p])
    gradient_affine(data, state.r, g)
    worst = stationarity(data.penalty, w[:p], g[:p], 1.0, state.left[:p])
    if not abs(g[p]) <= worst:
        worst = abs(g[p])
    scalars[RESIDUAL] = worst
    for j in range(p):
        g[j] = g[j] + rho[j] * w[j] if rho[j] >= 0 else 0.0


@kernel
def begin(state, smoothness):
    """Second derivatives and preconditioner at w; the first conjugate direction.

    Second derivatives are lifted to a share of their bound, or if none is known, of the largest.
    """
    data, g, inverse, h, scalars = state.data, state.g, state.inverse, state.h, state.scalars
    p = n_columns(data.X)
    largest, total = smoothness, 0.0
    for i in range(h.size):
        h[i] = hessian_1d(data.loss, state.z[i], i)
        if smoothness == 0 and data.scale[i] > 0:
            largest = max(largest, h[i])
    for i in range(h.size):
        h[i] = data.scale[i] * max(h[i], scalars[LIFT] * largest)
        total += h[i]
    for j in range(p):
        square = weighted_square(data.X, j, h) + state.rho[j]
        inverse[j] = 1 / square if square > 0 and state.rho[j] >= 0 else 0.0
    inverse[p] = 1 / total if data.intercept and total > 0 else 0.0
    scalars[RZ] = scalars[ERROR] = 0.0
    for j in range(p + 1):
        state.d[j] = 0
        state.left[j] = -g[j]
        state.v[j] = -g[j] * inverse[j]
        scalars[RZ] += g[j] * inverse[j] * g[j]
        scalars[ERROR] = max(scalars[ERROR], abs(g[j]))


@inner
def change(data, v, out):
    """What a change v of w adds to the prediction."""
    p = n_columns(data.X)
    predict(data.X, v[:p], out)
    for i in range(out.size):
        out[i] += v[p]


@kernel
def improve(state, goal, most):
    """At most so many conjugate gradient steps on the Newton system; how many were done."""
    data, rho, inverse, scalars = state.data, state.rho, state.inverse, state.scalars
    d, left, v, Hv, t = state.d, state.left, state.v, state.Hv, state.t
    for done in range(most):
        if scalars[ERROR] <= goal:
            return done
        change(data, v, t)
        for i in range(t.size):
            t[i] *= state.h[i]
        gradient_affine(data, t, Hv)
        for j in range(v.size):
            Hv[j] += rho[j] * v[j]
        curvature = dot(v, Hv)
        if not curvature > 0:
            return done
        a = scalars[RZ] / curvature
        error, rz = 0.0, 0.0
        for j in range(v.size):
            d[j] += a * v[j]
            left[j] -= a * Hv[j]
            rz += left[j] * inverse[j] * left[j]
            if inverse[j] > 0:
                error = max(error, abs(left[j]))
        b = rz / scalars[RZ]
        scalars[RZ], scalars[ERROR] = rz, error
        for j in range(v.size):
            v[j] = inverse[j] * left[j] + b * v[j]
    return most


@kernel
def move(state):
    """Backtrack along d until the objective has fallen enough; the share of d that was taken."""
    data, w, d, z, dz, there = state.data, state.w, state.d, state.z, state.dz, state.t
    change(data, d, dz)
    slope, bend = dot(state.g, d), 0.0
    for j in range(d.size):
        bend += state.rho[j] * d[j] * d[j]
    if not slope < 0:
        return 0.0
    before = total_value(data.loss, data.scale, z)
    # The slope of the penalty is that of the objective without the loss's.
    tilt = slope - dot(state.r, dz)
    noise = 4 * np.finfo(w.dtype).eps * abs(before)
    share = 1.0
    for _ in range(HALVINGS):
        for i in range(z.size):
            there[i] = z[i] + share * dz[i]
        rise = total_value(data.loss, data.scale, there) - before
        rise += share * tilt + 0.5 * share * share * bend
        if rise <= 1e-4 * share * slope + noise:
            for j in range(w.size):
                w[j] += share * d[j]
            return share
        share *= 0.5
    return 0.0
