"""Linear programs, SciPy-shaped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import OptimizeResult

from numopt.core.engine import run
from numopt.core.report import warn_unmet
from numopt.core.result import Result, Status
from numopt.core.solver import pick
from numopt.core.validate import (
    as_matrix,
    as_vector,
    require_choice,
    require_finite,
    require_length,
    require_positive,
)
from numopt.functions.quadprog import _shared
from numopt.problems.linear_program import LinearProgram

# Name -> solver and the fields that it stands for.
_METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "auto": ("", {}),
    "highs": ("highs", {}),
    "highs-ds": ("highs", {"algorithm": "simplex"}),
    "highs-ipm": ("highs", {"algorithm": "ipm"}),
    "halpern-pdhg": ("halpern-pdhg", {}),
    "ipm": ("ipm", {}),
}
METHODS = tuple(_METHODS)
# SciPy's spelling of an option -> ours.
_SPELLINGS = {"maxiter": "max_iter", "disp": "verbose"}
# Entries from which on "auto" asks whether factors would fill in; and from which it does not.
LARGE, HUGE = 20_000, 3_000_000
# ... for tolerances from here on.
COARSE = 1e-6
_DECIDED = (
    Status.OPTIMAL, Status.INFEASIBLE, Status.UNBOUNDED, Status.CALLBACK_STOP, Status.INTERRUPTED,
    Status.TIME_LIMIT,
)  # fmt: skip


def linprog(
    c: Any,
    A_ub: Any = None,
    b_ub: Any = None,
    A_eq: Any = None,
    b_eq: Any = None,
    bounds: Any = (0, None),
    method: str = "auto",
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
    x0: Any = None,
    *,
    tol: float | None = None,
    time_limit: float | None = None,
    integrality: Any = None,
) -> Result:
    r"""Solve a linear program.

    .. math::
        \min_x \; c^T x \quad\text{subject to}\quad
        A_{ub} x \le b_{ub}, \;\; A_{eq} x = b_{eq}, \;\; lb \le x \le ub

    Takes the arguments of `scipy.optimize.linprog` and returns its fields, with a certificate.

    Parameters
    ----------
    c : array of shape (n,)
        Cost.
    A_ub, A_eq : array or scipy.sparse matrix of shape (m_ub, n), (m_eq, n), optional
    b_ub, b_eq : array of shape (m_ub,), (m_eq,), optional
        Right-hand sides; inf in `b_ub` stands for no bound.
    bounds : pair or sequence of n pairs, optional
        (lower, upper), for all variables or for each; None or an infinity where there is none.
        By default variables are not negative.
    method : {"auto", "highs", "highs-ds", "highs-ipm", "halpern-pdhg", "ipm"}
        HiGHS, its dual simplex or interior point method (`Highs`); first-order method
        (`HalpernPDHG`); `InteriorPointQP`. "auto" takes HiGHS, except for tolerances of 1e-6 and
        more on large programs whose factors fill in, and where the first gets stuck another.
    callback : callable, optional
        See `numopt.solve`.
    options : dict, optional
        Hyper-parameters of the solver; ``maxiter`` and ``disp`` as in SciPy.
    x0 : array of shape (n,), optional
        Start.
    tol : float, optional
        For the three residuals of the certificate, see `LinearProgram`; 1e-8 if not given.
    time_limit : float, optional
        Seconds at most.
    integrality : optional
        As SciPy's; what asks for integers is refused.

    Returns
    -------
    Result
        With ``slack`` = b_ub - A_ub x, ``con`` = b_eq - A_eq x and, in ``ineqlin``, ``eqlin``,
        ``lower``, ``upper``, ``residual`` and ``marginals``: derivatives of the optimal value with
        respect to b_ub, b_eq, lb, ub. ``y`` (rows of A_ub, then of A_eq), ``z_lb``, ``z_ub`` are
        the multipliers in the signs of `LinearProgram`. Status 2 (infeasible) comes with
        ``farkas``, a dict of multipliers ``ineqlin``, ``eqlin``, ``lower``, ``upper``:
        A_ub'ineqlin + A_eq'eqlin + lower + upper = 0, ineqlin, upper <= 0 <= lower, and
        b_ub'ineqlin + b_eq'eqlin + lb'lower + ub'upper > 0; status 3 (unbounded) with ``ray``, a
        direction. Both are checked against the data.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, NaN, infinities in c, A_ub, A_eq or b_eq, integer variables, unknown options.

    Examples
    --------
    >>> import numopt
    >>> result = numopt.linprog([-1.0, 4.0], [[-3.0, 1.0], [1.0, 2.0]], [6.0, 4.0],
    ...                         bounds=[(None, None), (-3, None)])
    >>> result.x.tolist(), result.fun, result.ineqlin.marginals.tolist()
    ([10.0, -3.0], -22.0, [0.0, -1.0])
    """
    require_choice(method, METHODS, "method")
    if integrality is not None and np.any(integrality):
        j = int(np.argmax(np.broadcast_to(integrality, np.shape(np.atleast_1d(integrality))) != 0))
        raise ValueError(
            f"integrality asks for integers at index {j}; numopt.linprog solves continuous "
            "programs: use scipy.optimize.milp, or relax it by integrality=None"
        )
    limits: dict[str, Any] = {_SPELLINGS.get(k, k): v for k, v in (options or {}).items()}
    if "verbose" in limits:
        limits["verbose"] = int(limits["verbose"])
    for name, value in (("tol", tol), ("time_limit", time_limit)):
        if value is not None:
            require_positive(value, name)
            limits[name] = value
    problem, m_ub = _program(c, A_ub, b_ub, A_eq, b_eq, bounds)
    start = {}
    if x0 is not None:
        start["x"] = require_length(as_vector(x0, "x0", np.float64), problem.size, "x0")
    result = solve_linear_program(problem, method, start, limits, callback)
    return _in_scipys_terms(problem, m_ub, result)


def solve_linear_program(
    problem: LinearProgram,
    method: str,
    start: dict[str, Any],
    options: dict[str, Any],
    callback: Callable[..., Any] | None = None,
) -> Result:
    """Solve with a method of `linprog`, with "auto" by more than one if need be."""
    name, fields = _METHODS[method]
    if name:
        return run(
            pick(name, problem, {**fields, **options}), problem, warm_start=start, callback=callback
        )
    tol = options.get("tol") or problem.default_tol
    order = ["highs", "ipm"]
    if tol >= COARSE and problem.A.nnz >= LARGE and _fills_in(problem):
        order = ["halpern-pdhg", *order]
    first = pick(order[0], problem, options)
    result = run(first, problem, warm_start=start, callback=callback, warn=False)
    solver, latest = first, result
    for name in order[1:]:
        if latest.status in _DECIDED:
            return latest
        solver = pick(name, problem, _shared(solver, latest.time))
        latest = run(solver, problem, warm_start=latest, callback=callback, warn=False)
        if latest.status in _DECIDED or latest.certificate.worst(tol) < result.certificate.worst(
            tol
        ):
            result = latest
    if result.status not in _DECIDED:
        warn_unmet(first, result.nit, tol, result.status, result.certificate, "")
    return result


def _fills_in(problem: LinearProgram) -> bool:
    """Whether factors of A A' take so much longer than products that methods without them pay."""
    A = problem.A
    if A.nnz > HUGE:
        return True
    from numopt.linalg.ldl_kernels.analysis import Analysis
    from numopt.linalg.patterns import UpperPattern

    ones = sp.csr_array((np.ones(A.nnz), A.indices, A.indptr), shape=A.shape[::-1])
    squares = float(np.square(np.bincount(A.indices, minlength=A.shape[0]), dtype=float).sum())
    by_columns = float(np.square(np.diff(A.indptr), dtype=float).sum())
    if min(squares, by_columns) > 100 * A.nnz:
        return True  # dense rows and columns: A A' alone is too large
    gram = sp.csc_array(sp.triu(ones.T @ ones if by_columns <= squares else ones @ ones.T))
    gram.sort_indices()
    pattern: Any = UpperPattern(gram.indptr, gram.indices, "A A'")
    return bool(Analysis(pattern).flops > 1e4 * A.nnz)


