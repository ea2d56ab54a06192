"""Alternating direction method of multipliers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.blas import threads_for
from numopt.core.engine import BREAKDOWN, DONE, RUNNING, Solver
from numopt.core.result import Certificate
from numopt.core.validate import (
    as_vector,
    require_between,
    require_choice,
    require_count,
    require_length,
    require_positive,
)
from numopt.linalg.maps import Map
from numopt.solvers._parts import least_squares
from numopt.solvers._parts.anderson import Anderson
from numopt.solvers._parts.steps import Step, curvature, multipliers, ratio, start_of_z, step_of

# Places in State.scalars.
RHO, COUNT, CHANGES, SETTLED, RESIDUAL, ERROR, TARGET, MEASURED, PRIMAL, DUAL = range(10)

# Looks at rho between which nothing changed, before acceleration starts.
SETTLE = 1
# The step from one rho to the next is within a factor 1 + LEAP / k^2 in iteration k: where the
# active set goes on changing so do the curvatures, and rho would never come to rest. k starts anew
# after EPOCH iterations, and after twice as many each time, should rho have come to rest too soon.
LEAP, EPOCH = 1e4, 200
# rho moves if its estimate differs by this factor, plus 3 % for each move before; where it takes a
# factorisation, by the second one, and every so many iterations rather than every other one.
FACTOR, DEAR_FACTOR, EVERY, DEAR_EVERY = 1.2, 2.0, 2, 10
RULES = ("spectral", "balance", "fixed")


class State(NamedTuple):
    """What an iteration needs."""

    f: Step  # x-step
    g: Step  # z-step
    A: Map
    B: Map
    c: np.ndarray  # right-hand side of the equations
    x: np.ndarray
    z: np.ndarray
    y: np.ndarray  # multipliers, -B'y a subgradient of g at z
    w: np.ndarray  # argument of the z-step, y / rho - B z: all that one iteration tells the next
    seen: np.ndarray  # -A x, B z, y of the x-step, y of the z-step when rho was last looked at
    Bz: np.ndarray  # of the iteration before
    Ax: np.ndarray
    anderson: Anderson
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class ADMM(Solver):
    r"""Alternating direction method of multipliers with a penalty that finds itself.

    For :math:`f(x) + g(z)` with :math:`A x + B z = c`, scaled multipliers u and over-relaxation a:

    .. math::
       x_{k+1} &= \arg\min_x f(x) + \tfrac\rho2 \|A x + B z_k - c + u_k\|^2 \\
       z_{k+1} &= \arg\min_z g(z) + \tfrac\rho2 \|h + B z - c + u_k\|^2,
                  \qquad h = a A x_{k+1} - (1 - a) (B z_k - c) \\
       u_{k+1} &= u_k + h + B z_{k+1} - c

    which in the variable :math:`w = h + u - c` is :math:`w \leftarrow w + a (A x + B z - c)`. Every
    other iteration the curvatures of both dual functions along the last steps give a new
    :math:`\rho`, as in Barzilai and Borwein's method; once it stays, w is accelerated by Anderson's
    method with a safeguard. Factorisations are kept with the terms of the problem: for dense data
    eigenvectors that serve every :math:`\rho`, for sparse ones an analysed pattern.

    Parameters
    ----------
    rho : float, optional
        First penalty parameter; 1 or the mean curvature of a quadratic g if not given.
    relaxation : float, default 1.6
        Over-relaxation a, in (0, 2).
    adapt : {"spectral", "balance", "fixed"}, default "spectral"
        Rule for rho: by curvatures, by the ratio of relative primal and dual residuals every 10
        iterations, or none. It stays fixed for nonconvex problems, which it would make cycle.
    memory : int, default 10
        Differences that Anderson acceleration keeps; 0 switches it off.
    linearised : bool, default False
        Take proximal gradient steps on the coupling, with products only, where a map is not
        orthogonal. Without it quadratics are minimised by systems (conjugate gradients for
        operators) and only other functions of a general map are treated so.
    **limits
        See `Solver`.

    Notes
    -----
    Takes every `Splitting`, and `Composite` with the loss `LeastSquares`, whose point is the one
    of the penalty, with exact zeros. Converges for convex problems with a saddle point and any
    rho, linearly once the active set of a polyhedral problem is found. With dense data of n rows
    and p columns and m = min(n, p), the eigenvectors cost some :math:`10 m^3` and an iteration
    :math:`4 m^2`, with two products more if p > n.

    References
    ----------
    S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein, "Distributed optimization and statistical
    learning via the alternating direction method of multipliers", Found. Trends Mach. Learn. 3,
    2011, doi 10.1561/2200000016.
    Z. Xu, M. Figueiredo, T. Goldstein, "Adaptive ADMM with spectral penalty parameter selection",
    AISTATS 2017, arXiv 1605.07246.
    B. Wohlberg, "ADMM penalty parameter selection by residual balancing", 2017, arXiv 1704.06209.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.penalties import L1
    >>> from numopt.problems import Composite
    >>> from numopt.solvers import ADMM
    >>> result = ADMM().solve(Composite(LeastSquares([1.0, 2.0]), np.eye(2), L1(0.5)))
    >>> result.x.round(6).tolist()
    [0.0, 1.0]
    """

    name: ClassVar[str] = "admm"
    accepts: ClassVar[tuple[str, ...]] = ("Composite", "Splitting")
    patience: ClassVar[int] = 5000
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "penalty": ("prox_1d|prox_into|prox|project",),
    }

    rho: float | None = None
    relaxation: float = 1.6
    adapt: str = "spectral"
    memory: int = 10
    linearised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho is not None:
            require_positive(self.rho, "rho")
        require_between(self.relaxation, 0, 2, "relaxation")
        require_choice(self.adapt, RULES, "adapt")
        require_count(self.memory, "memory")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        splitting = least_squares.split(problem)
        A, B = splitting.maps
        dtype = problem.dtype
        x = np.zeros(A.shape[1], dtype)
        given = warm.get("x", x0)
        if given is not None:
            what = "x0" if "x" not in warm else "warm_start['x']"
            x[:] = require_length(as_vector(given, what), x.size, what)
        elif splitting is not problem:
            x[:] = least_squares.start(problem)
        c = splitting.target.astype(dtype)
        z = start_of_z(splitting, x, warm).astype(dtype)
        y = multipliers(splitting, z, warm).astype(dtype)
        f, g = (step_of(*pair, self.linearised) for pair in ((splitting.f, A), (splitting.g, B)))
        scalars = np.zeros(10)
        scalars[RHO] = rho = warm.get("rho", self.rho or least_squares.mean_curvature(splitting))
        scalars[RESIDUAL] = scalars[ERROR] = scalars[MEASURED] = np.inf
        scalars[TARGET] = 30 * self._tol(problem)
        Ax, Bz = np.array(A.times(x)), np.array(B.times(z))
        w = y / dtype.type(rho) - Bz
        memory = self.memory if splitting.convex and f.exact and g.exact else 0
        seen = np.full((4, c.size), np.nan, dtype)
        return State(f, g, A, B, c, x, z, y, w, seen, Bz, Ax, Anderson(memory), scalars)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        convex = problem.convex
        for k in range(n):
            self._iterate(state, convex)
            error = state.scalars[ERROR]
            if not error < np.inf:
                return k + 1, BREAKDOWN
            if error <= state.scalars[TARGET]:
                return k + 1, DONE
        return n, RUNNING

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _iterate(self, state: State, convex: bool) -> None:
        """One step of w, and a look at rho."""
        s, w = state.scalars, state.w
        rho = float(s[RHO])
        tol = 0.05 * rho * s[RESIDUAL] if s[COUNT] else 0.1 * rho * float(np.linalg.norm(w))
        state.z[:] = state.g(w, rho, state.z, tol)
        Bz = state.B.times(state.z)
        u = w + Bz
        state.y[:] = rho * u
        t = u + Bz
        t -= state.c
        state.x[:] = state.f(t, rho, state.x, tol)
        Ax = state.A.times(state.x)
        step = Ax + Bz
        step -= state.c
        sizes = [float(np.sqrt(v @ v)) for v in (step, Ax, Bz, state.c, u)]
        s[RESIDUAL] = sizes[0]
        # -A'(y + rho r) is a subgradient of f at x: so much is y off.
        s[ERROR] = ratio(sizes[0], max(sizes[1:4])) + ratio(sizes[0], sizes[4])
        s[COUNT] += 1
        moved = False
        if convex and self.adapt != "fixed":
            yh = rho * (u + step)
            dear = not (state.f.cheap and state.g.cheap)
            look = EVERY if self.adapt == "spectral" and not dear else DEAR_EVERY
            estimate = None
            if s[COUNT] % look == 0:
                if self.adapt == "spectral":
                    estimate = curvature(state.seen, Ax, Bz, yh, state.y)
                    state.seen[0], state.seen[1], state.seen[2], state.seen[3] = (
                        -Ax,
                        Bz,
                        yh,
                        state.y,
                    )
                if estimate is None and s[COUNT] % DEAR_EVERY == 0:
                    estimate = rho * self._imbalance(state, Bz, u, sizes)
                if estimate is not None:
                    leap = 1 + LEAP / _since_epoch(s[COUNT]) ** 2
                    estimate = min(max(estimate, rho / leap), rho * leap)
                    moved = self._move(state, estimate, DEAR_FACTOR if dear else FACTOR)
                s[SETTLED] = 0 if moved else s[SETTLED] + 1
            state.Ax[:], state.Bz[:] = Ax, Bz
        step *= state.w.dtype.type(self.relaxation)
        if moved:
            # u, not w, is what keeps its meaning: rho u is the multiplier.
            state.w[:] = (u + step) * state.w.dtype.type(rho / s[RHO]) - Bz
        elif state.anderson.memory and (s[SETTLED] >= SETTLE or self.adapt == "fixed"):
            state.w[:] = state.anderson.step(w, step)
        else:
            w += step

    @staticmethod
    def _imbalance(state: State, Bz: Any, u: Any, sizes: list[float]) -> float:
        """Factor by which the ratio of relative primal and dual residuals moves rho."""
        primal = np.linalg.norm(state.Ax + Bz - state.c) / np.float64(max(sizes[1:4]))
        change = Bz - state.Bz
        image, pull = (np.linalg.norm(state.A.adjoint(v)) for v in (change, u))
        typical = sizes[4] * image / np.linalg.norm(change)
        # Where f is flat A'u vanishes, and the length of u has to serve.
        dual = image / (pull if pull > 1e-3 * typical else typical) if image > 0 else image
        ratio = float(primal / dual)
        if not (ratio > 10 or ratio < 0.1):  # NaN, as at x = z = 0, is neither
            return 1.0
        return min(max(ratio**0.5, 0.01), 100.0)

    def _move(self, state: State, rho: float, factor: float) -> bool:
        """Take a new rho if it is another one."""
        s = state.scalars
        factor *= 1.03 ** s[CHANGES]
        if not (s[RHO] / rho > factor or rho / s[RHO] > factor):
            return False
        if not 1e-300 < rho < 1e300:
            return False
        s[RHO] = rho
        s[CHANGES] += 1
        state.anderson.forget()
        return True

    def measure(self, problem: Any, state: State) -> Certificate:
        certificate = super().measure(problem, state)
        state.scalars[MEASURED] = certificate.worst(self._tol(problem))
        return certificate

    def tighten(self, problem: Any, state: State) -> bool:
        # Ask for the error that goes with the tolerance, by what was measured at this one.
        s = state.scalars
        s[TARGET] = s[ERROR] * min(max(0.9 / s[MEASURED], 1e-3), 0.7)
        return bool(s[TARGET] > 1e-3 * np.finfo(problem.dtype).eps)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        rho = float(state.scalars[RHO])
        warm = {"x": state.x, "z": state.z, "y": state.y, "rho": rho}
        point = {"x": state.x, "rho": rho, "rho_changes": int(state.scalars[CHANGES])}
        if type(problem).__name__ == "Composite":
            if problem.fit_intercept:
                point["intercept"] = least_squares.intercept(problem, state.x)
        else:
            point.update(z=state.z, y=state.y)
        return {**point, "warm_start": warm}

    def work(self, problem: Any) -> float:
        if type(problem).__name__ == "Composite":
            n, p = problem.A.shape
            least = min(n, p)
            return 2000.0 + 2 * least * least + (2.0 * problem.nnz if p > n else 0.0)
        entries = sum(float(getattr(part, "size", 0)) for part in _parts(problem))
        return 2000.0 + 20.0 * (problem.rows + problem.size) + 2 * entries

    def threads(self, problem: Any) -> AbstractContextManager[None]:
        if type(problem).__name__ == "Composite":
            return threads_for(min(problem.A.shape))
        dense = [part.shape for part in _parts(problem) if isinstance(part, np.ndarray)]
        orders = [min(shape) for shape in (*dense, problem.shape or ()) if len(shape) == 2]
        return threads_for(max(orders, default=0))

    def _tol(self, problem: Any) -> float:
        return self.tol if self.tol is not None else problem.default_tol


def _since_epoch(count: float) -> float:
    """Iterations since the last epoch began, at 0, EPOCH, 3 EPOCH, 7 EPOCH and so on."""
    return count - EPOCH * (2.0 ** int(np.log2(count / EPOCH + 1)) - 1) or 1.0


def _parts(problem: Any) -> list[Any]:
    """Matrices of a splitting, where there are any: those of its maps and of its terms."""
    parts = [getattr(m, "explicit", None) for m in problem.maps]
    return parts + [
        getattr(t, name, None) for t in (problem.f, problem.g) for name in ("F", "P", "S")
    ]
