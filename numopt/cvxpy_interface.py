"""numopt as a solver of cvxpy: pass an instance to ``problem.solve(solver=...)``.

Needs cvxpy, which ``pip install numopt[cvxpy]`` brings.
"""

from __future__ import annotations

import warnings
from typing import Any

import cvxpy.settings as s
import numpy as np
import scipy.sparse as sp
from cvxpy.constraints import SOC
from cvxpy.error import SolverError
from cvxpy.reductions.solution import Solution, failure_solution
from cvxpy.reductions.solvers import utilities
from cvxpy.reductions.solvers.conic_solvers.conic_solver import ConicSolver
from cvxpy.reductions.solvers.qp_solvers.qp_solver import QpSolver

from numopt.core.engine import ConvergenceWarning, solve
from numopt.core.result import Result, Status
from numopt.problems import ConicProgram, LinearProgram, QuadraticProgram
from numopt.solvers import ConicSplitting, OperatorSplittingQP

STATUSES = {
    Status.OPTIMAL: s.OPTIMAL,
    Status.INFEASIBLE: s.INFEASIBLE,
    Status.UNBOUNDED: s.UNBOUNDED,
    Status.ITERATION_LIMIT: s.USER_LIMIT,
    Status.TIME_LIMIT: s.USER_LIMIT,
}
# A point that misses the tolerance by no more than this counts as inaccurate, not as failed.
INACCURATE = 1e-4

__all__ = ["NumoptConic", "NumoptLP", "NumoptQP"]


class _Plugin:
    """What both plug-ins share."""

    MIP_CAPABLE = False

    def __init__(self, solver: Any = "auto", **options: Any):
        self.solver, self.options = solver, options

    def import_solver(self) -> None:
        """Nothing to do: it is here."""

    def solve_via_data(
        self,
        data: dict[str, Any],
        warm_start: bool,
        verbose: bool,
        solver_opts: dict[str, Any],
        solver_cache: dict[str, Any] | None = None,
    ) -> Result:
        """Solve what cvxpy has made of a problem."""
        options = {**self.options, **solver_opts, "verbose": 2 * bool(verbose)}
        options.pop("use_quad_obj", None)  # meant for cvxpy
        wanted = options.pop("solver_name", self.solver)
        cache = solver_cache if warm_start and solver_cache is not None else {}
        before, last = cache.get(self.name(), (None, None))
        problem = self._program(data, before)
        fits = last is not None and last.x.size == problem.size and last.y.size == problem.n_rows
        start = last if fits and last.success else None
        result = Result()
        for method in self._tries(start) if wanted == "auto" else [wanted]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # cvxpy reports the status
                result = solve(problem, method, warm_start=start, **options)
            if result.status in (Status.OPTIMAL, Status.INFEASIBLE, Status.UNBOUNDED):
                break
        if solver_cache is not None:
            solver_cache[self.name()] = problem, result
        return result

    def invert(self, solution: Result, inverse_data: dict[str, Any]) -> Solution:
        """Translate a result to cvxpy's terms."""
        attributes = {s.SOLVE_TIME: solution.time, s.SETUP_TIME: solution.setup_time}
        attributes[s.NUM_ITERS], attributes[s.EXTRA_STATS] = solution.nit, solution
        status = STATUSES.get(solution.status, s.SOLVER_ERROR)
        if status not in (s.OPTIMAL, s.INFEASIBLE, s.UNBOUNDED):
            if solution.certificate.met(INACCURATE):
                status = s.OPTIMAL_INACCURATE
        if status == s.INFEASIBLE:
            farkas = solution.farkas
            proof = farkas[0] if isinstance(farkas, tuple) else farkas
            return failure_solution(status, attributes, self._duals(proof, inverse_data))
        if status not in s.SOLUTION_PRESENT:
            return failure_solution(status, attributes)
        value = solution.fun + inverse_data[s.OFFSET]
        return Solution(
            status, value, {inverse_data[self.VAR_ID]: solution.x},
            self._duals(solution.y, inverse_data), attributes,
        )  # fmt: skip

    def _duals(self, y: np.ndarray, inverse_data: dict[str, Any]) -> dict[int, np.ndarray]:
        n = inverse_data[self.DIMS].zero
        groups = (y[:n], inverse_data[self.EQ_CONSTR]), (y[n:], inverse_data[self.NEQ_CONSTR])
        duals: dict[int, np.ndarray] = {}
        for values, constraints in groups:
            duals |= utilities.get_dual_values(values, utilities.extract_dual_value, constraints)
        return duals

    # What each supplies, besides the attributes of cvxpy's classes.
    VAR_ID: Any
    DIMS: Any
    EQ_CONSTR: Any
    NEQ_CONSTR: Any

    def name(self) -> str:
        """Name that cvxpy shows."""
        raise NotImplementedError

    def _program(self, data: dict[str, Any], before: Any) -> Any:
        """The program; a sibling of the one before if the matrices are the same."""
        raise NotImplementedError

    def _tries(self, start: Any) -> list[Any]:
        """Solvers of "auto", each for where the ones before fail."""
        raise NotImplementedError