# ---- SciPy's arguments and fields ----------------------------------------------------------------


def _program(
    c: Any, A_ub: Any, b_ub: Any, A_eq: Any, b_eq: Any, bounds: Any
) -> tuple[LinearProgram, int]:
    """The program, and the number of its rows that are inequalities: they come first."""
    c = np.asarray(c)
    c = as_vector(c.reshape(-1) if c.size == 1 else c.squeeze() if c.ndim > 1 else c, "c", float)
    A_ub, b_ub = _rows(A_ub, b_ub, "ub", c.size)
    A_eq, b_eq = _rows(A_eq, b_eq, "eq", c.size)
    require_finite(b_eq, "b_eq")
    bad = np.isnan(b_ub) | (b_ub == -np.inf)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(f"b_ub has {b_ub[i]} at index {i}; inf stands for no bound")
    if A_ub is None or A_eq is None:
        A = A_eq if A_ub is None else A_ub
    elif sp.issparse(A_ub) or sp.issparse(A_eq):
        A = sp.vstack((sp.csc_array(A_ub), sp.csc_array(A_eq)), format="csc")
    else:
        A = np.vstack((A_ub, A_eq))
    sides: dict[str, Any] = {}
    if A is not None:
        sides["l"] = np.concatenate((np.full(b_ub.size, -np.inf), b_eq))
        sides["u"] = np.concatenate((b_ub, b_eq))
    lb, ub = _bounds(bounds, c.size)
    return LinearProgram(c, A, **sides, lb=lb, ub=ub), b_ub.size


