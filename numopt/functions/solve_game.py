"""Matrix games, one call."""

from __future__ import annotations

from typing import Any

from numopt.core.engine import Solver, pick, run
from numopt.core.result import Result
from numopt.core.validate import require_choice, require_positive
from numopt.problems.matrix_game import MatrixGame

METHODS = ("auto", "exact", "double-oracle", "pdhg")
# Entries from which "auto" prefers products with A to restricted games.
LARGE = 20_000_000


def solve_game(
    A: Any,
    *,
    payoff: str = "row",
    method: str = "auto",
    tol: float = 1e-6,
    options: dict[str, Any] | None = None,
) -> Result:
    r"""Equilibrium of a two-player zero-sum game, :math:`\max_x \min_y x^T A y`.

    Parameters
    ----------
    A : array, scipy.sparse matrix or LinearOperator of shape (m, n)
        A[i, j] is what the row player receives when row i meets column j.
    payoff : {"row", "cost"}
        "cost": A[i, j] is what the row player pays, who then minimises.
    method : {"auto", "exact", "double-oracle", "pdhg"}
        "exact": the simplex method on the whole of A; "double-oracle": exact, by restricted games
        (`DoubleOracle`); "pdhg": products with A alone (`GamePDHG`), to the tolerance. "auto" takes
        the first for up to 90000 entries, else the second where few choices are played and the
        third where many are, for operators and for more than 2e7 stored entries.
    tol : float, default 1e-6
        Bound for the gap upper - lower relative to max(1, max |A|); solvers stop at this multiple
        of half the range of the entries of A, whatever their unit.
    options : dict, optional
        Hyper-parameters of the solver (``max_iter``, ``time_limit``, ``verbose``, ...).

    Returns
    -------
    Result
        With strategies ``x`` (m) and ``y`` (n), ``value``; ``lower`` and ``upper``, the bounds of
        the value that x and y prove; their difference ``gap``; ``exploitability``, half the gap,
        what best responses gain on average; ``support_x`` and ``support_y``, the choices played.
        Where there are several equilibria it is one of them, the value is always the same.

    Raises
    ------
    ValueError, TypeError
        If A is empty, not 2-D, not real or not finite.

    Examples
    --------
    >>> import numopt
    >>> result = numopt.solve_game([[3.0, 0.0], [1.0, 2.0]])
    >>> result.value, result.x.tolist(), result.y.tolist()
    (1.5, [0.25, 0.75], [0.5, 0.5])
    """
    from numopt.solvers import DoubleOracle, GamePDHG

    require_choice(method, METHODS, "method")
    require_positive(tol, "tol")
    game = MatrixGame(A, payoff)
    solver: Solver
    large = not game.explicit or game.entries > LARGE
    if method == "pdhg" or (method == "auto" and large):
        solver = GamePDHG(tol=tol, max_iter=200_000)
    elif method == "exact":
        if not game.explicit:
            raise ValueError("method 'exact' needs the entries of A; take 'double-oracle'")
        m, n = game.shape
        solver = DoubleOracle(tol=tol, whole=m * n)
    elif method == "double-oracle":
        solver = DoubleOracle(tol=tol, large_support=10**9)
    else:
        solver = DoubleOracle(tol=tol)
    return run(pick(solver, game, options or {}), game)
