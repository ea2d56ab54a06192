"""Quadratic programs, SciPy-shaped."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from numopt import solvers
from numopt.core.engine import Solver, pick, run
from numopt.core.report import warn_unmet
from numopt.core.result import Result, Status
from numopt.core.validate import as_vector, require_choice, require_length, require_positive
from numopt.problems.quadratic_program import QuadraticProgram

METHODS = ("auto", "ipm", "admm")

_PROVEN = (Status.INFEASIBLE, Status.UNBOUNDED)
# Ends after which another method may still do better.
_UNDECIDED = (Status.STALLED, Status.ITERATION_LIMIT, Status.NUMERICAL_TROUBLE)


def quadprog(
    P: Any,
    q: Any,
    A: Any = None,
    l: Any = None,  # noqa: E741
    u: Any = None,
    *,
    lb: Any = None,
    ub: Any = None,
    method: str = "auto",
    x0: Any = None,
    y0: Any = None,
    tol: float = 1e-8,
    options: dict[str, Any] | None = None,
) -> Result:
    r"""Minimise a convex quadratic function under linear constraints and bounds.

    .. math::
        \min_x \; \tfrac12 x^T P x + q^T x \quad\text{subject to}\quad
        l \le A x \le u, \;\; lb \le x \le ub

    Parameters
    ----------
    P : array or sparse matrix of shape (n, n), or None
        Symmetric positive semidefinite, both triangles; None for a linear program.
    q : array of shape (n,)
    A : array or sparse matrix of shape (m, n), optional
    l, u : float or array of shape (m,), optional
        Sides of the rows; -inf, inf or nothing where there is none, equal for equations.
    lb, ub : float or array of shape (n,), optional
        Bounds on x; none by default.
    method : {"auto", "ipm", "admm"}
        Interior point (`InteriorPointQP`); operator splitting (`OperatorSplittingQP`), where it
        gets stuck with the other's proof, if any, that there is no solution; or the first and,
        where it gets stuck, the second from there.
    x0, y0 : arrays, optional
        Start: a point, and multipliers of the rows.
    tol : float, default 1e-8
        For the three residuals of the certificate, see `QuadraticProgram`.
    options : dict, optional
        Hyper-parameters of the solver (``max_iter``, ``time_limit``, ``verbose``, ...).

    Returns
    -------
    Result
        With multipliers ``y``, ``z_lb``, ``z_ub``: P x + q + A'y + z_ub - z_lb = 0, y > 0 at upper
        sides. Status 2 (infeasible) comes with ``farkas`` = (y, z_lb, z_ub), status 3 (unbounded)
        with ``ray``, both checked against the data; 6 says that P is not positive semidefinite.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, NaN, infinities in P, q or A, an asymmetric P, unknown options. Crossed sides
        (l > u) are not an error but the status infeasible.

    Examples
    --------
    >>> import numopt
    >>> result = numopt.quadprog([[2.0, 0.0], [0.0, 2.0]], [-2.0, -6.0], [[1.0, 1.0]], u=3.0)
    >>> result.x.round(6).tolist(), result.y.round(6).tolist()
    ([0.5, 2.5], [1.0])
    """
    require_choice(method, METHODS, "method")
    require_positive(tol, "tol")
    if not isinstance(options, dict | None):
        raise TypeError(f"options must be a dict, got {type(options).__name__}")
    problem = QuadraticProgram(P, q, A, l, u, lb, ub)
    start = {}
    if x0 is not None:
        start["x"] = require_length(as_vector(x0, "x0", float), problem.size, "x0")
    if y0 is not None:
        start["y"] = require_length(as_vector(y0, "y0", float), problem.n_rows, "y0")
    return solve_quadratic(problem, method, start, {"tol": tol, **(options or {})})


def solve_quadratic(
    problem: QuadraticProgram, method: str, start: dict[str, Any], options: dict[str, Any]
) -> Result:
    """Solve with a method of `quadprog`, with "auto" by more than one if need be."""
    first = solvers.OperatorSplittingQP() if method == "admm" else solvers.InteriorPointQP()
    first = pick(first, problem, options)
    if method == "ipm":
        return run(first, problem, warm_start=start)
    result = run(first, problem, warm_start=start, warn=False)
    # A limit that the user has set is an end, not a reason to go on elsewhere.
    limited = "max_iter" in options and result.status is Status.ITERATION_LIMIT
    if result.status in _UNDECIDED and not limited:
        rescue = _proven if method == "admm" else _rescued
        result = rescue(problem, first, result, start)
    if result.status not in (Status.OPTIMAL, *_PROVEN):
        certificate = result.certificate
        warn_unmet(first, result.nit, certificate.tol, result.status, certificate, "")
    return result


def _rescued(
    problem: QuadraticProgram, ipm: Solver, result: Result, start: dict[str, Any]
) -> Result:
    """What operator splitting makes of a problem on which the interior point method is stuck.

    From there, which is often near; then from the user's start, as it is not where the method was
    stuck because of its multipliers.
    """
    spent, tol = result.time, result.certificate.tol
    for warm in (result, start):
        splitting = pick(solvers.OperatorSplittingQP(), problem, _shared(ipm, spent))
        second = run(splitting, problem, warm_start=warm, warn=False)
        if second.success or second.status in _PROVEN:
            return second
        spent += second.time
        if second.certificate.worst(tol) < result.certificate.worst(tol):
            result = second
        if second.status is Status.TIME_LIMIT:
            break
    return result


def _proven(
    problem: QuadraticProgram, splitting: Solver, result: Result, start: dict[str, Any]
) -> Result:
    """The proof that there is no solution, if the interior point method finds one."""
    ipm = pick(solvers.InteriorPointQP(), problem, _shared(splitting, result.time))
    second = run(ipm, problem, warn=False)
    return second if second.status in _PROVEN else result


def _shared(solver: Solver, spent: float) -> dict[str, Any]:
    """Limits of one solver for another, in the time that is left."""
    shared = {field.name for field in fields(Solver)} - {"max_iter"}
    options = {name: getattr(solver, name) for name in shared}
    if solver.time_limit is not None:
        options["time_limit"] = max(solver.time_limit - spent, 1e-3)
    return options
