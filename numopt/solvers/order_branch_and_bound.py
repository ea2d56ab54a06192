"""The best graph by BIC beyond the reach of dynamic programming: branch and bound over orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, RUNNING, SPENT, Solver, run
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_count, require_positive
from numopt.problems._dag_graph import closure, ordered
from numopt.solvers._parts import dag_lattice as lattice
from numopt.solvers._parts.dag import fit_parents, order_of
from numopt.solvers._parts.dag_parents import Parents, best_parents, bits, enlarged, make_parents
from numopt.solvers.boss import BOSS

# Places in State.scalars: the best graph's score, the proven bound, states met, whether memory ran
# out, whether all orders are dealt with, whether a good graph was looked for.
FUN, BOUND, STATES, FULL, ENDED, STARTED = range(6)
# States expanded in one iteration, bytes of one state, and of it in the list of a finished layer.
STEP, BYTES, KEPT = 20_000, 40, 9
# Most nodes: sets are bit masks.
MOST = 62
# The best graph is known to be the best up to this, relative to its score.
MARGIN = 5e-12
# Splits whose bounds are used.
SPLITS_KEPT = 4


class Search(NamedTuple):
    """What the search holds; replaced where something grows."""

    parents: Parents  # best parents within sets
    splits: list[lattice.Patterns]  # splits of the nodes into groups, the best so far first
    tried: int  # splits so far
    part: int  # next entry of the last one's tables to compute, counted down; -1: all are done
    patterns: lattice.Patterns | None  # the best of them
    sets: np.ndarray  # states of the layer at hand
    values: np.ndarray  # and their scores
    at: int  # the first of them that is not expanded
    next: Any  # the layer after it
    path: list[tuple[np.ndarray, np.ndarray]]  # states of all layers with the nodes that came last


class State(NamedTuple):
    """The best graph and the search."""

    W: np.ndarray  # weights of the start, then of the best graph
    order: np.ndarray  # its order
    scalars: np.ndarray  # see the names above
    strength: np.ndarray  # how much pairs of nodes explain of each other
    rng: np.random.Generator  # for splits
    search: list[Search]  # one entry


@dataclass(frozen=True, kw_only=True)
class OrderBranchAndBound(Solver):
    r"""Search all orders of nodes for the best graph by BIC, leaving out what a bound excludes.

    .. math:: \min_\pi \sum_t \min_{P \subseteq \{\pi_1, \ldots, \pi_{t-1}\}} s(\pi_t, P)

    States are the sets of nodes that come first. They are expanded in layers of one size; a set is
    dropped if its score and a bound of the rest reach the score of the best graph known, that of
    `BOSS`. The bound is the sum over groups of nodes of the best order of the group's nodes that
    are left, each free to have any parents outside of the group. Best parents within a set are
    found by branch and bound over regressions, when first asked for.

    If the search ends, the graph is proven to be the best of all. If it is stopped by `time_limit`,
    `max_iter` or `max_memory`, the result is not a success: its certificate is of kind "local" and
    its ``gap`` is the difference to the bound proven so far.

    Parameters
    ----------
    max_memory : float, default 2e9
        Bytes for states and trees of parents.
    pattern_size : int, default 18
        Nodes of a group at most; time and memory for its bounds double with each.
    splits : int, default 12
        Ways to split the nodes into groups that are tried; the best few are used.
    restarts : int, default 10
        Of the search for a graph to start from, see `BOSS`.
    **limits
        See `Solver`.

    Notes
    -----
    Takes score "bic" and all constraints, up to 62 nodes. The number of states depends on the data:
    graphs with few edges are solved, dense ones are not. Where a
    node's best parents of all are in the set, it comes next and no other.

    References
    ----------
    B. Malone, C. Yuan, E. Hansen, S. Bridges, "Improving the scalability of optimal Bayesian
    network learning with external-memory frontier breadth-first branch and bound search", UAI
    2011, arXiv 1202.3744.
    C. Yuan, B. Malone, "Learning optimal Bayesian networks: a shortest path perspective", JAIR 48,
    2013, doi 10.1613/jair.4039 (bounds by groups).
    G. Furnival, R. Wilson, "Regressions by leaps and bounds", Technometrics 16, 1974.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import OrderBranchAndBound
    >>> G = [[1.0, 0.8, 0.0], [0.8, 2.0, 0.0], [0.0, 0.0, 1.0]]
    >>> result = OrderBranchAndBound().solve(DagScore(gram=G, n_samples=50, score="bic"))
    >>> result.message
    'The certificate meets the tolerance. The point is globally optimal.'
    """

    name: ClassVar[str] = "branch-and-bound"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True
    check_every: ClassVar[int] = 1
    patience: ClassVar[int] = 10**9

    max_iter: int = 1_000_000
    max_memory: float = 2e9
    pattern_size: int = 18
    splits: int = 12
    restarts: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self.max_memory, "max_memory")
        require_count(self.pattern_size, "pattern_size", 1)
        require_count(self.splits, "splits", 1)
        require_count(self.restarts, "restarts")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        d = problem.size
        if problem.score != "bic":
            raise TypeError(
                f"OrderBranchAndBound takes score 'bic', got {problem.score!r}; "
                "use 'insertion' for 'ls', else 'topo'"
            )
        if problem.splines is not None:
            raise TypeError("OrderBranchAndBound searches linear models; use 'exact' with splines")
        if d > MOST:
            raise ValueError(f"OrderBranchAndBound takes at most {MOST} nodes, got {d}; use 'boss'")
        start = warm.get("x", x0)
        if start is not None and np.ndim(start) == 2:
            W = problem.weights(start).copy()
        else:
            W = fit_parents(problem, problem.knowledge.required)
        order = order_of(problem, W) if start is None or np.ndim(start) == 2 else start
        parents = make_parents(problem, 1 << 12)
        scalars = np.array([problem.objective(W), parents.scores[:d].sum(), 1.0, 0.0, 0.0, 0.0])
        search = Search(
            parents, [], 0, -1, None, np.zeros(1, np.int64), np.zeros(1), 0,
            lattice.make_layer(1 << 12), [],
        )  # fmt: skip
        rng = np.random.default_rng(self.random_state)
        order = problem.check_order(order).copy()
        return State(W, order, scalars, np.zeros((d, d)), rng, [search])

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        before = bits(problem.knowledge.before.T)
        for k in range(n):
            search = state.search[0]
            if not s[STARTED]:
                self._start(problem, state)
            elif search.patterns is None:
                self._split(problem, state, search, before)
            elif search.at < len(search.sets):
                self._expand(state, search, before)
            else:
                self._next_layer(problem, state, search)
            if s[FULL]:
                return k, SPENT
            if s[ENDED]:
                return k + 1, DONE
        return n, RUNNING

    def measure(self, problem: Any, state: State) -> Certificate:
        fun, bound = state.scalars[FUN], state.scalars[BOUND]
        gap = Entry(abs(fun - bound) / max(1.0, abs(fun)), "|Q - bound|")
        return Certificate("global", {"gap": gap}, fun)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        W = state.W.copy()
        return {
            "x": W, "order": state.order.copy(), "claim": "bound",
            "bound": float(state.scalars[BOUND]), "n_states": int(state.scalars[STATES]),
            "warm_start": {"x": W},
        }  # fmt: skip

    def explain(self, problem: Any, state: State) -> str:
        layer = len(state.search[0].path)
        return f"max_memory is used up at sets of {layer} of {problem.size} nodes; raise it."

    def work(self, problem: Any) -> float:
        return float(STEP * problem.size**2)

    def _start(self, problem: Any, state: State) -> None:
        """A good graph, and how much pairs of nodes explain of each other in it."""
        s = state.scalars
        boss = BOSS(restarts=self.restarts, random_state=self.random_state)
        known = run(boss, problem, state.W if state.W.any() else state.order, warn=False)
        s[FUN], state.W[:], state.order[:] = known.fun, known.x, known.order
        state.strength[:] = _strength(problem, state.W != 0)
        s[STARTED] = 1

    def _split(self, problem: Any, state: State, search: Search, before: np.ndarray) -> None:
        """Bounds of another split of the nodes, or of the rest of the last one."""
        s, splits = state.scalars, search.splits
        if search.part < 0:
            labels = lattice.split(state.strength, self.pattern_size, state.rng)
            splits = [*splits, lattice.make_patterns(labels)]
        one = splits[-1]
        size = one.tables.shape[2]
        part = search.part if search.part >= 0 else one.sizes.size * size - 1
        while part >= 0:
            group = part // size
            left = lattice.fill_patterns(
                search.parents, before, one.members[0, group], one.sizes[0, group],
                one.tables[0, group], min(part % size, (1 << int(one.sizes[0, group])) - 1),
            )  # fmt: skip
            part = group * size + left
            if left >= 0:
                self._more_parents(state, search)
                state.search[0] = state.search[0]._replace(splits=splits, part=part)
                return
        s[BOUND] = max(s[BOUND], min(lattice.bound_of(one), self._limit(state)))
        closed = s[BOUND] >= self._limit(state)
        s[ENDED] = closed
        tried, patterns = search.tried + 1, None
        splits = sorted(splits, key=lattice.bound_of, reverse=True)[:SPLITS_KEPT]
        if closed or tried == self.splits or one.sizes.size == 1:
            patterns, splits = lattice.joined(splits), []
        state.search[0] = search._replace(splits=splits, tried=tried, part=-1, patterns=patterns)

    def _limit(self, state: State) -> float:
        """Bound from which on a state is dropped."""
        fun = float(state.scalars[FUN])
        return fun - MARGIN * max(1.0, abs(fun))

    def _expand(self, state: State, search: Search, before: np.ndarray) -> None:
        """Expand some states of the layer."""
        s = state.scalars
        stop = min(search.at + STEP, len(search.sets))
        at, lack = lattice.expand(
            search.parents, search.patterns, before, search.sets, search.values, search.at, stop,
            self._limit(state), search.next,
        )  # fmt: skip
        state.search[0] = search = search._replace(at=at)
        if lack == 1:
            self._more_parents(state, search)
        elif lack == 2:
            size = 2 * len(search.next.keys)
            if self._used(search) + 2 * size * BYTES > self.max_memory:
                s[FULL] = 1
                return
            larger = lattice.make_layer(size)
            lattice.refill(search.next, larger)
            state.search[0] = search._replace(next=larger)

    def _next_layer(self, problem: Any, state: State, search: Search) -> None:
        """Go on to the states of one node more; the end, if there are none or they hold all."""
        s, d = state.scalars, problem.size
        sets, values, last = lattice.states_of(search.next)
        s[STATES] += len(sets)
        path = [*search.path, (sets, last)]
        if len(path) == d and len(sets):
            self._found(problem, state, path)
        if len(path) == d or not len(sets):
            s[BOUND] = max(s[BOUND], self._limit(state))
            s[ENDED] = 1
            return
        size = len(search.next.keys)
        while size > 1 << 12 and size > 4 * len(sets):
            size //= 2
        state.search[0] = search._replace(
            sets=sets, values=values, at=0, next=lattice.make_layer(size), path=path
        )
        self._bound(state, state.search[0])

    def _bound(self, state: State, search: Search) -> None:
        """Every order goes through a state of this layer, or one that was dropped."""
        s = state.scalars
        least = float(lattice.bounds(search.patterns, search.sets, search.values))
        s[BOUND] = max(s[BOUND], min(least, self._limit(state)))

    def _found(self, problem: Any, state: State, path: list[Any]) -> None:
        """A better graph: the nodes that came last, from all of them back to none."""
        d = problem.size
        inside, parents = (1 << d) - 1, state.search[0].parents
        A = np.zeros((d, d), bool)
        for sets, last in reversed(path):
            j = int(last[np.searchsorted(sets, inside)])
            inside &= ~(1 << j)
            A[:, j] = best_parents(parents, j, inside) >> np.arange(d) & 1
        state.W[:] = fit_parents(problem, A)
        state.order[:] = ordered(A | problem.knowledge.before)
        state.scalars[FUN] = problem.objective(state.W)

    def _more_parents(self, state: State, search: Search) -> None:
        rows = 2 * len(search.parents.best)
        if self._used(search) + rows * self._row(search) > self.max_memory:
            state.scalars[FULL] = 1
            return
        state.search[0] = search._replace(parents=enlarged(search.parents, rows))

    def _used(self, search: Search) -> float:
        """Bytes held."""
        kept = sum(len(sets) for sets, _ in search.path) * KEPT
        tables = len(search.next.keys) * BYTES / 2 + len(search.sets) * 16
        return kept + tables + len(search.parents.best) * self._row(search)

    def _row(self, search: Search) -> int:
        return 32 + 4 * int(search.parents.child.shape[1])


def _strength(problem: Any, A: np.ndarray) -> np.ndarray:
    """How much pairs of nodes explain of each other in a graph: log-likelihood of its edges."""
    from numopt.problems._dag_certificate import edge_gains

    gains = np.where(A, -edge_gains(problem, A)[1], 0.0)
    near = closure(A, ordered(A)) * 1e-3  # of equal ones, those on paths
    return np.asarray(gains + gains.T + near + near.T)
