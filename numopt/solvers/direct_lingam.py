"""DirectLiNGAM: causal order from non-Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, RUNNING, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate, Entry
from numopt.solvers._parts.dag import regressions, start_order

# Constants of the approximation of entropy.
K1, K2, GAMMA = 79.047, 7.4129, 0.37457
DONE_WITH, FINISHED = range(2)


class State(NamedTuple):
    """Residuals of the nodes not yet placed."""

    R: np.ndarray  # columns, each of unit variance, less what placed nodes explain
    order: np.ndarray  # nodes, those placed first
    placed: np.ndarray  # which they are
    scalars: np.ndarray  # nodes placed; whether at the end


@dataclass(frozen=True, kw_only=True)
class DirectLiNGAM(Solver):
    r"""DirectLiNGAM: the most exogenous column first, its effect removed from the others.

    .. math::
       k = \arg\min_i \sum_j \min(0, M_{ij})^2, \quad
       M_{ij} = [H(x_j) + H(r_{i|j})] - [H(x_i) + H(r_{j|i})]

    with H an approximation of entropy and r the residuals of one column on the other. The noise
    must not be Gaussian; neither units nor the score play a part in the order, which is then fitted
    by least squares: a KKT point.

    Parameters
    ----------
    **limits
        See `Solver`.

    Notes
    -----
    O(d^3 n). Needs the data X.

    References
    ----------
    S. Shimizu et al., "DirectLiNGAM: a direct method for learning a linear non-Gaussian structural
    equation model", JMLR 12, 2011, arXiv 1101.2489.
    A. Hyvarinen, S. M. Smith, "Pairwise likelihood ratios for estimation of non-Gaussian
    structural equation models", JMLR 14, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import DirectLiNGAM
    >>> rng = np.random.default_rng(0)
    >>> a, noise = rng.uniform(-1, 1, (2, 500))
    >>> DirectLiNGAM().solve(DagScore(np.column_stack([a + noise, a]))).order.tolist()
    [1, 0]
    """

    name: ClassVar[str] = "lingam"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        if problem.X is None:
            raise TypeError("DirectLiNGAM needs the data X, not only gram")
        if not problem.orders_alone or problem.splines is not None:
            raise TypeError(
                "DirectLiNGAM takes score 'ls' without alpha, splines, max_parents or forbidden "
                "edges beyond an order"
            )
        d = problem.size
        X = problem.X - problem.X.mean(0)
        scale = X.std(0)
        R = np.asfortranarray(X / np.where(scale > 0, scale, 1.0))
        order = start_order(problem, x0, warm)
        return State(R, order, np.zeros(d, bool), np.zeros(2))

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s, d = state.scalars, problem.size
        for k in range(n):
            t = int(s[DONE_WITH])
            if t >= d:
                s[FINISHED] = 1
                return k, DONE
            waiting = problem.knowledge.before[~state.placed].any(0)
            able = ~state.placed & ~waiting
            best = place_next(state.R, state.placed, able)
            state.placed[best] = True
            rest = state.order[t:]
            state.order[t:] = np.append(best, rest[rest != best])
            s[DONE_WITH] += 1
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        if state.scalars[FINISHED]:
            return super().measure(problem, state)
        value = problem.objective(regressions(problem, state.order))
        return Certificate("stationary", {"kkt": Entry(np.inf, "nodes left")}, value)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        order = state.order.copy()
        return {
            "x": regressions(problem, order), "order": order, "claim": "kkt",
            "warm_start": {"order": order},
        }  # fmt: skip

    def work(self, problem: Any) -> float:
        return float(problem.size**2) * len(problem.X) + 1


@inner
def _entropy(x, y, slope, scale):
    """Entropy of (x - slope y) / scale, of unit variance, from two moments."""
    n, a, b = x.size, 0.0, 0.0
    for i in range(n):
        u = (x[i] - slope * y[i]) / scale
        z = abs(u)
        a += z + np.log1p(np.exp(-2.0 * z)) - 0.6931471805599453
        b += u * np.exp(-0.5 * u * u)
    a, b = a / n, b / n
    return (1.0 + np.log(2 * np.pi)) / 2 - K1 * (a - GAMMA) ** 2 - K2 * b * b


@kernel
def place_next(R, placed, able):
    """The most exogenous column; the others lose what it explains."""
    n, d = R.shape
    H, penalty = np.zeros(d), np.zeros(d)
    for i in range(d):
        if not placed[i]:
            H[i] = _entropy(R[:, i], R[:, i], 0.0, 1.0)
    for i in range(d):
        for j in range(i):
            if placed[i] or placed[j]:
                continue
            c = 0.0
            for t in range(n):
                c += R[t, i] * R[t, j]
            c /= n
            scale = np.sqrt(max(1.0 - c * c, 1e-12))
            i_j = _entropy(R[:, i], R[:, j], c, scale)
            j_i = _entropy(R[:, j], R[:, i], c, scale)
            M = (H[j] + i_j) - (H[i] + j_i)
            penalty[i] += min(0.0, M) ** 2
            penalty[j] += min(0.0, -M) ** 2
    best = -1
    for i in range(d):
        if able[i] and (best < 0 or penalty[i] < penalty[best]):
            best = i
    for i in range(d):
        if placed[i] or i == best:
            continue
        c, square = 0.0, 0.0
        for t in range(n):
            c += R[t, i] * R[t, best]
        c /= n
        for t in range(n):
            R[t, i] -= c * R[t, best]
            square += R[t, i] ** 2
        scale = np.sqrt(max(square / n, 1e-300))
        for t in range(n):
            R[t, i] /= scale
    return best
