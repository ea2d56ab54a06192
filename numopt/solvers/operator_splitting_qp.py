"""Operator splitting for quadratic programs, finished on the active set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import INDEFINITE, INFEASIBLE, UNBOUNDED, Solver
from numopt.core.result import Result
from numopt.core.validate import require_count, require_positive
from numopt.problems.quadratic_program import QuadraticProgram
from numopt.solvers import _qp_splitting_kernels as kernels
from numopt.solvers._qp_adjoint import Adjoint
from numopt.solvers._qp_at_once import at_once
from numopt.solvers._qp_model import Prepared, prepare, storage
from numopt.solvers._qp_splitting_kernels import (
    FINISHES,
    FOUND,
    PROOF,
    RESIDUAL,
    ROUNDS,
    SUSPECT,
    TOL,
    TRIED,
    WARM,
)  # fmt: skip

# Entries touched by an iteration, from which on chunks are kept small.
LARGE = 1e5


class State(NamedTuple):
    """One solve of one program."""

    prepared: Prepared
    model: kernels.Model
    arrays: kernels.State
    system: kernels.Factor  # of the iteration
    ending: kernels.Factor  # of the finish
    run: Any  # compiled for this kind of factor
    point: dict[str, np.ndarray]  # in the problem's units
    claim: dict[str, Any]  # what is believed and not yet proven: a code, farkas or ray


@dataclass(frozen=True, kw_only=True)
class OperatorSplittingQP(Solver):
    r"""Operator splitting for convex quadratic programs, finished on the active set.

    With :math:`C` the rows of A and those of bounded variables, each iteration solves

    .. math::
       \begin{pmatrix} P + \sigma I & C^T \\ C & -R^{-1} \end{pmatrix}
       \begin{pmatrix} \tilde x \\ \nu \end{pmatrix} =
       \begin{pmatrix} \sigma x - q \\ z - R^{-1} y \end{pmatrix},
       \qquad \tilde z = z + R^{-1} (\nu - y),

    relaxes, projects :math:`\tilde z + R^{-1} y` on the sides to get z, and takes what is left
    times R as multipliers y. R is :math:`\rho`, 1000 times that at equations. Every 25 iterations
    residuals are taken in the units of the problem; :math:`\rho` follows the ratio of the relative
    primal and dual one every 50. When they have fallen to a fifth since the last time, or the
    iterations doubled, the sides that y points at are taken for active and the equations solved
    with them, corrected by the signs of multipliers and violations, and solved again. From a warm
    start that comes first: a sequence of related programs then needs a factorisation or two each,
    and none where the active set stays.

    Parameters
    ----------
    rho : float, default 0.1
        First penalty parameter, in scaled units.
    relaxation : float, default 1.6
        In (0, 2).
    polish : int, default 8
        Corrections of the active set at each attempt to finish; 0: none.
    **limits
        See `Solver`.

    Notes
    -----
    The matrix has an L D L' in every order of elimination: it is analysed once, for all programs
    that came of one another by ``problem.replace``, and refactored when :math:`\rho` moves. The
    data are equilibrated first. An iteration takes two triangular solves. Results carry ``vjp``:
    derivatives of a function of the solution with respect to the data, see `Adjoint`.

    References
    ----------
    B. Stellato, G. Banjac, P. Goulart, A. Bemporad, S. Boyd, "OSQP: an operator splitting solver
    for quadratic programs", Math. Prog. Comp. 12 (2020), arXiv:1711.08013.
    M. Hintermueller, K. Ito, K. Kunisch, "The primal-dual active set strategy as a semismooth
    Newton method", SIAM J. Optim. 13 (2002), doi:10.1137/S1052623401383558.

    Examples
    --------
    >>> import numopt
    >>> from numopt.problems import QuadraticProgram
    >>> from numopt.solvers import OperatorSplittingQP
    >>> problem = QuadraticProgram([[2.0, 0.0], [0.0, 2.0]], [-2.0, -6.0], lb=0, ub=[2.0, 2.0])
    >>> OperatorSplittingQP().solve(problem).x.round(6).tolist()
    [1.0, 2.0]
    """

    name: ClassVar[str] = "operator-splitting-qp"
    accepts: ClassVar[tuple[str, ...]] = ("QuadraticProgram",)
    patience: ClassVar[int] = 20_000

    max_iter: int = 100_000
    rho: float = 0.1
    relaxation: float = 1.6
    polish: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self.rho, "rho")
        require_positive(self.relaxation, "relaxation")
        if not self.relaxation < 2:
            raise ValueError(f"relaxation must lie in (0, 2), got {self.relaxation!r}")
        require_count(self.polish, "polish")

    def solve(
        self,
        problem: Any,
        x0: Any = None,
        *,
        callback: Callable[[Any], Any] | None = None,
        warm_start: Any = None,
    ) -> Result:
        """Solve `problem`; from a related solution at once, if its active set leads to this one."""
        if warm_start is not None and callback is None and self.polish and not self.verbose:
            start = warm_start.warm_start if isinstance(warm_start, Result) else warm_start
            if isinstance(problem, QuadraticProgram) and "z_ub" in start:
                result = at_once(self, problem, start)
                if result is not None:
                    return result
        return super().solve(problem, x0, callback=callback, warm_start=warm_start)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        prepared = prepare(problem)
        n, rows, m = prepared.n, prepared.rows, prepared.m
        arrays = storage(n, m)
        point = {"x": np.zeros(n), "y": np.zeros(rows), "z_lb": np.zeros(n), "z_ub": np.zeros(n)}
        given = warm.get("x", x0)
        if given is not None:
            point["x"][:] = problem._vector(given, "x0", n)
        for name in ("y", "z_lb", "z_ub"):
            if name in warm:
                point[name][:] = problem._vector(warm[name], name, point[name].size)
        s = arrays.scalars
        s[TOL] = 0.9 * self._tol(problem)
        s[RESIDUAL], s[TRIED] = np.inf, 1.0
        # At this residual dx or dy is shown as a proof, which the problem then checks.
        s[PROOF] = 1e-6
        s[WARM] = self.polish > 0 and "y" in warm
        rho = float(warm.get("rho", self.rho))
        model, claim = prepared.model, {}
        found = kernels.prepare(model, arrays, problem.arrays, *point.values(), rho)
        if found == 2:
            raise ValueError("the start has entries that are not finite; start without it")
        if found == 1:
            reason, _, farkas = problem.crossed()
            claim = {"code": INFEASIBLE, "farkas": farkas, "reason": reason}
        elif not prepared.convex:
            claim = {"code": INDEFINITE, "reason": _why_not_convex(problem)}
        last = prepared.last
        system, ending = prepared.factor(), prepared.factor(last)
        if last is not None:
            arrays.factored[:] = last[0]
            s[FINISHES] = 1
        run = kernels.run_simplicial if prepared.simplicial else kernels.run_supernodal
        return State(prepared, model, arrays, system, ending, run, point, claim)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        claim, arrays = state.claim, state.arrays
        if "reason" in claim:
            return 0, claim["code"]
        done, code = state.run(
            state.model, arrays, state.system, state.ending, n, self.relaxation, self.polish
        )
        if arrays.scalars[FOUND]:
            state.prepared.keep(arrays, state.ending)
        if code in (INFEASIBLE, UNBOUNDED):
            self._claim(problem, state, code)
        self._unscale(state)
        return done, code

    def tighten(self, problem: Any, state: State) -> bool:
        # A finish that was not confirmed is left, a proof that was not waits for a better one.
        s = state.arrays.scalars
        s[SUSPECT] = s[FOUND] = 0
        if "code" in state.claim:
            state.claim.clear()
            s[PROOF] *= 0.3
            return True
        s[TOL] *= 0.5
        return bool(s[TOL] > 1e-16)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        s, point = state.arrays.scalars, state.point
        warm = {**point, "rho": float(s[kernels.RHO])}
        extras: dict[str, Any] = {"rho": float(s[kernels.RHO]), "polished": bool(s[FOUND])}
        extras["rounds"] = int(s[ROUNDS])
        for name in ("farkas", "ray"):
            if name in state.claim:
                extras[name] = state.claim[name]
        return {**point, **extras, "vjp": Adjoint(problem, **point), "warm_start": warm}

    def explain(self, problem: Any, state: State) -> str:
        return state.claim.get("reason", "")

    def work(self, problem: Any) -> float:
        prepared = prepare(problem)
        entries = 4.0 * prepared.analysis.nnz + 10.0 * (prepared.n + prepared.m) + 20.0
        # Chunks are for the clock: iterations stop by themselves, so the first reaches a check.
        return entries / kernels.CHECK if entries < LARGE else entries

    def _unscale(self, state: State) -> None:
        # Into new arrays: results that were handed out keep theirs.
        n, rows = state.prepared.n, state.prepared.rows
        x, y, z_lb, z_ub = np.empty(n), np.empty(rows), np.empty(n), np.empty(n)
        kernels.unscale(state.model, state.arrays, rows, x, y, z_lb, z_ub)
        state.point.update(x=x, y=y, z_lb=z_lb, z_ub=z_ub)

    def _claim(self, problem: Any, state: State, code: int) -> None:
        """The proof that dx or dy is, repaired as far as that goes."""
        n, rows = state.prepared.n, state.prepared.rows
        y, z_lb, z_ub, ray = np.zeros(rows), np.zeros(n), np.zeros(n), np.zeros(n)
        kernels.proof(state.model, state.arrays, rows, y, z_lb, z_ub, ray)
        if code == INFEASIBLE:
            state.claim["farkas"] = problem.repaired_farkas(y, z_lb, z_ub)[0]
        else:
            state.claim["ray"] = problem.repaired_ray(ray)[0]
        state.claim["code"] = code

    def _tol(self, problem: Any) -> float:
        return self.tol if self.tol is not None else problem.default_tol


def _why_not_convex(problem: Any) -> str:
    row, direction = problem.negative_curvature()
    where = f"P is not positive semidefinite, as row {row} shows"
    return where + ("; d'P d < 0 for some d." if direction is not None else ".")
