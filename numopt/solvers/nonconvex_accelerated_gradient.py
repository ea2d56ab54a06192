"""Accelerated gradient method for smooth functions with weakly convex penalties (MCP, SCAD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DIVERGED, DONE, RUNNING
from numopt.core.generic import loss_gradient, loss_value
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate, Entry
from numopt.solvers._parts.accelerated import (
    AT_TRIAL,
    AT_X,
    CONCAVITY,
    CURVATURE,
    EXACT,
    FUN,
    LAN,
    REQUEST,
    RESIDUAL,
    SCALE,
    STEP,
    STUCK,
    TARGET,
    TRIAL,
    TRIAL_F,
    TRIAL_G,
    UNBOUNDED,
    WITH_GRADIENT,
    X_F,
    X_G,
    Y_F,
    G,
    X,
    Y,
    new_state,
    receive,
)
from numopt.solvers._parts.accelerated import State as Steps
from numopt.solvers._parts.composite import (
    column_metric,
    gradient_affine,
    predict_affine,
    start_point,
)
from numopt.solvers._parts.oracle_steps import OnOracles, OracleState


class State(NamedTuple):
    """What an iteration needs; vectors w = (x, b) end in the intercept."""

    data: Any  # the problem, lowered
    steps: Steps  # sequences and step sizes
    z: np.ndarray  # prediction at the point wanted
    r: np.ndarray  # gradient of the loss at z


@dataclass(frozen=True, kw_only=True)
class NonconvexAcceleratedGradient(OnOracles):
    r"""Accelerated gradient method for :math:`f(x) + \phi(x)` with a weakly convex penalty.

    For penalties such that :math:`\phi(x) + c \|x\|^2 / 2` is convex: MCP (c = 1 / gamma), SCAD
    (c = 1 / (a - 1)), their groups, and all convex ones (c = 0). The concave part goes over to
    the smooth one, :math:`\Psi = f - c \|x\|^2 / 2`, :math:`\psi = \phi + c \|x\|^2 / 2`, and

    .. math::
       y_k &= (1 - a_k) x_k + a_k u_k \\
       u_{k+1} &= \mathrm{prox}_{\lambda_k \psi}(u_k - \lambda_k \nabla \Psi(y_k)),
       \qquad \lambda_k = \omega_k / a_k \\
       x_{k+1} &= \mathrm{prox}_{\omega_k \psi}(y_k - \omega_k \nabla \Psi(y_k))

    with :math:`a_1 = 1`, :math:`a_{k+1} = 2 / (1 + \sqrt{1 + 4 / a_k^2})`, as Yang et al. choose
    the constants of Ghadimi and Lan. They take :math:`\omega = 0.99 / L_\Psi` for an L known
    beforehand and the concave part beyond the L1 norm; here :math:`1 / \omega + c` is found by
    backtracking, and the split needs no more than c. The step is shorter than 1 / c always, where
    the prox is one-valued and continuous. Added to the method: the objective never rises, and the
    momentum is dropped when it would, or when it points uphill.

    Parameters
    ----------
    **limits
        See `Solver`.

    Raises
    ------
    TypeError
        For a nonconvex penalty without a known c, such as `L0`; "prox-grad" takes those.

    Notes
    -----
    The squared stationarity falls as :math:`O(1/k)`, for convex problems the objective as
    :math:`O(1/k^2)`. An iteration takes one gradient of f and one more value (rejected steps
    another), and two proxes. For a `Composite` steps are taken in the metric of the squared column
    norms, so that units do not matter. The point found depends on the start; from 0, or warm
    along a path of falling strengths, it tends to be a good one.

    References
    ----------
    K. Yang, M. Asgharian, S. Bhatnagar, "Accelerated gradient methods for sparse statistical
    learning with nonconvex penalties", 2022, arXiv 2009.10629.
    S. Ghadimi, G. Lan, "Accelerated gradient methods for nonconvex nonlinear and stochastic
    programming", Math. Program. 156, 2016, arXiv 1310.3787.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.penalties import MCP
    >>> from numopt.problems import Composite
    >>> from numopt.solvers import NonconvexAcceleratedGradient
    >>> problem = Composite(LeastSquares([1.0, 4.0]), np.eye(2), MCP(0.5, gamma=3.0))
    >>> NonconvexAcceleratedGradient().solve(problem).x.round(6).tolist()
    [0.0, 4.0]
    """

    name: ClassVar[str] = "nonconvex-ag"
    accepts: ClassVar[tuple[str, ...]] = ("Composite", "SmoothComposite")
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "loss": ("value_1d|total_gradient", "gradient_1d|total_gradient"),
        "penalty": ("prox_1d|prox_into|prox|project",),
    }
    descent: ClassVar[bool] = True

    def mode(self, problem: Any) -> int:
        """Momentum with a long proximal step of its own."""
        return LAN

    def concavity(self, penalty: Any) -> float:
        """The c of the penalty; 0 if it is convex."""
        if penalty.convex:
            return 0.0
        c = float(penalty.concavity)
        if not 0 < c < np.inf:
            raise TypeError(
                f"NonconvexAcceleratedGradient needs a penalty that a ridge makes convex, which "
                f"{type(penalty).__name__} is not known to be; try prox-grad"
            )
        return c

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> Any:
        if not hasattr(problem, "A"):
            return super().init(problem, x0, warm)
        dtype = problem.dtype
        w = start_point(problem, x0, warm)
        data = problem.lowered()
        n = data.offset.size
        steps = new_state(
            data.penalty, w, problem.size, column_metric(problem), np.finfo(dtype).eps
        )
        scalars = steps.scalars
        scalars[CONCAVITY] = self.concavity(problem.penalty)
        scalars[CURVATURE] = warm.get("curvature", 0.0)
        scalars[SCALE] = problem.scales()[0]
        scalars[TARGET] = problem.default_tol if self.tol is None else self.tol
        gates_on_distance = problem.penalty.offers("subdiff_distance_1d")
        scalars[STEP] = 1.0 if gates_on_distance else 1.0 / problem.lipschitz()
        state = State(data, steps, np.zeros(n, dtype), np.zeros(n, dtype))
        _run(*state, 0, 0.0)
        return state

    def advance(self, problem: Any, state: Any, n: int) -> tuple[int, int]:
        if isinstance(state, OracleState):
            return super().advance(problem, state, n)
        tol = problem.default_tol if self.tol is None else self.tol
        return _run(*state, n, tol)

    def tighten(self, problem: Any, state: Any) -> bool:
        return not isinstance(state, OracleState)

    def measure(self, problem: Any, state: Any) -> Certificate:
        if isinstance(state, OracleState):
            return super().measure(problem, state)
        fun, worst = state.steps.scalars[FUN], state.steps.scalars[RESIDUAL]
        kkt = Entry(float(worst), "stationarity / alpha_max")
        return Certificate("stationary", {"kkt": kkt}, float(fun))

    def finish(self, problem: Any, state: Any) -> dict[str, Any]:
        if isinstance(state, OracleState):
            return super().finish(problem, state)
        w, p = state.steps.vectors[X], problem.size
        point = {"x": w[:p]}
        warm = {"x": point["x"], "curvature": float(state.steps.scalars[CURVATURE])}
        if problem.fit_intercept:
            point["intercept"] = warm["intercept"] = w[p] if w.size == p + 1 else w[p:]
        return {**point, "warm_start": warm}

    def work(self, problem: Any) -> float:
        if not hasattr(problem, "A"):
            return super().work(problem)
        return 3.0 * problem.nnz + 10.0 * sum(problem.A.shape)


@kernel
def _run(data, steps, z, r, n, tol):
    """At most n iterations; with n = 0 the first evaluation."""
    done, counts, s = 0, steps.counts, steps.scalars
    if n == 0:
        _evaluate(data, steps, z, r)
        receive(steps, LAN)
        return 0, RUNNING
    while done < n:
        if counts[REQUEST] == STUCK:
            return done, BREAKDOWN
        if counts[REQUEST] == UNBOUNDED:
            return done, DIVERGED
        _evaluate(data, steps, z, r)
        ended = receive(steps, LAN)
        done += ended
        if ended and counts[EXACT] and s[RESIDUAL] <= tol:
            return done, DONE
    return done, RUNNING


@inner
def _evaluate(data, steps, z, r):
    """Loss, and gradient where it is wanted, at the point that is asked for."""
    v, s, request = steps.vectors, steps.scalars, steps.counts[REQUEST]
    if request == AT_TRIAL:
        predict_affine(data, v[TRIAL], z)
        if steps.counts[WITH_GRADIENT]:
            s[TRIAL_F] = loss_gradient(data.loss, data.scale, z, r)
            gradient_affine(data, r, v[TRIAL_G])
        else:
            s[TRIAL_F] = loss_value(data.loss, data.scale, z)
        return
    at_x = request == AT_X
    predict_affine(data, v[X] if at_x else v[Y], z)
    value = loss_gradient(data.loss, data.scale, z, r)
    gradient_affine(data, r, v[X_G] if at_x else v[G])
    s[X_F if at_x else Y_F] = value
