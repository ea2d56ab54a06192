"""Linear programs by HiGHS, with certificates and proofs from the data."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DONE, INFEASIBLE, RUNNING, UNBOUNDED, Solver, time_left
from numopt.core.validate import as_vector, require_choice, require_length
from numopt.solvers._parts.lp_proofs import (
    least_violation,
    prove_infeasible,
    prove_unbounded,
    steepest_ray,
)

# Entries from which on HiGHS runs in a thread of its own, so that Ctrl-C reaches it.
LARGE = 20_000
# What HiGHS takes as tolerance, and what it takes if not asked.
LEAST, MOST, USUAL = 1e-10, 1e-2, 1e-7
# Entries that HiGHS drops if not told otherwise.
SMALL = 1e-9
# Attempts, each where the data do not confirm what came of the one before: HiGHS as asked, without
# presolve, and its interior point method.
ATTEMPTS = 3
NO_SOLUTION = ("kInfeasible", "kUnboundedOrInfeasible", "kUnbounded")

Point = dict[str, Any]


class Outcome(NamedTuple):
    """What HiGHS made of a problem."""

    status: str  # its name of it, such as "kOptimal"
    point: Point
    nit: int
    model: Any  # the Highs object
    started: float  # when its clock began


class State(NamedTuple):
    """One solve."""

    point: Point  # current, with warm_start
    claim: dict[str, Any]  # code, proof and reason, once there is no more to do
    tried: list[Any]  # attempts so far: outcomes
    warm: dict[str, Any]  # what was given to start from
    counts: list[int]  # one: iterations so far


@dataclass(frozen=True, kw_only=True)
class Highs(Solver):
    r"""Simplex and interior point methods of HiGHS for `LinearProgram`.

    HiGHS solves; what it says is then held against the data: an optimum against the problem's
    certificate, infeasibility against a Farkas vector (its own ray, where need be polished, or the
    multipliers of the least violation), unboundedness against a ray and a feasible point. Where
    presolve has lost a ray the problem is run again without it.

    Parameters
    ----------
    max_iter : int, default 2147483647
        Iterations of simplex or interior point method at most.
    algorithm : {"choose", "simplex", "ipm"}
        HiGHS' choice; dual simplex; interior point method with crossover.
    presolve : bool, default True
        Whether HiGHS may reduce the problem first.
    **limits
        See `Solver`.

    Notes
    -----
    Starts from the basis of a related program (``warm_start=result``), or from one guessed from a
    point, as of a first-order method: variables and rows at a side are nonbasic. A callback sees
    the start and the end. Ctrl-C is seen within an iteration by problems of more than 20000
    entries, by others at the end.

    References
    ----------
    Q. Huangfu, J. Hall, "Parallelizing the dual revised simplex method", Math. Prog. Comp. 10
    (2018), doi:10.1007/s12532-017-0130-5.

    Examples
    --------
    >>> from numopt.problems import LinearProgram
    >>> from numopt.solvers import Highs
    >>> problem = LinearProgram([-1.0, -2.0], [[1.0, 1.0]], u=4.0, lb=0, ub=3.0)
    >>> result = Highs().solve(problem)
    >>> result.x.tolist(), result.y.tolist(), result.fun
    ([1.0, 3.0], [1.0], -7.0)
    """

    max_iter: int = 2**31 - 1
    algorithm: str = "choose"
    presolve: bool = True

    name: ClassVar[str] = "highs"
    accepts: ClassVar[tuple[str, ...]] = ("LinearProgram",)
    check_every: ClassVar[int] = 2**31 - 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.algorithm, ("choose", "simplex", "ipm"), "algorithm")

    def at_once(self, problem: Any, x0: Any, warm: dict[str, Any], tol: float) -> Any:
        """Run HiGHS before there is a loop; what it found is kept for the loop if need be."""
        if self.max_iter == 0 or problem.A.nnz >= LARGE or problem.crossed() is not None:
            return None
        if warm or x0 is not None:
            given = _start(problem, x0, warm)
            certificate = problem.certificate(**_parts(given)).at(tol)
            if certificate.met(tol):
                return given, certificate, 0
        limit = min(time_left(), np.inf if self.time_limit is None else self.time_limit)
        outcome = self._run(problem, x0, warm, tol, 0, limit)
        warm["outcome"] = outcome
        certificate = problem.certificate(**_parts(outcome.point)).at(tol)
        return outcome.point, certificate, outcome.nit

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        tried = [warm.pop("outcome")] if "outcome" in warm else []
        point = _start(problem, x0, warm)
        claim: dict[str, Any] = {}
        crossed = problem.crossed()
        if crossed is not None:
            claim.update(code=INFEASIBLE, farkas=crossed[2], reason=crossed[0])
        return State(point, claim, tried, {**warm, "x": warm.get("x", x0)}, [0])

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        claim, tried, counts = state.claim, state.tried, state.counts
        if "code" in claim:
            return 0, claim["code"]
        if n == 0:
            return 0, RUNNING
        tol = self.tol if self.tol is not None else problem.default_tol
        if not tried or "handled" in claim:
            warm = state.warm if not tried else {}
            if tried:
                tol = LEAST if tried[-1].status == "kOptimal" else USUAL
            tried.append(self._run(problem, None, warm, tol, len(tried), time_left(), counts[0]))
        outcome = tried[-1]
        claim["handled"] = True
        state.point.clear()
        state.point.update(outcome.point)
        counts[0] += outcome.nit
        return outcome.nit, self._judge(problem, state, outcome)

    def _judge(self, problem: Any, state: State, outcome: Outcome) -> int:
        """The code that an outcome stands for, with its proof in the claim."""
        claim, status = state.claim, outcome.status
        if status == "kOptimal":
            return DONE
        if status in ("kTimeLimit", "kIterationLimit"):
            return RUNNING
        model, proof = outcome.model, None
        if status not in NO_SOLUTION and len(state.tried) < ATTEMPTS:
            return DONE  # which is not confirmed: the next attempt
        if status in ("kInfeasible", "kUnboundedOrInfeasible"):
            has, ray = _ray(model, "Dual")
            if not has:  # presolve has none to show
                model, status = self._again(problem, outcome)
                has, ray = _ray(model, "Dual")
            if has and status != "kUnbounded":
                proof = prove_infeasible(problem, ray) or prove_infeasible(problem, -ray)
        if proof is None and status != "kUnbounded":
            proof = self._by_violation(problem)
        if proof is not None:
            claim.update(farkas=proof, reason="farkas holds the multipliers that prove it.")
            claim["code"] = INFEASIBLE
        elif status == "kUnbounded" and self._unbounded(problem, state, model):
            claim["code"] = UNBOUNDED
        elif len(state.tried) < ATTEMPTS:
            return DONE
        else:
            claim["code"] = BREAKDOWN
            claim["reason"] = f"HiGHS ended with {status}, which the data do not confirm."
        return int(claim["code"])

    def _again(self, problem: Any, outcome: Outcome) -> tuple[Any, str]:
        """The same by the simplex method without presolve."""
        model = outcome.model
        model.setOptionValue("presolve", "off")
        model.setOptionValue("solver", "simplex")
        _limit_time(model, outcome.started, time_left())
        model.clearSolver()
        _run_model(model, problem.A.nnz)
        return model, model.getModelStatus().name

    def _unbounded(self, problem: Any, state: State, model: Any) -> bool:
        """Whether a ray and a feasible point say so."""
        has, ray = _ray(model, "Primal")
        if not has:
            model, _ = self._again(problem, Outcome("", {}, 0, model, perf_counter()))
            has, ray = _ray(model, "Primal")
        d, x = prove_unbounded(problem, ray) if has else None, _point(problem, model)["x"]
        if d is None:
            d = prove_unbounded(problem, self._quietly(steepest_ray(problem))["x"])
        if d is None or not problem.nearly_feasible(x):
            return False
        state.point["x"] = x
        state.claim.update(ray=d, reason="ray holds the direction that proves it.")
        return True

    def _by_violation(self, problem: Any) -> Any:
        """Multipliers of the least violation, where HiGHS' ray is no proof."""
        parts, n = self._quietly(least_violation(problem)), problem.size
        return prove_infeasible(problem, parts["y"], parts["z_lb"][:n], parts["z_ub"][:n])

    def _quietly(self, program: Any) -> Point:
        """The solution of a program that has one, which decides about another."""
        return self._run(program, None, {}, LEAST, 1, time_left()).point

    def finish(self, problem: Any, state: State) -> Point:
        point = dict(state.point)
        for key in ("farkas", "ray"):
            if key in state.claim:
                point[key] = state.claim[key]
        return point

    def tighten(self, problem: Any, state: State) -> bool:
        return len(state.tried) < ATTEMPTS and "code" not in state.claim

    def explain(self, problem: Any, state: State) -> str:
        return str(state.claim.get("reason", ""))

    def _run(
        self, problem: Any, x0: Any, warm: dict[str, Any], tol: float, attempt: int, limit: float,
        done: int = 0,
    ) -> Outcome:  # fmt: skip
        """Hand the problem to HiGHS."""
        import highspy

        started = perf_counter()
        model = highspy.Highs()
        set_option = model.setOptionValue
        set_option("output_flag", False)
        if np.abs(problem.A.data).min(initial=1.0) < SMALL:  # HiGHS would drop such entries
            set_option("small_matrix_value", 1e-12)  # else worse: factors suffer from it
        algorithm = "ipm" if attempt == 2 else self.algorithm
        if algorithm != "choose":
            set_option("solver", algorithm)
        if attempt or not self.presolve:
            set_option("presolve", "off")
        # Asked for more at once, HiGHS cycles on some programs, and vertices are exact anyway.
        goal = tol if attempt else min(max(tol, USUAL), MOST)
        set_option("primal_feasibility_tolerance", goal)
        set_option("dual_feasibility_tolerance", goal)
        if attempt:
            set_option("ipm_optimality_tolerance", 1e-12)
        if limit < np.inf:
            set_option("time_limit", max(limit, 0.0))
        if self.max_iter < 2**31 - 1:
            set_option("simplex_iteration_limit", max(self.max_iter - done, 0))
            set_option("ipm_iteration_limit", max(self.max_iter - done, 0))
        A = problem.A
        model.passModel(
            problem.size, problem.n_rows, A.nnz, 1, 1, 0.0, problem.c, problem.lb, problem.ub,
            problem.l, problem.u, A.indptr, A.indices, A.data, np.zeros(problem.size, np.int32),
        )  # fmt: skip
        if algorithm != "ipm":
            _set_basis(problem, model, {**warm, "x": warm.get("x", x0)})
        _run_model(model, A.nnz)
        status, info = model.getModelStatus().name, model.getInfo()
        nit = info.simplex_iteration_count + info.ipm_iteration_count
        if status == "kIterationLimit":
            nit = max(nit, self.max_iter - done)
        point = _point(problem, model)
        point["crossover_nit"] = max(info.crossover_iteration_count, 0)
        return Outcome(status, point, nit, model, started)


