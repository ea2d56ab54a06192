"""Working sets, quadratic models, coordinate descent and a Newton finish for linear models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.engine import BREAKDOWN, DONE, GROW, RUNNING, Solver, time_left
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_count
from numopt.solvers._parts.composite import free_part, start_point
from numopt.solvers._parts.coordinate_descent import (
    ASIDE,
    IN_PLAY,
    column_dots,
    curvatures,
    even_curvatures,
    full_pass,
    revisit,
    rule_out,
    search,
    set_aside,
    visit,
)
from numopt.solvers._parts.quadratic_model import Model, gram_of, minimise, source_of, unit_bounds
from numopt.solvers._parts.residual_descent import descend_residual
from numopt.solvers._parts.softmax_model import class_columns, class_probabilities, softmax_model
from numopt.solvers._parts.units import coordinates, count_units, grouped, units_holding

# Places in State.scalars.
FUN, RESIDUAL, TARGET, LIMIT, INNER, LIFT, LOOKS = range(7)

# Up to this size the quadratic model of a quadratic loss is solved to the end at once.
SMALL = 150


class State(NamedTuple):
    """What an iteration needs; w = (x, b) ends in the intercept.

    Units are coordinates, or groups where the penalty is over groups.
    """

    data: Any  # the problem, lowered
    w: np.ndarray  # p + 1, coefficients and intercept
    z: np.ndarray  # n, prediction
    r: np.ndarray  # n, gradient of the loss at z
    g: np.ndarray  # p + 1, gradient of the smooth part
    violation: np.ndarray  # units, distance of each from stationary
    standing: np.ndarray  # units, whether passes over A visit it
    h: np.ndarray  # n, weights of the quadratic model
    curvature: np.ndarray  # p, column curvatures sum_i h_i x_ij^2
    scratch: np.ndarray  # 2 x p
    units: np.ndarray  # the working set
    starts: np.ndarray  # where the coordinates of each of its units begin
    members: np.ndarray  # its coordinates
    source: Any  # what the Gram matrix is made from, and where; None without one
    gram: np.ndarray  # weighted Gram matrix of its columns
    bounds: np.ndarray  # bound on the largest eigenvalue of each unit's part of it
    cross: np.ndarray  # its products with the columns of the intercepts, one for each output
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class WorkingSetCD(Solver):
    r"""Coordinate descent on working sets for :math:`f(Ax + b) + \sum_j \phi_j(x_j)`.

    An iteration minimises the quadratic model of the loss over the working set, by cyclic
    coordinate descent

    .. math:: x_j \leftarrow \mathrm{prox}_{\phi_j / Q_{jj}}(x_j - q_j / Q_{jj})

    on its Gram matrix :math:`Q = A_W^T H A_W` with Newton steps on the support as soon as that is
    stable, searches along the step unless the loss is quadratic, and then reads A for the
    violations of all coordinates. Those that violate join the working set, which at least doubles.
    Penalties over groups take whole groups as their units. Large working sets do without the Gram
    matrix, and extrapolate their iterates instead (Anderson).

    Passes over A leave out what *screening* sets aside: units at 0 whose gradient would have to
    move by more than the largest violation (the strong rule; all of these are looked at in the
    end), and along a path those that the duality gap proves to be 0 (gap-safe spheres).

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
    R. Tibshirani et al., "Strong rules for discarding predictors in lasso-type problems",
    J. R. Stat. Soc. B 74, 2012, arXiv 1011.2234.
    E. Ndiaye, O. Fercoq, A. Gramfort, J. Salmon, "Gap safe screening rules for sparsity enforcing
    penalties", J. Mach. Learn. Res. 18, 2017, arXiv 1611.05780.
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
    >>> WorkingSetCD().solve(problem).x.round(6).tolist()
    [0.0, 1.0]
    """

    name: ClassVar[str] = "working-set-cd"
    accepts: ClassVar[tuple[str, ...]] = ("Composite",)
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "loss": ("value_1d|total", "gradient_1d|total_gradient", "hessian_1d|probabilities"),
        "penalty": ("value_1d|value_group", "prox_1d|prox_group"),
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
        p, K = problem.size, problem.outputs
        n = problem.A.shape[0] * K
        dtype, penalty = problem.dtype, problem.penalty
        scalars = np.zeros(7)
        tol = problem.default_tol if self.tol is None else self.tol
        scalars[LIMIT] = tol * problem.scales()[0]
        scalars[TARGET] = 0.5 * scalars[LIMIT]
        scalars[INNER] = 0.3
        tall, wide = np.zeros((3, n), dtype), np.zeros((4, p + K), dtype)
        units, none = count_units(penalty, p), np.zeros(0, np.int64)
        w, known = start_point(problem, x0, warm), x0 is None and warm.get("x") is None
        if not known:
            _settle_empty(problem, w)
        state = State(
            problem.lowered(), w, tall[0], tall[1], wide[0],
            np.zeros(units, dtype), np.zeros(units, np.int8), tall[2], np.ones(p, dtype),
            wide[2:], none, np.zeros(1, np.int64), none, None,
            np.zeros((0, 0), dtype, "F"), np.zeros(0, dtype), np.zeros((0, K), dtype), scalars,
        )  # fmt: skip
        # Without a distance, violations are moves of the prox, whose steps these give; by bounds
        # where that is safe, since with the curvature 0 of a straight loss no move would count.
        columns = none if _knows_distance(penalty) else np.arange(p)
        bounded = penalty.convex and not problem.loss.quadratic
        _weigh(state, columns, float(bounded), problem.loss.smoothness)
        null = problem.null_model()
        if known:  # the start is the null model
            state.g[:p] = null.gradient
        _measure(state, known)
        if not np.isfinite(scalars[RESIDUAL]):  # outside the domain of the penalty
            w[:p] = penalty.prox(w[:p], 1e-30)
            _measure(state)
        if scalars[RESIDUAL] > scalars[TARGET]:
            if warm and not known:
                _rule_out(problem, state)
            if p > self.first:
                _set_aside(state)
        return self.grow(problem, state)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if s[RESIDUAL] <= s[TARGET]:
            return 0, DONE
        before = s[RESIDUAL]
        if not self._decrease(problem, state):
            return 1, BREAKDOWN
        if not problem.loss.quadratic and _knows_distance(problem.penalty):
            # Newton's steps on the working set cost little next to a pass over A.
            for _ in range(20):
                s[FUN], s[RESIDUAL] = revisit(
                    state.data, state.units, state.members, state.w, state.z, state.r, state.g,
                    state.curvature, state.violation,
                )  # fmt: skip
                if s[RESIDUAL] <= max(0.1 * before, 0.5 * s[TARGET]):
                    break
                if time_left() < 0 or not self._decrease(problem, state):
                    break
        _measure(state)
        everything = state.units.size == state.violation.size
        if s[RESIDUAL] <= max(s[LIMIT], s[TARGET]) and not everything:
            _look_aside(problem, state)
        if s[RESIDUAL] <= s[TARGET]:
            return 1, DONE
        if everything:
            return self._unless_coarse(s, before)
        _set_aside(state)
        inside = state.violation[state.units].max(initial=0.0)
        outside = state.violation.copy()
        outside[state.units] = 0
        if outside.max(initial=0.0) > max(inside, s[TARGET]):
            return 1, GROW
        return self._unless_coarse(s, before)

    @staticmethod
    def _unless_coarse(s: np.ndarray, before: float) -> tuple[int, int]:
        if not s[RESIDUAL] < 0.9 * before:
            s[INNER] *= 0.1  # the model was solved too coarsely
        return 1, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        kkt = Entry(state.scalars[RESIDUAL] / problem.scales()[0], "stationarity / alpha_max")
        return Certificate("stationary", {"kkt": kkt}, float(state.scalars[FUN]))

    def tighten(self, problem: Any, state: State) -> bool:
        state.scalars[TARGET] *= 0.25
        state.standing[:] = IN_PLAY
        return bool(
            state.scalars[TARGET] > 1e-3 * np.finfo(problem.dtype).eps * problem.scales()[0]
        )

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        p = problem.size
        point = {"x": state.w[:p], "working_set_size": int(state.members.size)}
        warm = {"x": point["x"]}
        if problem.fit_intercept:
            point["intercept"] = warm["intercept"] = free_part(state.w, p)
        return {**point, "warm_start": warm}

    def work(self, problem: Any) -> float:
        return 2.0 * problem.nnz

    def grow(self, problem: Any, state: State) -> State:
        """Add the worst violators; for a quadratic loss the Gram matrix grows with them."""
        penalty = problem.penalty
        old, size, p = state.units.size, state.gram.shape[0], problem.size
        if old == 0 and p <= self.first:
            units = np.arange(state.violation.size)  # few columns: all at once, and one model
        else:
            outside = state.violation.copy()
            outside[state.units] = 0
            if old == 0:
                outside[units_holding(penalty, state.w[:p] != 0)] = np.inf  # the start's support
            room = max(self.first, old, int((outside == np.inf).sum()))
            count = min(room, int((outside > 0.5 * state.scalars[TARGET]).sum()))
            new = np.argpartition(-outside, count - 1)[:count] if count else state.units[:0]
            units = np.concatenate([state.units, np.sort(new)])
        starts, index = coordinates(penalty, units)
        state.standing[units] = IN_PLAY
        source: Any
        if not self._wants_gram(problem, index):
            if problem.loss.quadratic:
                _weigh(state, index)
            source, gram = None, state.gram[:0, :0]
        elif problem.outputs > 1:
            source, gram = class_columns(problem, index), state.gram
        else:
            source, gram = source_of(problem, state.data.X, index), state.gram
            if problem.loss.quadratic:
                gram, cross = gram_of(*source, state.h, gram), _means(state.data, index, state.h)
                if problem.fit_intercept:  # the weights of the samples sum to 1
                    raw = gram.diagonal().copy()
                    gram[:, size:] -= cross @ cross[size:].T
                    gram[size:, :size] = gram[:size, size:].T
                    _flatten(gram, raw)
                bounds = _bounds(starts, gram) if grouped(penalty) else state.bounds
                state = state._replace(cross=cross, bounds=bounds)
        return state._replace(units=units, starts=starts, members=index, source=source, gram=gram)

    def _wants_gram(self, problem: Any, index: np.ndarray) -> bool:
        """Whether moves cost less on a Gram matrix than on the columns themselves."""
        if index.size > self.gram_limit:
            return False
        if index.size <= 2 * SMALL or not sp.issparse(problem.A):
            return True
        indptr, columns = problem.A.indptr, index // problem.outputs
        return bool(index.size < 8 * (indptr[columns + 1] - indptr[columns]).mean())

    def _decrease(self, problem: Any, state: State) -> bool:
        """Minimise a model whose promise the objective keeps; False if there is none.

        Newton's can promise what the loss does not keep, above all where a nonconvex penalty
        makes it jump: its curvature is lifted towards the bound on the loss, which keeps every
        promise, until the objective falls.
        """
        s = state.scalars
        while not self._minimise_model(problem, state):
            if s[LIFT] >= (1 if problem.loss.smoothness else 1e6):
                return False
            s[LIFT] = max(8 * s[LIFT], 1e-3)
            if problem.loss.smoothness:
                s[LIFT] = min(1.0, s[LIFT])
        s[LIFT] = 0.25 * s[LIFT] if s[LIFT] > 1e-4 else 0.0
        return True

    def _minimise_model(self, problem: Any, state: State) -> bool:
        """Step to the minimiser of the model on the working set; whether a step was found."""
        s, index, penalty = state.scalars, state.members, problem.penalty
        quadratic, dense = problem.loss.quadratic, state.source is not None
        # With a Gram matrix sweeps are cheap next to a pass over A: solve the model well.
        final = quadratic and index.size == problem.size
        small = quadratic and dense and index.size <= SMALL
        coarse = 0.1 if quadratic else 0.03
        share = 0.0 if final or small else s[INNER] * (coarse if dense else 1.0)
        # The last digits cost little there, and paths and folds compare what they give.
        goal = 0.05 if final and dense and state.w.dtype == np.float64 else 0.5
        tol = max(share * s[RESIDUAL], goal * s[TARGET])
        if not quadratic:
            columns = state.members[:0] if dense else state.members
            _weigh(state, columns, s[LIFT], problem.loss.smoothness)
        if (
            not quadratic and not state.h.sum() > 0
        ):  # the loss is straight here, as Huber's far from the data
            return False
        p, pen, d_free = problem.size, state.data.penalty, np.zeros(problem.outputs, state.w.dtype)
        q, w = state.g[index], state.w[index]
        model = Model(
            state.units, state.starts, index, state.gram, state.bounds, q, w, *state.scratch
        )
        if dense:
            gram, bounds, cross, inverse = _hessian(problem, state)
            if problem.fit_intercept:
                pull = inverse @ state.g[p:]
                q -= cross @ pull
            if not quadratic:
                model = model._replace(Q=gram, bounds=bounds)
            minimise(pen, model, tol, _knows_distance(penalty), penalty.concavity)
            if problem.fit_intercept:
                d_free -= pull + inverse @ (cross.T @ (w - state.w[index]))
        else:
            u = state.r.copy()
            # Weights that only bound the curvature deserve few sweeps.
            for _ in range(10 if problem.outputs == 1 else 1):
                worst = descend_residual(
                    pen, state.data, model, state.r, state.h, state.curvature, u, d_free, tol, 20,
                    1.05 * penalty.concavity,
                )  # fmt: skip
                if worst <= tol or time_left() < 0:
                    break
        if quadratic:
            state.w[index] = w
            state.w[p:] += d_free
            return True
        step = np.zeros_like(state.w)
        step[index] = w - state.w[index]
        step[p:] = d_free
        noise = 10 * np.finfo(w.dtype).eps * abs(s[FUN])
        halvings = 10 if problem.loss.smoothness else 30
        return bool(search(state.data, state.w, state.z, state.r, step, s[FUN], noise, halvings))


def _hessian(problem: Any, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the model, minimised over the intercepts; with its part across and the inverse of theirs.

    For a quadratic loss that is known from growing the working set.
    """
    if problem.loss.quadratic:
        return state.gram, state.bounds, state.cross, np.ones((1, 1), state.w.dtype)
    if problem.outputs > 1:
        P = np.empty_like(state.z)
        class_probabilities(state.data.loss, state.z, P)
        P, lift = P.reshape(-1, problem.outputs), float(state.scalars[LIFT])
        gram, cross, constants = softmax_model(state.source, P, state.data.scale, lift)
        inverse = np.linalg.pinv(constants, rcond=1e-10, hermitian=True)
    else:
        gram = gram_of(*state.source, state.h, state.gram[:0, :0])
        cross = _means(state.data, state.members, state.h)
        inverse = np.full((1, 1), 1 / state.h.sum())
    if problem.fit_intercept:
        raw = gram.diagonal().copy()
        gram -= cross @ inverse @ cross.T
        _flatten(gram, raw)
    return gram, _bounds(state.starts, gram), cross, inverse


