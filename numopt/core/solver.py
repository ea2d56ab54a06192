"""What a solver is, and how one is found for a problem."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from numopt.core.result import Certificate, Result
from numopt.core.validate import require_choice, require_count, require_positive

# What `advance` answers besides the number of iterations done.
RUNNING, DONE, GROW, BREAKDOWN, NEED_EVAL, INDEFINITE, DIVERGED, SPENT = range(8)
# No solution: the point that `finish` gives holds the proof, and the problem has to confirm it.
INFEASIBLE, UNBOUNDED = 8, 9

# Most iterations between checks.
MAX_CHUNK = 256

Code = int
State = Any


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
        Seconds at most, kept to within one iteration; compiling a kernel for the first time is not
        counted.
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
    #: ... and where there is a callback: 1 shows it every iterate.
    callback_every: ClassVar[int] = MAX_CHUNK
    #: Whether `advance` itself sees when the tolerance is met: checks in between gain nothing.
    ends_itself: ClassVar[bool] = False
    #: Whether the objective never rises: then the last point is the best one.
    descent: ClassVar[bool] = False
    _kept_defaults: ClassVar[dict[str, Any]]
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

    def summary(self, problem: Any, state: State) -> dict[str, Any]:
        """What a result tells of the whole run, from its last state, besides its best point."""
        return {}

    def grow(self, problem: Any, state: State) -> State:
        """Enlarge or refactor what the kernel asked for by GROW."""
        return state

    def tighten(self, problem: Any, state: State) -> bool:
        """Answer to a DONE that the certificate did not confirm: whether to go on."""
        return False

    def at_once(self, problem: Any, x0: Any, warm: dict[str, Any], tol: float) -> Any:
        """Solve without the loop, where that is shorter: point, certificate, iterations; or None.

        The certificate is that of the data, held against `tol`. Where it is not met the loop runs.
        """
        return None

    def explain(self, problem: Any, state: State) -> str:
        """Sentence for the message after BREAKDOWN, INDEFINITE or DIVERGED: what and where."""
        return ""

    def evaluate(self, problem: Any, state: State) -> None:
        """Answer a NEED_EVAL: write the user's values into the state."""
        problem.evaluate(state)

    def descends(self, problem: Any) -> bool:
        """`descent`, where it depends on the problem."""
        return self.descent

    def work(self, problem: Any) -> float:
        """Matrix entries touched per iteration."""
        return 1.0

    def threads(self, problem: Any) -> AbstractContextManager[None]:
        """What a run happens within: a limit on the threads of BLAS, where matrices are small."""
        return nullcontext()

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
        run = _engine().run
        result: Result = run(self, problem, x0, callback=callback, warm_start=warm_start)
        return result

    def __call__(self, fun: Any, x0: Any, args: Any = (), **options: Any) -> Result:
        """Serve as a custom method of `scipy.optimize.minimize`."""
        from numopt.functions.minimize import as_scipy_method

        return as_scipy_method(self, fun, x0, args, **options)

    def __repr__(self) -> str:
        values = self.__dict__
        if "_text" not in values:
            changed = [
                f"{name}={values[name]!r}"
                for name, default in self._defaults().items()
                if not _equal(values[name], default)
            ]
            values["_text"] = f"{type(self).__name__}({', '.join(changed)})"
        return str(values["_text"])

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        if "_kept_defaults" not in cls.__dict__:
            cls._kept_defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        return cls._kept_defaults


@functools.cache
def _engine() -> Any:
    """The engine, which imports this module."""
    from numopt.core import engine

    return engine


def pick(solver: Any, problem: Any, options: dict[str, Any]) -> Solver:
    """The solver object that a name, an instance or "auto" stands for."""
    if isinstance(solver, Solver):
        if not options:
            return solver
        _check_options(type(solver), options)
        return dataclasses.replace(solver, **options)
    if not isinstance(solver, str):
        if isinstance(solver, type):
            raise TypeError(f"solver is the class {solver.__name__}; make one: {solver.__name__}()")
        raise TypeError(f"solver must be a Solver or a name, got {type(solver).__name__}")
    from numopt import solvers

    name = getattr(problem, "default_solver", None) if solver == "auto" else solver
    if name is None:
        raise TypeError(f"problem must be one of numopt.problems, got {type(problem).__name__}")
    cls = solvers.by_name(name)
    options = {**solvers.preset(name), **options}
    if not options:
        if cls not in _plain:
            _plain[cls] = cls()
        return _plain[cls]
    _check_options(cls, options)
    made: Solver = cls(**options)
    return made


_plain: dict[type[Solver], Solver] = {}  # solvers with their defaults: they do not change


def _check_options(cls: type[Solver], options: dict[str, Any]) -> None:
    known = [f.name for f in dataclasses.fields(cls)]
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise TypeError(f"{cls.__name__} has no option {option!r}; {hint}")


def check_pair(solver: Solver, problem: Any) -> None:
    """Refuse a problem the solver cannot take, naming what is missing and who can."""
    pair = type(solver), type(problem)
    if pair in _fitting:
        return
    fits = getattr(problem, "__dict__", {}).setdefault("_fits", set())  # problems do not change
    if type(solver) in fits:
        return
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
        block = getattr(problem, field)
        able = solvers.accepting(kind, problem)
        remedy = f"try {', '.join(able)}" if able else "add it to the block"
        raise TypeError(
            f"{type(solver).__name__} needs {methods.replace('|', ' or ')} of the {field}, "
            f"which {type(block).__name__} does not offer; {getattr(block, 'remedy', remedy)}"
        )
    fits.add(type(solver))
    if not solver.needs:
        _fitting.add(pair)


# Classes that go together whatever the blocks of the problem are.
_fitting: set[tuple[type, type]] = set()


def missing(solver: Solver | type[Solver], problem: Any) -> tuple[str, str] | None:
    """First block of `problem` that lacks a method the solver calls, with that method."""
    for field, needed in solver.needs.items():
        if not hasattr(problem, field):  # of another of the classes it accepts
            continue
        for choice in needed:
            if not any(getattr(problem, field).offers(m) for m in choice.split("|")):
                return field, choice
    return None


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a is b or a == b)
    except ValueError:  # arrays
        return False