def _run_model(model: Any, entries: int) -> None:
    """Run HiGHS, so that Ctrl-C ends it if it takes long."""
    if entries < LARGE:
        model.run()
        return
    model.HandleUserInterrupt = True
    over = threading.Event()  # Ctrl-C in Thread.join makes it forget that the thread runs

    def work() -> None:
        try:
            model.run()
            # HiGHS keeps threads of its own for each that it runs in: they have to end before it.
            model.resetGlobalScheduler(True)
        finally:
            over.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        while not over.wait(0.1):
            pass
    except BaseException:
        model.cancelSolve()
        over.wait()
        raise


def _limit_time(model: Any, started: float, left: float) -> None:
    """HiGHS' clock counts from its first run."""
    if left < np.inf:
        model.setOptionValue("time_limit", max(perf_counter() - started + left, 0.0))


def _ray(model: Any, kind: str) -> tuple[bool, np.ndarray]:
    _, has, ray = getattr(model, f"get{kind}Ray")()
    return bool(has), np.array(ray, float)


def _point(problem: Any, model: Any) -> Point:
    """HiGHS' point in numopt's signs; multipliers of sides that are not there are 0."""
    n, m, found = problem.size, problem.n_rows, model.getSolution()
    if not found.value_valid:
        point: Point = {"x": np.clip(np.zeros(n), problem.lb, problem.ub), "y": np.zeros(m)}
        point.update(z_lb=np.zeros(n), z_ub=np.zeros(n))
    else:
        point = {"x": np.array(found.col_value, float)}
        y, z = np.zeros(m), np.zeros(n)
        if found.dual_valid:
            y, z = -np.array(found.row_dual, float), np.array(found.col_dual, float)
            y[((y > 0) & (problem.u == np.inf)) | ((y < 0) & (problem.l == -np.inf))] = 0.0
        point["y"] = y
        point["z_lb"] = np.where(problem.lb > -np.inf, np.maximum(z, 0.0), 0.0)
        point["z_ub"] = np.where(problem.ub < np.inf, np.maximum(-z, 0.0), 0.0)
    point["warm_start"] = dict(point)
    basis = model.getBasis()
    if basis.valid:
        point["warm_start"]["basis"] = tuple(
            np.array([int(status) for status in kind], np.int8)
            for kind in (basis.col_status, basis.row_status)
        )
    return point


