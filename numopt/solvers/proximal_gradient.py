"""Accelerated proximal gradient with backtracking and restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DONE, RUNNING
from numopt.core.generic import loss_gradient, prox_in_metric, value_of
from numopt.core.jit import inner, kernel
from numopt.core.matrices import n_columns
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_choice
from numopt.linalg.vector import (
    copy_into,
    difference_dot,
    dot,
    extrapolate_into,
)
from numopt.solvers._parts.accelerated import FISTA, LAN, PLAIN
from numopt.solvers._parts.composite import (
    column_metric,
    free_part,
    gradient_affine,
    predict_affine,
    residual,
    start_point,
)
from numopt.solvers._parts.oracle_steps import OnOracles, OracleState

# Places in State.scalars.
CURVATURE, MOMENTUM, FUN, TARGET, STEP, EPS, RESIDUAL = range(7)

# Change of L before each iteration, and how often it may be doubled within one.
SHRINK, MAX_TRIALS = 0.95, 200


class State(NamedTuple):
    """What an iteration needs; w = (x, b) ends in the intercept."""

    data: Any  # the problem, lowered
    w: np.ndarray  # x_k
    w_old: np.ndarray  # x_{k-1}
    v: np.ndarray  # y_k, the extrapolated point
    w_new: np.ndarray  # x_{k+1}, while being found
    z: np.ndarray  # prediction at x_k
    z_old: np.ndarray  # ... at x_{k-1}
    zv: np.ndarray  # ... at y_k
    z_new: np.ndarray  # ... at x_{k+1}
    r: np.ndarray  # gradient of the loss at zv
    r_new: np.ndarray  # ... at z_new
    g: np.ndarray  # gradient of the smooth part at y_k
    metric: np.ndarray  # d, weight of each coordinate in the quadratic model
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class ProximalGradient(OnOracles):
    r"""Proximal gradient method for :math:`F(x) + \phi(x)`, accelerated and monotone.

    F is the loss :math:`f(Ax + b)` of a `Composite`, or the user's function of a
    `SmoothComposite`; with a set for :math:`\phi` this is the accelerated projected gradient
    method.

    .. math::
       y_k = x_k + \beta_k (x_k - x_{k-1}), \qquad
       x_{k+1} = \arg\min_x \nabla F(y_k)^T x + \phi(x) + \tfrac{L_k}{2} \|x - y_k\|_D^2

    with FISTA's :math:`\beta_k = (t_{k-1} - 1) / t_k`,
    :math:`t_k = (1 + \sqrt{1 + 4 t_{k-1}^2 L_k / L_{k-1}}) / 2`. The metric D holds the squared
    norms of the columns of A, so that their units do not matter; it is the identity for penalties
    that do not separate. :math:`L` starts from the curvature along the first gradient, is doubled
    until the quadratic bound holds at the new point and shrinks by 5 % between iterations.
    Momentum is dropped whenever the objective would rise, which also makes the method a descent
    method for nonconvex penalties, or when it points uphill.

    Parameters
    ----------
    acceleration : {"fista", "none"}
        Whether to extrapolate.
    **limits
        See `Solver`.

    Notes
    -----
    Rate :math:`O(1/k^2)` in the objective for convex problems, linear under strong convexity
    thanks to the restarts; for nonconvex penalties the residual falls as :math:`O(1/\sqrt k)`.
    An iteration reads the matrix twice, the second time only the columns of nonzero coefficients;
    a rejected L, some one in fifteen, repeats both. Memory 6 n + 6 p numbers. On a user's function
    it takes two values and one gradient, in the metric D = I, and the memory 9 n numbers; on sets
    and within bounds with the momentum of Ghadimi and Lan, by which y stays inside them too.

    References
    ----------
    A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse
    problems", SIAM J. Imaging Sci. 2, 2009.
    B. O'Donoghue, E. Candes, "Adaptive restart for accelerated gradient schemes",
    Found. Comput. Math. 15, 2015, arXiv 1204.3982.
    K. Scheinberg, D. Goldfarb, X. Bai, "Fast first-order methods for composite convex optimization
    with backtracking", Found. Comput. Math. 14, 2014.
    H. Li, Z. Lin, "Accelerated proximal gradient methods for nonconvex programming", NIPS 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.penalties import L1
    >>> from numopt.problems import Composite
    >>> from numopt.solvers import ProximalGradient
    >>> problem = Composite(LeastSquares([1.0, 2.0]), np.eye(2), L1(0.5))
    >>> ProximalGradient(tol=1e-10).solve(problem).success
    True
    """

    name: ClassVar[str] = "prox-grad"
    accepts: ClassVar[tuple[str, ...]] = ("Composite", "SmoothComposite")
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "loss": ("value_1d|total_gradient", "gradient_1d|total_gradient"),
        "penalty": ("prox_1d|prox_into|prox|project",),
    }

    acceleration: str = "fista"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.acceleration, ("fista", "none"), "acceleration")

    def mode(self, problem: Any) -> int:
        """How the momentum moves on a user's function: inside bounds, where there are any."""
        if self.acceleration == "none":
            return PLAIN
        return LAN if problem.stays_inside else FISTA

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> Any:
        if not hasattr(problem, "A"):
            return super().init(problem, x0, warm)
        dtype = problem.dtype
        n = problem.A.shape[0] * problem.outputs
        w = start_point(problem, x0, warm)
        tall, wide = np.zeros((6, n), dtype), np.zeros((4, w.size), dtype)
        scalars = np.zeros(7)
        scalars[CURVATURE] = warm.get("curvature", 0.0)
        scalars[EPS] = np.finfo(dtype).eps
        tol = problem.default_tol if self.tol is None else self.tol
        scalars[TARGET] = 0.5 * tol * problem.scales()[0]
        gates_on_distance = problem.penalty.offers("subdiff_distance_1d")
        scalars[STEP] = 1.0 if gates_on_distance else 1.0 / problem.lipschitz()
        metric = column_metric(problem)
        state = State(problem.lowered(), w, *wide[:3], *tall, wide[3], metric, scalars)
        _iterate(state, 0, True)
        return state

    def advance(self, problem: Any, state: Any, n: int) -> tuple[int, int]:
        if isinstance(state, OracleState):
            return super().advance(problem, state, n)
        return _iterate(state, n, self.acceleration == "fista")

    def measure(self, problem: Any, state: Any) -> Certificate:
        if isinstance(state, OracleState):
            return super().measure(problem, state)
        fun, worst = state.scalars[FUN], state.scalars[RESIDUAL]
        kkt = Entry(worst / problem.scales()[0], "stationarity / alpha_max")
        return Certificate("stationary", {"kkt": kkt}, float(fun))

    def explain(self, problem: Any, state: Any) -> str:
        return super().explain(problem, state) if isinstance(state, OracleState) else ""

    def tighten(self, problem: Any, state: Any) -> bool:
        if isinstance(state, OracleState):
            return super().tighten(problem, state)
        # The step taken understates the residual: ask for a smaller one, down to rounding.
        state.scalars[TARGET] *= 0.25
        return bool(state.scalars[TARGET] > 1e-6 * state.scalars[EPS] * problem.scales()[0])

    def finish(self, problem: Any, state: Any) -> dict[str, Any]:
        if isinstance(state, OracleState):
            return super().finish(problem, state)
        p = problem.size
        point = {"x": state.w[:p]}
        warm = {"x": point["x"], "curvature": float(state.scalars[CURVATURE])}
        if problem.fit_intercept:
            point["intercept"] = warm["intercept"] = free_part(state.w, p)
        return {**point, "warm_start": warm}

    def work(self, problem: Any) -> float:
        if not hasattr(problem, "A"):
            return super().work(problem)
        return (2.0 * problem.nnz + 10.0 * sum(problem.A.shape)) * problem.outputs


