"""Anderson acceleration of fixed-point iterations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, NEED_EVAL, RUNNING, Solver
from numopt.core.result import Certificate
from numopt.core.validate import require_count
from numopt.solvers._parts.anderson import Anderson


class State(NamedTuple):
    """What an iteration needs."""

    z: np.ndarray  # z_k
    image: np.ndarray  # T(z_k)
    answered: np.ndarray  # whether an iteration was done that is not counted yet
    anderson: Anderson  # the last differences of points and residuals


@dataclass(frozen=True, kw_only=True)
class AndersonMixing(Solver):
    r"""Anderson acceleration, for smooth maps with a fixed point.

    Combines the last `memory` steps so that the residual of their combination is least, and falls
    back to the averaged step :math:`z + (N z - z)/2` where the residual does not fall
    fast enough.

    Parameters
    ----------
    memory : int, default 8
        Steps kept.
    **limits
        See `Solver`.

    Notes
    -----
    An iteration is one evaluation of T and 4 m n operations. For affine maps about as fast as
    GMRES; for others there is no rate, but often it is the fastest by far near a solution. The
    safeguard keeps the convergence of the averaged iteration.

    References
    ----------
    H. Walker, P. Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer. Anal. 49,
    2011, doi:10.1137/10078356X.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import FixedPoint
    >>> from numopt.solvers import AndersonMixing
    >>> result = AndersonMixing().solve(FixedPoint(np.cos, [0.0]))
    >>> result.x.round(6).tolist(), result.nit < 10
    ([0.739085], True)
    """

    name: ClassVar[str] = "anderson"
    accepts: ClassVar[tuple[str, ...]] = ("FixedPoint",)
    patience: ClassVar[int] = 1000

    memory: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.memory, "memory", 1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        name, x0 = ("warm_start['x']", warm["x"]) if "x" in warm else ("x0", x0)
        z = np.array(problem.z0 if x0 is None else problem.point(x0, name))
        return State(z, np.array(problem.apply(z)), np.zeros(1), Anderson(self.memory))

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        if not state.answered[0]:
            return 0, NEED_EVAL if n else RUNNING
        state.answered[0] = 0
        tol = problem.default_tol if self.tol is None else self.tol
        if problem.certified(float(np.linalg.norm(state.z - state.image))).met(tol):
            return 1, DONE
        return 1, NEED_EVAL if n > 1 else RUNNING

    def evaluate(self, problem: Any, state: State) -> None:
        z, image = state.z, state.image
        # Towards the map that is averaged; half of that step, which converges for all.
        weight = 1.0 if problem.contraction < 1 else 0.5 / problem.averaged
        z[:] = state.anderson.step(z, weight * (image - z))
        image[:] = problem.apply(z)
        state.answered[0] = 1

    def measure(self, problem: Any, state: State) -> Certificate:
        return problem.certified(float(np.linalg.norm(state.z - state.image)))

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        return {"x": state.z, "warm_start": {"x": state.z}}

    def work(self, problem: Any) -> float:
        return 10.0 * self.memory * problem.size
