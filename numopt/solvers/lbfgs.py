"""Limited-memory BFGS for smooth functions, with bounds by projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DIVERGED, NEED_EVAL, RUNNING, SPENT, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_count
from numopt.linalg.line_search import (
    BRACKETED,
    CURVATURE,
    DECREASE,
    LOW,
    LOW_F,
    SEARCH_SIZE,
    START_F,
    START_SLOPE,
    STEP,
    begin,
    propose,
    shorten,
)
from numopt.linalg.vector import copy_into, dot
from numopt.problems.smooth import FORMULA

MAX_TRIALS = 20  # per line search, once it has an interval
MAX_SHRINKS = 40  # quarterings of a step that leaves the domain
LARGEST_STEP = 1e60
NEAR_BOUND = 1e-6  # farthest that a variable held at a bound is from it
LOWEST_FUN = -1e30  # below: unbounded
ROUNDING = 1e-12  # relative errors of f that the line search reckons with
EPS = 2.220446049250313e-16


class Arrays(NamedTuple):
    """What the kernel works on; few arrays, since each costs a call 0.1 us."""

    vectors: np.ndarray  # 10 x n, rows named below
    S: np.ndarray  # m x n, steps x_{j+1} - x_j, a ring
    Y: np.ndarray  # m x n, differences of gradients
    pairs: np.ndarray  # 5 x m, rows named below
    search: np.ndarray  # the line search, see numopt.linalg.line_search
    scalars: np.ndarray  # see the names below
    counts: np.ndarray  # likewise


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


# Rows of State.vectors.
(
    X,  # x_k
    G,  # gradient at x_k
    TRIAL,  # P(x_k + a d)
    TRIAL_G,  # gradient there
    BEST,  # best trial of the line search that did not end it
    BEST_G,  # gradient there
    D,  # search direction
    FREE,  # 1 for the variables that the quasi-Newton step moves, 0 for those held at bounds
    LOWER,  # l
    UPPER,  # u
) = range(10)
# Rows of State.pairs: s'y and y'y, both on the free variables, weights of the recursion.
SY, YY, FREE_SY, FREE_YY, WEIGHT = range(5)
# Places in State.scalars and State.counts.
FUN, TRIAL_FUN, RESIDUAL = range(3)
PHASE, STORED, NEXT, TRIALS, SHRINKS = range(5)
# PHASE: what the state waits for.
FRESH, WAITING, EVALUATED, BROKEN = range(4)
# Verdicts on a trial.
ACCEPTED, AGAIN, FAILED, UNBOUNDED = range(4)


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
    check_every: ClassVar[int] = 1
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
        verdict = _judge(state)
        if verdict == AGAIN:
            counts[PHASE] = WAITING
            return 0, NEED_EVAL
        if verdict == ACCEPTED or verdict == UNBOUNDED:
            _move(state)
            done = 1
        elif counts[STORED] == 0:
            return 0, BREAKDOWN
        else:
            counts[STORED] = 0
    _measure(state)
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
def _pull(x, g, lower, upper):
    """One coordinate of P(x - g) - x, without first rounding x - g."""
    return min(max(-g, lower - x), upper - x)


@inner
def _measure(state):
    """The certificate's number at x: see `numopt.problems.smooth.stationarity`."""
    v, fun = state.vectors, state.scalars[FUN]
    largest = 1.0
    for i in range(v.shape[1]):
        largest = max(largest, abs(v[X, i]))
    scale = max(1.0, abs(fun) / largest)
    worst = 0.0 if np.isfinite(fun) else np.nan
    for i in range(v.shape[1]):
        pull = abs(_pull(v[X, i], v[G, i] / scale, v[LOWER, i], v[UPPER, i]))
        if not pull <= worst:
            worst = pull
    state.scalars[RESIDUAL] = worst


@inner
def _aim(state):
    """Direction and first trial of a new iteration; whether there is one to go to."""
    v, d = state.vectors, state.vectors[D]
    if not state.scalars[RESIDUAL] < np.inf:
        return False
    scale = _recursion(state, _hold(state))
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
    return _set_trial(state)


@inner
def _hold(state):
    """Mark the variables to be held at bounds; whether there are none."""
    v, near = state.vectors, min(NEAR_BOUND, state.scalars[RESIDUAL])
    all_free = True
    for i in range(v.shape[1]):
        held = (v[G, i] > 0 and v[X, i] - v[LOWER, i] <= near) or (
            v[G, i] < 0 and v[UPPER, i] - v[X, i] <= near
        )
        v[FREE, i] = 0.0 if held else 1.0
        all_free = all_free and not held
    return all_free


@inner
def _first_scale(v):
    """1 over the length of the projected gradient, at most 1 with bounds; 1 inside a box."""
    largest, square, bounded, boxed = 0.0, 0.0, False, True
    for i in range(v.shape[1]):
        largest = max(largest, abs(v[G, i]))
        sides = (v[LOWER, i] > -np.inf) + (v[UPPER, i] < np.inf)
        bounded = bounded or sides > 0
        boxed = boxed and sides == 2
    if boxed or largest == 0:
        return 1.0
    for i in range(v.shape[1]):
        pull = _pull(v[X, i], v[G, i], v[LOWER, i], v[UPPER, i])
        square += (pull / largest) ** 2
    if square == 0:
        return 1.0
    scale = 1.0 / (largest * np.sqrt(square))
    return min(1.0, scale) if bounded else scale


