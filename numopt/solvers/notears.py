"""NOTEARS: acyclicity as a smooth equation, by augmented Lagrangians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.optimize

from numopt.core.engine import DONE, RUNNING, Solver, time_left
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_count, require_nonnegative, require_positive
from numopt.solvers._parts.dag_relaxations import check, exponential, loss, raw_start, stationary

# Places in State.scalars.
RHO, MULTIPLIER, H, FINISHED = range(4)


class State(NamedTuple):
    """The relaxed weights and their multiplier."""

    W: np.ndarray  # relaxed weights
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class NOTEARS(Solver):
    r"""NOTEARS: least squares and L1 under :math:`h(W) = \mathrm{tr}\, e^{W \circ W} - d = 0`.

    .. math:: \min_W Q(W) + \alpha |W|_1 + \mu h(W) + \tfrac{\rho}{2} h(W)^2

    with W split into its positive and negative parts, by L-BFGS-B; rho rises until h falls to a
    quarter, then mu follows. The relaxed weights are cut at `threshold`, which is raised where
    cycles are left; their order gives the point returned, in which every node is fitted to all
    before it: a KKT point. ``relaxed``, ``threshold`` and ``thresholded`` (the cut graph, fitted
    again) stand on the result, too.

    A reference method: `OrderInsertion` and `TopologicalSwaps` reach lower scores in a small
    fraction of the time.

    Parameters
    ----------
    threshold : float, default 0.3
        Weights up to this are no edges.
    h_tol : float, default 1e-8
        Relaxed weights with h below this are acyclic.
    rho_max : float, default 1e16
        Largest rho.
    inner_iter : int, default 2000
        Iterations of L-BFGS-B at most, each time.
    **limits
        See `Solver`; max_iter counts outer iterations.

    Notes
    -----
    Only the Gram matrix is used: O(d^3) per evaluation, whatever the number of samples.

    References
    ----------
    X. Zheng, B. Aragam, P. Ravikumar, E. Xing, "DAGs with NO TEARS", NeurIPS 2018,
    arXiv 1803.01422.

    Examples
    --------
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import NOTEARS
    >>> result = NOTEARS().solve(DagScore(gram=[[1.0, 2.0], [2.0, 5.0]]))
    >>> result.x.round(6).tolist()
    [[0.0, 2.0], [0.0, 0.0]]
    """

    name: ClassVar[str] = "notears"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True
    check_every: ClassVar[int] = 1
    patience: ClassVar[int] = 1000

    threshold: float = 0.3
    h_tol: float = 1e-8
    rho_max: float = 1e16
    inner_iter: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_nonnegative(self.threshold, "threshold")
        require_positive(self.h_tol, "h_tol")
        require_positive(self.rho_max, "rho_max")
        require_count(self.inner_iter, "inner_iter", 1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        check(problem, "NOTEARS")
        return State(raw_start(problem, x0, warm), np.array([1.0, 0.0, np.inf, 0.0]))

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        for k in range(n):
            while True:
                W = self._minimise(problem, state)
                h = _acyclicity(W)[0]
                if h <= 0.25 * s[H] or s[RHO] >= self.rho_max or time_left() < 0:
                    break
                s[RHO] *= 10
            state.W[:], s[H] = W, h
            s[MULTIPLIER] += s[RHO] * h
            if h <= self.h_tol or s[RHO] >= self.rho_max:
                s[FINISHED] = 1
                return k + 1, DONE
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        if state.scalars[FINISHED]:
            return super().measure(problem, state)
        value = problem.objective(state.W)
        return Certificate("stationary", {"kkt": Entry(np.inf, "h(W) > 0")}, value)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        if not state.scalars[FINISHED] and not np.isfinite(state.scalars[H]) and state.W.any():
            return {"x": state.W.copy(), "claim": "kkt", "warm_start": {"relaxed": state.W.copy()}}
        return stationary(problem, state.W, self.threshold)

    def work(self, problem: Any) -> float:
        return 1000.0 * problem.size**3 + 1

    def _minimise(self, problem: Any, state: State) -> np.ndarray:
        """Minimise the augmented Lagrangian from the present weights."""
        d, s, G, alpha = problem.size, state.scalars, problem.covariance, problem.penalties.ravel()

        def value(v: np.ndarray) -> tuple[float, np.ndarray]:
            W = (v[: d * d] - v[d * d :]).reshape(d, d)
            fit, g = loss(G, W)
            h, dh = _acyclicity(W)
            if not h < 1e100:  # overflow is near: the line search is to step back
                return 1e300, np.zeros(2 * d * d)
            g = (g + (s[MULTIPLIER] + s[RHO] * h) * dh).ravel()
            total = fit + s[MULTIPLIER] * h + s[RHO] / 2 * h * h
            return total + alpha @ (v[: d * d] + v[d * d :]), np.append(g + alpha, alpha - g)

        top = np.where(problem.knowledge.allowed.ravel(), np.inf, 0.0)
        start = state.W.ravel()
        v = np.append(np.maximum(start, 0), np.maximum(-start, 0))
        bounds = scipy.optimize.Bounds(np.zeros(2 * d * d), np.append(top, top))
        options = {"maxiter": self.inner_iter}
        v = scipy.optimize.minimize(
            value, v, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        ).x
        return (v[: d * d] - v[d * d :]).reshape(d, d)


def _acyclicity(W: np.ndarray) -> tuple[float, np.ndarray]:
    """Tr exp(W o W) - d and its gradient."""
    with np.errstate(over="ignore", invalid="ignore"):
        E = exponential(W * W)
        return float(np.trace(E) - len(W)), E.T * W * 2
