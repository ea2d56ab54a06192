"""Best order score search for BIC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_count, require_nonnegative
from numopt.problems._dag_certificate import best_edge
from numopt.problems._dag_graph import ordered
from numopt.solvers._parts import dag_bic as bic
from numopt.solvers._parts.dag import fit_parents, order_of, r2_order, start_order
from numopt.solvers._parts.dag_equivalence import backward

# Places in State.scalars: phase, steps in it without gain, score of the order, of the best graph,
# restarts done, whether the best graph is known to be optimal under single edges, the score of its
# order, where all four kinds of moves have ended, the place in the sweep, and how many of the last
# restarts came back to the best order's score.
PHASE, IDLE, TOTAL, BEST, RESTARTS, SETTLED, HOME, AT, BACK = range(9)
MOVE, TUCK, WINDOW, EDGES, END = range(5)
# Restarts that are made unasked; no more once so many in a row came back.
AGAIN, ENOUGH = 3, 2


class State(NamedTuple):
    """An order and the best graph found so far."""

    local: Any  # data and memory of local scores
    order: np.ndarray  # nodes, first to last
    sweep: np.ndarray  # order in which nodes are moved
    A: np.ndarray  # graph of the order
    best: np.ndarray  # best graph of all
    W: np.ndarray  # weights of the start, kept until a graph is better
    scalars: np.ndarray  # see the names above
    work: np.ndarray  # three rows of work space
    trial: np.ndarray  # two orders to try
    rng: np.random.Generator  # for sweeps and restarts


@dataclass(frozen=True, kw_only=True)
class BOSS(Solver):
    r"""Best order score search: orders of nodes, each with the best parents before it.

    .. math:: \min_\pi \sum_t \min_{P \subseteq \{\pi_1, \ldots, \pi_{t-1}\}} s(\pi_t, P)

    with s the BIC of a node and its parents P, which are chosen by growing and shrinking (and
    exchanging one for another). Four kinds of moves, each where those before it have ended:

    1. a node is moved to its best place among the others;
    2. a child with its ancestors is moved to before one of its parents ("tuck");
    3. the nodes of a window of places are ordered best of all, by dynamic programming;
    4. in the graph: edges deleted from the equivalence class as in the backward phase of GES, and
       single edges added, deleted or turned, whatever improves most.

    The end is optimal under single edges, which the certificate checks from the data. Restarts
    repeat this from the best graph's order with some nodes moved at random, and end early where
    they come back to its score. The first order puts nodes first that the others explain least.

    Parameters
    ----------
    restarts : int, optional
        Further descents; by default 3, or 2 if both come back to the same score.
    kick : float, default 0.1
        Share of the nodes moved for each of them.
    window : int, optional
        Places ordered exactly at a time, 0 for none; by default 5, with up to 14 nodes all.
    exchange : bool, optional
        Whether parents are exchanged one for one; if not given, with up to 14 nodes.
    **limits
        See `Solver`.

    Notes
    -----
    A score takes O(d k^2) for k parents and is remembered by the set of predecessors. Moving a
    node asks for 3 d scores.

    References
    ----------
    B. Andrews, J. Ramsey, R. Sanchez-Romero, J. Camchong, E. Kummerfeld, "Fast scalable and
    accurate discovery of DAGs using the best order score search and grow-shrink trees",
    NeurIPS 2023, arXiv 2310.17679.
    W.-Y. Lam, B. Andrews, J. Ramsey, "Greedy relaxations of the sparsest permutation algorithm",
    UAI 2022, arXiv 2206.05421 (tucks).
    D. M. Chickering, "Optimal structure identification with greedy search", JMLR 3, 2002
    (backward phase).

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import BOSS
    >>> G = [[1.0, 0.8, 0.0], [0.8, 2.0, 0.0], [0.0, 0.0, 1.0]]
    >>> result = BOSS().solve(DagScore(gram=G, n_samples=50, score="bic"))
    >>> result.success, int((result.x != 0).sum())
    (True, 1)
    """

    name: ClassVar[str] = "boss"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True
    # Restarts may go by without a better graph.
    patience: ClassVar[int] = 10**9

    max_iter: int = 1_000_000
    restarts: int | None = None
    kick: float = 0.1
    window: int | None = None
    exchange: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restarts is not None:
            require_count(self.restarts, "restarts")
        require_nonnegative(self.kick, "kick")
        if self.window is not None:
            require_count(self.window, "window")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        if problem.score != "bic":
            raise TypeError(
                f"BOSS takes score 'bic', got {problem.score!r}; "
                "use 'insertion' for 'ls', else 'topo'"
            )
        if problem.splines is not None:
            raise TypeError("BOSS searches linear models; use 'exact' with splines")
        d = problem.size
        exchange = d <= 14 if self.exchange is None else self.exchange
        local = bic.make_local(problem, exchange)
        rng = np.random.default_rng(self.random_state)
        start = warm.get("x", x0)
        A = np.zeros((d, d), bool)
        if start is not None and np.ndim(start) == 2:
            W = problem.weights(start).copy()
            order = order_of(problem, W)
            place = np.argsort(order)
            later = place[:, None] < place
            best = ((W != 0) & later & problem.knowledge.allowed) | problem.knowledge.required
            over = best.sum(0) > problem.knowledge.max_parents
            best[:, over] = problem.knowledge.required[:, over]
            if not np.array_equal(best, W != 0):
                W = fit_parents(problem, best)
        else:
            order = start_order(problem, r2_order(problem) if start is None else start, {})
            bic.graph_of(local, order, A)
            best, W = A.copy(), fit_parents(problem, A)
        total = bic.order_score(local, order)
        scalars = np.array([MOVE, 0.0, total, problem.objective(W), 0.0, 0.0, np.inf, 0.0, 0.0])
        work, trial = np.zeros((3, d + 1)), np.zeros((2, d + 1), np.int64)
        return State(local, order, rng.permutation(d), A, best, W, scalars, work, trial, rng)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s, d = state.scalars, problem.size
        k = 0
        while k < n:
            gain = 0.0
            if s[PHASE] == MOVE:
                done, s[AT], s[IDLE], s[TOTAL] = bic.settle(
                    state.local, state.order, state.sweep, int(s[AT]), int(s[IDLE]), s[TOTAL],
                    s[HOME], n - k, state.work, state.trial,
                )  # fmt: skip
                if abs(s[TOTAL] - s[HOME]) < bic.SAME:  # back where the restart came from
                    s[PHASE] = END
                    s[BACK] += 1
                elif s[IDLE] == d:
                    s[PHASE], s[IDLE] = TUCK, 0
                    bic.graph_of(state.local, state.order, state.A)
                k += max(done - 1, 0)
            elif s[PHASE] == TUCK:
                gain = bic.tuck(state.local, state.order, state.A, state.trial[0])
                s[PHASE], s[IDLE] = (MOVE if gain > 0 else WINDOW), 0
            elif s[PHASE] == WINDOW:
                width = self._width(d)
                if width > 1 and s[IDLE] + width <= d:
                    first = int(s[IDLE])
                    gain = bic.window(state.local, state.order, first, width, state.trial[0])
                    s[IDLE] += 1
                    if gain > 0:
                        s[PHASE], s[IDLE] = MOVE, 0
                else:
                    s[PHASE], s[IDLE] = EDGES, 0
            elif s[PHASE] == EDGES:
                s[PHASE], s[IDLE] = (MOVE if self._edges(problem, state) else END), 0
            elif self._again(s):
                s[RESTARTS] += 1
                self._kick(problem, state)
                s[PHASE], s[IDLE] = MOVE, 0
            else:
                return k + 1, DONE
            s[TOTAL] -= gain
            k += 1
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        s = state.scalars
        done = s[SETTLED] and s[PHASE] == END and not self._again(s)
        entry = Entry(0.0 if done else np.inf, "best gain of one move / |Q|")
        return Certificate("local", {"moves": entry}, s[BEST])

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        order = ordered(state.best | problem.knowledge.before, state.order)
        return {
            "x": state.W.copy(), "order": order, "claim": "moves",
            "warm_start": {"x": state.W.copy()},
        }  # fmt: skip

    def work(self, problem: Any) -> float:
        return 3.0 * problem.size**2

    def _again(self, s: np.ndarray) -> bool:
        """Whether there is to be another restart."""
        if self.restarts is None:
            return bool(s[RESTARTS] < AGAIN and s[BACK] < ENOUGH)
        return bool(s[RESTARTS] < self.restarts)

    def _edges(self, problem: Any, state: State) -> bool:
        """Improve the graph of the order, edge by edge; whether its order deserves a new search."""
        s, know = state.scalars, problem.knowledge
        bic.graph_of(state.local, state.order, state.A)
        A = state.A
        before = s[TOTAL]
        backward(problem, A)
        eps = self._eps(problem) * max(abs(before), 1e-300)
        W = fit_parents(problem, A)
        value = problem.objective(W)
        while True:
            order = ordered(A | know.before, state.order)
            gain, kind, i, j = best_edge(problem, A, order)
            if not gain > eps:
                break
            other = A.copy()
            other[i, j] = kind == "add"
            if kind == "turn":
                other[j, i] = True
            W_other = fit_parents(problem, other)
            less = problem.objective(W_other)
            if not less < value:  # columns that nearly depend on each other: the gain is rounding
                break
            A[:], W, value = other, W_other, less
        if value <= s[BEST]:
            s[BEST], s[SETTLED] = value, 1
            state.best[:], state.W[:] = A, W
        state.order[:] = order
        s[TOTAL] = bic.order_score(state.local, state.order)
        again = bool(max(value, s[TOTAL]) < before - max(eps, bic.SAME))
        if not again:
            s[BACK] = 0
            if value < s[BEST] + bic.SAME:
                s[HOME] = s[TOTAL]
        return again

    def _width(self, d: int) -> int:
        if self.window is not None:
            return min(self.window, d)
        return d if d <= 14 else 5

    def _eps(self, problem: Any) -> float:
        tol = self.tol if self.tol is not None else problem.default_tol
        return 0.1 * tol

    def _kick(self, problem: Any, state: State) -> None:
        """Move some nodes of the best graph's order to random places."""
        before = problem.knowledge.before
        order = list(ordered(state.best | before, state.order))
        for _ in range(max(1, round(self.kick * len(order)))):
            node = order.pop(int(state.rng.integers(len(order))))
            order.insert(int(state.rng.integers(len(order) + 1)), node)
        state.order[:] = ordered(before, np.array(order))
        state.sweep[:] = state.rng.permutation(len(order))
        state.scalars[AT] = 0
        state.scalars[TOTAL] = bic.order_score(state.local, state.order)