def _flatten(gram: np.ndarray, raw: np.ndarray) -> None:
    """Constant columns are empty beside an intercept: what rounding leaves of them goes."""
    flat = gram.diagonal() <= 1e-14 * raw
    if flat.any():
        gram[flat] = 0
        gram[:, flat] = 0


def _settle_empty(problem: Any, w: np.ndarray) -> None:
    """Coordinates of empty columns go where the penalty is least: the model cannot move them."""
    support = np.flatnonzero(w[: problem.size])
    empty = support[problem.column_curvatures()[support] == 0]
    if empty.size:
        w[empty] = problem.penalty.prox(w[: problem.size], 1e20)[empty]


def _knows_distance(penalty: Any) -> bool:
    return bool(grouped(penalty) or penalty.offers("subdiff_distance_1d"))


def _measure(state: State, known: bool = False) -> None:
    s = state.scalars
    s[FUN], s[RESIDUAL] = full_pass(
        state.data, state.w, state.z, state.r, state.g, state.curvature, state.violation,
        state.standing, known,
    )  # fmt: skip


def _look_aside(problem: Any, state: State) -> None:
    """Visit the units that were set aside; those that violate come back into play."""
    s = state.scalars
    violation = state.violation.copy()
    worst = visit(
        state.data, state.w, state.r, state.g, state.curvature, violation, state.standing, ASIDE,
        False,
    )  # fmt: skip
    s[RESIDUAL] = max(s[RESIDUAL], worst)
    if worst > s[TARGET]:
        s[LOOKS] += 1
        if s[LOOKS] > 1:  # a hard problem: worth a pass over A for the norms of its columns
            _rule_out(problem, state)
    back = violation > 0
    state.violation[back] = violation[back]
    state.standing[back] = IN_PLAY


