"""Search over orders by all insertions and all swaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from numopt.core.engine import DONE, GROW, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_choice, require_count
from numopt.linalg import order_search as orders
from numopt.linalg.order_moves import factor
from numopt.linalg.order_search import BEST, BEST_LEFT, MOVES, RESTARTS, STALE, TOTAL, WANTED
from numopt.problems._dag_basis import expanded_order
from numopt.solvers._parts.dag import regressions, start_order

# Descents again that are made unasked, up to `LARGE` variables, and a few up to `HUGE`; no more
# once so many in a row came back to the same score.
AGAIN, FEW, LARGE, HUGE, ENOUGH = 12, 4, 200, 500, 5
# If the score is within this share of its bound they are few, and that up to so many variables:
# they take a millisecond there.
NEAR, SMALL = 0.01, 50

State = orders.Search


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
        Further descents, each from the best order with variables moved at random. By default 12 up
        to 200 variables and 4 up to 500; fewer where 5 in a row come back to the same score; where
        it is near its bound (see Notes) 4 up to 50 variables, and none beyond; none with splines
        or from an order that is given.
    kick : int, optional
        Moves of single variables before each of them; by default as many as there are variables.
    **limits
        See `Solver`.

    Notes
    -----
    All d (d - 1) insertions cost O(d^2) and all swaps d^3 / 6 steps, from one Cholesky factor of
    the Gram matrix; a move over m places updates it in O(d m) by Givens rotations. Memory: three
    d x d arrays. The number of samples plays no part. With splines, q functions of each variable
    make a block: q^3 times the cost, and a new factor of all d q functions for each iteration.

    The product of all D_t is det G in every order, so no order has less than d (det G)^(1/d), the
    sum if all D_t are equal. Data with noise of equal variances come near that, and restarts gain
    next to nothing within 1 % of it; standardised data do not, and single descents often end far
    above the best order there.

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

    def at_once(self, problem: Any, x0: Any, warm: dict[str, Any], tol: float) -> Any:
        if problem.size > SMALL or problem.splines is not None or self.restarts:
            return None
        state = self.init(problem, x0, warm)
        done, code = self.advance(problem, state, self.max_iter)
        if code != DONE:
            return None
        point = self.finish(problem, state)
        certificate = problem.certificate(point["x"], **problem.parts_of(point))
        return point, certificate.at(tol), done

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        if not problem.orders_alone:
            raise TypeError(
                "OrderInsertion solves score 'ls' without alpha, max_parents or forbidden edges "
                "beyond an order, on one Gram matrix; use TopologicalSwaps"
            )
        d, drawn, wanted = problem.size, self.start == "random", self.restarts
        if wanted is None:
            wanted = AGAIN if d <= LARGE else FEW
            given = x0 is not None or "order" in warm  # whoever has an order goes on from there
            if given or d <= 2 or d > HUGE or problem.splines is not None:
                wanted = 0
        rng, seed = None, self.random_state or 0
        if drawn or self.restarts:  # restarts that nobody asked for do not make results differ
            rng = np.random.default_rng(self.random_state)
            seed = int(rng.integers(2**63))
        order = start_order(problem, x0, warm, rng if drawn else None)
        state = orders.make_search(order, d * problem.per_parent, wanted, seed)
        self._refactor(problem, state)
        state.scalars[BEST] = state.scalars[TOTAL]
        return state

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        unasked = self.restarts is None
        done, code = orders.search(
            problem.gram_of_basis, problem.splines, problem.knowledge.before, state, n,
            self._eps(problem), self.kick or problem.size, ENOUGH if unasked else 10**9,
            NEAR if unasked else 0.0, FEW if problem.size <= SMALL else 0,
        )  # fmt: skip
        return done, (RUNNING, DONE, GROW)[code]

    def grow(self, problem: Any, state: State) -> State:
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
        return q**3 * (d**2 + d**3 / 24)  # most batches are of insertions

    def _eps(self, problem: Any) -> float:
        tol = self.tol if self.tol is not None else problem.default_tol
        return float(max(0.1 * min(tol, 1e-8), 1e-13))

    def _refactor(self, problem: Any, state: State) -> None:
        q = problem.per_parent
        factor(problem.gram_of_basis, expanded_order(state.order, q), state.U, state.M)
        state.scalars[TOTAL] = (state.U.diagonal()[::q] ** 2).sum()
        state.scalars[STALE] = 0
