"""Regularised Newton method for smooth functions, with bounds by projection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DIVERGED, NEED_EVAL, RUNNING, SPENT, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_count
from numopt.problems._curvature import lowest
from numopt.problems.smooth import FORMULA, stationarity
from numopt.solvers._parts.newton_models import model_of

ACCEPTED, GOOD = 1e-2, 0.5  # ratios of actual to predicted decrease
STRONGER, WEAKER = 4.0, 1 / 8.0  # factors of the regularisation after a bad and a good step
FIRST = 1e-2  # first regularisation relative to the largest entry of the Hessian
MAX_TRIALS = 60  # in an iteration
NEAR_BOUND = 1e-6  # farthest that a variable held at a bound is from it
LOWEST_FUN = -1e30  # below: unbounded
ROUNDING = 1e-13  # relative decreases of f not to be trusted
FIRST_ESCAPE = 0.1  # first step out of a saddle point, relative to max(1, |x|)

# Places in State.scalars and State.counts.
FUN, TRIAL_FUN, SIGMA, STRENGTH, LENGTH, PREDICTED, RESIDUAL, ESCAPE = range(8)
PHASE, TRIALS, READY = range(3)
# PHASE: what the state waits for: the Hessian at x, f at the trial, the gradient there.
HESSIAN, VALUE, GRADIENT, STUCK = range(4)


class State(NamedTuple):
    """What an iteration needs."""

    x: np.ndarray  # x_k
    g: np.ndarray  # gradient there
    trial: np.ndarray  # P(x_k + d)
    trial_g: np.ndarray  # gradient there
    lower: np.ndarray  # l
    upper: np.ndarray  # u
    scalars: np.ndarray  # see the names above
    counts: np.ndarray  # likewise
    models: list[Any]  # the quadratic model at x_k, and the latest sparse factor
    calls: int  # of the function before the first iteration


@dataclass(frozen=True, kw_only=True)
class Newton(Solver):
    r"""Newton's method regularised by the gradient, for :math:`\min f(x)`, :math:`l \le x \le u`.

    .. math::
       x_{k+1} = P(x_k + d_k), \qquad
       (\nabla^2 f(x_k) + (\sqrt{\sigma_k \|\nabla f(x_k)\|} + \mu_k) I) d_k = -\nabla f(x_k)

    with :math:`\mu_k = \max(0, -\lambda_{\min})`, so that the matrix is positive definite. A step
    whose decrease is less than 1 % of the predicted one is rejected and
    :math:`\sqrt{\sigma}` quadrupled; where it is half or more, :math:`\sqrt{\sigma}` falls by 8:
    sigma finds the Lipschitz constant of the Hessian, and fast convergence is kept. Variables at a
    bound that the gradient pushes against are held, the system is that of the others. A saddle
    point is left along the eigenvector of its lowest curvature.

    The system is solved by Cholesky factors, if the Hessian is indefinite by its eigenvalues; for
    sparse Hessians by sparse LDL' factors, analysed once; with products alone (`hessp`, or a
    LinearOperator) in a Krylov space grown until the residual is below :math:`\min(0.1,
    \sqrt{\|\nabla f\|}) \|\nabla f\|`, which serves further trials at no product.

    Parameters
    ----------
    max_evals : int, optional
        Calls of the function at most, kept to within one iteration.
    **limits
        See `Solver`.

    Raises
    ------
    ValueError
        If the problem has neither `hess` nor `hessp`.

    Notes
    -----
    An iteration takes one gradient and Hessian, and one value per trial. Quadratic convergence at
    minima with a definite Hessian; globally :math:`O(1/k^2)` for convex functions with a Lipschitz
    Hessian, and :math:`O(\epsilon^{-3/2})` iterations to a gradient of size epsilon otherwise, up
    to logarithms. The certificate includes ``curvature``. Status 10 (diverged) means that f fell
    below -1e30.

    References
    ----------
    K. Mishchenko, "Regularized Newton method with global O(1/k^2) convergence", SIAM J. Optim. 33,
    2023, arXiv 2112.02089.
    N. Doikov, Y. Nesterov, "Gradient regularization of Newton method with Bregman distances",
    Math. Program. 204, 2024, arXiv 2112.02952.
    S. Gratton, S. Jerad, Ph. L. Toint, "Yet another fast variant of Newton's method for nonconvex
    optimization", IMA J. Numer. Anal. 45, 2025, arXiv 2302.10065.
    D. P. Bertsekas, "Projected Newton methods for optimization problems with simple constraints",
    SIAM J. Control Optim. 20, 1982, doi:10.1137/0320018.

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der, rosen_hess
    >>> from numopt.problems import Smooth
    >>> from numopt.solvers import Newton
    >>> result = Newton(tol=1e-12).solve(Smooth(rosen, rosen_der, hess=rosen_hess), [-1.2, 1.0])
    >>> result.x.round(12).tolist(), result.success
    ([1.0, 1.0], True)
    """

    name: ClassVar[str] = "newton"
    accepts: ClassVar[tuple[str, ...]] = ("Smooth",)
    check_every: ClassVar[int] = 1
    descent: ClassVar[bool] = True
    #: Whether it takes second derivatives.
    uses_curvature: ClassVar[bool] = True

    max_evals: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_evals is not None:
            require_count(self.max_evals, "max_evals", least=1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        if not problem.has_curvature:
            raise ValueError(
                "method 'newton' needs hess or hessp; hess='2-point' takes differences of jac"
            )
        x0 = warm.get("x", x0)
        if x0 is None:
            if problem.size is None:
                raise ValueError("x0 is needed: the number of variables is not known without it")
            x0 = np.zeros(problem.size)
        x, calls = problem.project(as_vector(x0, "x0", np.float64)), problem.evaluations[0]
        n, (lower, upper) = x.size, problem.limits(x.size)
        if lower is None:
            lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
        g, trial, trial_g = np.zeros((3, n))
        scalars, counts = np.zeros(8), np.zeros(3, np.int64)
        scalars[FUN] = problem.evaluate_into(x, g)
        scalars[SIGMA] = warm.get("sigma", 0.0)
        state = State(x, g, trial, trial_g, lower, upper, scalars, counts, [None, None], calls)
        _measure(state)
        if not scalars[RESIDUAL] < np.inf:
            counts[PHASE] = STUCK
        return state

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        counts, done = state.counts, 0
        if counts[READY]:
            counts[READY] = 0
            done = _take_in(state)
        if done and state.scalars[FUN] < LOWEST_FUN:
            return done, DIVERGED
        if counts[PHASE] == STUCK:
            return done, BREAKDOWN
        if self.max_evals is not None and problem.evaluations[0] - state.calls >= self.max_evals:
            return done, SPENT
        return done, RUNNING if done == n else NEED_EVAL

    def evaluate(self, problem: Any, state: State) -> None:
        phase, models = state.counts[PHASE], state.models
        if phase == HESSIAN:
            H = problem.hessian(state.x, state.g)
            models[0] = model_of(H, state.g, _free(state), models[1])
            models[1] = models[0].factor
        elif phase == VALUE:
            state.scalars[TRIAL_FUN] = problem.value(state.trial)
        else:
            problem.evaluate_into(state.trial, state.trial_g)
        state.counts[READY] = 1

    def measure(self, problem: Any, state: State) -> Certificate:
        fun, residual = state.scalars.item(FUN), state.scalars.item(RESIDUAL)
        return Certificate("stationary", {"stationarity": Entry(residual, FORMULA)}, fun)

    def tighten(self, problem: Any, state: State) -> bool:
        """Leave a saddle point: a step along the eigenvector of the lowest curvature."""
        if state.counts[PHASE] == STUCK and isinstance(state.models[0], _Escape):
            return False  # tried from here, in vain: hess is not the derivative of jac
        inside = (state.x > state.lower) & (state.x < state.upper)
        least, direction, _ = lowest(problem.hessian(state.x, state.g), inside)
        if not least < 0:
            return False
        if state.g @ direction > 0:
            direction = -direction
        state.models[0] = _Escape(direction, least)
        state.scalars[ESCAPE] = FIRST_ESCAPE * max(1.0, float(np.linalg.norm(state.x)))
        state.counts[TRIALS] = 0
        _aim(state)
        return bool(state.counts[PHASE] != STUCK)

    def explain(self, problem: Any, state: State) -> str:
        calls = problem.evaluations[0] - state.calls
        if self.max_evals is not None and calls >= self.max_evals:
            return f"The function was called {calls} times, max_evals is {self.max_evals}."
        if state.scalars[FUN] < LOWEST_FUN:
            return f"The function falls below {LOWEST_FUN:g}."
        if not np.isfinite(state.scalars[FUN]) or not np.isfinite(state.g).all():
            return "The function or its gradient is not finite at x0: start inside its domain."
        if not math.isfinite(getattr(state.models[0], "size", 1.0)):
            return "The Hessian is not finite at x."
        return (
            "No lower point was found near x: if this is not yet the accuracy of the function, "
            "check the gradient with numopt.check_gradient, and that hess is its derivative."
        )

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        warm = {"x": state.x, "sigma": float(state.scalars[SIGMA])}
        return {"x": state.x, "jac": state.g, "warm_start": warm}


class _Escape(NamedTuple):
    """A straight way out of a saddle point."""

    direction: np.ndarray
    curvature: float


def _free(state: State) -> np.ndarray:
    """Variables that are not held at a bound."""
    near, x, g = min(NEAR_BOUND, float(state.scalars[RESIDUAL])), state.x, state.g
    held = (g > 0) & (x - state.lower <= near) | (g < 0) & (state.upper - x <= near)
    return ~held


def _measure(state: State) -> None:
    fun = state.scalars.item(FUN)
    state.scalars[RESIDUAL] = stationarity(state.x, fun, state.g, state.lower, state.upper)


def _take_in(state: State) -> int:
    """What the values asked for mean; 1 at the end of an iteration."""
    counts, scalars = state.counts, state.scalars
    if counts[PHASE] == HESSIAN:
        counts[TRIALS] = 0
        if math.isfinite(state.models[0].size):
            _aim(state)
        else:
            counts[PHASE] = STUCK
        return 0
    predicted, fall = scalars.item(PREDICTED), scalars.item(FUN) - scalars.item(TRIAL_FUN)
    noise = ROUNDING * abs(scalars.item(FUN))
    drowned = predicted <= noise and abs(fall) <= 10.0 * noise
    if counts[PHASE] == VALUE:
        if drowned or fall >= ACCEPTED * predicted:
            counts[PHASE] = GRADIENT
        else:
            _reject(state)
        return 0
    worst = stationarity(
        state.trial, scalars.item(TRIAL_FUN), state.trial_g, state.lower, state.upper
    )
    if not worst < (scalars[RESIDUAL] if drowned else np.inf):
        _reject(state)
        return 0
    if drowned or fall >= GOOD * predicted:
        scalars[SIGMA] *= WEAKER**2
    state.x[:], state.g[:] = state.trial, state.trial_g
    scalars[FUN], scalars[RESIDUAL] = scalars[TRIAL_FUN], worst
    scalars[ESCAPE] = 0.0
    counts[PHASE] = HESSIAN
    return 1


def _reject(state: State) -> None:
    """Aim nearer."""
    scalars, counts = state.scalars, state.counts
    counts[TRIALS] += 1
    if counts[TRIALS] >= MAX_TRIALS:
        counts[PHASE] = STUCK
        return
    scalars[ESCAPE] /= 4.0
    slope_size = float(np.linalg.norm(state.g))
    least = 0.5 * slope_size / scalars[LENGTH] if scalars[LENGTH] > 0 else 0.0
    _regularise(state, max(STRONGER * scalars[STRENGTH], least))
    _aim(state)


def _regularise(state: State, strength: float) -> None:
    """Set sigma so that sqrt(sigma |g|) is `strength`."""
    norm = float(np.linalg.norm(state.g))
    state.scalars[SIGMA] = strength**2 / norm if norm > 0 else 1.0


def _aim(state: State) -> None:
    """The next trial from the model, and the decrease it predicts."""
    scalars, counts, model = state.scalars, state.counts, state.models[0]
    if isinstance(model, _Escape):
        shift, d = 0.0, scalars[ESCAPE] * model.direction
    else:
        if scalars[SIGMA] == 0:
            length = max(1.0, float(np.linalg.norm(state.x)))
            _regularise(state, FIRST * model.size or float(np.linalg.norm(state.g)) / length)
        scalars[STRENGTH] = math.sqrt(scalars[SIGMA] * float(np.linalg.norm(state.g)))
        d, shift = model.step(scalars.item(STRENGTH))
    wanted = state.x + d
    np.clip(wanted, state.lower, state.upper, out=state.trial)
    s = state.trial - state.x
    slope, square = float(state.g @ s), float(s @ s)
    if isinstance(model, _Escape):
        scalars[PREDICTED] = -slope - 0.5 * model.curvature * square
    elif (wanted == state.trial).all():
        # Half of -g'd, and what the shift of the model adds to it.
        scalars[PREDICTED] = -0.5 * slope + 0.5 * shift * square
    else:
        scalars[PREDICTED] = -0.5 * slope
    scalars[LENGTH] = math.sqrt(square)
    counts[PHASE] = VALUE
    if not square > 0:
        counts[PHASE] = STUCK
    elif not scalars[PREDICTED] > 0:
        _reject(state)
