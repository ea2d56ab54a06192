"""The simplex method for matrix games, on a condensed tableau.

For payoffs B > 0 to the row player, the column player's problem is max sum(u) subject to
B u <= 1, u >= 0: y = u / sum(u), and the value is 1 / sum(u). The start u = 0 is feasible, and the
multipliers of the rows are the row player's x, up to the same factor. Few pivots are needed where
few choices are played.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel

# Relative to the entries of B, which lie in [1, 2]: reduced costs and pivots below are rounding.
COST, PIVOT = 1e-11, 1e-9
# Pivots without progress after which the first choice is taken instead of the best one.
STUCK = 12
# Times a basis is computed anew where the gap, in these units, is not exact but for rounding; and
# the gap beyond which another solver is asked.
REFRESHES, EXACT, GOOD = 3, 1e-13, 1e-10


def solve_game_exactly(
    R: np.ndarray, pivots: int | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Strategies of an equilibrium, for payoffs R to the row player.

    None if that takes more than so many pivots.
    """
    pure = pure_equilibrium(R)
    m, n = R.shape
    if pure is not None:
        return unit(m, pure[0]), unit(n, pure[1])
    low, high = float(R.min()), float(R.max())
    centre, half = 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low
    scaled = (R - centre) / half  # in [-1, 1]: shifts and units make no difference
    tableau = np.empty((m + 1, n + 1))
    rows, columns = np.arange(n, n + m), np.arange(n)  # labels: u_j is j, slack i is n + i
    _fill(scaled, tableau)
    best = np.full(m, 1.0 / m), np.full(n, 1.0 / n)
    least = _gap(scaled, best)

    def offer(candidate: tuple[np.ndarray, np.ndarray] | None) -> None:
        nonlocal best, least
        if candidate is not None and (gap := _gap(scaled, candidate)) < least:
            best, least = candidate, gap

    for _ in range(REFRESHES):
        enough = _pivot(tableau, rows, columns, pivots or 50 * (m + n) + 100)
        if pivots is not None and not enough:
            return None
        offer(_strategies(tableau, rows, columns))
        offer(_polished(scaled, rows, columns))
        if least <= EXACT or not enough or not _refresh(scaled, tableau, rows, columns):
            break
    for tolerance in (1e-10, 1e-7):
        if least > GOOD:
            offer(_by_linprog(scaled, tolerance))
    return best


def _gap(R: np.ndarray, strategies: tuple[np.ndarray, np.ndarray]) -> float:
    x, y = strategies
    return float((R @ y).max() - (R.T @ x).min())


def pure_equilibrium(R: np.ndarray) -> tuple[int, int] | None:
    """A saddle point of the matrix, if it has one."""
    worst, best = R.min(axis=1), R.max(axis=0)
    i, j = int(worst.argmax()), int(best.argmin())
    return (i, j) if worst[i] == best[j] else None


def unit(n: int, i: int) -> np.ndarray:
    """The strategy that always plays i."""
    e = np.zeros(n)
    e[i] = 1.0
    return e


def distribution(weights: np.ndarray) -> np.ndarray | None:
    """Weights as a distribution; None if they are none, but for rounding."""
    total = weights.sum()
    if not (0 < total < np.inf) or not weights.min() >= -1e-6 * total:
        return None
    weights = np.maximum(weights, 0.0)
    return weights / weights.sum()