class NumoptQP(_Plugin, QpSolver):  # type: ignore[misc]
    """Quadratic and linear programs of cvxpy, solved by numopt.

    Bounds of variables are passed on as bounds. A problem with parameters that is solved again
    with ``warm_start=True`` (cvxpy's default for quadratic programs) starts from its last solution,
    and keeps its factorisation where P and the constraints' matrix are the same.

    Parameters
    ----------
    solver : str or Solver, default "auto"
        As in `numopt.solve`. "auto" takes the default of `QuadraticProgram` for first solves and
        `OperatorSplittingQP` for warm-started ones, and each where the other fails.
    **options
        Hyper-parameters of the solver, such as ``tol``; ``problem.solve`` takes them, too.

    Notes
    -----
    Use the same instance for all solves of a problem: cvxpy's caches go by it. Certificates and
    counts stand in ``problem.solver_stats.extra_stats``, a `numopt.Result`.

    Examples
    --------
    >>> import cvxpy as cp
    >>> from numopt.cvxpy_interface import NumoptQP
    >>> x = cp.Variable(2)
    >>> problem = cp.Problem(cp.Minimize(cp.sum_squares(x - 1)), [x[0] + x[1] == 1])
    >>> value = problem.solve(solver=NumoptQP())
    >>> x.value.round(6).tolist()
    [0.5, 0.5]
    """

    BOUNDED_VARIABLES = True

    def name(self) -> str:
        """Name that cvxpy shows."""
        return "NUMOPT_QP"

    def can_solve(self, problem_form: Any) -> bool:
        """Whether the problem is a linear or quadratic program; cvxpy asks before it rewrites it.

        Where bounds would mislead cvxpy, it is told to make rows of them.
        """
        self.BOUNDED_VARIABLES = _sound(problem_form._problem)
        return bool(super().can_solve(problem_form))

    def cite(self, data: Any) -> str:
        """BibTeX entry of the method."""
        return (
            "@article{osqp, author={B. Stellato and G. Banjac and P. Goulart and A. Bemporad and "
            "S. Boyd}, title={{OSQP}: an operator splitting solver for quadratic programs}, "
            "journal={Mathematical Programming Computation}, volume={12}, pages={637--672}, "
            "year={2020}}"
        )

    def _tries(self, start: Any) -> list[Any]:
        return ["auto", OperatorSplittingQP()] if start is None else [OperatorSplittingQP(), "auto"]

    def _program(self, data: dict[str, Any], before: Any) -> QuadraticProgram:
        P, (A, vectors) = data[s.P], _rows_and_vectors(data)
        vectors["q"] = data[s.Q]
        if before is not None and _same(P, before.P) and _same(A, before.A):
            return before.replace(**vectors)
        return QuadraticProgram(P=P, A=A, **vectors)


class NumoptLP(NumoptQP):
    """Linear programs of cvxpy, solved by numopt.

    Bounds of variables are passed on as bounds. A problem with parameters that is solved again with
    ``warm_start=True`` starts from the basis, or the point, of its last solution.

    Parameters
    ----------
    solver : str or Solver, default "auto"
        As in `numopt.solve`. "auto" takes `Highs` and, where that fails, `InteriorPointQP`.
    **options
        Hyper-parameters of the solver, such as ``tol``; ``problem.solve`` takes them, too.

    Notes
    -----
    Use the same instance for all solves of a problem: cvxpy's caches go by it. Certificates and
    counts stand in ``problem.solver_stats.extra_stats``, a `numopt.Result`.

    Examples
    --------
    >>> import cvxpy as cp
    >>> from numopt.cvxpy_interface import NumoptLP
    >>> x = cp.Variable(2, nonneg=True)
    >>> problem = cp.Problem(cp.Minimize(x[0] + 2 * x[1]), [x[0] + x[1] == 1])
    >>> value = problem.solve(solver=NumoptLP())
    >>> x.value.round(6).tolist()
    [1.0, 0.0]
    """

    def name(self) -> str:
        """Name that cvxpy shows."""
        return "NUMOPT_LP"

    def cite(self, data: Any) -> str:
        """BibTeX entry of the method."""
        return (
            "@article{highs, author={Q. Huangfu and J. Hall}, title={Parallelizing the dual "
            "revised simplex method}, journal={Mathematical Programming Computation}, volume={10}, "
            "pages={119--142}, year={2018}}"
        )

    def _tries(self, start: Any) -> list[Any]:
        return ["auto", "ipm"]

    def _program(self, data: dict[str, Any], before: Any) -> LinearProgram:
        P = data.get(s.P)
        if P is not None and P.nnz and np.any(P.data):
            raise SolverError(
                "NumoptLP solves linear programs; the objective is quadratic: NumoptQP"
            )
        A, vectors = _rows_and_vectors(data)
        vectors["c"] = data[s.Q]
        if before is not None and _same(A, before.A):
            return before.replace(**vectors)
        return LinearProgram(A=A, **vectors)


