"""Exact equilibria of matrix games, by growing a restricted game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from numopt.core.engine import DONE, RUNNING, Solver, run, time_left
from numopt.core.result import Certificate
from numopt.core.validate import require_count
from numopt.solvers._parts.game_simplex import as_payoffs, solve_game_exactly
from numopt.solvers.game_pdhg import GamePDHG, point, start

# Gains of a better response below this, relative to the spread of A, are rounding.
ROUNDING = 1e-13
# Games of so many entries are tried as a whole, with so many pivots.
TRIED, FEW_PIVOTS = 1_000_000, 50
# First-order iterations at most where these are to finish.
FIRST_ORDER = 100_000


@dataclass
class State:
    """The restricted game and its equilibrium, in the strategies of the whole."""

    rows: np.ndarray  # choices of the row player that the restricted game has
    columns: np.ndarray  # those of the column player
    x: np.ndarray  # strategies, of all choices
    y: np.ndarray
    Ay: np.ndarray  # what rows earn or pay against y
    Ax: np.ndarray  # the same for columns against x
    known: dict[int, np.ndarray]  # columns of an operator, as far as they were asked for
    best: tuple[np.ndarray, ...]  # x, y, A y and A'x with the least gap so far
    rounds: int = 0


@dataclass(frozen=True, kw_only=True)
class DoubleOracle(Solver):
    r"""Double oracle method for matrix games.

    Solves the game restricted to some rows and columns exactly, by the simplex method on a dense
    tableau, adds the best responses of both players to its equilibrium, and so on until there is
    no better response in the whole game. The equilibrium is then exact, and the certificate holds
    to rounding. The first rows and columns are those that `GamePDHG` plays after some iterations.
    Games of no more than `whole` entries are solved as a whole at once, and so are larger ones
    that fit into memory if few pivots are enough, or when `max_rounds` rounds are not. Where the
    players choose among many, as in large random games, restricted games do not pay: there
    `GamePDHG` goes on to the tolerance, and its polishing makes the equilibrium exact as a rule.

    Parameters
    ----------
    whole : int, default 90000
        Entries up to which there is nothing to restrict.
    seed_iterations : int, default 60
        First-order iterations that choose the first rows and columns.
    per_round : int, default 20
        Rows and columns that a round adds at most.
    max_rounds : int, default 30
        Rounds after which a game of up to `whole_at_last` entries is solved as a whole.
    whole_at_last : int, default 4000000
        Entries up to which that is done; larger games go on in rounds.
    large_support : int, default 150
        Choices of both players after the first iterations from which the first-order method
        finishes; a huge number keeps to rounds.
    **limits
        See `Solver`.

    Notes
    -----
    A round costs two products with A and the simplex method on the restricted game: pivots about
    twice the number of choices played, each a pass over its entries. Rounds end after at most
    m + n, in practice a handful where few choices are played.

    References
    ----------
    H. B. McMahan, G. J. Gordon, A. Blum, "Planning in the presence of cost functions controlled by
    an adversary", ICML 2003.

    Examples
    --------
    >>> from numopt.problems import MatrixGame
    >>> from numopt.solvers import DoubleOracle
    >>> result = DoubleOracle().solve(MatrixGame([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]))
    >>> result.x.round(6).tolist(), result.gap < 1e-14
    ([0.333333, 0.333333, 0.333333], True)
    """

    name: ClassVar[str] = "double-oracle"
    accepts: ClassVar[tuple[str, ...]] = ("MatrixGame",)
    check_every: ClassVar[int] = 1

    whole: int = 90_000
    seed_iterations: int = 60
    per_round: int = 20
    max_rounds: int = 30
    whole_at_last: int = 4_000_000
    large_support: int = 150

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("whole", "seed_iterations", "max_rounds", "whole_at_last", "large_support"):
            require_count(getattr(self, name), name)
        require_count(self.per_round, "per_round", 1)

    def at_once(self, problem: Any, x0: Any, warm: dict[str, Any], tol: float) -> Any:
        if x0 is not None or warm or self.max_iter < 1 or not self._fits(problem, TRIED):
            return None
        if self.time_limit is not None and self.time_limit < 0.1:
            return None
        found = _equilibrium(
            problem, problem.A, None if self._fits(problem, self.whole) else FEW_PIVOTS
        )
        if found is None:
            return None
        shown = {**point(*found), **problem.summary(*found)}
        return shown, problem.certificate(*found).at(tol), 1

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        x, y = start(problem, x0, warm)
        m, n = problem.shape
        rows, columns = np.arange(m), np.arange(n)
        if not self._fits(problem, self.whole):
            rows = columns = np.zeros(0, np.int64)
        Ay, Ax = problem.times(y), problem.adjoint(x)
        return State(rows, columns, x, y, Ay, Ax, {}, (x, y, Ay, Ax))

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        if n == 0:
            return 0, RUNNING
        m, columns = problem.shape
        whole = state.rows.size == m and state.columns.size == columns
        if not whole and state.rounds == 0:
            if self._seed(problem, state):
                return 1, RUNNING
        elif not whole and not self._grow(problem, state):
            return 0, DONE
        elif whole and state.rounds:
            return 0, DONE
        rows, cols = state.rows, state.columns
        found = _equilibrium(problem, self._restricted(problem, state))
        assert found is not None  # without a limit on pivots there is an answer
        x, y = np.zeros(m), np.zeros(columns)
        x[rows], y[cols] = found
        self._play(problem, state, x, y)
        state.rounds += 1
        return 1, RUNNING

    def _play(self, problem: Any, state: State, x: np.ndarray, y: np.ndarray) -> None:
        """Go on from these strategies, and keep them if they are the best."""
        state.x, state.y, state.Ay, state.Ax = x, y, problem.times(y), problem.adjoint(x)
        (low, high), (_, _, Ay, Ax) = problem.bounds_from(state.Ay, state.Ax), state.best
        least, most = problem.bounds_from(Ay, Ax)
        if not high - low >= most - least:
            state.best = state.x, state.y, state.Ay, state.Ax

    def measure(self, problem: Any, state: State) -> Certificate:
        return problem.strict(*state.best)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        return point(*state.best[:2])

    def summary(self, problem: Any, state: State) -> dict[str, Any]:
        return problem.summary(*state.best[:2])

    def work(self, problem: Any) -> float:
        return 1e9  # a round at a time

    def _fits(self, problem: Any, entries: int) -> bool:
        m, n = problem.shape
        return problem.explicit and m * n <= entries

    def _seed(self, problem: Any, state: State) -> bool:
        """Rows and columns played by a first-order method; whether that is to finish the job."""
        finishes = False
        if self.seed_iterations and max(np.count_nonzero(state.x), np.count_nonzero(state.y)) > 1:
            met = self._iterate(problem, state, self.seed_iterations)
            least = min(np.count_nonzero(state.x), np.count_nonzero(state.y))
            finishes = bool(problem.explicit and not met and least > self.large_support)
            if finishes:
                self._iterate(problem, state, FIRST_ORDER)
                state.rounds += 1
        most = 5 * self.per_round
        state.rows = _largest(state.x, 1e-6 * state.x.max(), most)
        state.columns = _largest(state.y, 1e-6 * state.y.max(), most)
        if not finishes:
            self._grow(problem, state)
        return finishes

    def _iterate(self, problem: Any, state: State, n: int) -> bool:
        """First-order iterations from the strategies at hand; whether they reached `tol`."""
        tol = problem.default_tol if self.tol is None else self.tol
        limit = max(time_left(), 1e-3)
        found = run(
            GamePDHG(tol=tol, max_iter=n, time_limit=None if limit == np.inf else limit),
            problem, warm_start={"x": state.x, "y": state.y}, warn=False,
        )  # fmt: skip
        self._play(problem, state, found.x, found.y)
        return bool(found.success)

    def _grow(self, problem: Any, state: State) -> bool:
        """Add better responses of both players; whether there are any."""
        sign = 1.0 if problem.payoff == "row" else -1.0
        if state.rounds >= self.max_rounds and self._fits(problem, self.whole_at_last):
            state.rows, state.columns = (np.arange(k) for k in problem.shape)
            return True
        noise, value = ROUNDING * problem.spread, float(state.x @ state.Ay)
        noise = max(noise, 1e-15 * abs(value))
        grown = False
        for name, gains in (
            ("rows", sign * (state.Ay - value)),
            ("columns", sign * (value - state.Ax)),
        ):
            known = getattr(state, name)
            gains[known] = 0.0
            # A round adds as many as there were, so that large supports take few of them.
            more = _largest(gains, noise, max(self.per_round, known.size // 2))
            setattr(state, name, np.sort(np.concatenate([known, more])))
            grown = grown or more.size > 0
        return grown

    def _restricted(self, problem: Any, state: State) -> Any:
        if problem.explicit:
            return problem.A[np.ix_(state.rows, state.columns)]
        for j in state.columns.tolist():
            if j not in state.known:
                state.known[j] = problem.times(np.eye(1, problem.shape[1], j)[0])
        return np.column_stack([state.known[j][state.rows] for j in state.columns.tolist()])


def _equilibrium(
    problem: Any, A: Any, pivots: int | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    return solve_game_exactly(as_payoffs(A, 1.0 if problem.payoff == "row" else -1.0), pivots)


def _largest(values: np.ndarray, above: float, most: int) -> np.ndarray:
    """Places of the largest values above a threshold, at most so many."""
    places = np.flatnonzero(values > above)
    if places.size > most:
        places = places[np.argpartition(-values[places], most)[:most]]
    return np.sort(places)