@inner
def _recursion(state, all_free):
    """Write H g on the free variables into d; the scale of H, s'y / y'y where there are pairs."""
    d, free, pairs = state.vectors[D], state.vectors[FREE], state.pairs
    m, stored, newest = state.S.shape[0], state.counts[STORED], state.counts[NEXT] - 1
    for i in range(d.size):
        d[i] = state.vectors[G, i] * free[i]
    scale = 0.0
    for age in range(stored):
        k = (newest - age) % m
        s, y = state.S[k], state.Y[k]
        pairs[FREE_SY, k], pairs[FREE_YY, k] = pairs[SY, k], pairs[YY, k]
        if not all_free:
            pairs[FREE_SY, k], pairs[FREE_YY, k] = _restricted(s, y, free)
            if not pairs[FREE_SY, k] > EPS * pairs[FREE_YY, k]:
                continue
        if scale == 0:
            scale = pairs[FREE_SY, k] / pairs[FREE_YY, k]
        pairs[WEIGHT, k] = dot(s, d) / pairs[FREE_SY, k]
        for i in range(d.size):
            d[i] -= pairs[WEIGHT, k] * free[i] * y[i]
    if scale == 0:
        scale = _first_scale(state.vectors)
    for i in range(d.size):
        d[i] *= scale
    for age in range(stored - 1, -1, -1):
        k = (newest - age) % m
        if not all_free and not pairs[FREE_SY, k] > EPS * pairs[FREE_YY, k]:
            continue
        change = pairs[WEIGHT, k] - dot(state.Y[k], d) / pairs[FREE_SY, k]
        for i in range(d.size):
            d[i] += change * free[i] * state.S[k, i]
    return scale


@inner(reduction=True)
def _restricted(s, y, free):
    """s'y and y'y over the free variables."""
    sy = yy = 0.0
    for i in range(s.size):
        sy += free[i] * s[i] * y[i]
        yy += free[i] * y[i] * y[i]
    return sy, yy


@inner
def _set_trial(state):
    """Write P(x + a d); whether it differs from x."""
    v, step, moved = state.vectors, state.search[STEP], False
    for i in range(v.shape[1]):
        t = min(max(v[X, i] + step * v[D, i], v[LOWER, i]), v[UPPER, i])
        moved = moved or t != v[X, i]
        v[TRIAL, i] = t
    return moved


@inner
def _judge(state):
    """What to do with the trial; ACCEPTED leaves the next point in TRIAL with its values."""
    v, search, counts = state.vectors, state.search, state.counts
    fun = state.scalars[TRIAL_FUN]
    if fun < LOWEST_FUN:
        return UNBOUNDED
    step, slope, drop, kinks, finite = search[STEP], 0.0, 0.0, False, np.isfinite(fun)
    for i in range(v.shape[1]):
        if v[LOWER, i] <= v[X, i] + step * v[D, i] <= v[UPPER, i]:
            slope += v[D, i] * v[TRIAL_G, i]
        else:
            kinks = True
        drop += v[G, i] * (v[TRIAL, i] - v[X, i])
        finite = finite and np.isfinite(v[TRIAL_G, i])
    if not (finite and np.isfinite(slope)):
        counts[SHRINKS] += 1
        shorten(search)
        if counts[SHRINKS] <= MAX_SHRINKS and _set_trial(state):
            return AGAIN
        return _give_up(state)
    start_f, start_slope = search[START_F], search[START_SLOPE]
    steep, flat = CURVATURE * start_slope, -CURVATURE * start_slope
    if fun <= start_f + DECREASE * min(drop, 0.0) and slope >= steep and (kinks or slope <= flat):
        return ACCEPTED
    drowned = abs(fun - start_f) <= ROUNDING * abs(start_f)
    if drowned and steep <= slope <= (2.0 * DECREASE - 1.0) * start_slope:
        return ACCEPTED
    room = propose(search, fun, slope)
    counts[TRIALS] += search[BRACKETED] != 0  # on the way out only f or the domain ends
    if search[LOW] == step:
        copy_into(v[TRIAL], v[BEST])
        copy_into(v[TRIAL_G], v[BEST_G])
    if room and counts[TRIALS] < MAX_TRIALS and _set_trial(state):
        return AGAIN
    return _give_up(state)


@inner
def _give_up(state):
    """End a search that meets no condition: take its best trial if that is lower than x."""
    search, v = state.search, state.vectors
    if not (search[LOW] > 0 and search[LOW_F] < search[START_F]):
        return FAILED
    state.scalars[TRIAL_FUN] = search[LOW_F]
    copy_into(v[BEST], v[TRIAL])
    copy_into(v[BEST_G], v[TRIAL_G])
    return ACCEPTED


@inner
def _move(state):
    """Step to the trial, and keep the pair if its curvature is positive."""
    v, counts, pairs = state.vectors, state.counts, state.pairs
    m, k = state.S.shape[0], counts[NEXT]
    s, y = state.S[k], state.Y[k]
    sy = ss = yy = 0.0
    for i in range(s.size):
        s[i] = v[TRIAL, i] - v[X, i]
        y[i] = v[TRIAL_G, i] - v[G, i]
        sy += s[i] * y[i]
        ss += s[i] * s[i]
        yy += y[i] * y[i]
        v[X, i], v[G, i] = v[TRIAL, i], v[TRIAL_G, i]
    state.scalars[FUN] = state.scalars[TRIAL_FUN]
    if sy > EPS * np.sqrt(ss * yy) and yy < np.inf:
        pairs[SY, k], pairs[YY, k] = sy, yy
        counts[NEXT] = (k + 1) % m
        counts[STORED] = min(counts[STORED] + 1, m)
    elif counts[STORED] == m:
        counts[STORED] = m - 1  # the oldest pair was overwritten