class NumoptConic(_Plugin, ConicSolver):  # type: ignore[misc]
    """Second-order cone programs of cvxpy, with linear or quadratic objective, solved by numopt.

    Takes everything that cvxpy turns into linear and second-order cone constraints: norms, sums of
    squares, geometric means, quotients. A problem with parameters that is solved again keeps the
    analysis of its KKT matrix; with `ConicSplitting` it starts from the last solution and, where P
    and the constraints' matrix are the same, keeps the factor.

    Parameters
    ----------
    solver : str or Solver, default "auto"
        As in `numopt.solve`. "auto" takes `InteriorPointConic` and, where that fails,
        `ConicSplitting`.
    **options
        Hyper-parameters of the solver, such as ``tol``; ``problem.solve`` takes them, too.

    Notes
    -----
    Use the same instance for all solves of a problem: cvxpy's caches go by it. Certificates and
    counts stand in ``problem.solver_stats.extra_stats``, a `numopt.Result`.

    Examples
    --------
    >>> import cvxpy as cp
    >>> from numopt.cvxpy_interface import NumoptConic
    >>> x = cp.Variable(2)
    >>> problem = cp.Problem(cp.Minimize(-cp.sum(x)), [cp.norm(x) <= 1])
    >>> value = problem.solve(solver=NumoptConic())
    >>> x.value.round(6).tolist()
    [0.707107, 0.707107]
    """

    SUPPORTED_CONSTRAINTS = [*ConicSolver.SUPPORTED_CONSTRAINTS, SOC]

    def name(self) -> str:
        """Name that cvxpy shows."""
        return "NUMOPT_CONIC"

    def supports_quad_obj(self) -> bool:
        """Quadratic objectives are taken as they are."""
        return True

    def cite(self, data: Any) -> str:
        """BibTeX entry of the method."""
        return (
            "@misc{clarabel, author={P. Goulart and Y. Chen}, title={Clarabel: an interior-point "
            "solver for conic programs with quadratic objectives}, year={2024}, "
            "eprint={2405.12762}, archivePrefix={arXiv}}"
        )

    def _tries(self, start: Any) -> list[Any]:
        return ["auto", ConicSplitting()]

    def _program(self, data: dict[str, Any], before: Any) -> ConicProgram:
        q, b, dims = data[s.C], data[s.B], data[self.DIMS]
        P = data.get(s.P)
        P = sp.csc_array((q.size, q.size)) if P is None else sp.csc_array(P)
        A = sp.csc_array(data[s.A])
        cones = {"zero": dims.zero, "nonneg": dims.nonneg, "soc": dims.soc}
        if before is None:
            return ConicProgram(P, q, A, b, cones)
        if _same(P, before.P) and _same(A, before.A):
            return before.replace(q=q, b=b)
        return before.replace(P=P, q=q, A=A, b=b, cones=cones)


def _sound(problem: Any) -> bool:
    """Whether cvxpy derives no wrong bounds of auxiliary variables from the bounds of ours.

    It bounds those that stand for parts such as max(0, Ax - b) by interval arithmetic. There 0
    times infinity is NaN (cvxpy 1.9), max(0, NaN) an ordinary number, and the solution outside.
    """
    parts = [(problem.objective.expr, False)]
    parts += [(part, False) for constraint in problem.constraints for part in constraint.args]
    with np.errstate(invalid="ignore"):
        while parts:
            part, inside = parts.pop()
            inside = inside or not (part.is_affine() or part.is_quadratic())
            if inside and not _has_bounds(part):
                return False
            parts += [(argument, inside) for argument in part.args]
    return True


def _has_bounds(expression: Any) -> bool:
    try:
        bounds = expression.get_bounds()
    except ValueError:  # of products of two vectors that have no values yet, also in cvxpy 1.9
        return False
    return not any(np.isnan(b.data if sp.issparse(b) else b).any() for b in bounds)


def _rows_and_vectors(data: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Equations and inequalities as one matrix with sides, and the bounds."""
    A = sp.csc_array(sp.vstack([data[s.A], data[s.F]], format="csc"))
    vectors = {
        "l": np.concatenate([data[s.B], np.full(data[s.G].size, -np.inf)]),
        "u": np.concatenate([data[s.B], data[s.G]]),
        "lb": data.get(s.LOWER_BOUNDS), "ub": data.get(s.UPPER_BOUNDS),
    }  # fmt: skip
    return A, vectors


def _same(a: Any, b: Any) -> bool:
    if a.shape != b.shape or a.nnz != b.nnz:
        return False
    pairs = (a.indptr, b.indptr), (a.indices, b.indices), (a.data, b.data)
    return all(np.array_equal(x, y) for x, y in pairs)
