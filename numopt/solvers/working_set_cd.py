"""Working sets, quadratic models, coordinate descent and a Newton finish for linear models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DONE, GROW, RUNNING, Solver, time_left
from numopt.core.generic import loss_gradient
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_count
from numopt.solvers._composite import start_point
from numopt.solvers._coordinate_descent import curvatures, descend_residual, full_pass
from numopt.solvers._quadratic_model import (
    descend_with_newton,
    search,
    weighted_gram,
    weighted_product,
    working_columns,
)

# Places in State.scalars.
FUN, RESIDUAL, TARGET, INNER, LIFT = range(5)


class State(NamedTuple):
    """What an iteration needs; w = (x, b) ends in the intercept."""

    data: Any  # the problem, lowered
    w: np.ndarray  # p + 1, coefficients and intercept
    z: np.ndarray  # n, prediction
    r: np.ndarray  # n, gradient of the loss at z
    g: np.ndarray  # p + 1, gradient of the smooth part
    violation: np.ndarray  # p, distance of each coordinate from stationary
    h: np.ndarray  # n, weights of the quadratic model
    curvature: np.ndarray  # p, column curvatures sum_i h_i x_ij^2
    working: np.ndarray  # indices of the working set
    columns: Any  # n x |working|, its columns, or 0 columns without a Gram matrix
    gram: np.ndarray  # their weighted Gram matrix
    mean: np.ndarray  # their weighted means
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class WorkingSetCD(Solver):
    r"""Coordinate descent on working sets for :math:`f(Ax + b) + \sum_j \phi_j(x_j)`.

    An iteration minimises the quadratic model of the loss over the working set, by cyclic
    coordinate descent

    .. math:: x_j \leftarrow \mathrm{prox}_{\phi_j / Q_{jj}}(x_j - q_j / Q_{jj})

    on its Gram matrix :math:`Q = A_W^T H A_W` with Newton steps on the support as soon as that is
    stable, searches along the step unless the loss is quadratic, and then reads all of A once for
    the violations of all coordinates. Coordinates that violate join the working set, which at
    least doubles. Large working sets do without the Gram matrix.

    Parameters
    ----------
    first : int, default 100
        Size of the first working set.
    gram_limit : int, default 2000
        Largest working set with a Gram matrix.
    **limits
        See `Solver`.

    Notes
    -----
    For quadratic losses with piecewise quadratic penalties the Newton steps make it finite once
    the support is found; for other losses it is a proximal Newton method, locally superlinear.
    An iteration costs one pass over A, n |W|^2 for the Gram matrix (quadratic losses: of the new
    columns only) and |W| per coordinate move.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", J. Stat. Softw. 33, 2010.
    J. Nutini, I. Laradji, M. Schmidt, "Let's make block coordinate descent converge faster",
    J. Mach. Learn. Res. 23, 2022, arXiv 1712.08859.
    Q. Bertrand et al., "Beyond L1: faster and better sparse models with skglm", NeurIPS 2022,
    arXiv 2204.07826.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.penalties import L1
    >>> from numopt.problems import Composite
    >>> from numopt.solvers import WorkingSetCD
    >>> problem = Composite(LeastSquares([1.0, 2.0]), np.eye(2), L1(0.5))
    >>> WorkingSetCD().solve(problem).x.tolist()
    [0.0, 1.0]
    """

    name: ClassVar[str] = "working-set-cd"
    accepts: ClassVar[tuple[str, ...]] = ("Composite",)
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "loss": ("value_1d", "gradient_1d", "hessian_1d"),
        "penalty": ("value_1d", "prox_1d"),
    }
    check_every: ClassVar[int] = 1

    max_iter: int = 500
    first: int = 100
    gram_limit: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.first, "first", 1)
        require_count(self.gram_limit, "gram_limit")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        n, p = problem.A.shape
        dtype = problem.dtype
        w = start_point(problem, x0, warm)
        scalars = np.zeros(5)
        tol = problem.default_tol if self.tol is None else self.tol
        scalars[TARGET] = 0.5 * tol * problem.scales()[0]
        scalars[INNER] = 0.3
        tall, wide = np.zeros((3, n), dtype), np.zeros((2, p + 1), dtype)
        none = np.zeros(0, np.int64)
        state = State(
            problem.lowered(), w, *tall[:2], wide[0], wide[1][:p], tall[2],
            np.ones(p, dtype), none, np.zeros((n, 0), dtype, "F"), np.zeros((0, 0), dtype, "F"),
            np.zeros(0, dtype), scalars,
        )  # fmt: skip
        exact = problem.penalty.offers("subdiff_distance_1d")
        _weigh(state, columns=not exact)
        null = problem.null_model()
        known = np.array_equal(w, null.w.astype(dtype))
        if known:
            state.g[:p] = null.gradient
        _measure(state, known)
        return self.grow(problem, state)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if s[RESIDUAL] <= s[TARGET]:
            return 0, DONE
        before = s[RESIDUAL]
        if not self._decrease(problem, state):
            return 1, BREAKDOWN
        if not problem.loss.quadratic and self._sees_working_set(problem, state):
            # Newton's steps on the working set cost little next to a pass over A.
            for _ in range(20):
                if _refresh(problem, state) <= max(0.1 * before, 0.5 * s[TARGET]):
                    break
                if time_left() < 0 or not self._decrease(problem, state):
                    break
        _measure(state)
        if s[RESIDUAL] <= s[TARGET]:
            return 1, DONE
        inside = state.violation[state.working].max(initial=0.0)
        outside = state.violation.copy()
        outside[state.working] = 0
        if outside.max(initial=0.0) > max(inside, s[TARGET]):
            return 1, GROW
        if not s[RESIDUAL] < 0.9 * before:
            s[INNER] *= 0.1  # the model was solved too coarsely
        return 1, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        kkt = Entry(state.scalars[RESIDUAL] / problem.scales()[0], "stationarity / alpha_max")
        return Certificate("stationary", {"kkt": kkt}, float(state.scalars[FUN]))

    def tighten(self, problem: Any, state: State) -> bool:
        state.scalars[TARGET] *= 0.25
        return bool(
            state.scalars[TARGET] > 1e-3 * np.finfo(problem.dtype).eps * problem.scales()[0]
        )

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        p = problem.size
        point = {"x": state.w[:p], "working_set_size": int(state.working.size)}
        warm = {"x": point["x"]}
        if problem.fit_intercept:
            point["intercept"] = warm["intercept"] = state.w[p]
        return {**point, "warm_start": warm}

    def work(self, problem: Any) -> float:
        return 2.0 * problem.nnz

    def grow(self, problem: Any, state: State) -> State:
        """Add the worst violators; for a quadratic loss the Gram matrix grows with them."""
        outside = state.violation.copy()
        outside[state.working] = 0
        old = state.working.size
        if old == 0:
            outside[state.w[:-1] != 0] = np.inf  # the start's support comes first
        room = max(self.first, old, int((outside == np.inf).sum()))
        count = min(room, int((outside > 0.5 * state.scalars[TARGET]).sum()))
        if old == 0 and problem.size <= self.first:
            count = problem.size  # few columns: all at once, and one model is enough
        new = np.argpartition(-outside, count - 1)[:count] if count else np.zeros(0, np.int64)
        new = np.sort(new)
        working = np.concatenate([state.working, new])
        if working.size > self.gram_limit:
            _weigh(state, columns=True)
            return state._replace(
                working=working, columns=state.columns[:, :0], gram=state.gram[:0, :0]
            )
        columns = working_columns(problem, state, working)
        state = state._replace(working=working, columns=columns)
        if not problem.loss.quadratic:
            return state
        gram = np.empty((working.size, working.size), state.w.dtype, "F")
        gram[:old, :old] = state.gram
        gram[:, old:] = weighted_product(columns, columns[:, old:], state.h)
        gram[old:, :old] = gram[:old, old:].T
        mean = columns.T @ state.h
        if problem.fit_intercept:
            gram[:, old:] -= np.outer(mean, mean[old:])
            gram[old:, :old] = gram[:old, old:].T
        return state._replace(gram=gram, mean=mean)

    @staticmethod
    def _sees_working_set(problem: Any, state: State) -> bool:
        return state.columns.shape[1] > 0 and problem.penalty.offers("subdiff_distance_1d")

    def _decrease(self, problem: Any, state: State) -> bool:
        """Minimise a model whose promise the objective keeps; False if there is none.

        Newton's can promise what the loss does not keep, above all where a nonconvex penalty
        makes it jump: its curvature is lifted towards the bound on the loss, which keeps every
        promise, until the objective falls.
        """
        s = state.scalars
        while not self._minimise_model(problem, state):
            if s[LIFT] >= 1 or problem.loss.smoothness is None:
                return False
            s[LIFT] = min(1.0, max(8 * s[LIFT], 1e-3))
        s[LIFT] = 0.25 * s[LIFT] if s[LIFT] > 1e-4 else 0.0
        return True

    @staticmethod
    def _bound(problem: Any, scalars: np.ndarray) -> float:
        return float(problem.loss.smoothness or 0.0) * scalars[LIFT]

    def _minimise_model(self, problem: Any, state: State) -> bool:
        """Step to the minimiser of the model on the working set; whether a step was found."""
        s, index = state.scalars, state.working
        # With a Gram matrix sweeps are cheap next to a pass over A: solve the model well.
        dense = state.columns.shape[1] > 0
        final = problem.loss.quadratic and index.size == problem.size
        share = 0.0 if final else s[INNER] * (0.03 if dense else 1.0)
        # The last digits cost little there, and paths and folds compare what they give.
        goal = 0.05 if final and dense and state.w.dtype == np.float64 else 0.5
        tol = max(share * s[RESIDUAL], goal * s[TARGET])
        w = state.w[index].copy()
        if not dense:
            if not problem.loss.quadratic:
                _weigh(state, columns=True, bound=self._bound(problem, s))
            u, floor = state.r.copy(), 1.05 * problem.penalty.concavity
            mass = state.h.sum()
            if not mass > 0:
                return False
            shift = descend_residual(
                state.data, index, state.h, state.curvature, u, mass, w, tol, 100, floor
            )[2]
        else:
            gram, mean = state.gram, state.mean
            if not problem.loss.quadratic:
                _weigh(state, columns=False, bound=self._bound(problem, s))
                gram, mean = weighted_gram(problem, state)
            mass = state.h.sum()
            if not mass > 0:  # the loss is straight here, as Huber's far from the data
                return False
            q = state.g[index].copy()
            if problem.fit_intercept:
                q -= state.g[-1] * (mean / mass)
            descend_with_newton(problem, state, gram, q, w, tol)
            shift = -(state.g[-1] + mean @ (w - state.w[index])) / mass
        step = np.zeros_like(state.w)
        step[index] = w - state.w[index]
        if problem.fit_intercept:
            step[-1] = shift
        if problem.loss.quadratic:
            state.w[:] += step
            state.w[index] = w  # exact zeros
            return True
        return search(problem, state, step, s[FUN])


def _measure(state: State, known: bool = False) -> None:
    s = state.scalars
    s[FUN], s[RESIDUAL] = full_pass(
        state.data, state.w, state.z, state.r, state.g, state.curvature, state.violation, known
    )


def _refresh(problem: Any, state: State) -> float:
    """Loss, gradient and largest violation of the working set alone, where z is up to date."""
    s, index, penalty = state.scalars, state.working, problem.penalty
    loss = loss_gradient(state.data.loss, state.data.scale, state.z, state.r)
    state.g[index] = state.columns.T @ state.r
    state.g[-1] = state.r.sum() if problem.fit_intercept else 0
    s[FUN] = loss + penalty.value(state.w[:-1])
    violation = penalty.subdiff_distances(state.w[:-1], state.g[:-1])[index]
    s[RESIDUAL] = max(violation.max(initial=0.0), abs(state.g[-1]))
    return float(s[RESIDUAL])


def _weigh(state: State, columns: bool, bound: float = 0.0) -> None:
    """Weights of the model at z, those below `bound` lifted; column curvatures if asked."""
    out = state.curvature if columns else state.curvature[:0]
    curvatures(state.data, state.z, state.h, out, bound)