def _set_basis(problem: Any, model: Any, warm: dict[str, Any]) -> None:
    """Start from a basis, or from one that a point suggests."""
    import highspy

    known = warm.get("basis")
    sizes = problem.size, problem.n_rows
    basis = highspy.HighsBasis()
    if known is None or tuple(part.size for part in known) != sizes:
        if warm.get("x") is None:
            return
        x = require_length(as_vector(warm["x"], "x0", float), problem.size, "x0")
        y = warm.get("y")
        if y is None or np.size(y) != problem.n_rows or not np.any(y):
            return  # a point alone says too little
        y, z = np.asarray(y), np.asarray(warm.get("z_ub", 0.0)) - np.asarray(warm.get("z_lb", 0.0))
        known = (
            _statuses(x, problem.lb, problem.ub, np.broadcast_to(z, x.shape)),
            _statuses(problem.A @ x, problem.l, problem.u, y),
        )
        basis.alien = True  # HiGHS completes it
    kinds = [highspy.HighsBasisStatus(k) for k in range(5)]
    basis.col_status, basis.row_status = ([kinds[k] for k in part.tolist()] for part in known)
    basis.valid = True
    model.setBasis(basis)


def _statuses(v: np.ndarray, low: np.ndarray, high: np.ndarray, multiplier: Any) -> np.ndarray:
    """Nonbasic (0 lower, 2 upper) where a value is at a side, by its multiplier if both are far."""
    reach = 1e-6 * (1 + np.abs(v))
    at_low = (v - low <= reach) | (-multiplier > v - low)
    at_high = (high - v <= reach) | (multiplier > high - v)
    return np.where(at_low, 0, np.where(at_high, 2, 1)).astype(np.int8)


def _parts(point: Point) -> Point:
    return {name: point[name] for name in ("x", "y", "z_lb", "z_ub")}


def _start(problem: Any, x0: Any, warm: dict[str, Any]) -> Point:
    n = problem.size
    point: Point = {}
    sizes = {"x": n, "y": problem.n_rows, "z_lb": n, "z_ub": n}
    for name, size in sizes.items():
        value = warm.get("x", x0) if name == "x" else warm.get(name)
        label = "x0" if name == "x" else name
        if value is None:
            point[name] = np.zeros(size)
        else:
            point[name] = require_length(as_vector(value, label, float), size, label).copy()
    point["warm_start"] = dict(point)
    if "basis" in warm:
        point["warm_start"]["basis"] = warm["basis"]
    return point
