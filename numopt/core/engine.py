"""The one loop that every solver runs in.

A solver is a frozen dataclass of hyper-parameters with four methods; see `Solver`. The engine
owns everything else: chunks, checks, stopping, limits, history, printing, callbacks, interrupts,
warm start and the final verdict, which is the problem's own certificate in float64.

Checks fall at fixed iteration counts (1, 2, 4, ... up to a cap set by the size of the problem),
so a solve gives the same bits under any load: the clock can end a run, never bend it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any

import numpy as np

from numopt.core.clock import compile_seconds
from numopt.core.report import ConvergenceWarning, Progress, message, warn_unmet
from numopt.core.result import Certificate, Result, Status
from numopt.core.solver import (
    BREAKDOWN,
    DIVERGED,
    DONE,
    GROW,
    INDEFINITE,
    INFEASIBLE,
    NEED_EVAL,
    RUNNING,
    SPENT,
    UNBOUNDED,
    Code,
    Solver,
    State,
    check_pair,
    missing,
    pick,
)

__all__ = [
    "BREAKDOWN",
    "DIVERGED",
    "DONE",
    "GROW",
    "INDEFINITE",
    "INFEASIBLE",
    "NEED_EVAL",
    "RUNNING",
    "SPENT",
    "UNBOUNDED",
    "ConvergenceWarning",
    "Solver",
    "check_pair",
    "missing",
    "pick",
    "run",
    "solve",
    "time_left",
]

_FAILURES = {
    BREAKDOWN: Status.STALLED,
    INDEFINITE: Status.NON_CONVEX,
    DIVERGED: Status.DIVERGED,
    SPENT: Status.ITERATION_LIMIT,  # or a limit on evaluations that the solver keeps itself
}

_PROOFS = {INFEASIBLE: Status.INFEASIBLE, UNBOUNDED: Status.UNBOUNDED}

# Ends that a met certificate does not turn into success, and of which nobody is warned.
_KEPT = (Status.CALLBACK_STOP, Status.INTERRUPTED, *_PROOFS.values())

# A chunk is sized to touch about this many matrix entries: some 20 ms.
CHUNK_WORK = 2e7
# ... and the first one this many: on tiny problems a check costs more than many iterations.
FIRST_WORK = 2e4
# Checks without a clearly better point before a run counts as stalled.
PATIENCE = 30


def solve(
    problem: Any,
    solver: Any = "auto",
    *,
    x0: Any = None,
    warm_start: Any = None,
    callback: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Result:
    """Solve a problem.

    Parameters
    ----------
    problem : problem object
        One of `numopt.problems`.
    solver : Solver or str, default "auto"
        An instance from `numopt.solvers`, the `name` of one, or "auto" for the problem's default.
    x0 : array, optional
        Start.
    warm_start : Result or dict, optional
        Result of a related problem, or its ``warm_start`` field; it wins over `x0`.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` at every check with fields ``x``, ``fun``,
        ``nit`` and ``certificate``; returning True or raising StopIteration ends the run.
    **options
        Hyper-parameters of the solver; an instance is used with these fields replaced.

    Returns
    -------
    Result
        The best point found, with its certificate.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt import losses, penalties, problems
    >>> loss, penalty = losses.LeastSquares([1.0, 2.0]), penalties.L1(0.5)
    >>> problem = problems.Composite(loss, np.eye(2), penalty)
    >>> numopt.solve(problem).x.round(6).tolist()
    [0.0, 1.0]
    """
    return run(
        pick(solver, problem, options), problem, x0, callback=callback, warm_start=warm_start
    )


def run(
    solver: Solver,
    problem: Any,
    x0: Any = None,
    *,
    callback: Callable[[Any], Any] | None = None,
    warm_start: Any = None,
    deadline: float | None = None,
    warn: bool = True,
) -> Result:
    """Run a solver on a problem; inner solves pass the outer one's `deadline` and do not `warn`."""
    start = perf_counter()
    check_pair(solver, problem)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    warm = _as_warm_start(warm_start)
    tol = solver.tol if solver.tol is not None else problem.default_tol
    if callback is None and not solver.verbose:
        found = solver.at_once(problem, x0, warm, tol)
        if found is not None and found[1].met(tol):
            return _at_once(solver, found, start)
    limit = np.inf if solver.time_limit is None else start + solver.time_limit
    if deadline is not None:
        limit = min(limit, deadline)
    loop = _Run(solver, problem, tol, callback, start, limit)
    with solver.threads(problem):
        token = _running.set(loop)
        try:
            status = loop.until_end(x0, warm)
        finally:
            _running.reset(token)
        return loop.result(status, warn)


def _at_once(
    solver: Solver, found: tuple[dict[str, Any], Certificate, int], start: float
) -> Result:
    """The result of a solve without a loop, whose certificate the problem's data have confirmed."""
    point, certificate, nit = found
    time, fun = perf_counter() - start, certificate.fun
    history = {"nit": np.array((nit,)), "time": np.array((time,)), "fun": np.array((fun,))}
    for name, entry in certificate.items():
        history[name] = np.array((entry.value,))
    return Result(
        **point, fun=fun, success=True, status=Status.OPTIMAL,
        message=message(Status.OPTIMAL, certificate, ""), nit=nit, certificate=certificate,
        history=history, setup_time=0.0, solver=repr(solver), time=time,
    )  # fmt: skip


def time_left() -> float:
    """Seconds until the running solve has to end, for methods that call other libraries."""
    loop = _running.get()
    return np.inf if loop is None else loop.deadline - perf_counter()


# The run that the present one was started in, by a solver or by the user's function: the inner
# one ends at the outer one's deadline and hands Ctrl-C on to it.
_running: ContextVar[_Run | None] = ContextVar("numopt_run", default=None)


class _Run:
    """One solve: the loop and what it remembers."""

    def __init__(
        self,
        solver: Solver,
        problem: Any,
        tol: float,
        callback: Callable[[Any], Any] | None,
        start: float,
        deadline: float,
    ):
        self.solver, self.problem, self.tol, self.callback = solver, problem, tol, callback
        self.descent = solver.descends(problem)
        self.outer = _running.get()
        self.start, self.limit = start, deadline
        self.compiled_before = compile_seconds()
        self.setup_time = 0.0
        self.nit = 0
        self.rows: list[tuple[int, float, Certificate]] = []
        self.best: dict[str, Any] | None = None
        self.latest: State = None  # for a descent method that of the best point
        self.proof: Certificate | None = None  # of the best point, once it is confirmed
        self.best_worst = self.least_fun = np.inf
        self.best_nit = 0
        # Last residual that was clearly better than the one noted before, for stall detection.
        self.mark, self.nit_at_mark, self.checks_since_mark = np.inf, 0, 0
        self.evaluations_before = getattr(problem, "evaluations", None)
        self.progress = Progress(solver, tol) if solver.verbose else None
        self.interrupted: BaseException | None = None
        self.reason = ""
        self.nit_shown = 0

    @property
    def deadline(self) -> float:
        """When to end: what had to be compiled on the way is not charged."""
        own = self.limit + compile_seconds() - self.compiled_before
        return own if self.outer is None else min(own, self.outer.deadline)

    def until_end(self, x0: Any, warm: dict[str, Any]) -> Status:
        """Advance and check until there is a reason to stop."""
        try:
            state = self.solver.init(self.problem, x0, warm)
            self.setup_time = perf_counter() - self.start
            status = self.check(state, RUNNING)
            chunk, cap = self.chunks()
            while status is None:
                n = min(chunk, self.solver.max_iter - self.nit)
                state, code = self.advance(state, n)
                status = self.check(state, code)
                chunk = min(2 * chunk, cap)
            return status
        except KeyboardInterrupt as interrupt:
            self.interrupted = interrupt
            return Status.INTERRUPTED
        finally:
            if self.progress:
                self.progress.close()

    def advance(self, state: State, n: int) -> tuple[State, Code]:
        """At most n iterations, answering the solver's requests."""
        done, code = self.solver.advance(self.problem, state, n)
        while code == NEED_EVAL or code == GROW:
            if perf_counter() > self.deadline:
                break
            if code == NEED_EVAL:
                self.solver.evaluate(self.problem, state)
            else:
                state = self.solver.grow(self.problem, state)
            k, code = self.solver.advance(self.problem, state, n - done)
            done += k
        self.nit += done
        return state, code

    def check(self, state: State, code: Code) -> Status | None:
        """Measure the current point; the status to end with, or None to go on."""
        point = None
        if type(self.solver).measure is Solver.measure:
            point = self.solver.finish(self.problem, state)
            certificate = self.problem.certificate(point["x"], **self.problem.parts_of(point))
        else:
            certificate = self.solver.measure(self.problem, state)
        now = perf_counter()
        self.rows.append((self.nit, now - self.start, certificate))
        worst, descent = certificate.worst(self.tol), self.descent
        self.latest = state
        if not descent and (worst < self.best_worst or self.best is None):
            self.best_worst, self.best_nit = worst, self.nit
            self.best = _copied(point or self.solver.finish(self.problem, state))
        self.checks_since_mark += 1
        # Accelerated methods come near a tolerance by chance: a falling objective is progress, too.
        less = 0.0 if descent or not self.least_fun < np.inf else 1e-5 * abs(self.least_fun)
        if worst < 0.999 * self.mark or certificate.fun < self.least_fun - less:
            self.mark = worst if descent else min(self.mark, worst)
            self.nit_at_mark, self.checks_since_mark = self.nit, 0
            self.least_fun = certificate.fun
        if self.progress:
            self.progress.show(self.nit, now - self.start, certificate)
        stop = self.nit > self.nit_shown and self.asked_to_stop(state, certificate)
        if worst <= 1.0 and certificate.met(self.tol):
            if self.confirmed(state, certificate):
                return Status.OPTIMAL
            if code != SPENT:
                code = DONE  # the solver's measure was too kind: ask it for more
        if stop:
            return Status.CALLBACK_STOP
        if code in _PROOFS:
            point = _copied(self.solver.finish(self.problem, state))
            if self.problem.confirms(_PROOFS[code], point):
                self.best, self.reason = point, self.solver.explain(self.problem, state)
                return _PROOFS[code]
            code = DONE
        if code in _FAILURES:
            self.reason = self.solver.explain(self.problem, state)
            trouble = code == BREAKDOWN and not worst < np.inf  # NaN: not for want of precision
            return Status.NUMERICAL_TROUBLE if trouble else _FAILURES[code]
        if code == DONE and not self.solver.tighten(self.problem, state):
            return Status.STALLED
        if now > self.deadline:
            return Status.TIME_LIMIT
        if self.nit >= self.solver.max_iter:
            return Status.ITERATION_LIMIT
        # Slow is not stalled: also ask that half of all iterations went by without progress.
        idle, enough = self.nit - self.nit_at_mark, max(self.nit_at_mark, self.solver.patience)
        if self.checks_since_mark >= PATIENCE and idle > enough:
            return Status.STALLED
        return None

    def confirmed(self, state: State, certificate: Certificate) -> bool:
        """Whether the problem's own certificate agrees that the current point is good enough."""
        if type(self.solver).measure is not Solver.measure:
            problem, point = self.problem, self.best
            if point is None or self.best_nit != self.nit:
                point = _copied(self.solver.finish(problem, state))
            certificate = problem.certificate(point["x"], **problem.parts_of(point))
            if not certificate.met(self.tol):
                return False
            self.best = point
        self.proof = certificate
        return True

    def asked_to_stop(self, state: State, certificate: Certificate) -> bool:
        """Show an iterate to the callback, each once; whether it wants no more."""
        self.nit_shown = self.nit
        if self.callback is None:
            return False
        point = self.solver.finish(self.problem, state)
        shown = Result(x=np.copy(point["x"]), fun=certificate.fun, nit=self.nit)
        shown.certificate = certificate.at(self.tol)
        try:
            answer = self.callback(shown)
        except StopIteration:
            return True
        # Only True itself stops: many callbacks return what they happen to compute.
        return isinstance(answer, (bool, np.bool_)) and bool(answer)

    def chunks(self) -> tuple[int, int]:
        """First and largest chunk, by the size of the problem alone: never by the clock."""
        work, most = max(self.solver.work(self.problem), 1.0), self.solver.check_every
        if self.callback is not None:
            most = min(most, self.solver.callback_every)
        first, largest = (
            int(max(1, min(most, total / work))) for total in (FIRST_WORK, CHUNK_WORK)
        )
        seen = self.callback is not None or self.progress is not None
        return largest if self.solver.ends_itself and not seen else first, largest

    def result(self, status: Status, warn: bool = True) -> Result:
        """The verdict: the best point, its certificate recomputed from the data."""
        problem, tol, best = self.problem, self.tol, self.best
        if best is None and self.latest is not None:
            best = _copied(self.solver.finish(problem, self.latest))
        if self.interrupted is not None and (
            self.solver.on_interrupt == "raise" or best is None or self.outer is not None
        ):
            raise self.interrupted
        assert best is not None  # the first check always leaves a point
        certificate = self.proof
        if certificate is None:
            certificate = problem.certificate(best["x"], **problem.parts_of(best))
        certificate = certificate.at(tol)
        success = certificate.met(tol)
        if success and status not in _KEPT:
            status = Status.OPTIMAL
        elif status is Status.OPTIMAL:  # measured by the solver, not confirmed by the data
            status = Status.STALLED
        success = status is Status.OPTIMAL
        result = Result(best)
        result.update(self.solver.summary(problem, self.latest))
        result.fun = certificate.fun
        result.success = success
        result.status = status
        result.message = message(status, certificate, self.reason)
        result.nit = self.nit
        result.certificate = certificate
        result.history = self.history()
        result.setup_time = self.setup_time
        result.solver = repr(self.solver)
        counts = getattr(problem, "evaluations", None)
        if counts is not None:
            before = self.evaluations_before or (0, 0, 0)
            for field, now, then in zip(("nfev", "njev", "nhev"), counts, before, strict=True):
                result[field] = now - then
        result.time = perf_counter() - self.start
        if warn and not success and status not in _KEPT:
            warn_unmet(self.solver, self.nit, tol, status, certificate, self.reason)
        return result

    def history(self) -> dict[str, np.ndarray]:
        """Columns nit, time, fun and each certificate entry, a row per check."""
        rows = self.rows
        columns: dict[str, Any] = {
            "nit": np.array([row[0] for row in rows], int),
            "time": np.array([row[1] for row in rows]),
            "fun": np.array([row[2].fun for row in rows]),
        }
        for name in rows[0][2] if rows else ():
            columns[name] = np.array([row[2].get(name, np.nan) for row in rows], float)
        return columns


def _copied(point: dict[str, Any]) -> dict[str, Any]:
    """A point that later iterations cannot change."""
    out = {}
    for key, value in point.items():
        if isinstance(value, np.ndarray):
            value = value.copy()
        elif isinstance(value, dict):
            value = _copied(value)
        out[key] = value
    return out


def _as_warm_start(warm_start: Any) -> dict[str, Any]:
    if warm_start is None:
        return {}
    if isinstance(warm_start, Result):
        return dict(warm_start["warm_start"])
    if isinstance(warm_start, dict):
        return dict(warm_start)
    raise TypeError(
        f"warm_start must be a Result or its warm_start field, got {type(warm_start).__name__}; "
        "for a bare point use x0="
    )