@inner
def _start(state):
    """Prediction and objective at x_0, and the curvature along the first gradient."""
    data, s = state.data, state.scalars
    p = n_columns(data.X)
    if not data.intercept:
        state.w[p:] = 0
    predict_affine(data, state.w, state.z)
    copy_into(state.z, state.z_old)
    copy_into(state.w, state.w_old)
    s[MOMENTUM] = 1.0
    _measure(state)
    if s[CURVATURE] > 0:
        return
    s[CURVATURE] = 1.0
    descend_into(state.w, 1.0, state.g, state.metric, state.w_new)
    length = metric_square(state.metric, state.w_new, state.w)
    if length > 0 and length < np.inf:
        descend_into(state.w, 1.0 / np.sqrt(length), state.g, state.metric, state.w_new)
        predict_affine(data, state.w_new, state.z_new)
        loss_gradient(data.loss, data.scale, state.z_new, state.r_new)
        curvature = difference_dot(state.r_new, state.r, state.z_new, state.z)
        if curvature > 0 and curvature < np.inf:
            s[CURVATURE] = curvature


@inner
def _measure(state):
    """Objective and unscaled stationarity at x_k, in the buffers of the next iteration."""
    s = state.scalars
    s[FUN], s[RESIDUAL] = residual(
        state.data, state.w, state.z, state.r, state.g, state.w_new, s[STEP]
    )


