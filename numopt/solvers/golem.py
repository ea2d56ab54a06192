"""GOLEM: likelihood with soft constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import (
    require_choice,
    require_count,
    require_nonnegative,
    require_positive,
)
from numopt.solvers._parts.dag_relaxations import check, exponential, raw_start, stationary

STEP, FINISHED, TOUCHED = range(3)
BETA = (0.9, 0.999)


class State(NamedTuple):
    """The relaxed weights and Adam's moments."""

    W: np.ndarray  # relaxed weights
    first: np.ndarray  # mean gradient
    second: np.ndarray  # mean square
    scalars: np.ndarray  # steps done, whether at the end, whether started


@dataclass(frozen=True, kw_only=True)
class GOLEM(Solver):
    r"""GOLEM: Gaussian likelihood, L1 and a penalty on cycles, by Adam.

    .. math::
       \min_W \tfrac{d}{2} \log \sum_j v_j - \log |\det(I - W)| + \lambda_1 |W|_1 +
       \lambda_2 (\mathrm{tr}\, e^{W \circ W} - d)

    for equal noise variances ("ev"); for different ones ("nv") the first term is
    :math:`\tfrac12 \sum_j \log v_j`, started from the solution of the other. The answer comes from
    the relaxed weights as in `NOTEARS`.

    A reference method: `OrderInsertion` reaches lower scores in a small fraction of the time.

    Parameters
    ----------
    variances : {"ev", "nv"}
        The likelihood.
    l1, l2 : float, optional
        Strengths; 0.02 and 5 for "ev", 0.002 and 5 for "nv".
    threshold : float, default 0.3
        Weights up to this are no edges.
    rate : float, default 1e-3
        Adam's step.
    steps : int, default 20000
        Of each likelihood.
    **limits
        See `Solver`.

    Notes
    -----
    O(d^3) per step, from the Gram matrix alone. The paper makes 100000 steps.

    References
    ----------
    I. Ng, A. Ghassami, K. Zhang, "On the role of sparsity and DAG constraints for learning linear
    DAGs", NeurIPS 2020, arXiv 2006.10201.

    Examples
    --------
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import GOLEM
    >>> result = GOLEM(steps=2000, rate=0.01).solve(DagScore(gram=[[1.0, 2.0], [2.0, 5.0]]))
    >>> result.x.round(6).tolist()
    [[0.0, 2.0], [0.0, 0.0]]
    """

    name: ClassVar[str] = "golem"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True
    patience: ClassVar[int] = 10**9

    max_iter: int = 10_000_000
    variances: str = "ev"
    l1: float | None = None
    l2: float | None = None
    threshold: float = 0.3
    rate: float = 1e-3
    steps: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.variances, ("ev", "nv"), "variances")
        for name in ("l1", "l2"):
            if getattr(self, name) is not None:
                require_nonnegative(getattr(self, name), name)
        require_nonnegative(self.threshold, "threshold")
        require_positive(self.rate, "rate")
        require_count(self.steps, "steps", 1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        check(problem, "GOLEM")
        W = raw_start(problem, x0, warm)
        zeros = np.zeros_like(W)
        return State(W, zeros, zeros.copy(), np.zeros(3))

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        s[TOUCHED] = max(s[TOUCHED], n > 0)
        total = self.steps * (1 if self.variances == "ev" else 2)
        for k in range(n):
            if s[STEP] >= total:
                s[FINISHED] = 1
                return k, DONE
            equal = s[STEP] < self.steps
            if s[STEP] == self.steps:
                state.first[:], state.second[:] = 0.0, 0.0
            self._step(problem, state, bool(equal))
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        if state.scalars[FINISHED]:
            return super().measure(problem, state)
        value = problem.objective(state.W)
        return Certificate("stationary", {"kkt": Entry(np.inf, "on the way")}, value)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        if not state.scalars[TOUCHED] and state.W.any():
            return {"x": state.W.copy(), "claim": "kkt", "warm_start": {"relaxed": state.W.copy()}}
        return stationary(problem, state.W, self.threshold)

    def work(self, problem: Any) -> float:
        return 20.0 * problem.size**3 + 3e4

    def _step(self, problem: Any, state: State, equal: bool) -> None:
        s, W = state.scalars, state.W
        l1 = self.l1 if self.l1 is not None else 0.02 if equal else 0.002
        l2 = self.l2 if self.l2 is not None else 5.0
        E = np.eye(len(W)) - W
        GE = problem.covariance @ E
        v = (E * GE).sum(0)
        g = -GE * len(W) / v.sum() if equal else -GE / v
        g += np.linalg.inv(E).T
        free = ~problem.knowledge.required
        g += l1 * np.sign(W) * free + 2 * l2 * exponential(W * W).T * W
        g *= problem.knowledge.allowed
        s[STEP] += 1
        t = (s[STEP] - 1) % self.steps + 1
        state.first[:] = BETA[0] * state.first + (1 - BETA[0]) * g
        state.second[:] = BETA[1] * state.second + (1 - BETA[1]) * g * g
        mean = state.first / (1 - BETA[0] ** t)
        W -= self.rate * mean / (np.sqrt(state.second / (1 - BETA[1] ** t)) + 1e-8)
