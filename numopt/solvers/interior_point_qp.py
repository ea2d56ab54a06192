"""Interior point method for convex quadratic programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DONE, INDEFINITE, RUNNING, Solver, run, time_left
from numopt.core.engine import INFEASIBLE as NO_POINT
from numopt.core.engine import UNBOUNDED as NO_END
from numopt.core.validate import as_vector, require_count, require_length
from numopt.linalg.ldl import LDL
from numopt.linalg.sparse import CSR
from numopt.problems._presolve import postsolve, presolve
from numopt.solvers._parts import interior_point_kernels as kernels
from numopt.solvers._parts import qp_dense
from numopt.solvers._parts.interior_point_kernels import Kkt, Model, Point, Room
from numopt.solvers._parts.interior_point_loop import FOR
from numopt.solvers._parts.interior_point_setup import assemble, scale, take_sides, unscale
from numopt.solvers._parts.qp_adjoint import Adjoint
from numopt.solvers._parts.qp_model import analysed
from numopt.solvers._parts.qp_proofs import elastic, polished_farkas, polished_ray, recession
from numopt.solvers.operator_splitting_qp import OperatorSplittingQP

# Residuals of proofs that polishing may bring to nothing.
NEARLY = 1e-2
# Multiplications per entry of the factor up to which correctors do not pay.
CHEAP = 8


class State(NamedTuple):
    """Scaled problem, iterate and factor."""

    model: Model
    point: Point  # current iterate, scaled
    room: Room
    kkt: Kkt
    best: tuple[np.ndarray, ...]  # x, y and z of the best iterate so far, scaled
    factor: Any  # LDL of the KKT matrix
    reduced: Any  # what presolve made of the problem, or None
    given: dict[str, np.ndarray]  # the start in the user's units, until there is a better point
    verdict: dict[str, Any]  # code that ends the run, its proof and a sentence


@dataclass(frozen=True, kw_only=True)
class InteriorPointQP(Solver):
    r"""Regularised primal-dual interior point method for `QuadraticProgram`.

    Slack variables s > 0 and multipliers z > 0 go with every finite side. Each iteration solves

    .. math::
        \begin{pmatrix} P + \rho I + \Sigma_x & A^T \\ A & -\Sigma_r^{-1} \end{pmatrix}
        \begin{pmatrix} dx \\ dy \end{pmatrix} = r, \qquad
        \Sigma = \sum_{\text{sides}} (S Z^{-1} + \delta I)^{-1},

    twice or more with one factor: for the step to where all products s z are 0 (predictor), for
    the step to equal products corrected to second order (Mehrotra), and for corrections that bring
    outlying products back (Gondzio). The proximal terms :math:`\rho, \delta` are centred at the
    iterate, so that they change the steps but not the solution, and make the matrix quasi-definite
    whatever the rank of A: its L D L' needs no pivoting. They fall with the mean product, and
    further where they hold up a residual. Solutions are refined in the matrix itself, by conjugate
    residuals (GCR) preconditioned by the factor.

    Parameters
    ----------
    max_iter : int, default 200
        Iterations at most.
    correctors : int, optional
        Most centrality correctors per iteration. Default: 1, or 0 where a factorisation costs
        little more than the solve that a corrector takes.
    presolve : bool, default True
        Drop empty, repeated and one-entry rows, fixed variables and free ones that stand in one
        row before, and restore them and their multipliers after.
    **limits
        See `Solver`.

    Notes
    -----
    Data are equilibrated (Ruiz); tests are made in the units of the data. A P that is not positive
    semidefinite is refused (status 6). Multipliers, or the point, that grow without limit are
    tried as proof that there is no feasible, or no best, point; the problem has to confirm it.
    Bounds beyond 1e18 are left out of the iteration. Up to 64 variables and rows in all, the same
    method runs on dense matrices in one compiled call; what that does not solve comes here. From
    the solution of a related program, the sides active there are tried first, as
    `OperatorSplittingQP` does; if that leads nowhere the start is not used. Results carry ``vjp``:
    ``result.vjp(gx)`` pulls a derivative with respect to the solution back to the data.

    References
    ----------
    R. Schwan, Y. Jiang, D. Kuhn, C. Jones, "PIQP: a proximal interior-point quadratic programming
    solver", CDC 2023, arXiv 2304.00290. S. Pougkakiotis, J. Gondzio, "An interior point-proximal
    method of multipliers for convex quadratic programming", Comput. Optim. Appl. 78 (2021), arXiv
    1904.10369. S. Mehrotra, "On the implementation of a primal-dual interior point method", SIAM
    J. Optim. 2 (1992), doi:10.1137/0802028. J. Gondzio, "Multiple centrality corrections in a
    primal-dual method for linear programming", Comput. Optim. Appl. 6 (1996),
    doi:10.1007/BF00249643. S. Eisenstat, H. Elman, M. Schultz, "Variational iterative methods for
    nonsymmetric systems of linear equations", SIAM J. Numer. Anal. 20 (1983), doi:10.1137/0720023.

    Examples
    --------
    >>> from numopt.problems import QuadraticProgram
    >>> from numopt.solvers import InteriorPointQP
    >>> problem = QuadraticProgram([[2.0, 0.0], [0.0, 2.0]], [-2.0, -6.0], [[1.0, 1.0]], u=3.0)
    >>> result = InteriorPointQP().solve(problem)
    >>> result.x.round(6).tolist(), result.y.round(6).tolist()
    ([0.5, 2.5], [1.0])
    """

    max_iter: int = 200
    correctors: int | None = None
    presolve: bool = True

    name: ClassVar[str] = "ipm"
    accepts: ClassVar[tuple[str, ...]] = ("QuadraticProgram",)
    ends_itself: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.correctors is not None:
            require_count(self.correctors, "correctors")

    def at_once(self, problem: Any, x0: Any, warm: dict[str, Any], tol: float) -> Any:
        """A finish on the active set of a warm start; small programs in one compiled call."""
        if self.max_iter == 0 or not problem.convex:
            return None
        if warm or x0 is not None:
            given = _start(problem, x0, warm)
            certificate = problem.certificate(**given).at(tol)
            if certificate.met(tol):
                return _described(problem, given), certificate, 0
        if "y" in warm and "z_ub" in warm:
            found = _FINISH.at_once(problem, x0, dict(warm), tol)
            if found is not None:
                return _described(problem, found[0]), *found[1:]
        n, m = problem.size, problem.n_rows
        if n + m > qp_dense.LARGEST or problem.crossed() is not None:
            return None
        point = np.empty(3 * n + m)
        nit, *numbers = qp_dense.solve(problem.flat, point, tol, self.max_iter)
        return _described(problem, problem.split(point)), problem.judged(*numbers, tol), nit

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        reduced = presolve(problem.arrays) if self.presolve else None
        model, kkt, factor = _prepared(problem, reduced)
        n, total, sides = model.q.size, model.kind.size, model.at.size
        given = _start(problem, x0, warm)
        scalars = np.zeros(kernels.SCALARS)
        tol = self.tol if self.tol is not None else problem.default_tol
        scalars[kernels.TOL] = 0.99 * tol
        scalars[kernels.BEST] = np.inf
        of_sides, of_entities = np.zeros((12, sides)), np.zeros((9, total))
        point = Point(np.zeros(n), *of_entities[:2], *of_sides[:3], of_entities[2], scalars)
        room = Room(
            *of_sides[3:9],
            of_sides[9:11],
            *of_entities[3:],
            *np.empty((2, kernels.REFINEMENTS, total)),
        )
        best = np.zeros(n), np.zeros(total), of_sides[11]
        verdict: dict[str, Any] = {}
        crossed = problem.crossed()
        if crossed is not None:
            verdict.update(code=NO_POINT, farkas=crossed[2], reason=crossed[0])
        elif not problem.convex:
            verdict.update(code=INDEFINITE, reason=_curved(problem))
        return State(model, point, room, kkt, best, factor, reduced, given, verdict)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        model, point, room, kkt, best, factor, _, given, verdict = state
        if "code" in verdict:
            return 0, verdict["code"]
        if n == 0:
            return 0, RUNNING
        iterate = FOR[factor.method]
        numbers = factor.compiled
        correctors = self.correctors
        if correctors is None:
            correctors = int(factor.analysis.flops > CHEAP * factor.analysis.nnz)
        done = 0
        while True:
            k, code = iterate(model, point, room, kkt, best, correctors, *numbers, n - done)
            done += k
            if point.scalars[kernels.BEST] < np.inf:
                given.clear()
            if code in (kernels.INFEASIBLE, kernels.UNBOUNDED):
                if _proven(problem, state, code):
                    return done, self._settled(problem, state)
                continue
            verdict["done"] = verdict.get("done", 0) + done
            if code == kernels.STUCK or (
                code == kernels.GOING and verdict["done"] >= self.max_iter
            ):
                _proven(problem, state, kernels.INFEASIBLE)
                end = self._settled(problem, state)
                return done, end if code == kernels.STUCK or end != BREAKDOWN else RUNNING
            return done, DONE if code == kernels.SOLVED else RUNNING

    def _settled(self, problem: Any, state: State) -> int:
        """Code of a run that did not end in a solution, with all that can be proven looked for.

        Iterates that diverge are no reliable proof, and a ray says something only if there is a
        point to start from: linear programs decide.
        """
        verdict, scalars, n = state.verdict, state.point.scalars, problem.size
        known = verdict.get("code")
        if known == NO_POINT:
            return NO_POINT
        inner = _WithoutProofs(
            max_iter=self.max_iter, correctors=self.correctors, tol=1e-10, time_limit=time_left()
        )
        if known != NO_END:
            found = run(inner, recession(problem), warn=False)
            _try_ray(problem, found.x, verdict)
        if verdict.get("code") == NO_END:
            best = _restored(problem, state, state.best)
            if problem.certificate(**best)["primal"] <= 1e-9 and problem.nearly_feasible(best["x"]):
                return NO_END
        if verdict.get("code") == NO_END or scalars[kernels.PRIMAL] > scalars[kernels.TOL]:
            found = run(inner, elastic(problem), warn=False)
            if _try_farkas(problem, found.y, found.z_lb[:n], found.z_ub[:n], verdict):
                return NO_POINT
            if verdict.get("code") == NO_END:
                state.given.update(_start(problem, found.x[:n], {}))
                return NO_END
        return BREAKDOWN

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        point: dict[str, Any] = dict(state.given) or _restored(problem, state, state.best)
        point = _described(problem, point)
        for key in ("farkas", "ray", "direction"):
            if key in state.verdict:
                point[key] = state.verdict[key]
        return point

    def tighten(self, problem: Any, state: State) -> bool:
        scalars = state.point.scalars
        if not scalars[kernels.BEGUN] or scalars[kernels.TOL] < 1e-14:
            return False
        scalars[kernels.TOL] *= 0.1
        return True

    def explain(self, problem: Any, state: State) -> str:
        return str(state.verdict.get("reason", ""))

    def work(self, problem: Any) -> float:
        latest = max(problem.cached("kkt", problem.pattern, dict).values(), key=_effort)
        return _effort(latest)


# Solves for the sides that are active at a warm start, and corrects them.
_FINISH = OperatorSplittingQP(max_iter=1)


def _described(problem: Any, point: dict[str, Any]) -> dict[str, Any]:
    parts = {name: point[name] for name in ("x", "y", "z_lb", "z_ub")}
    return {**parts, "warm_start": dict(parts), "vjp": Adjoint(problem, **parts)}


def _effort(known: tuple[Any, ...]) -> float:
    analysis = known[-1]
    return float(analysis.flops + 2 * (analysis.nnz + analysis.n))


def _start(problem: Any, x0: Any, warm: dict[str, Any]) -> dict[str, np.ndarray]:
    """Where to start in the user's units, as a point that may be good enough already."""
    n, m = problem.size, problem.n_rows
    x0 = warm.get("x", x0)
    given = {}
    sizes = {"x": n, "y": m, "z_lb": n, "z_ub": n}
    for name, size in sizes.items():
        value = x0 if name == "x" else warm.get(name)
        if value is None:
            given[name] = np.zeros(size)
        else:
            label = "x0" if name == "x" else name
            given[name] = require_length(as_vector(value, label, np.float64), size, label).copy()
    return given


