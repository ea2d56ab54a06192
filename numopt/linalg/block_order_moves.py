"""Moves in orders of variables of which each brings q functions as predictors: additive models.

As `numopt.linalg.order_moves`, with blocks. The Gram matrix is that of all functions, the first of
each block the variable itself; P = U'U and M = U'^{-1} in the order of blocks, so that
D_t = U[tq, tq]^2 is the residual variance of variable t given all functions of those before it. Let
u = U[tq, tq] and r, m be the parts of row tq of U and M in the columns of another block.

- A block with residual covariance V given the blocks before t comes before t:
  D_t becomes u^2 (1 - r'V^{-1}r).
- A block with precision Q given the others before t goes behind t: D_t becomes u^2 (1 + m'Q^{-1}m).
- A swap is both. Given all but the block that leaves, the residuals of t and of the block that
  comes have the covariance u r + s'Q^{-1}C with s = -u m, and C the coefficients of the latter on
  the former; that of the block is V + C'Q^{-1}C.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.order_moves import _factor_small, choose, room


@inner
def _add_rows(X, Y, t, q, a, b, S):
    """S += X_ta' Y_tb, blocks of row block t."""
    for s in range(t * q, t * q + q):
        for k in range(q):
            for m in range(q):
                S[k, m] += X[s, a * q + k] * Y[s, b * q + m]


@inner
def _cholesky(S, L):
    for k in range(S.shape[0]):
        for m in range(k + 1):
            total = S[k, m]
            for s in range(m):
                total -= L[k, s] * L[m, s]
            if m < k:
                L[k, m] = total / L[m, m]
            else:
                L[k, k] = np.sqrt(max(total, 1e-300))


@inner
def _forward(L, x):
    """x = L^{-1} x; its square, which is that of x in the inverse of L L'."""
    square = 0.0
    for k in range(x.size):
        for s in range(k):
            x[k] -= L[k, s] * x[s]
        x[k] /= L[k, k]
        square += x[k] * x[k]
    return square


@inner
def _first_variance(L, x):
    """Entry (0, 0) of the inverse of L L'."""
    for k in range(x.size):
        x[k] = 0.0
    x[0] = 1.0
    return _forward(L, x)


@kernel
def all_block_gains(U, M, q, order, before, gains, targets):
    """Best change by an insertion to the left, to the right, and by a swap, of each place."""
    d = order.size
    low, high = np.empty(d, np.int64), np.empty(d, np.int64)
    room(order, before, low, high)
    _insertions(U, M, q, low, high, gains, targets)
    _swaps(U, M, q, low, high, gains[2], targets[2])


@inner
def _insertions(U, M, q, low, high, gains, targets):
    d = low.size
    S, L, x = np.empty((q, q)), np.empty((q, q)), np.empty(q)
    for b in range(d):
        # To the left: S is the covariance V of block b given the blocks before t.
        gains[0, b], targets[0, b] = 0.0, b
        own = U[b * q, b * q] ** 2
        S[:] = 0.0
        _add_rows(U, U, b, q, b, b, S)
        change = 0.0
        for t in range(b - 1, low[b] - 1, -1):
            _add_rows(U, U, t, q, b, b, S)
            _cholesky(S, L)
            for k in range(q):
                x[k] = U[t * q, b * q + k]
            change -= U[t * q, t * q] ** 2 * _forward(L, x)
            if change + S[0, 0] - own < gains[0, b]:
                gains[0, b], targets[0, b] = change + S[0, 0] - own, t
        # To the right: S is the precision Q of block b given the other blocks up to t.
        gains[1, b], targets[1, b] = 0.0, b
        S[:] = 0.0
        _add_rows(M, M, b, q, b, b, S)
        change = 0.0
        for t in range(b + 1, high[b] + 1):
            _cholesky(S, L)
            for k in range(q):
                x[k] = M[t * q, b * q + k]
            change += U[t * q, t * q] ** 2 * _forward(L, x)
            _add_rows(M, M, t, q, b, b, S)
            _cholesky(S, L)
            total = change + _first_variance(L, x) - own
            if total < gains[1, b]:
                gains[1, b], targets[1, b] = total, t


