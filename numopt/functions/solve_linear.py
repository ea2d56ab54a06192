"""Linear systems, one call."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp

from numopt.core.engine import run
from numopt.core.result import Result, Status
from numopt.core.validate import require_choice, require_count, require_nonnegative
from numopt.problems.linear_system import LinearSystem

METHODS = ("auto", "cg", "direct")
# Below this many unknowns a factorisation is cheaper than finding out about anything better.
SMALL = 1000
# Default of rtol: known by identity, so that float32 data can have their own.
RTOL = 1e-8


def solve_linear(
    A: Any,
    b: Any,
    *,
    method: str = "auto",
    omega: float | None = None,
    x0: Any = None,
    rtol: float = RTOL,
    atol: float = 0.0,
    max_iter: int | None = None,
) -> Result:
    r"""Solve :math:`A x = b` for a square A, to a residual that is checked.

    Parameters
    ----------
    A : array, scipy.sparse matrix, LinearOperator or callable
        Square matrix of shape (n, n), or what multiplies by it; see `LinearSystem`.
    b : array of shape (n,)
        Right-hand side.
    method : {"auto", "cg", "direct"}
        "cg": conjugate gradients with the diagonal as preconditioner, for symmetric positive
        definite A; "direct": factorisation and iterative refinement; "auto": operators by "cg",
        dense and small systems by "direct", large sparse ones by "cg" if A is symmetric with a
        positive diagonal, otherwise, or if that gets stuck, by "direct".
    omega : float, optional
        Relaxation parameter of methods that have one: none of these.
    x0 : array of shape (n,), optional
        Start.
    rtol, atol : float
        Done when :math:`\|b - A x\|_2 \le \max(\mathrm{rtol} \|b\|_2, \mathrm{atol})`. By default
        rtol = 1e-8, for float32 data 1e-5, and atol = 0.
    max_iter : int, optional
        Iterations at most, by default 10 n but at least 10000. With "auto", running into it makes
        "cg" stuck.

    Returns
    -------
    Result
        With x and the certificate entry ``residual``, relative to b. To solve again with the same
        A, keep the factor: ``problem = LinearSystem(A, b)`` and ``problem.replace(b=...)``.

    Raises
    ------
    ValueError, TypeError
        If A is not square or not real, lengths differ, or data are not finite.

    Examples
    --------
    >>> import numopt
    >>> numopt.solve_linear([[2.0, 1.0], [1.0, 3.0]], [3.0, 4.0]).x.round(12).tolist()
    [1.0, 1.0]
    """
    from numopt.solvers import ConjugateGradient, Direct

    require_choice(method, METHODS, "method")
    if omega is not None:
        raise ValueError(f"omega was given, but method {method!r} has no relaxation; leave it out")
    require_nonnegative(rtol, "rtol")
    require_nonnegative(atol, "atol")
    system = LinearSystem(A, b)
    if rtol is RTOL:
        rtol = system.default_tol
    tol = max(rtol, atol / system.scale)
    if tol == 0:
        raise ValueError("rtol and atol are both 0; give one of them, residuals are never exact")
    if max_iter is None:
        max_iter = max(10 * system.size, 10_000)
    require_count(max_iter, "max_iter")
    if method == "direct" or (method == "auto" and not _suits_cg(system)):
        return run(Direct(tol=tol, max_iter=max_iter), system, x0)
    cg = ConjugateGradient(tol=tol, max_iter=max_iter)
    if method == "cg" or not system.explicit:
        return run(cg, system, x0)
    result = run(cg, system, x0, warn=False)
    if result.success or result.status is Status.INTERRUPTED:
        return result
    return run(Direct(tol=tol), system, x0)


def _suits_cg(system: LinearSystem) -> bool:
    if not system.explicit:
        return True
    if not sp.issparse(system.A) or system.size <= SMALL:
        return False
    return bool((system.A.diagonal() > 0).all() and system.asymmetry() < 1e-10)
