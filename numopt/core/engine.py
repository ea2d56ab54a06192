"""The one loop that every solver runs in.

A solver is a frozen dataclass of hyper-parameters with four methods; see `Solver`. The engine
owns everything else: chunks, checks, stopping, limits, history, printing, callbacks, interrupts,
warm start and the final verdict, which is the problem's own certificate in float64.

Checks fall at fixed iteration counts (1, 2, 4, ... up to a cap set by the size of the problem),
so a solve gives the same bits under any load: the clock can end a run, never bend it.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import sys
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from numopt.core.result import CLAIMS, Certificate, Result, Status
from numopt.core.validate import require_choice, require_count, require_positive

logger = logging.getLogger("numopt")

# What `advance` answers besides the number of iterations done.
RUNNING, DONE, GROW, BREAKDOWN, NEED_EVAL, INDEFINITE, DIVERGED, SPENT = range(8)

_FAILURES = {
    BREAKDOWN: Status.STALLED,
    INDEFINITE: Status.NON_CONVEX,
    DIVERGED: Status.DIVERGED,
    SPENT: Status.ITERATION_LIMIT,  # or a limit on evaluations that the solver keeps itself
}

# A chunk is sized to touch about this many matrix entries: some 20 ms.
CHUNK_WORK = 2e7
# ... and the first one this many: on tiny problems a check costs more than many iterations.
FIRST_WORK = 2e4
MAX_CHUNK = 256
# Checks without a clearly better point before a run counts as stalled.
PATIENCE = 30

Code = int
State = Any


class ConvergenceWarning(UserWarning):
    """A solver returned without meeting its tolerance."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solver:
    """Base of all solvers: common limits, and what a method has to supply.

    Parameters
    ----------
    max_iter : int, default 10000
        Iterations at most.
    tol : float, optional
        Bound for every gate entry of the certificate; 1e-8, in float32 1e-5, if not given.
    time_limit : float, optional
        Seconds at most, kept to within one iteration.
    verbose : int, default 0
        1: progress bar with the current residual; 2: one line per check.
    random_state : int, optional
        Seed of methods that draw numbers.
    on_interrupt : {"return", "raise"}
        Whether Ctrl-C ends in a result with the best point or in KeyboardInterrupt.

    Notes
    -----
    A method supplies ``init``, ``advance``, ``measure`` (if the problem's own certificate is too
    dear to compute at every check) and ``finish``; optionally ``grow`` and ``tighten``.
    """

    max_iter: int = 10_000
    tol: float | None = None
    time_limit: float | None = None
    verbose: int = 0
    random_state: int | None = None
    on_interrupt: str = "return"

    #: Short name for `solve(problem, solver=name)`.
    name: ClassVar[str]
    #: Names of the problem classes it solves.
    accepts: ClassVar[tuple[str, ...]] = ()
    #: Methods it calls on blocks, per field of the problem.
    needs: ClassVar[dict[str, tuple[str, ...]]] = {}
    #: Largest chunk of iterations between checks.
    check_every: ClassVar[int] = MAX_CHUNK
    #: Whether the objective never rises: then the last point is the best one.
    descent: ClassVar[bool] = False
    #: Iterations without a clearly better point, at least, before a run counts as stalled.
    patience: ClassVar[int] = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__repr__ = Solver.__repr__  # type: ignore[method-assign]  # dataclass keeps what is there

    def __post_init__(self) -> None:
        require_count(self.max_iter, "max_iter")
        require_count(self.verbose, "verbose")
        if self.tol is not None:
            require_positive(self.tol, "tol")
        if self.time_limit is not None and self.time_limit != np.inf:
            require_positive(self.time_limit, "time_limit")
        if self.random_state is not None:
            require_count(self.random_state, "random_state")
        require_choice(self.on_interrupt, ("return", "raise"), "on_interrupt")

    # ---- what a method supplies ----

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        """State before the first iteration, from `x0` (None: the method's own start)."""
        raise NotImplementedError

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, Code]:
        """Do at most n iterations; return how many were done and a code."""
        raise NotImplementedError

    def measure(self, problem: Any, state: State) -> Certificate:
        """Certificate of the current point."""
        point = self.finish(problem, state)
        return problem.certificate(point["x"], **problem.parts_of(point))

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        """The current point: `x`, duals, extras, and `warm_start`."""
        raise NotImplementedError

    def grow(self, problem: Any, state: State) -> State:
        """Enlarge or refactor what the kernel asked for by GROW."""
        return state

    def tighten(self, problem: Any, state: State) -> bool:
        """Answer to a DONE that the certificate did not confirm: whether to go on."""
        return False

    def explain(self, problem: Any, state: State) -> str:
        """Sentence for the message after BREAKDOWN, INDEFINITE or DIVERGED: what and where."""
        return ""

    def evaluate(self, problem: Any, state: State) -> None:
        """Answer a NEED_EVAL: write the user's values into the state."""
        problem.evaluate(state)

    def work(self, problem: Any) -> float:
        """Matrix entries touched per iteration."""
        return 1.0

    # ---- what everybody gets ----

    def solve(
        self,
        problem: Any,
        x0: Any = None,
        *,
        callback: Callable[[Any], Any] | None = None,
        warm_start: Any = None,
    ) -> Result:
        """Solve `problem`; the same as ``numopt.solve(problem, self, ...)``."""
        return run(self, problem, x0, callback=callback, warm_start=warm_start)

    def __call__(self, fun: Any, x0: Any, args: Any = (), **options: Any) -> Result:
        """Serve as a custom method of `scipy.optimize.minimize`."""
        from numopt.functions.minimize import as_scipy_method

        return as_scipy_method(self, fun, x0, args, **options)

    def __repr__(self) -> str:
        changed = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in dataclasses.fields(self)
            if not _equal(getattr(self, f.name), f.default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


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
    >>> from numopt.problems import Composite
    >>> problem = Composite(numopt.losses.LeastSquares([1.0, 2.0]), np.eye(2), numopt.penalties.L1(0.5))
    >>> numopt.solve(problem).x.round(6).tolist()
    [0.0, 1.0]
    """
    return run(
        pick(solver, problem, options), problem, x0, callback=callback, warm_start=warm_start
    )


def pick(solver: Any, problem: Any, options: dict[str, Any]) -> Solver:
    """The solver object that a name, an instance or "auto" stands for."""
    if isinstance(solver, Solver):
        _check_options(type(solver), options)
        return dataclasses.replace(solver, **options) if options else solver
    if not isinstance(solver, str):
        if isinstance(solver, type):
            raise TypeError(f"solver is the class {solver.__name__}; make one: {solver.__name__}()")
        raise TypeError(f"solver must be a Solver or a name, got {type(solver).__name__}")
    from numopt import solvers

    name = getattr(problem, "default_solver", None) if solver == "auto" else solver
    if name is None:
        raise TypeError(f"problem must be one of numopt.problems, got {type(problem).__name__}")
    cls = solvers.by_name(name)
    _check_options(cls, options)
    made: Solver = cls(**options)
    return made


def _check_options(cls: type[Solver], options: dict[str, Any]) -> None:
    known = [f.name for f in dataclasses.fields(cls)]
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise TypeError(f"{cls.__name__} has no option {option!r}; {hint}")


def check_pair(solver: Solver, problem: Any) -> None:
    """Refuse a problem the solver cannot take, naming what is missing and who can."""
    kind = type(problem).__name__
    if not any(cls.__name__ in solver.accepts for cls in type(problem).__mro__):
        from numopt import solvers

        able = solvers.accepting(kind)
        hint = f"try {', '.join(able)}" if able else "no solver takes that"
        raise TypeError(
            f"{type(solver).__name__} solves {', '.join(solver.accepts)}, not {kind}; {hint}"
        )
    lacking = missing(solver, problem)
    if lacking is not None:
        from numopt import solvers

        field, methods = lacking
        able = solvers.accepting(kind, problem)
        raise TypeError(
            f"{type(solver).__name__} needs {methods.replace('|', ' or ')} of the {field}, "
            f"which {type(getattr(problem, field)).__name__} does not offer; "
            f"{'try ' + ', '.join(able) if able else 'add it to the block'}"
        )


def missing(solver: Solver | type[Solver], problem: Any) -> tuple[str, str] | None:
    """First block of `problem` that lacks a method the solver calls, with that method."""
    for field, needed in solver.needs.items():
        for choice in needed:
            if not any(getattr(problem, field).offers(m) for m in choice.split("|")):
                return field, choice
    return None


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
    limit = np.inf if solver.time_limit is None else start + solver.time_limit
    if deadline is not None:
        limit = min(limit, deadline)
    loop = _Run(solver, problem, tol, callback, start, limit)
    token = _running.set(loop)
    try:
        status = loop.until_end(x0, warm)
    finally:
        _running.reset(token)
    return loop.result(status, warn)


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
        self.outer = _running.get()
        self.start, self.deadline = start, deadline
        if self.outer is not None:
            self.deadline = min(deadline, self.outer.deadline)
        self.setup_time = 0.0
        self.nit = 0
        self.rows: list[tuple[int, float, Certificate]] = []
        self.best: dict[str, Any] | None = None
        self.latest: State = None  # of a descent method, whose last point is the best
        self.proof: Certificate | None = None  # of the best point, once it is confirmed
        self.best_worst = self.least_fun = np.inf
        # Last residual that was clearly better than the one noted before, for stall detection.
        self.mark, self.nit_at_mark, self.checks_since_mark = np.inf, 0, 0
        self.evaluations_before = getattr(problem, "evaluations", None)
        self.progress = _Progress(solver, tol) if solver.verbose else None
        self.interrupted: BaseException | None = None
        self.reason = ""
        self.nit_shown = 0

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
        certificate = self.solver.measure(self.problem, state)
        now = perf_counter()
        self.rows.append((self.nit, now - self.start, certificate))
        worst, descent = certificate.worst(self.tol), self.solver.descent
        if descent:
            self.latest = state
        elif worst < self.best_worst or self.best is None:
            self.best_worst = worst
            self.best = _copied(self.solver.finish(self.problem, state))
        self.checks_since_mark += 1
        if worst < 0.999 * self.mark or (descent and certificate.fun < self.least_fun):
            self.mark, self.nit_at_mark, self.checks_since_mark = worst, self.nit, 0
            self.least_fun = certificate.fun
        if self.progress:
            self.progress.show(self.nit, now - self.start, certificate)
        stop = self.nit > self.nit_shown and self.asked_to_stop(state, certificate)
        if worst <= 1.0 and certificate.met(self.tol):
            if self.confirmed(state, certificate):
                return Status.OPTIMAL
            code = DONE  # the solver's measure was too kind: ask it for more
        if stop:
            return Status.CALLBACK_STOP
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
            problem, point = self.problem, _copied(self.solver.finish(self.problem, state))
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
            return bool(self.callback(shown))
        except StopIteration:
            return True

    def chunks(self) -> tuple[int, int]:
        """First and largest chunk, by the size of the problem alone: never by the clock."""
        work, most = max(self.solver.work(self.problem), 1.0), self.solver.check_every
        first, largest = (
            int(max(1, min(most, total / work))) for total in (FIRST_WORK, CHUNK_WORK)
        )
        return first, largest

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
        if success and status not in (Status.CALLBACK_STOP, Status.INTERRUPTED):
            status = Status.OPTIMAL
        elif status is Status.OPTIMAL:  # measured by the solver, not confirmed by the data
            status = Status.STALLED
        success = status is Status.OPTIMAL
        result = Result(best)
        result.fun = certificate.fun
        result.success = success
        result.status = status
        result.message = _message(status, certificate, self.reason)
        result.nit = self.nit
        result.certificate = certificate
        result.history = self.history()
        result.setup_time = self.setup_time
        result.solver = repr(self.solver)
        counts = getattr(problem, "evaluations", None)
        if counts is not None:
            before = self.evaluations_before
            for field, now, then in zip(("nfev", "njev", "nhev"), counts, before, strict=True):
                result[field] = now - then
        result.time = perf_counter() - self.start
        if (
            warn
            and not success
            and status
            not in (
                Status.CALLBACK_STOP,
                Status.INTERRUPTED,
                Status.INFEASIBLE,
                Status.UNBOUNDED,
            )
        ):
            _warn(self, status, certificate)
        return result

    def history(self) -> dict[str, np.ndarray]:
        """Columns nit, time, fun and each certificate entry, a row per check."""
        names = list(self.rows[0][2]) if self.rows else []
        columns: dict[str, Any] = {
            "nit": np.array([row[0] for row in self.rows]),
            "time": np.array([row[1] for row in self.rows]),
            "fun": np.array([row[2].fun for row in self.rows]),
        }
        for name in names:
            columns[name] = np.array([float(row[2].get(name, np.nan)) for row in self.rows])
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
        return dict(warm_start.warm_start)
    if isinstance(warm_start, dict):
        return dict(warm_start)
    raise TypeError(
        f"warm_start must be a Result or its warm_start field, got {type(warm_start).__name__}; "
        "for a bare point use x0="
    )


def _message(status: Status, certificate: Certificate, reason: str) -> str:
    if status is Status.OPTIMAL:
        return f"{status.sentence} The point is {CLAIMS[certificate.kind]}."
    return f"{status.sentence} {reason}".rstrip()


_REMEDY = {
    Status.ITERATION_LIMIT: "raise max_iter or start from x0",
    Status.TIME_LIMIT: "raise time_limit",
    Status.STALLED: "loosen tol or rescale the data",
    Status.DIVERGED: "check that the problem is bounded below",
    Status.NUMERICAL_TROUBLE: "rescale the data or check the function for NaN",
    Status.NON_CONVEX: "check that the matrix is symmetric positive definite",
}


def _warn(loop: _Run, status: Status, certificate: Certificate) -> None:
    failed = [item for item in certificate.gates.items() if not item[1].met]
    name, entry = max(failed, key=_badness, default=("residual", np.nan))
    remedy = loop.reason or _REMEDY.get(status, "see result.status")
    formula = getattr(entry, "formula", "")
    warnings.warn(
        f"{type(loop.solver).__name__}: {status.sentence[:-1].lower()} after {loop.nit} "
        f"iterations with {name} = {float(entry):.2e} > tol = {loop.tol:.0e} ({formula}); {remedy}",
        _warning_class(),
        stacklevel=_user_frame(),
    )


def _badness(item: tuple[str, Any]) -> float:
    return np.inf if np.isnan(item[1]) else abs(item[1])


def _warning_class() -> type[Warning]:
    """Ours; and scikit-learn's at once where that is loaded, so that its filters apply."""
    exceptions = sys.modules.get("sklearn.exceptions")
    if exceptions is None:
        return ConvergenceWarning
    if not issubclass(_both.get("class", ConvergenceWarning), exceptions.ConvergenceWarning):
        _both["class"] = type(
            "ConvergenceWarning", (ConvergenceWarning, exceptions.ConvergenceWarning), {}
        )
    return _both["class"]


_both: dict[str, type[Warning]] = {}


def _user_frame() -> int:
    """Depth of the first caller outside numopt."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("numopt."):
        depth, frame = depth + 1, frame.f_back
    return depth


class _Progress:
    """Bar or lines: the same columns for all solvers."""

    def __init__(self, solver: Solver, tol: float):
        self.lines = solver.verbose >= 2
        self.title = type(solver).__name__
        self.tol = tol
        self.shown_header = False
        self.bar: Any = None
        if not self.lines:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=None, unit="it", desc=self.title)

    def show(self, nit: int, seconds: float, certificate: Certificate) -> None:
        """One check."""
        gates = certificate.gates
        if self.bar is not None:
            self.bar.update(nit - self.bar.n)
            self.bar.set_postfix_str(
                ", ".join(f"{name} {float(value):.1e}" for name, value in gates.items())
                + f" -> {self.tol:.0e}"
            )
            return
        if not self.shown_header:
            header = f"{'nit':>8} {'seconds':>9} {'objective':>16} "
            print(self.title, header + " ".join(f"{name:>12}" for name in gates), sep="\n")
            self.shown_header = True
        line = f"{nit:8d} {seconds:9.3f} {certificate.fun:16.9e} "
        line += " ".join(f"{float(value):12.3e}" for value in gates.values())
        print(line)
        logger.info("%s %s", self.title, line)

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a is b or a == b)
    except ValueError:  # arrays
        return False
