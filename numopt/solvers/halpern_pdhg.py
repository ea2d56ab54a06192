"""Linear programs by a first-order method without factorisations."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.engine import (
    BREAKDOWN,
    DONE,
    INFEASIBLE,
    RUNNING,
    UNBOUNDED,
    Solver,
    run,
    time_left,
)
from numopt.core.validate import as_vector, require_length, require_positive
from numopt.linalg.scaling import pock_chambolle, ruiz
from numopt.linalg.sparse import CSR
from numopt.problems._presolve import Reduced, postsolve, presolve
from numopt.solvers._parts import pdhg_kernels as kernels
from numopt.solvers._parts.lp_proofs import (
    least_violation,
    prove_infeasible,
    prove_unbounded,
    steepest_ray,
)
from numopt.solvers._parts.pdhg_kernels import Model, Work

# Proofs that there is no solution are looked for at every so many iterations where the worst
# residual is above a limit, else ten times more seldom, beginning with candidates of this residual
# beside their value.
SELDOM, HOPELESS, FIRST_PROOF = 400, 1e-4, 0.03
# Where that does not help, a program that decides is solved: for residuals above this one, first
# after so many iterations.
STUCK, ASK = 1e-3, 20_000
# Entries from which on both ways to go through the matrix are timed, and iterations for that.
TUNED, TRIAL = 20_000, 20
PARTS = ("x", "y", "z_lb", "z_ub")
Point = dict[str, Any]


class Scaled(NamedTuple):
    """A matrix in units that even it out."""

    A: CSR  # by columns
    R: CSR  # by rows
    rows: np.ndarray
    columns: np.ndarray
    norm: list[float]  # one: a bound of its spectral norm, once it is known


class State(NamedTuple):
    """One solve."""

    model: Model
    work: Work
    scalars: np.ndarray  # see the kernels
    reduced: Reduced | None  # what presolve made of the problem
    given: Point  # the start in the user's units, until there is an iterate
    claim: dict[str, Any]  # what is proven: a code, farkas or ray, a reason
    way: list[Any]  # whether columns scatter (one sweep); until it is known, the times of both ways


@dataclass(frozen=True, kw_only=True)
class HalpernPDHG(Solver):
    r"""Restarted reflected Halpern iterations of the primal-dual hybrid gradient method.

    For `LinearProgram`, with :math:`\tau = \eta / \omega, \sigma = \eta \omega`,
    :math:`\eta < 1 / |A|_2`, a step T of PDHG is

    .. math::
        x^+ = P_{[lb, ub]}(x - \tau (c + A^T y)), \quad v = y + \sigma A (2 x^+ - x), \quad
        y^+ = v - \sigma P_{[l, u]}(v / \sigma)

    and iteration k since the last restart goes to

    .. math:: z_{k+1} = \frac{k + 1}{k + 2} (2 T z_k - z_k) + \frac{1}{k + 2} z_0 .

    It restarts at :math:`T z_k` when the fixed-point residual has fallen to a fifth, or to half
    and grows, or the epoch makes a fifth of all iterations; the weight :math:`\omega` then follows
    the ratio of the distances that y and x went, and of the residuals. As soon as sides are
    identified, the equations of the active ones are solved by LSQR, and where the result is optimal
    by the data the run ends.

    Parameters
    ----------
    max_iter : int, default 1000000
        Iterations at most.
    weight : float, optional
        First :math:`\omega`, in scaled units; 1 if not given.
    presolve : bool, default True
        Drop empty, repeated and one-entry rows, fixed variables and free ones that stand in one
        row before, and restore them and their multipliers after.
    identify : bool, default True
        Whether to try the equations of the active sides.
    **limits
        See `Solver`.

    Notes
    -----
    Data are equilibrated (Ruiz, then Pock and Chambolle), sides and costs scaled to norm 1.
    An iteration passes once or twice over A: columns scatter as they go, or rows are summed up
    after, whichever is faster; both give the same bits. No factors, memory is that of two copies of
    A. Feasible programs converge linearly, and those without a solution show that by the direction
    in which iterates go: it is polished and counts only if the problem confirms it.

    References
    ----------
    H. Lu, J. Yang, "Restarted Halpern PDHG for linear programming", arXiv:2407.16144 (2024).
    D. Applegate, M. Diaz, O. Hinder, H. Lu, M. Lubin, B. O'Donoghue, W. Schudy, "Practical
    large-scale linear programming using primal-dual hybrid gradient", NeurIPS 2021,
    arXiv:2106.04756. H. Lu, Z. Peng, J. Yang, "cuPDLPx", arXiv:2507.14051 (2025). J. Park, E. Ryu,
    "Accelerated infeasibility detection of constrained optimization and fixed-point iterations",
    ICML 2023, arXiv:2303.15876.

    Examples
    --------
    >>> from numopt.problems import LinearProgram
    >>> from numopt.solvers import HalpernPDHG
    >>> problem = LinearProgram([-1.0, -2.0], [[1.0, 1.0]], u=4.0, lb=0, ub=3.0)
    >>> result = HalpernPDHG().solve(problem)
    >>> result.x.round(6).tolist(), result.y.round(6).tolist()
    ([1.0, 3.0], [1.0])
    """

    max_iter: int = 1_000_000
    weight: float | None = None
    presolve: bool = True
    identify: bool = True

    name: ClassVar[str] = "halpern-pdhg"
    accepts: ClassVar[tuple[str, ...]] = ("LinearProgram",)
    check_every: ClassVar[int] = 100_000
    patience: ClassVar[int] = 300_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight is not None:
            require_positive(self.weight, "weight")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        given = _start(problem, x0, warm)
        claim, crossed = {}, problem.crossed()
        reduced = None
        if crossed is not None:
            claim = {"code": INFEASIBLE, "farkas": crossed[2], "reason": crossed[0]}
        elif self.presolve:
            reduced = presolve(problem.arrays)
        model = _model(problem, reduced, scaled := _scaled(problem, reduced))
        n, m = model.c.size, model.l.size
        zeros = np.zeros
        work = Work(
            *zeros((5, n)), *zeros((5, m)), zeros(n), zeros(m), zeros(n + m), zeros(n, bool),
            zeros(m, bool),
        )  # fmt: skip
        if not scaled.norm:
            scaled.norm.append(1.02 * kernels.norm(model, work, 60))
        s = zeros(kernels.SCALARS)
        tol = self.tol if self.tol is not None else problem.default_tol
        s[kernels.ETA] = 0.998 / scaled.norm[0] if scaled.norm[0] > 0 else 1.0
        s[kernels.WEIGHT] = s[kernels.BEST_WEIGHT] = float(warm.get("weight", self.weight or 1.0))
        s[kernels.TOL], s[kernels.PROOF] = 0.9 * tol, FIRST_PROOF
        s[kernels.BEST_BALANCE], s[kernels.RIGID] = np.inf, not model.c.any()
        s[kernels.TRIED] = np.inf if self.identify else 0.0
        s[kernels.NEXT] = 0.0 if self.identify else np.inf
        x, y = given["x"], given["y"]
        if reduced is not None:
            x, y = x[reduced.columns], y[reduced.rows]
        x = np.clip(x / (model.columns * model.length), model.lb, model.ub)
        y = y / (model.rows * model.cost)
        for part, value in ((work.x, x), (work.x0, x), (work.xp, x), (work.y, y), (work.y0, y)):
            part[:] = value
        work.yp[:] = y
        way: list[Any] = [True] if model.A.data.size < TUNED else []
        return State(model, work, s, reduced, given, claim, way)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        model, work, s, _, given, claim, way = state
        if "code" in claim:
            return 0, claim["code"]
        done, code = 0, RUNNING
        while done < n and code == RUNNING:
            total = int(s[kernels.TOTAL])
            steps = min(n - done, SELDOM - total % SELDOM)
            untuned = type(way[-1] if way else 0.0) is not bool
            began = perf_counter()
            k, code = kernels.iterate(
                model, work, s, min(steps, TRIAL) if untuned else steps, _scatters(way)
            )
            if untuned:
                _note_time(way, (perf_counter() - began) / max(k, 1))
            done += k
            if k:
                given.clear()
            if code == kernels.FINISH:
                code = DONE if kernels.finish(model, work, s) else RUNNING
            every = SELDOM if s[kernels.WORST] > HOPELESS else 10 * SELDOM
            if code == RUNNING and (total + k) % every == 0:
                code = self._look_for_proofs(problem, state)
        return done, code

    def _look_for_proofs(self, problem: Any, state: State) -> int:
        """Whether the last movement, or that since the restart, proves that nothing solves it."""
        model, work, s, claim = *state[:3], state.claim
        for x, y in ((work.dx, work.dy), (work.xp - work.x0, work.yp - work.y0)):
            code = _candidate(model, x, y, s[kernels.PROOF])
            if code != RUNNING:
                # One that is no proof yet has to become a better one.
                s[kernels.PROOF] *= 0.3
                code = self._claim(problem, state, code, x, y)
            if code != RUNNING:
                return code
        total = int(s[kernels.TOTAL])
        if s[kernels.WORST] > STUCK and total >= claim.get("ask at", ASK):
            claim["ask at"] = 4 * total
            return self._ask(problem, state, total // 4)
        return RUNNING

    def _ask(self, problem: Any, state: State, most: int) -> int:
        """What the least violation, or the steepest ray, says: programs that have a solution."""
        claim, s = state.claim, state.scalars
        inner = _Asked(tol=1e-9, time_limit=time_left(), max_iter=most)
        if s[kernels.PRIMAL] > s[kernels.DUAL]:
            found, n = run(inner, least_violation(problem), warn=False), problem.size
            farkas = prove_infeasible(problem, found.y, found.z_lb[:n], found.z_ub[:n])
            return RUNNING if farkas is None else _infeasible(claim, farkas)
        ray = prove_unbounded(problem, run(inner, steepest_ray(problem), warn=False).x)
        return RUNNING if ray is None else self._unbounded(problem, claim, ray)

    def _claim(self, problem: Any, state: State, code: int, x: np.ndarray, y: np.ndarray) -> int:
        """The code of what a candidate proves; RUNNING if it is nothing."""
        model, reduced, claim = state.model, state.reduced, state.claim
        x, y = x * model.columns, y * model.rows
        if reduced is not None:
            r = _transposed(reduced.arrays.A, y)
            z = {"z_lb": np.maximum(r, 0.0), "z_ub": np.maximum(-r, 0.0)}
            point = postsolve(problem.arrays, reduced, {"x": x, "y": y, **z}, proof=True)
            x, y = point["x"], point["y"]
        if code == INFEASIBLE:
            farkas = prove_infeasible(problem, y)
            return RUNNING if farkas is None else _infeasible(claim, farkas)
        ray = prove_unbounded(problem, x)
        return RUNNING if ray is None else self._unbounded(problem, claim, ray)

    def _unbounded(self, problem: Any, claim: dict[str, Any], ray: np.ndarray) -> int:
        """A ray proves nothing without a feasible point: find one, or the proof that none is."""
        inner = type(self)(tol=1e-9, time_limit=time_left(), max_iter=self.max_iter)
        feasible = run(inner, problem.replace(c=np.zeros(problem.size)), warn=False)
        if "farkas" in feasible:
            return _infeasible(claim, feasible.farkas)
        if problem.nearly_feasible(feasible.x):
            claim.update(ray=ray, x=feasible.x, reason="ray holds the direction that proves it.")
            claim["code"] = UNBOUNDED
        else:
            claim["reason"] = "There is a ray, but no feasible point was found."
            claim["code"] = BREAKDOWN
        return int(claim["code"])

    def finish(self, problem: Any, state: State) -> Point:
        point: Point = dict(state.given) or _restored(problem, state)
        claim = state.claim
        if "x" in claim:
            point["x"] = claim["x"]
        point["warm_start"] = {**point, "weight": float(state.scalars[kernels.WEIGHT])}
        point["identified"] = bool(state.scalars[kernels.FOUND])
        for key in ("farkas", "ray"):
            if key in claim:
                point[key] = claim[key]
        return point

    def tighten(self, problem: Any, state: State) -> bool:
        state.scalars[kernels.TOL] *= 0.5
        return "code" not in state.claim and bool(state.scalars[kernels.TOL] > 1e-16)

    def explain(self, problem: Any, state: State) -> str:
        return str(state.claim.get("reason", "The iterates are not finite."))

    def work(self, problem: Any) -> float:
        return float(2 * problem.A.nnz + problem.size + problem.n_rows)


@dataclass(frozen=True, kw_only=True)
class _Asked(HalpernPDHG):
    """For programs that have a solution."""

    def _look_for_proofs(self, problem: Any, state: State) -> int:
        return RUNNING


def _infeasible(claim: dict[str, Any], farkas: tuple[np.ndarray, ...]) -> int:
    claim.update(code=INFEASIBLE, farkas=farkas)
    claim["reason"] = "farkas holds the multipliers that prove it."
    return INFEASIBLE


def _candidate(model: Model, x: np.ndarray, y: np.ndarray, limit: float) -> int:
    """INFEASIBLE if y looks like a Farkas vector, UNBOUNDED if x looks like a ray, or RUNNING."""
    y = np.where(y > 0, np.where(model.u < np.inf, y, 0.0), np.where(model.l > -np.inf, y, 0.0))
    q = _transposed(model.A, y)
    value = _value(q, model.lb, model.ub) - _value(y, model.u, model.l)
    missing = ((q > 0) & (model.lb == -np.inf)) | ((q < 0) & (model.ub == np.inf))
    if value > 0 and np.abs(q[missing]).max(initial=0.0) <= limit * value:
        return INFEASIBLE
    x = np.where(x > 0, np.where(model.ub < np.inf, 0.0, x), np.where(model.lb > -np.inf, 0.0, x))
    value = -float(model.c @ x)
    if not value > 0:
        return RUNNING
    q = _transposed(model.R, x)
    held = ((q > 0) & (model.u < np.inf)) | ((q < 0) & (model.l > -np.inf))
    return UNBOUNDED if np.abs(q[held]).max(initial=0.0) <= limit * value else RUNNING


def _value(v: np.ndarray, above: np.ndarray, below: np.ndarray) -> float:
    """Sum of v times `above` where v > 0 and `below` where v < 0; infinite ones do not count."""
    side = np.where(v > 0, above, below)
    return float(v @ np.where(np.isfinite(side), side, 0.0))


# ---- two ways to go through the matrix -----------------------------------------------------------


def _scatters(way: list[Any]) -> bool:
    """The way to take now: as settled, or the one to be timed."""
    return bool(way[-1]) if way and type(way[-1]) is bool else len(way) % 2 == 0


def _note_time(way: list[Any], seconds: float) -> None:
    """Each way is timed twice, after a call that warms up; then the faster one is settled on."""
    way.append(seconds)
    if len(way) == 6:
        scattered, summed = min(way[2::2]), min(way[3::2])
        way.append(scattered <= summed)


# ---- units ---------------------------------------------------------------------------------------


def _scaled(problem: Any, reduced: Reduced | None) -> Scaled:
    """The matrix after presolve, scaled; kept for all programs with this matrix."""
    arrays = problem.arrays if reduced is None else reduced.arrays
    part = None if reduced is None else (reduced.rows.tobytes(), reduced.columns.tobytes())
    known: dict[Any, Scaled] = problem.cached("scaled by rows and columns", (problem.A,), dict)
    if part not in known:
        A = sp.csc_array(tuple(arrays.A), shape=(arrays.l.size, arrays.q.size)).tocsr()
        scaling = pock_chambolle(A, start=ruiz(A))
        R = sp.csr_array(scaling.apply(A))
        R.sort_indices()
        by_rows, by_columns = (CSR(M.data, M.indices, M.indptr) for M in (R, R.tocsc()))
        known[part] = Scaled(by_columns, by_rows, *scaling, [])
    return known[part]


def _model(problem: Any, reduced: Reduced | None, scaled: Scaled) -> Model:
    _, _, q, l, u, lb, ub = problem.arrays if reduced is None else reduced.arrays  # noqa: E741
    rows, columns = scaled.rows, scaled.columns
    c, l, u, lb, ub = q * columns, l * rows, u * rows, lb / columns, ub / columns  # noqa: E741
    far = [np.where(np.isfinite(side), np.abs(side), 0.0) for side in (l, u)]
    length, cost = (float(np.linalg.norm(v)) or 1.0 for v in (np.maximum(*far), c))
    sides = (side / length for side in (l, u, lb, ub))
    return Model(scaled.A, scaled.R, c / cost, *sides, rows, columns, length, cost)


def _restored(problem: Any, state: State) -> Point:
    """The current point in the problem's units."""
    model, work, s, reduced = state[:4]
    x, y = work.xp, work.yp
    r = model.c + _transposed(model.A, y)
    low = (x == model.lb) if s[kernels.AT_BOUNDS] else model.lb > -np.inf
    high = (x == model.ub) if s[kernels.AT_BOUNDS] else model.ub < np.inf
    z = r * model.cost / model.columns
    point = {
        "x": x * model.columns * model.length,
        "y": y * model.rows * model.cost,
        "z_lb": np.where(low, np.maximum(z, 0.0), 0.0),
        "z_ub": np.where(high, np.maximum(-z, 0.0), 0.0),
    }
    return point if reduced is None else postsolve(problem.arrays, reduced, point)


def _transposed(A: CSR, y: np.ndarray) -> np.ndarray:
    """A'y of a matrix by columns."""
    product: np.ndarray = sp.csr_array(tuple(A), shape=(A.indptr.size - 1, y.size)) @ y
    return product


def _start(problem: Any, x0: Any, warm: dict[str, Any]) -> Point:
    n, point = problem.size, {}
    for name, size in zip(PARTS, (n, problem.n_rows, n, n), strict=True):
        value = warm.get("x", x0) if name == "x" else warm.get(name)
        label = "x0" if name == "x" else name
        if value is None:
            point[name] = np.zeros(size)
        else:
            point[name] = require_length(as_vector(value, label, float), size, label).copy()
    return point
