"""The short way of `OperatorSplittingQP` in a sequence: one compiled call, no loop around it."""

from __future__ import annotations

from functools import lru_cache
from time import perf_counter
from typing import Any

import numpy as np

from numopt.core.report import message
from numopt.core.result import Result, Status
from numopt.core.solver import DONE
from numopt.problems.quadratic_program import QuadraticProgram
from numopt.solvers import _qp_splitting_kernels as kernels
from numopt.solvers._qp_adjoint import Adjoint
from numopt.solvers._qp_model import prepare, storage
from numopt.solvers._qp_splitting_kernels import COUNT, FOUND, ROUNDS, TOL, WARM

NAMES = ("x", "y", "z_lb", "z_ub")


def at_once(solver: Any, problem: QuadraticProgram, start: dict[str, Any]) -> Result | None:
    """The result of a finish from `start`, certified by the problem; None if there is none."""
    begun = perf_counter()
    tol = solver.tol if solver.tol is not None else problem.default_tol
    prepared = prepare(problem)
    n, rows = prepared.n, prepared.rows
    sizes = n, rows, n, n
    old = [start[name] for name in NAMES]
    if not prepared.convex or [v.size for v in old] != [*sizes]:
        return None
    try:  # a list's pop is atomic: whoever solves at the same time gets other storage
        arrays, ending = prepared.pool.pop()
    except IndexError:
        arrays, ending = storage(n, prepared.m), prepared.factor()
    s = arrays.scalars
    s[COUNT] = s[ROUNDS] = s[FOUND] = 0
    s[TOL], s[WARM] = 0.9 * tol, 1
    rho = float(start.get("rho", solver.rho))
    result = None
    if kernels.prepare(prepared.model, arrays, problem.arrays, *old, rho) == 0:
        run = kernels.run_simplicial if prepared.simplicial else kernels.run_supernodal
        _, code = run(prepared.model, arrays, ending, ending, 1, solver.relaxation, solver.polish)
        if code == DONE:
            new = [np.empty(k) for k in sizes]
            kernels.unscale(prepared.model, arrays, rows, *new)
            certificate = problem.certificate(*new).at(tol)
            if certificate.met(tol):
                result = _result(solver, problem, new, certificate, rho, int(s[ROUNDS]))
                result.time = perf_counter() - begun
                result.history["time"][0] = result.time
    prepared.pool.append((arrays, ending))
    return result


def _result(
    solver: Any, problem: Any, point: list[np.ndarray], certificate: Any, rho: float, rounds: int
) -> Result:
    result = Result(zip(NAMES, point, strict=True))
    columns = {"nit": 1, "time": 0.0, "fun": certificate.fun, **certificate}
    result.update(
        rho=rho, polished=True, rounds=rounds, vjp=Adjoint(problem, *point),
        warm_start={**result, "rho": rho}, fun=certificate.fun, success=True,
        status=Status.OPTIMAL, message=message(Status.OPTIMAL, certificate, ""), nit=1,
        certificate=certificate, solver=_text(solver), setup_time=0.0,
        history={name: np.array([value]) for name, value in columns.items()},
    )  # fmt: skip
    return result


@lru_cache(maxsize=16)
def _text(solver: Any) -> str:
    return repr(solver)
