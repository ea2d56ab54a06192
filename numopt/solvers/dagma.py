"""DAGMA: acyclicity by a log-determinant barrier, along a central path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_nonnegative, require_positive
from numopt.solvers._parts.dag_relaxations import check, loss, raw_start, stationary

# Places in State.scalars.
STAGE, STEP, RATE, SHOWN, FINISHED, TOUCHED = range(6)
SHAPES = (1.0, 0.9, 0.8, 0.7, 0.6)
BETA = (0.99, 0.999)
# Steps between looks at the objective.
LOOK = 1000


class State(NamedTuple):
    """The relaxed weights and Adam's moments."""

    W: np.ndarray  # relaxed weights
    saved: np.ndarray  # weights at the start of the stage
    first: np.ndarray  # mean gradient
    second: np.ndarray  # mean square
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class DAGMA(Solver):
    r"""DAGMA: :math:`\min_W \mu (Q(W) + \lambda |W|_1) + h_s(W)` for falling mu.

    .. math:: h_s(W) = -\log\det(sI - W \circ W) + d \log s

    by Adam in five stages with mu = 1, 0.1, ... and s = 1, 0.9, ... 0.6; steps that leave the
    domain of h are undone and the rate halved. The answer comes from the relaxed weights as in
    `NOTEARS`.

    A reference method: `OrderInsertion` reaches lower scores in a small fraction of the time.

    Parameters
    ----------
    l1 : float, default 0.03
        lambda during the relaxation; the problem's alpha, if larger.
    threshold : float, default 0.3
        Weights up to this are no edges.
    rate : float, default 3e-4
        Adam's step.
    steps : int, default 30000
        Per stage, at most; twice as many in the last.
    **limits
        See `Solver`.

    Notes
    -----
    O(d^3) per step.

    References
    ----------
    K. Bello, B. Aragam, P. Ravikumar, "DAGMA: learning DAGs via M-matrices and a log-determinant
    acyclicity characterization", NeurIPS 2022, arXiv 2209.08037.

    Examples
    --------
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import DAGMA
    >>> result = DAGMA(steps=3000, rate=3e-3).solve(DagScore(gram=[[1.0, 2.0], [2.0, 5.0]]))
    >>> result.x.round(6).tolist()
    [[0.0, 2.0], [0.0, 0.0]]
    """

    name: ClassVar[str] = "dagma"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True
    patience: ClassVar[int] = 10**9

    max_iter: int = 10_000_000
    l1: float = 0.03
    threshold: float = 0.3
    rate: float = 3e-4
    steps: int = 30_000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_nonnegative(self.l1, "l1")
        require_nonnegative(self.threshold, "threshold")
        require_positive(self.rate, "rate")
        require_positive(self.steps, "steps")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        check(problem, "DAGMA")
        W = raw_start(problem, x0, warm)
        zeros = np.zeros_like(W)
        scalars = np.array([0.0, 0.0, self.rate, np.inf, 0.0, 0.0])
        return State(W, W.copy(), zeros, zeros.copy(), scalars)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if not s[TOUCHED]:  # a start outside the domain shrinks into it
            s[TOUCHED] = 1
            while _barrier(state.W, SHAPES[0]) is None:
                state.W[:] *= 0.5
            state.saved[:] = state.W
        for k in range(n):
            if self._step(problem, state):
                s[FINISHED] = 1
                return k + 1, DONE
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        if state.scalars[FINISHED]:
            return super().measure(problem, state)
        value = problem.objective(state.W)
        return Certificate("stationary", {"kkt": Entry(np.inf, "on the central path")}, value)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        if not state.scalars[TOUCHED] and state.W.any():
            return {"x": state.W.copy(), "claim": "kkt", "warm_start": {"relaxed": state.W.copy()}}
        return stationary(problem, state.W, self.threshold)

    def work(self, problem: Any) -> float:
        return 5.0 * problem.size**3 + 1e4

    def _step(self, problem: Any, state: State) -> bool:
        """One step of Adam; whether the last stage has ended."""
        s, W = state.scalars, state.W
        stage = int(s[STAGE])
        mu, shape = 0.1**stage, SHAPES[stage]
        inverse = _barrier(W, shape)
        if inverse is None:  # outside: back to the start of the stage, in smaller steps
            W[:] = state.saved
            state.first[:], state.second[:], s[STEP] = 0.0, 0.0, 0.0
            s[RATE] *= 0.5
            if s[RATE] > 1e-16:
                return False
            s[RATE], s[STAGE] = self.rate, stage + 1
            return stage + 1 == len(SHAPES)
        fit, g = loss(problem.covariance, W)
        lam = max(self.l1, problem.alpha) * ~problem.knowledge.required
        g = mu * (g + lam * np.sign(W)) + 2 * W * inverse.T
        g *= problem.knowledge.allowed
        s[STEP] += 1
        t = s[STEP]
        state.first[:] = BETA[0] * state.first + (1 - BETA[0]) * g
        state.second[:] = BETA[1] * state.second + (1 - BETA[1]) * g * g
        mean = state.first / (1 - BETA[0] ** t)
        W -= s[RATE] * mean / (np.sqrt(state.second / (1 - BETA[1] ** t)) + 1e-8)
        last = stage == len(SHAPES) - 1
        ended = t >= self.steps * (2 if last else 1)
        if t % LOOK == 0:
            barrier = -np.linalg.slogdet(shape * np.eye(len(W)) - W * W)[1]
            value = mu * (fit + float((lam * np.abs(W)).sum())) + barrier
            ended |= abs(s[SHOWN] - value) <= 1e-6 * min(abs(s[SHOWN]), 1e300)
            s[SHOWN] = value
        if not ended:
            return False
        s[STAGE], s[STEP], s[SHOWN], s[RATE] = stage + 1, 0.0, np.inf, self.rate
        state.saved[:] = W
        state.first[:], state.second[:] = 0.0, 0.0
        return last


def _barrier(W: np.ndarray, shape: float) -> np.ndarray | None:
    """Inverse of sI - W o W if it is an M-matrix, else None."""
    inverse = np.linalg.inv(shape * np.eye(len(W)) - W * W + 1e-16)
    return None if inverse.min(initial=0.0) < -1e-12 else inverse
