"""Operator splitting for quadratic programs, finished on the active set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import (
    DONE,
    INDEFINITE,
    INFEASIBLE,
    UNBOUNDED,
    Solver,
    run,
    time_left,
)
from numopt.core.validate import require_between, require_count, require_positive
from numopt.solvers._parts import qp_active_set as at
from numopt.solvers._parts import qp_splitting_kernels as kernels
from numopt.solvers._parts.qp_adjoint import Adjoint
from numopt.solvers._parts.qp_proofs import elastic
from numopt.solvers._parts.qp_splitting_model import Prepared, Storage, begin, prepare

# Entries touched by an iteration, from which on chunks are kept small.
LARGE = 1e5
# ... and in all by the iterations that are made before there is any talk of chunks.
FIRST_WORK = 1e5


class State(NamedTuple):
    """One solve of one program."""

    prepared: Prepared
    storage: Storage
    options: tuple[float, float, int]  # tolerance, penalty, whether to try a finish first
    latest: list[np.ndarray]  # one, the point in the problem's units: parts one after the other
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
        require_between(self.relaxation, 0, 2, "relaxation")
        require_count(self.polish, "polish")

    def at_once(self, problem: Any, x0: Any, warm: dict[str, Any], tol: float) -> Any:
        """A finish from a warm start, a few iterations otherwise, in one compiled call."""
        if not problem.convex:
            return None
        point, options = self._start(problem, x0, warm, tol)
        prepared, storage = begin(problem)
        few = max(int(FIRST_WORK / prepared.entries), min(options[-1], 1))
        state = State(prepared, storage, options, [point], {})
        nit, code = self._run(problem, state, min(few, self.max_iter), True)
        found, scalars = None, storage.scalars.tolist()
        if code == DONE and scalars[at.FOUND]:
            certificate = problem.judged(*scalars[at.PRIMAL : at.OBJECTIVE + 1], tol)
            found = _described(problem, point, scalars), certificate, nit
        warm["tried"] = True
        prepared.keep(storage)
        return found

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        point, options = self._start(problem, x0, warm, self._tol(problem))
        if not np.isfinite(point).all():
            raise ValueError("the start has entries that are not finite; start without it")
        claim, crossed = {}, problem.crossed()
        if crossed is not None:
            claim = {"code": INFEASIBLE, "farkas": crossed[2], "reason": crossed[0]}
        elif not problem.convex:
            claim = {"code": INDEFINITE, "reason": _why_not_convex(problem)}
        state = State(*begin(problem), options, [point], claim)
        self._run(problem, state, 0, True)
        return state

    def _start(self, problem: Any, x0: Any, warm: dict[str, Any], tol: float) -> Any:
        """The point to start from, in one array, and options of the kernel."""
        n, vector, first = problem.size, problem._vector, 0
        if self.polish and "y" in warm and "tried" not in warm:
            first = 1 if "rho" in warm else 2
        parts = (
            vector(warm.get("x", x0), "x0", n), vector(warm.get("y"), "y", problem.n_rows),
            vector(warm.get("z_lb"), "z_lb", n), vector(warm.get("z_ub"), "z_ub", n),
        )  # fmt: skip
        return np.concatenate(parts), (0.9 * tol, float(warm.get("rho", self.rho)), first)

    def _run(self, problem: Any, state: State, n: int, fresh: bool) -> tuple[int, int]:
        P, A, work, sides, scalars, places, factor, _ = state.storage
        done, code = kernels.RUN[state.prepared.method](
            P, A, problem.flat, work, sides, scalars, places, factor, state.latest[0],
            state.options, n, self.relaxation, self.polish, fresh,
        )  # fmt: skip
        return done, code

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        claim = state.claim
        if "reason" in claim:
            return 0, claim["code"]
        # Into a new array: results that were handed out keep theirs.
        state.latest[0] = np.empty_like(state.latest[0])
        done, code = self._run(problem, state, n, False)
        if code in (INFEASIBLE, UNBOUNDED):
            code = self._claim(problem, state, code)
        return done, code

    def tighten(self, problem: Any, state: State) -> bool:
        # A finish that was not confirmed is left, a proof that was not waits for a better one.
        s = state.storage.scalars
        s[at.SUSPECT] = s[at.FOUND] = 0
        if "code" in state.claim:
            state.claim.clear()
            s[at.PROOF] *= 0.3
            return True
        s[at.TOL] *= 0.5
        return bool(s[at.TOL] > 1e-16)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        described = _described(problem, state.latest[0], state.storage.scalars.tolist())
        for name in ("farkas", "ray"):
            if name in state.claim:
                described[name] = state.claim[name]
        return described

    def explain(self, problem: Any, state: State) -> str:
        return state.claim.get("reason", "")

    def work(self, problem: Any) -> float:
        entries = prepare(problem).entries
        # Chunks are for the clock: iterations stop by themselves, so the first reaches a check.
        return entries / kernels.CHECK if entries < LARGE else entries

    def _claim(self, problem: Any, state: State, code: int) -> int:
        """The proof that dx or dy is, repaired as far as that goes; what it proves."""
        point, ray = np.empty_like(state.latest[0]), np.empty(state.prepared.n)
        work, scalars = state.storage.work, state.storage.scalars
        kernels.differences(state.prepared.n, work, scalars, point, ray)
        if code == INFEASIBLE:
            parts = problem.split(point)
            farkas = problem.repaired_farkas(parts["y"], parts["z_lb"], parts["z_ub"])[0]
            state.claim["farkas"] = farkas
        else:
            state.claim["ray"] = problem.repaired_ray(ray)[0]
            if not problem.nearly_feasible(state.latest[0][: problem.size]):
                code = self._find_feasible(problem, state)
        state.claim["code"] = code
        return code

    def _find_feasible(self, problem: Any, state: State) -> int:
        """A ray proves nothing without a feasible point: find one, or the proof that none is."""
        from numopt.solvers.interior_point_qp import InteriorPointQP

        limits = InteriorPointQP(tol=1e-10, time_limit=time_left())
        found, n = run(limits, elastic(problem), warn=False), problem.size
        farkas, certificate = problem.repaired_farkas(found.y, found.z_lb[:n], found.z_ub[:n])
        if certificate.met(certificate.tol):
            state.claim["farkas"] = farkas
            return INFEASIBLE
        state.latest[0][:n] = found.x[:n]
        return UNBOUNDED

    def _tol(self, problem: Any) -> float:
        return self.tol if self.tol is not None else problem.default_tol


def _described(problem: Any, point: np.ndarray, scalars: list[float]) -> dict[str, Any]:
    """A point as results show it."""
    parts = problem.split(point)
    rho = scalars[at.PENALTY]
    return {
        **parts, "rho": rho, "polished": bool(scalars[at.FOUND]),
        "rounds": int(scalars[at.ROUNDS]), "vjp": Adjoint(problem, **parts),
        "warm_start": {**parts, "rho": rho},
    }  # fmt: skip


def _why_not_convex(problem: Any) -> str:
    row, direction = problem.negative_curvature()
    where = f"P is not positive semidefinite, as row {row} shows"
    return where + ("; d'P d < 0 for some d." if direction is not None else ".")
