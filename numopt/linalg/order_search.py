"""Descents over orders of variables, with restarts, as one compiled loop.

Orders are scored by the sum of conditional variances; see `numopt.linalg.order_moves`, or, if each
variable brings q functions as predictors, `numopt.linalg.block_order_moves`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.block_order_moves import descend_blocks
from numopt.linalg.order_moves import SMALL, _factor_small, descend

# Places in Search.scalars: score of the order and what the best move would gain, moves so far,
# whether the factor is out of date, the best score of all with its best move, restarts done, how
# many there are to be, and how many of the last ones came back to the best order.
TOTAL, LEFT, MOVES, STALE, BEST, BEST_LEFT, RESTARTS, WANTED, BACK = range(9)
# What `search` returns: it goes on, it is done, it needs a factor from LAPACK.
RUNNING, DONE, FACTOR = range(3)
# In place of 1 in STALE: nodes are to be moved before the order is factored anew.
KICK = 2
# Period of the random numbers of restarts.
PRIME = 2**31 - 1
# Sums that differ by less, relative to their size, are the same.
SAME = 1e-12


class Search(NamedTuple):
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
    random: np.ndarray  # state of the random numbers of restarts


def make_search(order: np.ndarray, size: int, restarts: int, seed: int) -> Search:
    """A search from this order, with a Gram matrix of this size."""
    d = order.size
    scalars = np.array([np.inf, np.inf, 0.0, 1.0, np.inf, np.inf, 0.0, restarts, 0.0])
    U, M, T = np.zeros((3, size, size))
    gains, targets = np.zeros((3, d)), np.zeros((3, d), np.int64)
    random = np.array([seed * 69069 % (PRIME - 1) + 1])  # near seeds are to be far apart
    return Search(order, order.copy(), U, M, T, np.zeros((2, d)), gains, targets, scalars, random)


@inner
def _below(random, m):
    """A random number from 0 to m - 1, by the generator of Park and Miller."""
    random[0] = random[0] * 48271 % PRIME
    return random[0] * m >> 31


@inner
def _kick(order, before, times, random):
    """Moves of variables to random places, among those which `before` allows."""
    d = order.size
    for _ in range(times):
        now = _below(random, d)
        node = order[now]
        low, high = now, now
        while low > 0 and not before[order[low - 1], node]:
            low -= 1
        while high < d - 1 and not before[node, order[high + 1]]:
            high += 1
        to = low + _below(random, high - low + 1)
        while now < to:
            order[now] = order[now + 1]
            now += 1
        while now > to:
            order[now] = order[now - 1]
            now -= 1
        order[to] = node


@kernel
def search(G, q, before, state, steps, eps, kick, enough, near, few):
    """At most `steps` batches of moves; (batches done, code).

    `q` is None for predictors that are the variables themselves. A descent ends where no move gains
    `eps`, relative to the score; the next starts from the best order after `kick` random moves. No
    more follow once `enough` of them in a row came back to the best score, and but `few` if that is
    within the share `near` of its bound.
    """
    s, order, best, U = state.scalars, state.order, state.best, state.U
    d, done = order.size, 0
    while done < steps:
        if s[STALE] == KICK:
            order[:] = best
            _kick(order, before, kick, state.random)
            s[STALE] = 1
        if q is None:
            if s[STALE] > 0:
                if d > SMALL:
                    return done, FACTOR
                _factor_small(G, order, U, state.M)
                total = 0.0
                for t in range(d):
                    total += U[t, t] * U[t, t]
                s[TOTAL] = total
            k, moves, s[TOTAL], left = descend(
                U, state.M, state.T, order, before, state.work, state.gains, state.targets,
                steps - done, eps * s[TOTAL], s[TOTAL],
            )  # fmt: skip
        else:
            k, moves, s[TOTAL], left = descend_blocks(
                G, q, U, state.M, order, before, state.gains, state.targets, steps - done, eps
            )
        done += k
        s[MOVES] += moves
        s[STALE] = 1 if moves > 0 else 0
        s[LEFT] = np.inf if left > 0 else -left
        if moves > 0 or left > 0:  # a claim to be done is made from a fresh factor only
            if s[TOTAL] < s[BEST] * (1 - SAME):
                s[BEST], s[BEST_LEFT], s[BACK] = s[TOTAL], np.inf, 0
                best[:] = order
            continue
        done += 1
        if s[TOTAL] <= s[BEST] * (1 + SAME):
            s[BACK] = s[BACK] + 1 if s[BEST_LEFT] < np.inf else 0
            s[BEST], s[BEST_LEFT] = s[TOTAL], s[LEFT]
            best[:] = order
        if near > 0 and s[BEST] <= (1 + near) * _bound(U):
            s[WANTED] = min(s[WANTED], few)
        if s[RESTARTS] >= s[WANTED] or s[BACK] >= enough:
            s[WANTED] = s[RESTARTS]
            return done, DONE
        s[RESTARTS] += 1
        s[STALE] = KICK
    return done, RUNNING


@inner
def _bound(U):
    """What no order is below: the sum of as many equal numbers with the product of all D_t."""
    size, mean = U.shape[0], 0.0
    for t in range(size):
        mean += 2 * np.log(U[t, t]) / size
    return size * np.exp(mean)