def _rows(A: Any, b: Any, kind: str, n: int) -> tuple[Any, np.ndarray]:
    """A matrix and its right-hand side; None without rows."""
    rows = 0 if A is None else np.size(A) if np.ndim(A) < 2 and not sp.issparse(A) else A
    if A is None or (isinstance(rows, int) and rows == 0):
        if b is not None and np.size(b):
            raise ValueError(f"b_{kind} was given without A_{kind}")
        return None, np.zeros(0)
    A = as_matrix(A, f"A_{kind}")
    if A.shape[1] != n:
        raise ValueError(
            f"A_{kind} has shape {A.shape} but c has {n} entries; it needs {n} columns"
        )
    if b is None:
        raise ValueError(f"A_{kind} was given without b_{kind}")
    b = np.asarray(b)
    if b.dtype.kind not in "biuf":
        raise TypeError(f"b_{kind} must hold real numbers, got dtype {b.dtype}")
    b = b.astype(float).reshape(-1) if b.size == max(b.shape, default=1) else b
    if b.shape != (A.shape[0],):
        raise ValueError(f"b_{kind} has shape {b.shape} but A_{kind} has {A.shape[0]} rows")
    return A, b


def _bounds(bounds: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds from pairs; None and NaN stand for none."""
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):  # scipy.optimize.Bounds
        lb, ub = (np.broadcast_to(np.asarray(side, float), n) for side in (bounds.lb, bounds.ub))
        return lb.copy(), ub.copy()
    try:
        pairs = np.array((0.0, np.inf) if bounds is None else bounds, float)
    except (ValueError, TypeError) as error:
        kind = type(error)
        raise kind(f"bounds must be a (lower, upper) pair or {n} of them: {error}") from None
    if pairs.size == 0 and n > 0:
        pairs = np.array((0.0, np.inf))
    if pairs.size == 2 and pairs.ndim <= 2 and (n != 2 or pairs.shape != (2, 2)):
        pairs = np.broadcast_to(pairs.reshape(1, 2), (n, 2))
    if pairs.shape != (n, 2):
        raise ValueError(f"bounds has shape {pairs.shape}; it must be one pair, or have {(n, 2)}")
    lb, ub = pairs[:, 0].copy(), pairs[:, 1].copy()
    lb[np.isnan(lb)] = -np.inf
    ub[np.isnan(ub)] = np.inf
    # No number is that large: the side is crossed, which no Farkas vector can say with infinities.
    for name, side, wrong in (("lower", lb, np.inf), ("upper", ub, -np.inf)):
        if (side == wrong).any():
            j = int(np.argmax(side == wrong))
            raise ValueError(f"bounds has {wrong} as {name} bound at index {j}")
    return lb, ub


def _in_scipys_terms(problem: LinearProgram, m_ub: int, result: Result) -> Result:
    """Add SciPy's fields to a result."""
    x, y = result.x, result.y
    Ax = problem.A @ x
    result.slack, result.con = problem.u[:m_ub] - Ax[:m_ub], problem.u[m_ub:] - Ax[m_ub:]
    fields = {
        "ineqlin": (result.slack, -y[:m_ub]),
        "eqlin": (result.con, -y[m_ub:]),
        "lower": (x - problem.lb, result.z_lb),
        "upper": (problem.ub - x, -result.z_ub),
    }
    for name, (residual, marginals) in fields.items():
        # -0.0 would only puzzle.
        result[name] = OptimizeResult(residual=residual, marginals=marginals + 0.0)
    if "farkas" in result:
        y, z_lb, z_ub = result.farkas
        parts = -y[:m_ub], -y[m_ub:], z_lb, -z_ub
        names = ("ineqlin", "eqlin", "lower", "upper")
        result.farkas = {name: part + 0.0 for name, part in zip(names, parts, strict=True)}
    return result