def _prepared(problem: Any, reduced: Any) -> tuple[Model, Kkt, LDL]:
    """The scaled problem and storage for its KKT matrix, whose analysis is kept with P and A."""
    arrays = problem.arrays if reduced is None else reduced.arrays
    q = arrays.q.copy()
    n, m = q.size, arrays.l.size
    P, A = (CSR(M.data.copy(), M.indices, M.indptr) for M in (arrays.P, arrays.A))
    unit = np.empty(n + m)
    cost = scale(*P, *A, q, unit, 10)
    lo, hi = np.concatenate((arrays.lb, arrays.l)), np.concatenate((arrays.ub, arrays.u))
    kind = np.empty(n + m, np.uint8)
    sides = take_sides(lo, hi, unit, kind, n)
    indptr, indices, values, diagonal, own = assemble(*P, *A, m)
    part = None if reduced is None else (reduced.rows.tobytes(), reduced.columns.tobytes())
    known = analysed(problem, indptr, indices, diagonal, part)
    indptr, indices, diagonal, analysis = known
    signs = np.ones(n + m, np.int8)
    signs[n:] = -1
    factor = LDL(values, signs, analysis=analysis, factor=False)
    stored = factor.compiled[0][0]
    stored[:] = values
    model = Model(P, A, q, lo, hi, kind, unit, 1 / (cost * unit), cost, own, *sides)
    return model, Kkt(indptr, indices, stored, diagonal), factor


