"""Search over orders by all insertions and all swaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import DONE, GROW, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_choice, require_count
from numopt.linalg.block_order_moves import descend_blocks
from numopt.linalg.order_moves import descend, factor
from numopt.problems._dag_basis import expanded_order
from numopt.problems._dag_graph import topological_order
from numopt.solvers._dag import regressions, start_order

# Places in State.scalars.
TOTAL, LEFT, MOVES, STALE, BEST, BEST_LEFT, RESTARTS, WANTED = range(8)
# In place of 1 in STALE: nodes are to be moved before the order is factored anew.
KICK = 2
# Descents again that are made unasked, up to this many variables, unless the score is within this
# share of its bound.
AGAIN, LARGE, NEAR = 30, 200, 0.01


class State(NamedTuple):
    """An order, its Cholesky factor and work space."""

    order: np.ndarray  # variables, first to last
    best: np.ndarray  # the best order of all restarts
    U: np.ndarray  # G in this order = U'U
    M: np.ndarray  # inverse of U'
    T: np.ndarray  # variances of later variables given those before: work space
    work: np.ndarray  # two rows of work space
    gains: np.ndarray  # best insertion left, right, and swap of each place
    targets: np.ndarray  # and where they lead
    scalars: np.ndarray  # see the names above
    rng: Any  # numpy.random.Generator for restarts


@dataclass(frozen=True, kw_only=True)
class OrderInsertion(Solver):
    r"""Descend over orders until no insertion and no swap of variables improves the score.

    .. math:: \min_\pi \sum_t D_t, \qquad
       D_t = \mathrm{var}(x_{\pi_t} \mid x_{\pi_1}, \ldots, x_{\pi_{t-1}})

    Solves `DagScore` with score "ls", no penalty, and constraints on the order only. An iteration
    applies the best moves whose places do not overlap: insertions (one variable moved elsewhere)
    while any improves, then swaps of any two variables. The end is optimal in both neighbourhoods,
    which contain all moves of `TopologicalSwaps`.

    Parameters
    ----------
    start : {"variance", "random"}
        First order: least conditional variance first, consistent for equal noise variances; or
        drawn by `random_state`. Orders and weights given as x0 come before.
    restarts : int, optional
        Further descents, each from the best order with some variables moved at random. By default
        30, up to 200 variables, none where the score is near its bound (see Notes), none with
        splines.
    kick : int, optional
        How many variables that are; by default a fifth of them, at least 5.
    **limits
        See `Solver`.

    Notes
    -----
    All d (d - 1) insertions cost O(d^2) and all swaps d^3 / 6 steps, from one Cholesky factor of
    the Gram matrix; a move over m places updates it in O(d m) by Givens rotations. Memory: three
    d x d arrays. The number of samples plays no part. With splines, q functions of each variable
    make a block: q^3 times the cost, and a new factor of all d q functions for each iteration.

    The product of all D_t is det G in every order, so no order has less than d (det G)^(1/d), the
    sum if all D_t are equal. Data with noise of equal variances come near that, and restarts are
    left out within 1 % of it; standardised data do not, and single descents often end far above the
    best order there.

    References
    ----------
    C. Deng, K. Bello, B. Aragam, P. Ravikumar, "Optimizing NOTEARS objectives via topological
    swaps", ICML 2023, arXiv 2305.17277.
    W. Chen, M. Drton, Y. S. Wang, "On causal discovery with an equal-variance assumption",
    Biometrika 106, 2019, doi 10.1093/biomet/asz049 (the start).

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import DagScore
    >>> from numopt.solvers import OrderInsertion
    >>> G = [[1.0, 2.0, 2.0], [2.0, 5.0, 5.0], [2.0, 5.0, 6.0]]
    >>> result = OrderInsertion().solve(DagScore(gram=G))
    >>> result.order.tolist(), float(result.fun)
    ([0, 1, 2], 1.5)
    """

    name: ClassVar[str] = "insertion"
    accepts: ClassVar[tuple[str, ...]] = ("DagScore",)
    descent: ClassVar[bool] = True
    # Restarts may go by without a better order.
    patience: ClassVar[int] = 10**9

    start: str = "variance"
    restarts: int | None = None
    kick: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.start, ("variance", "random"), "start")
        if self.restarts is not None:
            require_count(self.restarts, "restarts")
        if self.kick is not None:
            require_count(self.kick, "kick", 1)

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        if not problem.orders_alone:
            raise TypeError(
                "OrderInsertion solves score 'ls' without alpha, max_parents or forbidden edges "
                "beyond an order, on one Gram matrix; use TopologicalSwaps"
            )
        d, size = problem.size, problem.size * problem.per_parent
        drawn = self.start == "random"
        wanted = self.restarts
        if wanted is None:
            wanted = AGAIN if 2 < d <= LARGE and problem.splines is None else 0
        rng = np.random.default_rng(self.random_state) if drawn or self.restarts else None
        order = start_order(problem, x0, warm, rng if drawn else None)
        U, M, T = np.zeros((3, size, size))
        gains, targets = np.zeros((3, d)), np.zeros((3, d), np.int64)
        scalars = np.zeros(8)
        scalars[WANTED] = wanted
        work = np.zeros((2, d))
        state = State(order, order.copy(), U, M, T, work, gains, targets, scalars, rng)
        self._refactor(problem, state)
        scalars[BEST], scalars[BEST_LEFT] = scalars[TOTAL], np.inf
        return state

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s, before, eps = state.scalars, problem.knowledge.before, self._eps(problem)
        if s[STALE]:
            return 0, GROW
        if problem.splines is None:
            done, moves, s[TOTAL], left = descend(
                state.U, state.M, state.T, state.order, before, state.work, state.gains,
                state.targets, n, eps * s[TOTAL], s[TOTAL],
            )  # fmt: skip
        else:
            done, moves, s[TOTAL], left = descend_blocks(
                problem.gram_of_basis, problem.splines, state.U, state.M, state.order, before,
                state.gains, state.targets, n, eps,
            )  # fmt: skip
        s[MOVES] += moves
        s[STALE] = moves > 0
        s[LEFT] = np.inf if left > 0 else -left
        if s[TOTAL] <= s[BEST]:
            s[BEST], s[BEST_LEFT] = s[TOTAL], s[LEFT]
            state.best[:] = state.order
        if moves or left > 0:  # a claim to be done is made from a fresh factor only
            return done, RUNNING
        if self.restarts is None and s[BEST] <= (1 + NEAR) * _bound(state.U):
            s[WANTED] = s[RESTARTS]
        if s[RESTARTS] < s[WANTED]:
            s[RESTARTS] += 1
            s[STALE] = KICK
            return done, GROW
        return done, DONE

    def grow(self, problem: Any, state: State) -> State:
        if state.scalars[STALE] == KICK:
            if state.rng is None:  # restarts that nobody asked for do not make results differ
                state = state._replace(rng=np.random.default_rng(self.random_state or 0))
            self._kick(problem, state)
        self._refactor(problem, state)
        return state

    def measure(self, problem: Any, state: State) -> Certificate:
        s = state.scalars
        left = np.inf if s[RESTARTS] < s[WANTED] else s[BEST_LEFT] / max(s[BEST], 1e-300)
        entry = Entry(left, "best gain of one move / |Q|")
        return Certificate("local", {"moves": entry}, s[BEST] / 2)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        W, order = regressions(problem, state.best), state.best.copy()
        return {
            "x": W, "order": order, "claim": "moves", "n_moves": int(state.scalars[MOVES]),
            "warm_start": {"order": order},
        }  # fmt: skip

    def work(self, problem: Any) -> float:
        d, q = problem.size, problem.per_parent
        return q**3 * (4.0 * d**2 + d**3 / 6)

    def _eps(self, problem: Any) -> float:
        tol = self.tol if self.tol is not None else problem.default_tol
        return float(max(0.1 * min(tol, 1e-8), 1e-13))

    def _refactor(self, problem: Any, state: State) -> None:
        q = problem.per_parent
        factor(problem.gram_of_basis, expanded_order(state.order, q), state.U, state.M)
        state.scalars[TOTAL] = (state.U.diagonal()[::q] ** 2).sum()
        state.scalars[STALE] = 0

    def _kick(self, problem: Any, state: State) -> None:
        """Move some variables of the best order to random places."""
        order = state.best.tolist()
        for _ in range(self.kick or max(5, len(order) // 5)):
            node = order.pop(int(state.rng.integers(len(order))))
            order.insert(int(state.rng.integers(len(order) + 1)), node)
        found = topological_order(problem.knowledge.before, np.array(order))
        assert found is not None
        state.order[:] = found


def _bound(U: np.ndarray) -> float:
    """What no order is below: the sum of as many equal numbers with the product of all D_t."""
    return float(len(U) * np.exp(2 * np.log(U.diagonal()).mean()))