def _strategies(
    tableau: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Both strategies as the tableau has them."""
    m, n = rows.size, columns.size
    w, u = np.zeros(m), np.zeros(n)
    basic, active = rows < n, columns >= n
    u[rows[basic]] = tableau[:m, n][basic]
    w[columns[active] - n] = tableau[m, :n][active]
    x, y = distribution(w), distribution(u)
    return None if x is None or y is None else (x, y)


def _polished(
    R: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The equilibrium with the supports of a basis, from its linear equations."""
    m, n = R.shape
    J, active = rows[rows < n], columns[columns >= n] - n
    if J.size == 0 or J.size != active.size:
        return None
    found = on_supports(R[np.ix_(active, J)])
    if found is None:
        return None
    x, y = np.zeros(m), np.zeros(n)
    x[active], y[J] = found
    return x, y


def on_supports(R: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Strategies that make the other player indifferent; None if there are none.

    R y = v 1 and R'x = v 1 with sums 1.
    """
    k = len(R)
    border = np.ones((k + 1, k + 1))
    border[:k, :k] = R
    border[k, k] = 0.0
    last = np.zeros(k + 1)
    last[k] = 1.0
    try:
        inverse = np.linalg.inv(border) if k < 20 else None
        v = inverse[:, k] if inverse is not None else np.linalg.solve(border, last)
        w = inverse[k] if inverse is not None else np.linalg.solve(border.T, last)
    except np.linalg.LinAlgError:
        return None
    y, x = distribution(v[:k]), distribution(w[:k])
    return None if x is None or y is None else (x, y)


def _refresh(R: np.ndarray, tableau: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> bool:
    """Compute the tableau of a basis from the data; whether that was possible."""
    m, n = R.shape
    _fill(R, tableau)
    full = np.hstack([tableau[:m, :n], np.eye(m), tableau[:m, n:]])
    try:
        inner_part = np.linalg.solve(full[:, rows], full[:, [*columns, -1]])
    except np.linalg.LinAlgError:
        return False
    cost = np.zeros(m + n + 1)
    cost[:n] = -1.0
    tableau[:m] = inner_part
    tableau[m] = cost[[*columns, -1]] - cost[rows] @ inner_part
    return bool(np.isfinite(tableau).all())


def _by_linprog(R: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The same by HiGHS, where pivoting on a tableau has lost too many digits."""
    from scipy.optimize import linprog

    m, n = R.shape
    answer = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.hstack([R, -np.ones((m, 1))]),
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
        options={
            "primal_feasibility_tolerance": tolerance,
            "dual_feasibility_tolerance": tolerance,
        },
    )
    if answer.x is None:
        return None
    x, y = distribution(-answer.ineqlin.marginals), distribution(answer.x[:n])
    return None if x is None or y is None else (x, y)


@kernel
def _fill(R, tableau):
    """The tableau at u = 0, of payoffs R in [-1, 1] lifted to [1, 2]."""
    m, n = R.shape
    for i in range(m):
        for j in range(n):
            tableau[i, j] = 0.5 * R[i, j] + 1.5
        tableau[i, n] = 1.0
    for j in range(n):
        tableau[m, j] = -1.0
    tableau[m, n] = 0.0


@kernel
def _pivot(tableau, rows, columns, most):
    """Pivot until no reduced cost is negative; whether that was reached."""
    stuck = 0
    for _ in range(most):
        s = _entering(tableau, columns, stuck > STUCK)
        if s < 0:
            return True
        r = _leaving(tableau, rows, s, stuck > STUCK)
        if r < 0:  # only by rounding: the problem is bounded
            return False
        progress = tableau[r, tableau.shape[1] - 1] > 1e-13
        stuck = 0 if progress else stuck + 1
        _exchange(tableau, r, s)
        rows[r], columns[s] = columns[s], rows[r]
    return False


@inner
def _entering(tableau, columns, first):
    """Column with the most negative reduced cost, or the one of the least label; -1 if none."""
    m, best, label = tableau.shape[0] - 1, -1, columns.size + tableau.shape[0]
    lowest = -COST
    for j in range(columns.size):
        cost = tableau[m, j]
        if first:
            if cost < -COST and columns[j] < label:
                best, label = j, columns[j]
        elif cost < lowest:
            best, lowest = j, cost
    return best


@inner
def _leaving(tableau, rows, s, first):
    """Row of the least ratio; of equal ones the largest pivot, or the least label."""
    last, best = tableau.shape[1] - 1, -1
    least = size = 0.0
    for i in range(rows.size):
        pivot = tableau[i, s]
        if pivot > PIVOT:
            ratio = max(tableau[i, last], 0.0) / pivot
            equal = best >= 0 and abs(ratio - least) <= 1e-12 * (1.0 + least)
            if equal:
                better = rows[i] < rows[best] if first else pivot > size
            else:
                better = best < 0 or ratio < least
            if better:
                best, least, size = i, ratio, pivot
    return best


@inner
def _exchange(tableau, r, s):
    """Exchange what row r and column s stand for."""
    pivot = tableau[r, s]
    for j in range(tableau.shape[1]):
        tableau[r, j] /= pivot
    tableau[r, s] = 1.0 / pivot
    for i in range(tableau.shape[0]):
        factor = tableau[i, s]
        if i != r and factor != 0:
            for j in range(tableau.shape[1]):
                tableau[i, j] -= factor * tableau[r, j]
            tableau[i, s] = -factor / pivot


def as_payoffs(A: Any, sign: float) -> np.ndarray:
    """Entries of a restricted game as payoffs to the row player."""
    dense = A.toarray() if hasattr(A, "toarray") else np.asarray(A)
    return np.ascontiguousarray(dense, np.float64) if sign > 0 else -dense