def _set_aside(state: State) -> None:
    """Take a gradient to move by no more than the largest violation from here on."""
    set_aside(
        state.data, state.w, state.g, state.scalars[RESIDUAL], state.standing, state.scratch[0]
    )
    state.standing[state.units] = IN_PLAY


def _rule_out(problem: Any, state: State) -> None:
    """Rule out units by the duality gap, where the theory covers them."""
    covered = problem.convex and problem.loss.smoothness and problem.dtype == np.float64
    if covered and problem.penalty.offers("conjugate_1d") and problem.loss.offers("conjugate_1d"):
        rule_out(
            state.data, state.w, state.r, state.g, state.scalars[FUN], problem.loss.smoothness,
            np.sqrt(problem.column_curvatures()), state.standing, state.scratch[0],
        )  # fmt: skip
        state.standing[state.units] = IN_PLAY


def _means(data: Any, index: np.ndarray, h: np.ndarray) -> np.ndarray:
    out = np.zeros((index.size, 1), h.dtype)
    if data.intercept:
        column_dots(data.X, index, h, out[:, 0])
    return out


def _bounds(starts: np.ndarray, gram: np.ndarray) -> np.ndarray:
    out = np.empty(starts.size - 1, gram.dtype)
    unit_bounds(starts, gram, out)
    return out


def _weigh(
    state: State, columns: np.ndarray, lift: float = 0.0, smoothness: float | None = None
) -> None:
    """Weights of the model at z, lifted by a share of their bound; curvatures of some columns."""
    if state.h.size > state.data.scale.size:  # several outputs
        even_curvatures(state.data, state.h, columns, state.curvature)
        return
    bound = lift * (smoothness or 0.0)
    if lift > 0 and not smoothness:  # no bound is known: of the largest weight instead
        curvatures(state.data, state.z, state.h, columns[:0], state.curvature, 0.0)
        counted = state.data.scale > 0
        bound = lift * float((state.h[counted] / state.data.scale[counted]).max())
    curvatures(state.data, state.z, state.h, columns, state.curvature, bound)
