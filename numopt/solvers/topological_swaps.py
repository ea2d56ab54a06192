"""TOPO: search over topological orders by swaps chosen from the acyclicity function's gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.linalg

from numopt.core.engine import DONE, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_choice, require_count, require_nonnegative
from numopt.linalg.block_order_moves import block_swap_gains
from numopt.linalg.order_moves import factor, swap_gains
from numopt.problems._dag_basis import edge_sizes, expanded_order
from numopt.problems._dag_certificate import gradient, kkt, norms
from numopt.problems._dag_graph import closure, ordered, topological_order
from numopt.solvers._parts.dag import fit_order, start_order
from numopt.solvers._parts.dag_groups import Groups, fit_groups, make_groups
from numopt.solvers._parts.dag_nodes import fit_node, make_nodes

# Places in State.scalars.
TOTAL, LARGE, KKT, FINISHED = range(4)
# Fits remembered.
MEMORY = 200_000


class State(NamedTuple):
    """An order and the fit of every node on those before it."""

    order: np.ndarray  # nodes, first to last
    W: np.ndarray  # weights, column j those of node j; with splines a row for each function
    scores: np.ndarray  # score of each node
    scalars: np.ndarray  # see the names above
    nodes: Any  # data of the regressions; None where Cholesky factors replace them
    memory: dict[tuple[int, bytes], float]  # score of (node, set of predecessors)


@dataclass(frozen=True, kw_only=True)
class TopologicalSwaps(Solver):
    r"""TOPO: swaps of nodes in a topological order, suggested by two gradients.

    .. math:: \min_\pi \min_W Q(W) + \alpha |W|_1
       \quad \text{subject to } W_{ij} = 0 \text{ unless i precedes j in } \pi

    With :math:`h = -\log\det(I - |W|)`, pairs (i, j) whose edge the order forbids are candidates,
    those of least :math:`[\partial h]_{ij} = ((I - |W|)^{-1})_{ji}` first: few walks lead from j to
    i. An iteration prices the swaps of `small` candidates, or of `large` ones where none of those
    improves, and applies the improving ones whose places do not overlap, best first. At the end,
    pairs that violate the KKT conditions K1 enter by an order of the present graph in which the
    edge is allowed, which decreases the score strictly.

    Takes every score of `DagScore` but "bic", and splines. As post-processing, give the weights of
    another method as x0: the score never rises.

    Parameters
    ----------
    small, large : int, optional
        Sizes of the candidate sets, ties added; by default 1.5 d and
        :math:`\sqrt d (d - 1) \log_{10} d`, at most all pairs.
    n_large : int, optional
        How often `large` may be used; d / 10, at least once, if not given.
    gradient_tol : float, optional
        Candidates need :math:`|\partial Q_{ij}| - \alpha` above this; no test if not given.
    start : {"variance", "random"}
        First order, see `OrderInsertion`.
    **limits
        See `Solver`.

    Notes
    -----
    Least squares with all parents: a swap over m places is priced in O(m) from one Cholesky factor.
    With splines the factor is that of all functions, and blocks are swapped: O(m q^3). Otherwise
    the nodes between the places are fitted again and remembered by their predecessors.

    References
    ----------
    C. Deng, K. Bello, B. Aragam, P. Ravikumar, "Optimizing NOTEARS objectives via topological
    swaps", ICML 2023, arXiv 2305.17277.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import TopologicalSwaps
    >>> G = [[1.0, 2.0, 2.0], [2.0, 5.0, 5.0], [2.0, 5.0, 6.0]]
    >>> result = TopologicalSwaps().solve(DagScore(gram=G, alpha=0.01), x0=np.array([2, 1, 0]))
    >>> result.order.tolist(), result.x.round(2).tolist()[0]
    ([0, 1, 2], [0.0, 1.99, 0.0])
    """

    name: ClassVar[str] = "topo"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True
    check_every: ClassVar[int] = 1

    small: int | None = None
    large: int | None = None
    n_large: int | None = None
    gradient_tol: float | None = None
    start: str = "variance"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("small", "large", "n_large"):
            if getattr(self, name) is not None:
                require_count(getattr(self, name), name)
        if self.gradient_tol is not None:
            require_nonnegative(self.gradient_tol, "gradient_tol")
        require_choice(self.start, ("variance", "random"), "start")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        d = problem.size
        if problem.score == "bic":
            raise TypeError("TopologicalSwaps takes no score 'bic'; use BOSS or ExactOrder")
        if problem.knowledge.max_parents < d - 1:
            raise TypeError(
                "TopologicalSwaps does not limit the parents of a node; use score 'bic', or alpha"
            )
        rng = np.random.default_rng(self.random_state) if self.start == "random" else None
        order = start_order(problem, x0, warm, rng)
        nodes = None
        if not problem.orders_alone:
            nodes = make_nodes(problem) if problem.splines is None else make_groups(problem)
        scalars = np.array([0.0, 0.0, np.inf, 0.0])
        W = np.zeros((d * problem.per_parent, d))
        state = State(order, W, np.zeros(d), scalars, nodes, {})
        self._fit(problem, state)
        return state

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s, d = state.scalars, problem.size
        n_large = max(d // 10, 1) if self.n_large is None else self.n_large
        for k in range(n):
            small, large = self._sizes(d)
            pairs = self._candidates(problem, state, small)
            if self._swap(problem, state, pairs):
                continue
            if s[LARGE] < n_large:
                s[LARGE] += 1
                if self._swap(problem, state, self._candidates(problem, state, large)):
                    continue
            if not self._repair(problem, state):
                return k, DONE
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        found = ordered((edge_sizes(state.W) != 0) | problem.knowledge.before, state.order)
        residual = kkt(problem, state.W, found) if state.scalars[FINISHED] else np.inf
        return Certificate("stationary", {"kkt": Entry(residual, "K1")}, state.scalars[TOTAL])

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        order = state.order.copy()
        return {
            "x": state.W.copy(), "order": order, "claim": "kkt", "warm_start": {"order": order},
        }  # fmt: skip

    def work(self, problem: Any) -> float:
        return float(problem.size**3 + 1)

    def _sizes(self, d: int) -> tuple[int, int]:
        pairs = d * (d - 1) // 2
        wide = int(np.sqrt(d) * (d - 1) * np.log10(max(d, 1)))
        small = min(int(1.5 * d), max(wide, 1), pairs) if self.small is None else self.small
        large = max(int(1.5 * d), min(wide, pairs)) if self.large is None else self.large
        return small, large

    def _fit(self, problem: Any, state: State) -> None:
        """Fit every node on those before it."""
        d, order = problem.size, state.order
        if state.nodes is None:
            state.W[:], state.scores[:] = fit_order(problem, order)
        else:
            for t in range(d):
                self._fit_place(state, order, t)
        state.scalars[TOTAL] = state.scores.sum()
        state.scalars[FINISHED] = 0

    def _fit_place(self, state: State, order: np.ndarray, t: int) -> None:
        j = int(order[t])
        w = state.W[:, j].copy()
        state.scores[j] = _fit_node(state.nodes, j, order, t, w)
        state.W[:, j] = w
        state.memory[j, _key(order, t)] = state.scores[j]

    def _candidates(self, problem: Any, state: State, size: int) -> np.ndarray:
        """Places (a, b), a < b, of the pairs with the fewest walks from the first to the second."""
        d, order = problem.size, state.order
        A = edge_sizes(state.W)[np.ix_(order, order)]
        # Walk counts overflow for heavy weights; only their order matters.
        A *= min(1.0, 10.0 / max(A.sum(0).max(initial=0.0), 1e-300))
        walks = scipy.linalg.solve_triangular(np.eye(d) - A, np.eye(d), unit_diagonal=True)
        a, b = np.triu_indices(d, 1)
        i, j = order[b], order[a]
        able = ~problem.knowledge.before[j, i]
        if self.gradient_tol is not None:
            slope = edge_sizes(gradient(problem, state.W)) - problem.penalties
            able &= slope[i, j] > self.gradient_tol
        a, b, count = a[able], b[able], walks[a[able], b[able]]
        if size < count.size:
            keep = count <= np.partition(count, size - 1)[size - 1] if size else count < 0
            a, b = a[keep], b[keep]
        return np.column_stack([a, b])

    def _swap(self, problem: Any, state: State, pairs: np.ndarray) -> bool:
        """Apply the improving swaps whose places do not overlap, best first."""
        pairs = self._feasible(problem, state, pairs)
        if not len(pairs):
            return False
        gains = self._price(problem, state, pairs)
        least = -self._eps(problem) * abs(state.scalars[TOTAL])
        taken = np.zeros(problem.size, bool)
        before = state.order.copy()
        for k in np.argsort(gains, kind="stable"):
            if not gains[k] < least:
                break
            a, b = pairs[k]
            if not taken[a : b + 1].any():
                taken[a : b + 1] = True
                state.order[[a, b]] = state.order[[b, a]]
        if not taken.any():
            return False
        self._refit(problem, state, before)
        return True

    def _feasible(self, problem: Any, state: State, pairs: np.ndarray) -> np.ndarray:
        """Swaps that break no precedence."""
        before = problem.knowledge.before
        if not before.any() or not len(pairs):
            return pairs
        B = before[np.ix_(state.order, state.order)]
        fine = [not (B[a, a + 1 : b + 1].any() or B[a:b, b].any()) for a, b in pairs]
        return pairs[fine]

    def _price(self, problem: Any, state: State, pairs: np.ndarray) -> np.ndarray:
        """Change of the score by each swap."""
        gains = np.zeros(len(pairs))
        if state.nodes is None:
            d, q = problem.size, problem.per_parent
            U, M = np.zeros((2, d * q, d * q))
            factor(problem.gram_of_basis, expanded_order(state.order, q), U, M)
            if problem.splines is None:
                swap_gains(U, M, pairs, gains)
            else:
                block_swap_gains(U, M, q, pairs, gains)
            return gains / 2
        if len(state.memory) > MEMORY:
            state.memory.clear()
        for k, (a, b) in enumerate(pairs):
            order = state.order.copy()
            order[[a, b]] = order[[b, a]]
            for t in range(a, b + 1):
                j, key = int(order[t]), _key(order, t)
                if (j, key) not in state.memory:
                    w = state.W[:, j].copy()
                    state.memory[j, key] = _fit_node(state.nodes, j, order, t, w)
                gains[k] += state.memory[j, key] - state.scores[j]
        return gains

    def _refit(self, problem: Any, state: State, before: np.ndarray) -> None:
        """Fit the nodes whose predecessors changed."""
        if state.nodes is None:
            self._fit(problem, state)
            return
        same_set = np.zeros(problem.size, np.int64)
        for t in range(problem.size):  # nodes that are in but one of the two prefixes
            j = state.order[t]
            if same_set.any() or before[t] != j:
                self._fit_place(state, state.order, t)
            same_set[j] += 1
            same_set[before[t]] -= 1
        state.scalars[TOTAL] = state.scores.sum()
        state.scalars[FINISHED] = 0

    def _repair(self, problem: Any, state: State) -> bool:
        """Allow the edge that violates K1 most; whether there was one."""
        W, know = state.W, problem.knowledge
        state.scalars[FINISHED] = 1
        edges = edge_sizes(W) != 0
        A = edges | know.before
        order = ordered(A, state.order)
        free = know.allowed & ~closure(A, order).T & ~edges
        excess = (edge_sizes(gradient(problem, W)) - problem.penalties) / norms(problem)
        excess[~free] = 0.0
        i, j = np.unravel_index(int(excess.argmax()), excess.shape)
        tol = self.tol if self.tol is not None else problem.default_tol
        if not excess[i, j] > 0.5 * tol:
            return False
        A[i, j] = True
        found = topological_order(A, state.order)
        before, total = state.order.copy(), state.scalars[TOTAL]
        if found is None:
            return False
        state.order[:] = found
        self._refit(problem, state, before)
        return bool(state.scalars[TOTAL] < total)

    def _eps(self, problem: Any) -> float:
        tol = self.tol if self.tol is not None else problem.default_tol
        return float(max(0.1 * min(tol, 1e-8), 1e-13))


def _fit_node(nodes: Any, j: int, order: np.ndarray, stop: int, w: np.ndarray) -> float:
    """Best weights of node j on order[:stop], into w (the start); their score."""
    fit = fit_groups if isinstance(nodes, Groups) else fit_node
    return float(fit(nodes, j, order, stop, w))


def _key(order: np.ndarray, stop: int) -> bytes:
    """The set of nodes in order[:stop]."""
    inside = np.zeros(order.size, bool)
    inside[order[:stop]] = True
    return np.packbits(inside).tobytes()
