"""Fixed points, one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numopt.core.engine import pick, run
from numopt.core.result import Result
from numopt.core.validate import require_choice
from numopt.problems.fixed_point import FixedPoint

METHODS = ("halpern", "oc-halpern", "km", "anderson")


def fixed_point(
    T: Callable[[Any], Any],
    z0: Any,
    *,
    method: str = "halpern",
    tol: float | None = None,
    max_iter: int | None = None,
    options: dict[str, Any] | None = None,
    contraction: float = 1.0,
    averaged: float = 1.0,
) -> Result:
    r"""Find a fixed point of a nonexpansive map, :math:`z = T(z)`.

    Parameters
    ----------
    T : callable or operator
        ``T(z)`` for a float64 vector, or an operator of `numopt.operators`, which runs compiled.
    z0 : array of shape (n,)
        Start.
    method : {"halpern", "oc-halpern", "km", "anderson"}
        Anchored iteration (`Halpern`); the same without restarts and for a `contraction` below 1
        the optimal method; averaged iteration (`KrasnoselskiiMann`); Anderson acceleration
        (`AndersonMixing`), the fastest as a rule where T is smooth.
    tol : float, optional
        Bound for :math:`\|z - T(z)\|_2 / (1 + \|z_0 - T(z_0)\|_2)`, 1e-8 by default.
    max_iter : int, optional
        Evaluations at most, 10000 by default.
    options : dict, optional
        Further hyper-parameters of the solver.
    contraction : float, default 1.0
        The c <= 1 of :math:`\|T(z) - T(w)\| \le c \|z - w\|`.
    averaged : float, default 1.0
        The a of T = (1 - a) I + a N with nonexpansive N: 1/2 for projections and proxes.

    Returns
    -------
    Result
        With ``x``; from the first three methods also ``displacement``, x - T(x), and
        ``consistent``: True at a fixed point, False where iterations show that there is none
        (the displacement has settled at a vector that is not 0), None where they do not tell.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> numopt.fixed_point(np.cos, [0.0], method="anderson").x.round(6).tolist()
    [0.739085]
    """
    from numopt.solvers import AndersonMixing, Halpern, KrasnoselskiiMann

    require_choice(method, METHODS, "method")
    problem = FixedPoint(T, z0, contraction, averaged)
    solver: Any = {
        "halpern": Halpern(),
        "oc-halpern": Halpern(restart="none"),
        "km": KrasnoselskiiMann(),
        "anderson": AndersonMixing(),
    }[method]
    given = {"tol": tol, "max_iter": max_iter}
    limits = {name: value for name, value in given.items() if value is not None}
    return run(pick(solver, problem, {**limits, **(options or {})}), problem)
