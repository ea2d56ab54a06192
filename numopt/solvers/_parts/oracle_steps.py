"""Accelerated proximal gradient on a user's function: what the solvers that offer it share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DIVERGED, NEED_EVAL, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_length
from numopt.solvers._parts import accelerated as steps
from numopt.solvers._parts.accelerated import (
    AT_TRIAL,
    AT_X,
    CONCAVITY,
    CURVATURE,
    EXACT,
    FUN,
    REQUEST,
    RESIDUAL,
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
    X,
    Y,
)

# Where and what each request wants: rows of the point and its gradient, place of the value.
PLACES = {AT_X: (X, X_G, X_F), AT_TRIAL: (TRIAL, TRIAL_G, TRIAL_F), steps.AT_Y: (Y, steps.G, Y_F)}
# A check, and hence the callback, after every iteration: calls of Python functions cost more.
WORK = 1e9


class OracleState(NamedTuple):
    """What an iteration needs."""

    steps: steps.State  # sequences and step sizes
    ready: np.ndarray  # 1, whether the values asked for are there


class OnOracles(Solver):
    """Base of the solvers of `SmoothComposite`: reverse communication around `accelerated`."""

    def mode(self, problem: Any) -> int:
        """How the momentum moves, see `accelerated`."""
        raise NotImplementedError

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> Any:
        """State at x0, projected where there is a set."""
        x0 = warm.get("x", x0)
        if x0 is None:
            if problem.size is None:
                raise ValueError("x0 is needed: the number of variables is not known without it")
            x0 = np.zeros(problem.size)
        x = as_vector(x0, "x0", np.float64)
        if problem.size is not None:
            require_length(x, problem.size, "x0")
        penalty = problem.penalty
        if x.size == 0 and not penalty.separable:
            raise ValueError(f"x0 is empty, and {type(penalty).__name__} needs a coordinate")
        x = penalty.prox(x, 0.0) if not problem.is_set else penalty.project(x)
        inner = steps.new_state(penalty.spec(), x, x.size, np.ones(x.size), np.finfo(float).eps)
        tol = problem.default_tol if self.tol is None else self.tol
        inner.scalars[TARGET] = tol / _reach(problem, x.size)
        inner.scalars[CURVATURE] = warm.get("curvature", 0.0)
        inner.scalars[CONCAVITY] = self.concavity(penalty)
        state = OracleState(inner, np.zeros(1, bool))
        OnOracles.evaluate(self, problem, state)
        OnOracles.advance(self, problem, state, 0)
        return state

    def concavity(self, penalty: Any) -> float:
        """The c that makes penalty + c |x|^2 / 2 convex, for methods that need it."""
        return 0.0

    def advance(self, problem: Any, state: Any, n: int) -> tuple[int, int]:
        """Hand the values asked for to the kernel."""
        counts, done = state.steps.counts, 0
        if state.ready[0]:
            state.ready[0] = False
            done = steps.receive(state.steps, self.mode(problem))
        if counts[REQUEST] == STUCK:
            return done, BREAKDOWN
        if counts[REQUEST] == UNBOUNDED:
            return done, DIVERGED
        return done, RUNNING if done == n else NEED_EVAL

    def evaluate(self, problem: Any, state: Any) -> None:
        """Call the user's function where the kernel wants it."""
        vectors, scalars, counts = state.steps.vectors, state.steps.scalars, state.steps.counts
        request = int(counts[REQUEST])
        point, gradient, value = PLACES[request]
        if request == AT_TRIAL and not counts[WITH_GRADIENT]:
            scalars[value] = problem.value(vectors[point])
        else:
            scalars[value] = problem.evaluate_into(vectors[point], vectors[gradient])
        state.ready[0] = True

    def measure(self, problem: Any, state: Any) -> Certificate:
        """The problem's own certificate where it is free, else an estimate from the last step."""
        scalars, vectors = state.steps.scalars, state.steps.vectors
        curvature = scalars.item(CURVATURE)
        if state.steps.counts[EXACT]:
            return problem.certificate_from(vectors[X], scalars.item(X_F), vectors[X_G], curvature)
        tol = problem.default_tol if self.tol is None else self.tol
        estimate = scalars.item(RESIDUAL) * _reach(problem, vectors.shape[1])
        # What is estimated proves nothing, and is not worth a gradient at x to confirm.
        entry = Entry(max(estimate, 1.5 * tol), "estimated from the last step")
        return Certificate("stationary", {problem.gate: entry}, scalars.item(FUN))

    def explain(self, problem: Any, state: Any) -> str:
        """What a run that broke down lacks."""
        scalars = state.steps.scalars
        if state.steps.counts[REQUEST] == UNBOUNDED:
            return f"The objective falls below {steps.LOWEST_FUN:g}."
        if not np.isfinite(scalars[X_F]):
            return "The function or its gradient is not finite at x0: start inside its domain."
        return (
            "No lower point was found along the gradient: if this is not yet the accuracy of the "
            "function, check the gradient with numopt.check_gradient."
        )

    def finish(self, problem: Any, state: Any) -> dict[str, Any]:
        """x, the curvature found, and the gradient of f at x where it is known."""
        x, curvature = state.steps.vectors[X], float(state.steps.scalars[CURVATURE])
        return {"x": x, "curvature": curvature, "warm_start": {"x": x, "curvature": curvature}}

    def descends(self, problem: Any) -> bool:
        """On functions always: relative to |F| a residual may well rise on the way down."""
        return self.descent or not hasattr(problem, "A")

    def work(self, problem: Any) -> float:
        """So much that every iteration is checked."""
        return WORK


def _reach(problem: Any, n: int) -> float:
    """Factor between a stationarity and what the certificate makes of it."""
    return max(1.0, problem.reach(n)) if problem.gate == "fw_gap" else 1.0
