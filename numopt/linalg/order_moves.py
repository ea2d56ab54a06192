"""Sums of conditional variances over orders of variables: all moves from one Cholesky factor.

For an order of the variables let P be the Gram matrix in that order, P = U'U with U upper
triangular, and M = U'^{-1}. Then D_t = U_tt^2 is the residual variance of variable t after
regression on those before it, with the coefficients -U_tt M[t, :t]. Moving variables
changes the D_t between the places touched and no others; the changes of all insertions together
cost O(d^2), of all swaps O(d^3 / 6), and a move is applied by rotations of neighbouring rows.

U and M are kept by rows, so that the inner loops run along memory.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from numopt.core.jit import inner, kernel

# Moves applied to a factor before it is computed anew.
DRIFT = 64
# Up to this many variables LAPACK is not worth its threads.
SMALL = 256


def factor(gram: np.ndarray, order: np.ndarray, U: np.ndarray, M: np.ndarray) -> None:
    """Cholesky factor of the Gram matrix in this order, and its inverse transposed."""
    if len(gram) <= SMALL:
        if not _factor_small(gram, order, U, M):
            raise np.linalg.LinAlgError("the Gram matrix is not positive definite")
        return
    U[:] = scipy.linalg.cholesky(gram[np.ix_(order, order)], lower=False, check_finite=False)
    inverse, info = scipy.linalg.get_lapack_funcs("trtri", (U,))(U)
    if info != 0:
        raise np.linalg.LinAlgError("the Gram matrix is not positive definite")
    M[:] = np.triu(inverse).T


@kernel
def _factor_small(G, order, U, M):
    """The same in one thread: on a busy machine, threads cost more than they bring."""
    d = order.size
    for t in range(d):
        for j in range(d):
            U[t, j] = G[order[t], order[j]] if j >= t else 0.0
            M[t, j] = 0.0
        M[t, t] = 1.0
        for s in range(t):
            _subtract(U[s, t], U[s], U[t], t, d)
            _subtract(U[s, t], M[s], M[t], 0, s + 1)
        if not U[t, t] > 0:
            return False
        scale = 1.0 / np.sqrt(U[t, t])
        for j in range(t, d):
            U[t, j] *= scale
        for j in range(t + 1):
            M[t, j] *= scale
    return True


def coefficients(U: np.ndarray, M: np.ndarray, order: np.ndarray) -> np.ndarray:
    """W[i, j]: coefficient of variable i in the regression of j on all before it."""
    W = np.empty_like(U)
    _coefficients(U, M, order, W)
    return W


@kernel
def _coefficients(U, M, order, W):
    d = order.size
    for t in range(d):
        for s in range(d):
            W[order[s], order[t]] = -U[t, t] * M[t, s] if s < t else 0.0


@kernel
def variance_order(G, q, before, order):
    """Order by least conditional variance first: consistent where the noise variances are equal.

    With q rows of G for each variable, the first of them the variable itself, variances are given
    all of those before.
    """
    d, size = order.size, G.shape[0]
    U = np.empty((size, size))
    left = np.empty(size)
    missing = np.zeros(d, np.int64)
    for i in range(size):
        left[i] = G[i, i]
    for i in range(d):
        for j in range(d):
            missing[j] += before[i, j]
    for t in range(d):
        best = -1
        for j in range(d):
            if missing[j] == 0 and (best < 0 or left[j * q] < left[best * q]):
                best = j
        order[t] = best
        missing[best] = d + 1
        for j in range(d):
            missing[j] -= before[best, j]
        for k in range(q):
            row, now = t * q + k, best * q + k
            for j in range(size):
                U[row, j] = G[now, j]
            for s in range(row):
                _subtract(U[s, now], U[s], U[row], 0, size)
            scale = 1.0 / np.sqrt(max(left[now], 1e-12 * G[now, now]))
            for j in range(size):
                U[row, j] *= scale
                left[j] = max(left[j] - U[row, j] * U[row, j], 0.0)


@inner(contract=True, merged=True)
def _subtract(a, x, y, start, stop):
    for j in range(start, stop):
        y[j] -= a * x[j]


@inner
def room(order, before, low, high):
    """First and last place each variable can be moved to, the others staying in order."""
    d = order.size
    for t in range(d):
        low[t], high[t] = 0, d - 1
        for s in range(t):
            if before[order[s], order[t]]:
                low[t] = s + 1
        for s in range(d - 1, t, -1):
            if before[order[t], order[s]]:
                high[t] = s - 1


@inner
def tails(U, T):
    """T[t, b] = sum of U[s, b]^2 over s from t to b: the variance of b given those before t."""
    d = U.shape[0]
    for b in range(d):
        T[d - 1, b] = 0.0
    T[d - 1, d - 1] = U[d - 1, d - 1] ** 2
    for t in range(d - 2, -1, -1):
        T[t, t] = U[t, t] * U[t, t]
        for b in range(t + 1, d):
            T[t, b] = T[t + 1, b] + U[t, b] * U[t, b]


@inner
def insertions(U, M, T, low, high, work, gain, target):
    """Best insertion of each variable to the left (rows 0) and to the right (rows 1) of itself."""
    d = U.shape[0]
    change = work[0]
    for b in range(d):
        change[b] = 0.0
        gain[0, b] = gain[1, b] = 0.0
        target[0, b] = target[1, b] = b
    for t in range(d - 2, -1, -1):
        D = U[t, t] * U[t, t]
        for b in range(t + 1, d):
            change[b] += D * (T[t + 1, b] / T[t, b] - 1.0)
            total = T[t, b] - T[b, b] + change[b]
            if total < gain[0, b] and t >= low[b]:
                gain[0, b] = total
                target[0, b] = t
    q = work[1]
    for a in range(d):
        change[a] = 0.0
        q[a] = M[a, a] * M[a, a]
    for t in range(1, d):
        D = U[t, t] * U[t, t]
        for a in range(t):
            more = q[a] + M[t, a] * M[t, a]
            change[a] += D * (more / q[a] - 1.0)
            q[a] = more
            total = 1.0 / more - T[a, a] + change[a]
            if total < gain[1, a] and t <= high[a]:
                gain[1, a] = total
                target[1, a] = t


@inner
def swaps(U, M, T, low, high, work, first, last, gain, target):
    """Best partner b > a to change places with, for a from `first` to `last` - 1."""
    d = U.shape[0]
    change, c = work[0], work[1]
    for a in range(first, last):
        gain[a] = 0.0
        target[a] = a
        q = M[a, a] * M[a, a]
        for b in range(a + 1, d):
            change[b] = T[a, b] - T[a, a]
            c[b] = U[a, b] * M[a, a]
        for t in range(a + 1, min(high[a], d - 1) + 1):
            m, u = M[t, a], U[t, t]
            more = q + m * m
            total = change[t] + 1.0 / more - T[t, t]
            if total < gain[a] and low[t] <= a:
                gain[a] = total
                target[a] = t
            _pass_one(u, m, q, U[t], T[t], c, change, t + 1, d)
            q = more


@inner(contract=True, merged=True)
def _pass_one(u, m, q, U_t, T_t, c, change, start, stop):
    """What place t adds to the swaps of one variable with all after t."""
    vi = 1.0 / q
    slope = -u * m
    vt = u * u + slope * slope * vi
    rise = vt - u * u
    for b in range(start, stop):
        cov = u * U_t[b] + slope * vi * c[b]
        change[b] += rise - cov * cov / (T_t[b] + c[b] * c[b] * vi)
        c[b] += U_t[b] * m


@kernel
def swap_gains(U, M, places, gain):
    """Change of the sum of variances by each swap of two places (a, b), a < b."""
    for k in range(places.shape[0]):
        gain[k] = swap_gain(U, M, places[k, 0], places[k, 1])


@inner
def swap_gain(U, M, a, b):
    """Change of the sum of variances by the swap of places a < b."""
    v = 0.0
    for s in range(a, b + 1):
        v += U[s, b] * U[s, b]
    change = v - U[a, a] * U[a, a]
    q, c = M[a, a] * M[a, a], U[a, b] * M[a, a]
    v -= U[a, b] * U[a, b]
    for t in range(a + 1, b):
        u, vi = U[t, t], 1.0 / q
        slope = -u * M[t, a]
        cov = u * U[t, b] + slope * c * vi
        change += slope * slope * vi - cov * cov / (v + c * c * vi)
        q += M[t, a] * M[t, a]
        c += U[t, b] * M[t, a]
        v -= U[t, b] * U[t, b]
    q += M[b, a] * M[b, a]
    return change + 1.0 / q - U[b, b] * U[b, b]


# ---- applying moves ------------------------------------------------------------------------------


@inner(contract=True, merged=True)
def _rotate(x, y, c, s, start, stop):
    for j in range(start, stop):
        t = c * x[j] + s * y[j]
        y[j] = c * y[j] - s * x[j]
        x[j] = t


@inner
def _flip(U, M, t):
    """Make the pivot of row t positive."""
    d = U.shape[0]
    if U[t, t] < 0:
        for j in range(t, d):
            U[t, j] = -U[t, j]
        for j in range(t + 1):
            M[t, j] = -M[t, j]


@inner
def _shift_right(A, first, last, a, b):
    """In these rows the entry of column b goes to column a."""
    for r in range(first, last):
        moved = A[r, b]
        for j in range(b, a, -1):
            A[r, j] = A[r, j - 1]
        A[r, a] = moved


@inner
def _shift_left(A, first, last, a, b):
    for r in range(first, last):
        moved = A[r, a]
        for j in range(a, b):
            A[r, j] = A[r, j + 1]
        A[r, b] = moved


@inner
def move_left(U, M, order, b, a):
    """Put the variable at place b to place a < b."""
    d = U.shape[0]
    node = order[b]
    for t in range(b, a, -1):
        order[t] = order[t - 1]
    order[a] = node
    _shift_right(U, 0, b + 1, a, b)
    _shift_right(M, a, d, a, b)
    for t in range(b - 1, a - 1, -1):
        x, y = U[t, a], U[t + 1, a]
        r = np.sqrt(x * x + y * y)
        c, s = x / r, y / r
        U[t, a], U[t + 1, a] = r, 0.0
        _rotate(U[t], U[t + 1], c, s, t + 1, d)
        _rotate(M[t], M[t + 1], c, s, 0, t + 2)
        M[t, t + 1] = 0.0
        _flip(U, M, t + 1)
    _flip(U, M, a)


@inner
def move_right(U, M, order, a, b):
    """Put the variable at place a to place b > a."""
    d = U.shape[0]
    node = order[a]
    for t in range(a, b):
        order[t] = order[t + 1]
    order[b] = node
    _shift_left(U, 0, b + 1, a, b)
    _shift_left(M, a, d, a, b)
    for t in range(a, b):
        x, y = U[t, t], U[t + 1, t]
        r = np.sqrt(x * x + y * y)
        c, s = x / r, y / r
        U[t, t], U[t + 1, t] = r, 0.0
        _rotate(U[t], U[t + 1], c, s, t + 1, d)
        _rotate(M[t], M[t + 1], c, s, 0, t + 1)
        M[t + 1, b] = c * M[t + 1, b] - s * M[t, b]
        M[t, b] = 0.0
    _flip(U, M, b)


@inner
def move_swap(U, M, order, a, b):
    """Exchange the variables at places a < b."""
    move_left(U, M, order, b, a)
    if b > a + 1:
        move_right(U, M, order, a + 1, b)


@kernel
def all_gains(U, M, order, before, gains, targets):
    """Best change by an insertion to the left, to the right, and by a swap, of each place."""
    d = U.shape[0]
    T, work = np.empty((d, d)), np.empty((2, d))
    low, high = np.empty(d, np.int64), np.empty(d, np.int64)
    room(order, before, low, high)
    tails(U, T)
    insertions(U, M, T, low, high, work, gains[:2], targets[:2])
    swaps(U, M, T, low, high, work, 0, d, gains[2], targets[2])


@kernel
def descend(U, M, T, order, before, work, gains, targets, steps, eps, total):
    """Batches of disjoint improving moves: insertions first, swaps where none is left.

    Returns (batches done, moves applied, the sum of variances, the best change left or 1 if not
    known). Stops for a new factor after enough moves, and where no move improves by `eps`.
    """
    d = U.shape[0]
    low, high = np.empty(d, np.int64), np.empty(d, np.int64)
    taken, picks = np.empty(d, np.bool_), np.empty((d, 3), np.int64)
    moves = 0
    for step in range(steps):
        room(order, before, low, high)
        tails(U, T)
        insertions(U, M, T, low, high, work, gains[:2], targets[:2])
        best = min(gains[0].min(), gains[1].min())
        if best < -eps:
            change, count = _apply(U, M, order, gains, targets, taken, picks, 0, eps)
        else:
            swaps(U, M, T, low, high, work, 0, d, gains[2], targets[2])
            best = min(best, gains[2].min())
            if not best < -eps:
                return step, moves, total, best
            change, count = _apply(U, M, order, gains, targets, taken, picks, 2, eps)
        total += change
        moves += count
        if moves >= DRIFT:
            return step + 1, moves, total, 1.0
    return steps, moves, total, 1.0


@inner
def _apply(U, M, order, gains, targets, taken, picks, kind, eps):
    """Apply the best moves whose places do not overlap; their gain and number."""
    count, change = choose(gains, targets, taken, kind, eps, picks), 0.0
    for k in range(count):
        row, a, b = picks[k, 0], picks[k, 1], picks[k, 2]
        if row == 0:
            change += gains[row, b]
            move_left(U, M, order, b, a)
        elif row == 1:
            change += gains[row, a]
            move_right(U, M, order, a, b)
        else:
            change += gains[row, a]
            move_swap(U, M, order, a, b)
    return change, count


@inner
def choose(gains, targets, taken, kind, eps, picks):
    """Rows (kind, a, b) of the best moves whose places a to b do not overlap; their number."""
    d = taken.size
    if kind == 0:
        sort = np.argsort(np.concatenate((gains[0], gains[1])))
    else:
        sort = np.argsort(gains[2])
    for t in range(d):
        taken[t] = False
    count = 0
    for k in sort:
        row = kind if kind == 2 else k // d
        place = k % d
        if not gains[row, place] < -eps:
            break
        a, b = min(place, targets[row, place]), max(place, targets[row, place])
        free = True
        for t in range(a, b + 1):
            free = free and not taken[t]
        if not free:
            continue
        for t in range(a, b + 1):
            taken[t] = True
        picks[count, 0], picks[count, 1], picks[count, 2] = row, a, b
        count += 1
    return count