@inner
def _step(state, beta):
    """x_{k+1} from y_k with the present L, and its loss: NaN if L is too small."""
    data, s = state.data, state.scalars
    p, L = n_columns(data.X), s[CURVATURE]
    extrapolate_into(state.w, beta, state.w_old, state.v)
    extrapolate_into(state.z, beta, state.z_old, state.zv)
    loss_v = loss_gradient(data.loss, data.scale, state.zv, state.r)
    gradient_affine(data, state.r, state.g)
    step = state.w.dtype.type(1.0 / L)
    descend_into(state.v, step, state.g, state.metric, state.w_new)
    prox_in_metric(data.penalty, state.w_new[:p], step, state.metric, state.w_new[:p])
    predict_affine(data, state.w_new, state.z_new)
    loss_new = loss_gradient(data.loss, data.scale, state.z_new, state.r_new)
    moved = metric_square(state.metric, state.w_new, state.v)
    # Differences of losses lose their digits near the solution; gradients keep them.
    if L * moved > 1e4 * s[EPS] * (abs(loss_v) + abs(loss_new)):
        linear = dot(state.r, state.z_new) - dot(state.r, state.zv)
        fits = loss_new - loss_v - linear <= 0.5 * L * moved
    else:
        symmetric = difference_dot(state.r_new, state.r, state.z_new, state.zv)
        fits = symmetric <= L * moved * (1 + 1e-8)
    return loss_new if (fits or moved == 0) and loss_new < np.inf else np.nan


@kernel
def _iterate(state, n, accelerate):
    data, s = state.data, state.scalars
    p = n_columns(data.X)
    if n == 0:
        _start(state)
        return 0, RUNNING
    done, code = n, RUNNING
    for k in range(n):
        L_old, t, momentum = s[CURVATURE], s[MOMENTUM], accelerate
        s[CURVATURE] = SHRINK * L_old
        for _ in range(MAX_TRIALS):
            # t and y belong to this L: with those of a rejected one, momentum would fade.
            t_new = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t * s[CURVATURE] / L_old))
            beta = (t - 1.0) / t_new if momentum else 0.0
            fun = _step(state, beta)
            if np.isnan(fun):
                s[CURVATURE] *= 2.0
                continue
            fun += value_of(data.penalty, state.w_new[:p])
            if beta == 0 or fun <= s[FUN] + 4 * s[EPS] * abs(s[FUN]):
                break
            t, momentum = 1.0, False  # the objective rose: once more without momentum
        else:
            s[CURVATURE] = L_old
            done, code = k, BREAKDOWN
            break
        uphill = metric_dot(state.metric, state.v, state.w_new, state.w_new, state.w)
        s[MOMENTUM] = 1.0 if uphill > 0 else t_new
        s[FUN] = fun
        copy_into(state.w, state.w_old)
        copy_into(state.w_new, state.w)
        copy_into(state.z, state.z_old)
        copy_into(state.z_new, state.z)
        if s[CURVATURE] * metric_distance(state.metric, state.v, state.w_new) <= s[TARGET]:
            done, code = k + 1, DONE
            break
    _measure(state)
    return done, code


@inner
def descend_into(v, step, g, metric, out):
    """out = v - step * g / metric."""
    for j in range(v.size):
        out[j] = v[j] - step * g[j] / metric[j]


@inner(reduction=True)
def metric_square(metric, x, y):
    """Squared distance of x and y in the metric."""
    return metric_dot(metric, x, y, x, y)


@inner(reduction=True)
def metric_dot(metric, a, b, x, y):
    """(a - b)' diag(metric) (x - y), accumulated in float64."""
    total = 0.0
    for j in range(metric.size):
        total += metric[j] * (a[j] - b[j]) * (x[j] - y[j])
    return total


@inner
def metric_distance(metric, x, y):
    """max_j metric_j |x_j - y_j|; NaN if any difference is."""
    largest = 0.0
    for j in range(metric.size):
        d = metric[j] * abs(x[j] - y[j])
        if not d <= largest:
            largest = d
    return largest
