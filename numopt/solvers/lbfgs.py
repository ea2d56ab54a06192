"""Limited-memory BFGS for smooth functions, with bounds by projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DIVERGED, DONE, NEED_EVAL, RUNNING, SPENT, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_count
from numopt.linalg.line_search import SEARCH_SIZE, begin
from numopt.problems.smooth import FORMULA
from numopt.solvers._parts.lbfgs_memory import (
    BROKEN,
    EVALUATED,
    FREE,
    FUN,
    LOWER,
    NEXT,
    PHASE,
    RESIDUAL,
    SHRINKS,
    STORED,
    SY,
    TRIAL,
    TRIAL_FUN,
    TRIAL_G,
    TRIALS,
    UPPER,
    WAITING,
    YY,
    Arrays,
    D,
    G,
    X,
    hold,
    measure,
    move,
    recursion,
)
from numopt.solvers._parts.lbfgs_search import (
    ACCEPTED,
    AGAIN,
    LOWEST_FUN,
    UNBOUNDED,
    judge,
    set_trial,
)

LARGEST_STEP = 1e60


class State(NamedTuple):
    """What an iteration needs."""

    x: np.ndarray  # x_k, a row of arrays.vectors as the next three
    g: np.ndarray  # gradient at x_k
    trial: np.ndarray  # P(x_k + a d), where value and gradient are wanted
    trial_g: np.ndarray  # gradient there
    scalars: np.ndarray  # arrays.scalars
    counts: np.ndarray  # arrays.counts
    arrays: Arrays
    calls: int  # of the function before the first iteration


@dataclass(frozen=True, kw_only=True)
class LBFGS(Solver):
    r"""Limited-memory BFGS for :math:`\min f(x)` subject to :math:`l \le x \le u`.

    .. math::
       x_{k+1} = P(x_k + a_k d_k), \qquad d_k = -H_k \nabla f(x_k)

    where H is the BFGS matrix made from the last m pairs of steps and gradient differences,
    starting from (s'y / y'y) I, applied by the two-loop recursion. Without bounds the step meets
    the strong Wolfe conditions, found by the method of More and Thuente. With bounds, variables
    at (or within the size of the projected gradient of) a bound that the gradient pushes against
    are held there, the recursion is restricted to the others (two-metric projection), and the
    search goes along the projected path with sufficient decrease. Every trial point lies inside
    the bounds.

    Where differences of f drown in rounding, slopes decide (the approximate Wolfe conditions of
    Hager and Zhang). A trial with NaN or infinity shortens the step. A line search that fails is
    repeated once along the gradient without memory.

    Parameters
    ----------
    memory : int, default 10
        Number m of pairs kept.
    max_evals : int, optional
        Calls of the function at most, those of finite differences included, kept to within one
        gradient and what the certificate costs at a point that is not the last one evaluated.
    **limits
        See `Solver`.

    Notes
    -----
    One evaluation of function and gradient per iteration as a rule, 4 m n operations (6 m n at
    bounds), memory 2 m n + 10 n numbers. Q-linear convergence for strongly convex functions; with
    bounds the active set is found in finitely many iterations where no multiplier is 0.
    The result also has ``jac``, the gradient at x, and its ``warm_start`` holds x and the pairs S,
    Y. The objective never rises by more than rounding, and the last point is returned. Status 10
    (diverged) means that f fell below -1e30.

    References
    ----------
    D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization",
    Math. Program. 45, 1989, doi:10.1007/BF01589116.
    J. J. More, D. J. Thuente, "Line search algorithms with guaranteed sufficient decrease",
    ACM TOMS 20, 1994, doi:10.1145/192115.192132.
    W. W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an
    efficient line search", SIAM J. Optim. 16, 2005, doi:10.1137/030601880.
    D. P. Bertsekas, "Projected Newton methods for optimization problems with simple constraints",
    SIAM J. Control Optim. 20, 1982, doi:10.1137/0320018.
    M. Schmidt, D. Kim, S. Sra, "Projected Newton-type methods in machine learning", in
    Optimization for Machine Learning, MIT Press, 2011.

    Examples
    --------
    >>> from scipy.optimize import rosen, rosen_der
    >>> from numopt.problems import Smooth
    >>> from numopt.solvers import LBFGS
    >>> result = LBFGS(tol=1e-10).solve(Smooth(rosen, rosen_der), [-1.2, 1.0])
    >>> result.x.round(8).tolist(), result.success
    ([1.0, 1.0], True)
    """

    name: ClassVar[str] = "lbfgs"
    accepts: ClassVar[tuple[str, ...]] = ("Smooth",)
    check_every: ClassVar[int] = 16
    callback_every: ClassVar[int] = 1
    descent: ClassVar[bool] = True

    memory: int = 10
    max_evals: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.memory, "memory", least=1)
        if self.max_evals is not None:
            require_count(self.max_evals, "max_evals", least=1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        x0 = warm.get("x", x0)
        if x0 is None:
            if problem.size is None:
                raise ValueError("x0 is needed: the number of variables is not known without it")
            x0 = np.zeros(problem.size)
        x = problem.project(as_vector(x0, "x0", np.float64))
        n, m, calls = x.size, self.memory, problem.evaluations[0]
        lower, upper = (-np.inf, np.inf) if problem.lower is None else problem.limits(n)
        v, scalars, counts = np.zeros((10, n)), np.zeros(3), np.zeros(5, np.int64)
        v[X], v[LOWER], v[UPPER] = x, lower, upper
        S, Y, pairs, search = (np.zeros(shape) for shape in ((m, n), (m, n), (5, m), SEARCH_SIZE))
        if "S" in warm and warm["S"].shape[1:] == (n,):
            k = min(m, len(warm["S"]))
            S[:k], Y[:k] = warm["S"][-k:], warm["Y"][-k:]
            pairs[SY], pairs[YY] = (S * Y).sum(axis=1), (Y * Y).sum(axis=1)
            counts[STORED], counts[NEXT] = k, k % m
        scalars[FUN] = problem.evaluate_into(x, v[G])
        arrays = Arrays(v, S, Y, pairs, search, scalars, counts)
        _advance(*arrays)
        return State(v[X], v[G], v[TRIAL], v[TRIAL_G], scalars, counts, arrays, calls)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        phase = state.counts[PHASE]
        if phase == EVALUATED:
            done, code = _advance(*state.arrays)
        else:
            done, code = 0, NEED_EVAL if phase == WAITING else BREAKDOWN
        if done < n and code == RUNNING:
            tol = problem.default_tol if self.tol is None else self.tol
            code = DONE if state.scalars[RESIDUAL] <= tol else NEED_EVAL
        if self.max_evals is not None and code == NEED_EVAL:
            if problem.evaluations[0] - state.calls >= self.max_evals:
                code = SPENT
        return done, code

    def evaluate(self, problem: Any, state: State) -> None:
        state.scalars[TRIAL_FUN] = problem.evaluate_into(state.trial, state.trial_g)
        state.counts[PHASE] = EVALUATED

    def measure(self, problem: Any, state: State) -> Certificate:
        fun, residual = state.scalars.item(FUN), state.scalars.item(RESIDUAL)
        return Certificate("stationary", {"stationarity": Entry(residual, FORMULA)}, fun)

    def explain(self, problem: Any, state: State) -> str:
        calls = problem.evaluations[0] - state.calls
        if self.max_evals is not None and calls >= self.max_evals:
            return f"The function was called {calls} times, max_evals is {self.max_evals}."
        if state.scalars.item(TRIAL_FUN) < LOWEST_FUN:
            return f"The function falls below {LOWEST_FUN:g}."
        fun = state.scalars.item(FUN)
        if not np.isfinite(fun) or not np.isfinite(state.g).all():
            return "The function or its gradient is not finite at x0: start inside its domain."
        return (
            "No lower point was found along the gradient: if this is not yet the accuracy of the "
            "function, check the gradient with numopt.check_gradient."
        )

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        stored, newest = state.counts[STORED], state.counts[NEXT]
        oldest_first = np.arange(newest - stored, newest) % self.memory
        S, Y = state.arrays.S[oldest_first], state.arrays.Y[oldest_first]
        return {"x": state.x, "jac": state.g, "warm_start": {"x": state.x, "S": S, "Y": Y}}


@kernel
def _advance(vectors, S, Y, pairs, search, scalars, counts):
    """Take in the trial's value and go on to the next trial: iterations done and a code."""
    # Bare arrays cross from Python three times as fast as a tuple of them.
    state = Arrays(vectors, S, Y, pairs, search, scalars, counts)
    done = verdict = 0
    if counts[PHASE] == EVALUATED:
        verdict = judge(state)
        if verdict == AGAIN:
            counts[PHASE] = WAITING
            return 0, NEED_EVAL
        if verdict == ACCEPTED or verdict == UNBOUNDED:
            move(state)
            done = 1
        elif counts[STORED] == 0:
            return 0, BREAKDOWN
        else:
            counts[STORED] = 0
    measure(state)
    if verdict == UNBOUNDED:
        return 1, DIVERGED
    ready = False
    while not ready:
        ready = _aim(state)
        if counts[STORED] == 0:
            break
        if not ready:
            counts[STORED] = 0  # once more along the gradient
    counts[PHASE] = WAITING if ready else BROKEN
    if done == 1:
        return 1, RUNNING
    return 0, NEED_EVAL if ready else BREAKDOWN


@inner
def _aim(state):
    """Direction and first trial of a new iteration; whether there is one to go to."""
    v, d = state.vectors, state.vectors[D]
    if not state.scalars[RESIDUAL] < np.inf:
        return False
    scale = recursion(state, hold(state))
    slope = 0.0
    for i in range(d.size):
        d[i] = -d[i] if v[FREE, i] else -scale * v[G, i]
        # Against a bound the path stays where it is.
        if (d[i] < 0 and v[X, i] <= v[LOWER, i]) or (d[i] > 0 and v[X, i] >= v[UPPER, i]):
            d[i] = 0.0
        slope += d[i] * v[G, i]
    if not (slope < 0 and slope > -np.inf):
        return False
    begin(state.search, state.scalars[FUN], slope, 1.0, LARGEST_STEP)
    state.counts[TRIALS] = state.counts[SHRINKS] = 0
    return set_trial(state)
