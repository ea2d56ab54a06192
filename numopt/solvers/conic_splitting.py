"""Operator splitting for quadratic programs over second-order cones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import (
    DONE,
    INDEFINITE,
    INFEASIBLE,
    RUNNING,
    UNBOUNDED,
    Solver,
    run,
    time_left,
)
from numopt.core.result import Status
from numopt.core.validate import require_between, require_count, require_positive
from numopt.linalg.ldl import LDL
from numopt.solvers._parts import conic_splitting_kernels as kernels
from numopt.solvers._parts.conic_model import Model, prepare
from numopt.solvers._parts.conic_proofs import curved, farkas_of
from numopt.solvers._parts.conic_splitting_kernels import FOR, PROOF, RHO, TOL
from numopt.solvers.interior_point_conic import InteriorPointConic, feasible_point

# Checks without progress, at a residual above this, after which there may be no solution.
IDLE, CLOSE = 10, 1e-3


class State(NamedTuple):
    """One solve of one program."""

    model: Model
    arrays: kernels.State
    factor: LDL
    diagonal: np.ndarray  # places of the diagonal in the values of the KKT matrix
    point: dict[str, np.ndarray]  # in the problem's units
    claim: dict[str, Any]  # farkas or ray, a code with its reason, and what was tried for them


@dataclass(frozen=True, kw_only=True)
class ConicSplitting(Solver):
    r"""Operator splitting (ADMM) for `ConicProgram`, with Anderson acceleration.

    With penalties R, one for each second-order cone, an iteration solves

    .. math::
       \begin{pmatrix} P + \sigma I & A^T \\ A & -R^{-1} \end{pmatrix}
       \begin{pmatrix} \tilde x \\ \nu \end{pmatrix} =
       \begin{pmatrix} \sigma x - q \\ z - R^{-1} y \end{pmatrix},
       \quad z = b - P_K(b - v), \quad y = R (v - z),

    and moves x by :math:`\alpha (\tilde x - x)` and v by :math:`\alpha R^{-1} (\nu - y)`: a map of
    (x, v) that does not expand in the metric of :math:`\sigma, R`, whose last `memory` differences
    extrapolate to its fixed point as long as the residual falls. Every 25 iterations residuals are
    taken in the units of the problem; :math:`\rho` follows the ratio of the relative primal and
    dual one every 100.

    Parameters
    ----------
    rho : float, default 0.1
        First penalty parameter, in scaled units; 1000 times that at equations.
    relaxation : float, default 1.6
        :math:`\alpha`, in (0, 2).
    memory : int, default 20
        Differences that extrapolation uses; 0: none.
    **limits
        See `Solver`.

    Notes
    -----
    The matrix is analysed once and refactored when :math:`\rho` moves; programs that came of one
    another by ``problem.replace(q=..., b=...)`` and start warm share the factor as well. An
    iteration takes two triangular solves and a projection. Slacks lie in the cones and multipliers
    in their duals all the time. `InteriorPointConic` is faster to high accuracy, where its factors
    fit into memory; warm starts are what speaks for splitting.

    References
    ----------
    B. Stellato, G. Banjac, P. Goulart, A. Bemporad, S. Boyd, "OSQP: an operator splitting solver
    for quadratic programs", Math. Prog. Comp. 12 (2020), arXiv:1711.08013. B. O'Donoghue,
    "Operator splitting for a homogeneous embedding of the linear complementarity problem", SIAM J.
    Optim. 31 (2021), arXiv:2004.02177. J. Zhang, B. O'Donoghue, S. Boyd, "Globally convergent
    type-I Anderson acceleration for nonsmooth fixed-point iterations", SIAM J. Optim. 30 (2020),
    arXiv:1808.03971.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import ConicProgram
    >>> from numopt.solvers import ConicSplitting
    >>> A = np.array([[0.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> problem = ConicProgram(None, [-1.0, -1.0], A, [1.0, 0.0, 0.0], {"soc": [3]})
    >>> ConicSplitting().solve(problem).x.round(6).tolist()
    [0.707107, 0.707107]
    """

    name: ClassVar[str] = "conic-splitting"
    accepts: ClassVar[tuple[str, ...]] = ("ConicProgram",)
    patience: ClassVar[int] = 20_000

    max_iter: int = 100_000
    rho: float = 0.1
    relaxation: float = 1.6
    memory: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self.rho, "rho")
        require_between(self.relaxation, 0, 2, "relaxation")
        require_count(self.memory, "memory")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        prepared = prepare(problem, kernels.SIGMA)
        n, m = prepared.n, prepared.m
        model = prepared.model(problem)
        factor = LDL(prepared.values(model), prepared.signs, analysis=prepared.analysis,
                     factor=False)  # fmt: skip
        factor.compiled[0][0][:] = prepared.values(model)
        arrays = _storage(n, m, self.memory)
        x0 = warm.get("x", x0)
        point = {
            "x": problem._vector(x0, "x0", n).copy(),
            "y": problem._vector(warm.get("y"), "y", m).copy(),
        }
        s, claim = arrays.scalars, {}
        s[TOL] = 0.9 * (self.tol if self.tol is not None else problem.default_tol)
        # At this residual dx or dy is shown as a proof, which the problem then checks.
        s[PROOF] = 1e-2
        # Multipliers are of the size of 1; where b is far from that, slacks are, too.
        rho = warm.get("rho", self.rho / max(0.01 * np.abs(model.b).max(initial=0.0), 1.0))
        if not kernels.prepare(model, arrays, *point.values(), float(rho)):
            raise ValueError("the start has entries that are not finite; start without it")
        if not problem.convex:
            claim = {"code": INDEFINITE, "reason": curved(problem)}
        s[kernels.FACTORED] = prepared.restore(arrays.rho, factor)
        return State(model, arrays, factor, prepared.diagonal, point, claim)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        model, arrays, factor, diagonal, point, claim = state
        if "reason" in claim:
            return 0, claim["code"]
        iterate = FOR[factor.method]
        done, code = iterate(model, arrays, diagonal, *factor.compiled, n, self.relaxation)
        # Into new arrays: results that were handed out keep theirs.
        point.update(x=np.empty_like(point["x"]), y=np.empty_like(point["y"]))
        kernels.unscale(model, arrays, point["x"], point["y"])
        s = arrays.scalars
        if code == DONE:
            prepare(problem, kernels.SIGMA).keep(arrays.rho, factor)
        elif code in (INFEASIBLE, UNBOUNDED):
            code = self._proven(problem, state, code)
        elif s[kernels.IDLE] >= IDLE and s[kernels.RESIDUAL] > CLOSE and "asked" not in claim:
            claim["asked"] = True
            found = run(InteriorPointConic(time_limit=time_left()), problem, warn=False)
            code = self._adopt(state, found)
        return done, code

    def _proven(self, problem: Any, state: State, code: int) -> int:
        """The code if the last differences prove it; else RUNNING, until they are closer to it."""
        model, arrays, claim = state.model, state.arrays, state.claim
        if code == INFEASIBLE:
            farkas, met = farkas_of(problem, model, arrays.dy)
            if met:
                claim["farkas"] = farkas
                return code
        else:
            ray, certificate = problem.repaired_ray(model.D * arrays.dx)
            if certificate.met(certificate.tol) and "tried" not in claim:
                # A ray says something only if there is a point to start from.
                claim["tried"] = True
                return self._adopt(state, feasible_point(problem), ray)
        arrays.scalars[PROOF] *= 0.1
        return RUNNING

    @staticmethod
    def _adopt(state: State, found: Any, ray: Any = None) -> int:
        """Take over what another solve has shown, or the point it found for a ray."""
        if found.status == Status.INFEASIBLE:
            state.claim["farkas"] = found.farkas
            code = INFEASIBLE
        elif found.status == Status.UNBOUNDED or (found.success and ray is not None):
            state.claim["ray"] = found.ray if ray is None else ray
            code = UNBOUNDED
        else:
            return RUNNING
        state.point.update(x=found.x, y=found.y)
        return code

    def tighten(self, problem: Any, state: State) -> bool:
        s = state.arrays.scalars
        for name in ("farkas", "ray"):
            state.claim.pop(name, None)
        s[TOL] *= 0.5
        return bool(s[TOL] > 1e-16)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        point, rho = state.point, float(state.arrays.scalars[RHO])
        out: dict[str, Any] = {**point, "s": problem.slack(point["x"]), "rho": rho}
        for name in ("farkas", "ray"):
            if name in state.claim:
                out[name] = state.claim[name]
        return {**out, "warm_start": {**point, "rho": rho}}

    def explain(self, problem: Any, state: State) -> str:
        return str(state.claim.get("reason", ""))

    def work(self, problem: Any) -> float:
        prepared = prepare(problem, kernels.SIGMA)
        size = prepared.n + prepared.m
        return float(4 * prepared.analysis.nnz + (10 + 4 * self.memory) * size + 20) / kernels.CHECK


def _storage(n: int, m: int, memory: int) -> kernels.State:
    """Arrays of one solve."""
    zeros = np.zeros
    return kernels.State(
        *zeros((5, n + m)), *zeros((3, m)), *zeros((2, n + m)), zeros(n), *zeros((2, m)),
        *zeros((2, memory, n + m)), zeros((memory, memory)), zeros((memory, memory + 1)),
        zeros(kernels.SCALARS),
    )  # fmt: skip