@inner
def _swaps(U, M, q, low, high, gain, target):
    d = low.size
    work = np.empty((5, q, q))
    for a in range(d):
        gain[a], target[a] = 0.0, a
        for b in range(a + 1, high[a] + 1):
            if low[b] <= a:
                change = _swap_gain(U, M, q, a, b, work)
                if change < gain[a]:
                    gain[a], target[a] = change, b


@kernel
def block_swap_gains(U, M, q, places, gain):
    """Change of the sum of variances by each swap of two places (a, b), a < b."""
    work = np.empty((5, q, q))
    for k in range(places.shape[0]):
        gain[k] = _swap_gain(U, M, q, places[k, 0], places[k, 1], work)


@inner
def _swap_gain(U, M, q, a, b, work):
    V, Q, C, S, L = work[0], work[1], work[2], work[3], work[4]
    x, cov = np.empty(q), np.empty(q)
    V[:], Q[:], C[:] = 0.0, 0.0, 0.0
    for t in range(a, b + 1):
        _add_rows(U, U, t, q, b, b, V)
    change = V[0, 0] - U[a * q, a * q] ** 2
    _add_rows(M, M, a, q, a, a, Q)
    _add_rows(M, U, a, q, a, b, C)
    for t in range(a + 1, b):
        # V: of block b given those before t - 1, so far; its rows leave from the top.
        for s in range((t - 1) * q, t * q):
            for k in range(q):
                for m in range(q):
                    V[k, m] -= U[s, b * q + k] * U[s, b * q + m]
        u = U[t * q, t * q]
        _cholesky(Q, L)
        for k in range(q):
            x[k] = -u * M[t * q, a * q + k]
        rise = _forward(L, x)
        for k in range(q):
            for m in range(q):
                S[m, k] = C[m, k]
            _forward(L, S[:, k])
        for k in range(q):
            cov[k] = u * U[t * q, b * q + k]
            for s in range(q):
                cov[k] += x[s] * S[s, k]
        # S holds Q^{-1/2}C: V + S'S is the covariance of block b without block a.
        for k in range(q):
            for m in range(k + 1):
                L[k, m] = V[k, m]
                for s in range(q):
                    L[k, m] += S[s, k] * S[s, m]
        _cholesky(L, L)
        change += rise - _forward(L, cov)
        _add_rows(M, M, t, q, a, a, Q)
        _add_rows(M, U, t, q, a, b, C)
    _add_rows(M, M, b, q, a, a, Q)
    _cholesky(Q, L)
    return change + _first_variance(L, x) - U[b * q, b * q] ** 2


@kernel
def descend_blocks(G, q, U, M, order, before, gains, targets, steps, eps):
    """Batches of disjoint improving moves, each from a new factor: see `order_moves.descend`.

    Returns (batches done, moves applied, the sum of variances, the best change left or 1).
    """
    d = order.size
    low, high = np.empty(d, np.int64), np.empty(d, np.int64)
    taken, picks = np.empty(d, np.bool_), np.empty((d, 3), np.int64)
    places = np.empty(d * q, np.int64)
    moves, total = 0, 0.0
    for step in range(steps):
        for t in range(d):
            for k in range(q):
                places[t * q + k] = order[t] * q + k
        if not _factor_small(G, places, U, M):
            return step, moves, np.nan, np.nan
        total = 0.0
        for t in range(d):
            total += U[t * q, t * q] ** 2
        room(order, before, low, high)
        _insertions(U, M, q, low, high, gains, targets)
        kind, best = 0, min(gains[0].min(), gains[1].min())
        if not best < -eps * total:
            _swaps(U, M, q, low, high, gains[2], targets[2])
            kind, best = 2, min(best, gains[2].min())
            if not best < -eps * total:
                return step, moves, total, best
        count = choose(gains, targets, taken, kind, eps * total, picks)
        for k in range(count):
            _reorder(order, picks[k, 0], picks[k, 1], picks[k, 2])
        moves += count
    return steps, moves, total, 1.0


@inner
def _reorder(order, row, a, b):
    """Apply a move: row 0 takes b to a, row 1 takes a to b, row 2 swaps."""
    first, last = order[a], order[b]
    if row == 0:
        for t in range(b, a, -1):
            order[t] = order[t - 1]
        order[a] = last
    elif row == 1:
        for t in range(a, b):
            order[t] = order[t + 1]
        order[b] = first
    else:
        order[a], order[b] = last, first
