"""The best graph of all, by dynamic programming over subsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_count
from numopt.problems._dag_basis import edge_sizes
from numopt.problems._dag_graph import topological_order
from numopt.solvers._parts import dag_dp as dp
from numopt.solvers._parts.dag import fit_parents, start_order

# Places in State.scalars.
NODE, BOUND, FUN = range(3)


class State(NamedTuple):
    """Tables of the dynamic programme."""

    tables: np.ndarray  # [j, S]: least score of node j with parents in S
    dets: dict[int, np.ndarray]  # log-determinants, the last class of nodes only
    W: np.ndarray  # the start, then the optimum
    order: np.ndarray  # of W
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class ExactOrder(Solver):
    r"""Search all graphs by dynamic programming over subsets of nodes.

    .. math::
       h(S) = \min_{j \in S} \left[ h(S \setminus j) +
       \min_{T \subseteq S \setminus j} s(j, T) \right]

    with s(j, T) the score of node j with parents T: the least score of a graph on the nodes S.
    Solves `DagScore` with score "bic", or "ls" without penalty, under all constraints, also with
    splines. The certificate's ``gap`` compares the graph, scored from the data, to :math:`h` of all
    nodes.

    Parameters
    ----------
    max_nodes : int, default 22
        Refuse larger problems: memory doubles with every node.
    **limits
        See `Solver`.

    Notes
    -----
    All :math:`d 2^{d-1}` scores are differences of :math:`2^d` log-determinants; time
    :math:`O(d^2 2^d)`, memory :math:`4 d 2^d` bytes: 84 MB for d = 20, 370 MB for d = 22. One
    iteration makes the table of a node, the last one finds the order. With splines, q functions of
    each parent, the scores take d q^2 steps each.

    References
    ----------
    T. Silander, P. Myllymaki, "A simple approach for finding the globally optimal Bayesian network
    structure", UAI 2006, arXiv 1206.6875.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import ExactOrder
    >>> G = [[1.0, 0.8, 0.0], [0.8, 2.0, 0.0], [0.0, 0.0, 1.0]]
    >>> result = ExactOrder().solve(DagScore(gram=G, n_samples=50, score="bic"))
    >>> result.message
    'The certificate meets the tolerance. The point is globally optimal.'
    >>> int((result.x != 0).sum())
    1
    """

    name: ClassVar[str] = "exact"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True

    max_nodes: int = 22

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.max_nodes, "max_nodes", 1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        d = problem.size
        if problem.score not in ("ls", "bic") or problem.alpha:
            raise TypeError("ExactOrder takes score 'bic', or 'ls' without alpha")
        if d > self.max_nodes:
            raise ValueError(
                f"ExactOrder takes at most max_nodes = {self.max_nodes} nodes, got {d}; its memory "
                "doubles with each: use 'branch-and-bound', 'boss' or 'insertion'"
            )
        start = warm.get("x", x0)
        if start is not None and np.ndim(start) == 2:
            W = problem.weights(start).copy()
        else:
            parents = problem.knowledge.required
            if problem.score == "ls" or np.ndim(start) == 1:
                order = start_order(problem, start, warm)
                place = np.argsort(order)
                later = place[:, None] < place
                if problem.score == "ls" and problem.knowledge.max_parents >= d - 1:
                    parents = later & problem.knowledge.allowed
            W = fit_parents(problem, parents)
        found = topological_order((edge_sizes(W) != 0) | problem.knowledge.before)
        order = np.arange(d) if found is None else found
        scalars = np.array([0.0, -np.inf, problem.objective(W)])
        return State(np.empty((d, 1 << max(d - 1, 0))), {}, W, order, scalars)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        d, s = problem.size, state.scalars
        for k in range(n):
            if s[NODE] < d:
                table = state.tables[int(s[NODE])]
                self._scores(problem, state, int(s[NODE]), table)
                dp.least_of_subsets(table)
                s[NODE] += 1
            else:
                self._conclude(problem, state)
                return k + 1, DONE
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        gap = abs(state.scalars[FUN] - state.scalars[BOUND]) / max(1.0, abs(state.scalars[FUN]))
        return Certificate("global", {"gap": Entry(gap, "|Q - bound|")}, state.scalars[FUN])

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        W, order = state.W.copy(), state.order.copy()
        return {
            "x": W, "order": order, "claim": "bound", "bound": float(state.scalars[BOUND]),
            "warm_start": {"x": W},
        }  # fmt: skip

    def work(self, problem: Any) -> float:
        return float(problem.size * 2**problem.size) / 2

    def _scores(self, problem: Any, state: State, j: int, out: np.ndarray) -> None:
        """Scores of node j with each set of parents."""
        m, know = problem.moments, problem.knowledge
        group = int(m.gram_of[j])
        limits = _mask(know.allowed[:, j]), _mask(know.required[:, j]), know.max_parents
        is_bic = problem.score == "bic"
        if problem.splines is not None:
            H = problem.gram_of_basis
            scale = np.sqrt(H.diagonal())
            dp.group_scores(
                H / np.outer(scale, scale), problem.splines, j, m.grams[0, j, j],
                float(m.counts[0]), problem.edge_costs, *limits, is_bic, out,
            )  # fmt: skip
            return
        if group not in state.dets:
            state.dets.clear()
            state.dets[group] = np.empty(1 << problem.size)
            dp.log_determinants(np.ascontiguousarray(m.grams[group]), state.dets[group])
        dp.local_scores(
            state.dets[group], j, m.grams[group, j, j], float(m.counts[group]), problem.edge_cost,
            *limits, is_bic, out,
        )  # fmt: skip

    def _conclude(self, problem: Any, state: State) -> None:
        """Order and parents of the best graph."""
        d = problem.size
        after = np.array([_mask(row) for row in problem.knowledge.before], np.int64)
        state.scalars[BOUND] = dp.best_order(state.tables, after, state.order)
        A = np.zeros((d, d), bool)
        scores = np.empty(state.tables.shape[1])
        for group in range(len(problem.moments.grams)):
            for t, j in enumerate(state.order):
                if problem.moments.gram_of[j] == group:
                    self._scores(problem, state, int(j), scores)
                    before = sum(1 << int(i) for i in state.order[:t])
                    parents = dp.best_parents(scores, int(j), before)
                    A[:, j] = parents >> np.arange(d) & 1
        state.W[:] = fit_parents(problem, A)
        state.scalars[FUN] = problem.objective(state.W)


def _mask(nodes: np.ndarray) -> int:
    return sum(1 << int(i) for i in np.flatnonzero(nodes))