def _restored(
    problem: Any, state: State, iterate: tuple[np.ndarray, ...], proof: bool = False
) -> dict[str, Any]:
    """A point, or with `proof` what should prove that there is none, of the whole problem."""
    point = _unscaled(state.model, *iterate)
    if state.reduced is None:
        return point
    return postsolve(problem.arrays, state.reduced, point, proof)


def _unscaled(model: Model, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    """A point in the units of the data."""
    n = x.size
    point = np.empty(n), np.empty(y.size - n), np.empty(n), np.empty(n)
    unscale(model, x, y, z, *point)
    return dict(zip(("x", "y", "z_lb", "z_ub"), point, strict=True))


def _proven(problem: Any, state: State, claim: int) -> bool:
    """Whether the problem confirms that it has no solution; notes the proof."""
    point, verdict = state.point, state.verdict
    now = _restored(problem, state, (point.x, point.y, point.z), proof=True)
    if claim == kernels.INFEASIBLE:
        if _try_farkas(problem, now["y"], now["z_lb"], now["z_ub"], verdict):
            return True
        point.scalars[kernels.NO_POINT] = 0.01 * point.scalars[kernels.FARKAS] - 1e-300
        return False
    if _try_ray(problem, now["x"], verdict):
        return True
    point.scalars[kernels.NO_END] = 0.01 * point.scalars[kernels.RAY] - 1e-300
    return False


def _try_farkas(
    problem: Any, y: np.ndarray, z_lb: np.ndarray, z_ub: np.ndarray, verdict: dict[str, Any]
) -> bool:
    proof, certificate = problem.repaired_farkas(y, z_lb, z_ub)
    if certificate.tol < certificate["residual"] < NEARLY:
        y = polished_farkas(problem, proof[0])
        proof, certificate = problem.repaired_farkas(y, np.zeros_like(z_lb), np.zeros_like(z_ub))
    met = certificate.met(certificate.tol)
    if met:
        reason = "farkas holds the multipliers that prove it."
        verdict.update(code=NO_POINT, farkas=proof, reason=reason)
        verdict.pop("ray", None)
    return met


def _try_ray(problem: Any, d: np.ndarray, verdict: dict[str, Any]) -> bool:
    ray, certificate = problem.repaired_ray(d)
    if certificate.tol < certificate["residual"] < NEARLY:
        ray, certificate = problem.repaired_ray(polished_ray(problem, ray))
    met = certificate.met(certificate.tol)
    if met:
        verdict.update(code=NO_END, ray=ray, reason="ray holds the direction that proves it.")
    return met


@dataclass(frozen=True, kw_only=True)
class _WithoutProofs(InteriorPointQP):
    """For problems that have a solution."""

    def _settled(self, problem: Any, state: State) -> int:
        return BREAKDOWN


def _curved(problem: Any) -> str:
    row, direction = problem.negative_curvature()
    text = f"P is not positive semidefinite, as row {row} of it shows"
    if direction is not None:
        value = float(direction @ (problem.P @ direction))
        text += f": there is a d with |d| = 1 and d'Pd = {value:.3g}"
    return text + "."
