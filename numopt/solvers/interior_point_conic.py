"""Interior point method for quadratic programs over second-order cones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DONE, INDEFINITE, RUNNING, Solver, run, time_left
from numopt.core.engine import INFEASIBLE as NO_POINT
from numopt.core.engine import UNBOUNDED as NO_END
from numopt.core.result import Status
from numopt.linalg.ldl import LDL
from numopt.solvers._parts import conic_kernels as kernels
from numopt.solvers._parts.conic_kernels import Kkt, Point, Room
from numopt.solvers._parts.conic_loop import FOR
from numopt.solvers._parts.conic_model import Model, prepare
from numopt.solvers._parts.conic_proofs import curved, farkas_of, polished_ray, recession

# Residuals at which multipliers (which can be polished) and a point are tried as proofs, or, where
# there is a P, programs without it are; and from which on nothing helps.
NEAR, RAY, BENT, FAR = 1e-6, 5e-9, 1e-3, 1e-2
NO_POINT_IS = "farkas holds the multipliers that prove it."
NO_END_IS = "ray holds the direction that proves it."


class State(NamedTuple):
    """Scaled problem, iterate and factor."""

    model: Model
    point: Point  # current iterate, scaled
    room: Room
    kkt: Kkt
    best: tuple[np.ndarray, np.ndarray]  # x and y of the best iterate so far, scaled
    factor: Any  # LDL of the KKT matrix
    given: dict[str, np.ndarray]  # the start in the user's units, until there is a better point
    verdict: dict[str, Any]  # code that ends the run, its proof and a sentence


@dataclass(frozen=True, kw_only=True)
class InteriorPointConic(Solver):
    r"""Homogeneous primal-dual interior point method for `ConicProgram`.

    Works on the embedding, with :math:`\tau, \kappa \ge 0`,

    .. math::
        P x + A^T z + q \tau = 0, \quad A x + s = b \tau, \quad
        \kappa + x^T P x / \tau + q^T x + b^T z = 0, \quad s \in K, z \in K^*,

    from which :math:`(x, z) / \tau` is a solution if :math:`\tau > 0`, and otherwise z a proof
    that there is no feasible point, or x a direction without end. Steps aim at :math:`s^T z = 0`
    (predictor) and then at products of equal size, corrected to second order (Mehrotra), in
    Nesterov and Todd's scaling W of the cones: three solves with one factor of

    .. math:: \begin{pmatrix} P & A^T \\ A & -W^2 \end{pmatrix},

    where the block of a cone with more than four rows, a diagonal and two matrices of rank one,
    is kept sparse by two more columns.

    Parameters
    ----------
    max_iter : int, default 200
        Iterations at most.
    **limits
        See `Solver`.

    Notes
    -----
    Data are equilibrated (Ruiz), with one factor for each second-order cone. The matrix is
    quasi-definite once it is regularised by 1e-8: its L D L' needs no pivoting, is analysed once
    for all programs that came of one another by ``problem.replace(q=..., b=...)``, and solutions
    are refined in the matrix itself. 8 to 25 iterations as a rule. A start is returned if it meets
    the tolerance, and is of no use otherwise. Without a solution, the embedding's point is tried as
    a proof; with a quadratic objective, where that takes long, so are solutions of linear programs
    over the cones.

    References
    ----------
    P. Goulart, Y. Chen, "Clarabel: an interior-point solver for conic programs with quadratic
    objectives", 2024, arXiv:2405.12762. Y. Nesterov, M. Todd, "Primal-dual interior-point methods
    for self-scaled cones", SIAM J. Optim. 8 (1998), doi:10.1137/S1052623495290209. A. Domahidi,
    E. Chu, S. Boyd, "ECOS: an SOCP solver for embedded systems", ECC 2013,
    doi:10.23919/ECC.2013.6669541.

    Examples
    --------
    The point of the unit disk where -x - y is least:

    >>> import numpy as np
    >>> from numopt.problems import ConicProgram
    >>> from numopt.solvers import InteriorPointConic
    >>> A = np.array([[0.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> problem = ConicProgram(None, [-1.0, -1.0], A, [1.0, 0.0, 0.0], {"soc": [3]})
    >>> InteriorPointConic().solve(problem).x.round(6).tolist()
    [0.707107, 0.707107]
    """

    max_iter: int = 200

    name: ClassVar[str] = "conic-ipm"
    accepts: ClassVar[tuple[str, ...]] = ("ConicProgram",)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        prepared = prepare(problem)
        n, m, total = prepared.n, prepared.m, prepared.signs.size
        model = prepared.model(problem)
        values = prepared.values(model)
        factor = LDL(values, prepared.signs, analysis=prepared.analysis, factor=False)
        scalars = np.zeros(kernels.SCALARS)
        scalars[kernels.TOL] = 0.9 * (self.tol if self.tol is not None else problem.default_tol)
        # With P, both come only as fast as the root of tau falls: linear programs are asked.
        bent = problem.P.nnz > 0
        scalars[kernels.NO_POINT] = BENT if bent else NEAR
        scalars[kernels.NO_END] = BENT if bent else RAY
        zeros, cones = np.zeros, len(problem.cones.soc)
        point = Point(
            zeros(n), zeros(m), zeros(m), zeros(n), zeros(m), zeros(n), zeros(m), zeros(cones),
            zeros(m), scalars,
        )  # fmt: skip
        room = Room(*zeros((5, total)), *zeros((4, m)))
        kkt = Kkt(prepared.indptr, prepared.indices, values, prepared.diagonal, prepared.first)
        x0 = warm.get("x", x0)
        given = {
            "x": problem._vector(x0, "x0", n).copy(),
            "y": problem._vector(warm.get("y"), "y", m).copy(),
        }
        verdict: dict[str, Any] = {}
        if not problem.convex:
            verdict.update(code=INDEFINITE, reason=curved(problem))
        return State(model, point, room, kkt, (zeros(n), zeros(m)), factor, given, verdict)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        model, point, room, kkt, best, factor, given, verdict = state
        if "code" in verdict:
            return 0, verdict["code"]
        if n == 0:
            return 0, RUNNING
        iterate = FOR[factor.method]
        numbers = factor.signs, *factor.compiled
        done = 0
        while True:
            k, code = iterate(model, point, room, kkt, best, *numbers, n - done)
            done += k
            if point.scalars[kernels.BEST] < np.inf:
                given.clear()
            if code in (kernels.INFEASIBLE, kernels.UNBOUNDED):
                if self._proven(problem, state, code):
                    return done, verdict["code"]
                continue
            if code == kernels.STUCK:
                for claim, place in (
                    (kernels.INFEASIBLE, kernels.FARKAS), (kernels.UNBOUNDED, kernels.RAY)
                ):  # fmt: skip
                    if point.scalars[place] < FAR and self._proven(problem, state, claim):
                        return done, verdict["code"]
                return done, BREAKDOWN
            return done, DONE if code == kernels.SOLVED else RUNNING

    def _proven(self, problem: Any, state: State, claim: int) -> bool:
        """Whether the problem confirms that it has no solution; notes the proof."""
        model, point, verdict = state.model, state.point, state.verdict
        scalars, bent = point.scalars, problem.P.nnz > 0
        if claim == kernels.INFEASIBLE:
            scalars[kernels.NO_POINT] = min(NEAR, 0.01 * scalars[kernels.FARKAS])
            farkas, met = farkas_of(problem, model, point.z)
            if met:
                verdict.update(code=NO_POINT, farkas=farkas, reason=NO_POINT_IS)
            elif bent and "started" not in verdict:
                self._feasible(problem, verdict)
            return "farkas" in verdict
        scalars[kernels.NO_END] = min(RAY, 0.1 * scalars[kernels.RAY])
        ray, certificate = problem.repaired_ray(model.D * point.x)
        if not certificate.met(certificate.tol) and bent and "looked" not in verdict:
            verdict["looked"] = True
            inner = _WithoutProofs(max_iter=self.max_iter, tol=1e-10, time_limit=time_left())
            found = run(inner, recession(problem, model.D), warn=False)
            ray, certificate = problem.repaired_ray(found.x)
            if not certificate.met(certificate.tol):
                ray, certificate = problem.repaired_ray(polished_ray(problem, model.D, found.x))
        if not certificate.met(certificate.tol):
            return False
        # A ray says something only if there is a point to start from.
        x = self._feasible(problem, verdict)
        if x is not None:
            verdict.update(code=NO_END, ray=ray, reason=NO_END_IS)
            state.given.update(x=x, y=np.zeros(problem.n_rows))
        return "code" in verdict

    def _feasible(self, problem: Any, verdict: dict[str, Any]) -> np.ndarray | None:
        """A feasible point, or None and perhaps the proof that there is none."""
        verdict["started"] = True
        found = feasible_point(problem)
        if found.status == Status.INFEASIBLE:
            verdict.update(code=NO_POINT, farkas=found.farkas, reason=NO_POINT_IS)
        return found.x if found.success else None

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        model, (x, z) = state.model, state.best
        point: dict[str, Any] = dict(state.given)
        if not point:
            point = {"x": model.D * x, "y": model.E * z / model.cost}
        point["warm_start"] = dict(point)
        point["s"] = problem.slack(point["x"])
        for key in ("farkas", "ray"):
            if key in state.verdict:
                point[key] = state.verdict[key]
        return point

    def tighten(self, problem: Any, state: State) -> bool:
        scalars = state.point.scalars
        if scalars[kernels.TAU] == 0 or scalars[kernels.TOL] < 1e-14:
            return False
        scalars[kernels.TOL] *= 0.2
        return True

    def explain(self, problem: Any, state: State) -> str:
        return str(state.verdict.get("reason", ""))

    def work(self, problem: Any) -> float:
        analysis = prepare(problem).analysis
        return float(analysis.flops + 2 * (analysis.nnz + analysis.n))


def feasible_point(problem: Any) -> Any:
    """Result of the same program without an objective: a point, or the proof that there is none."""
    first = problem.replace(P=None, q=np.zeros(problem.size))
    return run(InteriorPointConic(time_limit=time_left()), first, warn=False)


@dataclass(frozen=True, kw_only=True)
class _WithoutProofs(InteriorPointConic):
    """For programs that have a solution."""

    def _proven(self, problem: Any, state: State, claim: int) -> bool:
        scalars = state.point.scalars
        scalars[kernels.NO_POINT] = scalars[kernels.NO_END] = -1.0
        return False
