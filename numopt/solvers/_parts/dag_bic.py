"""Scores of a node given its predecessors: grow-shrink, remembered by sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel

# A set of parents changes for no less than this.
LEAST = 1e-9
# Scores of orders that differ by less are the same.
SAME = 1e-7
# Most entries of the table of remembered scores, a power of two, and how many it has for each node.
TABLE, EACH = 1 << 20, 400


class Local(NamedTuple):
    """Data of local scores and room to compute them in."""

    grams: np.ndarray  # correlations, a matrix for each class of nodes
    gram_of: np.ndarray  # class of each node
    counts: np.ndarray  # rows of each class
    cost: float  # of an edge
    allowed: np.ndarray  # allowed[i, j]: i may be a parent of j
    required: np.ndarray  # required[i, j]: it has to be
    before: np.ndarray  # before[i, j]: i precedes j
    most: int  # parents of one node
    exchange: bool  # whether parents are also exchanged one for one
    codes: np.ndarray  # a random number for each node in a set, and for each node scored
    keys: np.ndarray  # hash table: numbers of (node, set), 0 where free
    values: np.ndarray  # and the scores
    filled: np.ndarray  # entries in use
    q: np.ndarray  # orthonormal rows of the parents over the candidates
    rest: np.ndarray  # rows: residual variances of candidates, their covariances with the node
    cand: np.ndarray  # candidates of the node at hand
    parents: np.ndarray  # places of the parents among the candidates
    small: np.ndarray  # two matrices of the parents: inverse of their factor, work
    weights: np.ndarray  # weights of the parents, and the diagonal of their inverse Gram matrix
    inside: np.ndarray  # work: whether a candidate is a parent


def make_local(problem: Any, exchange: bool) -> Local:
    """Room and data for the local scores of a problem."""
    d, m, know = problem.size, problem.moments, problem.knowledge
    room = min(know.max_parents, d - 1, max(int(m.counts.min()) - 2, 0))
    most = max(room, int(know.required.sum(0).max(initial=0)))
    width = max(most, 1)
    size = min(TABLE, 1 << int(np.ceil(np.log2(EACH * max(d, 2)))))
    codes = np.random.default_rng(0).integers(1, 2**63, (2, d), dtype=np.uint64)
    scales = np.sqrt(m.grams.diagonal(axis1=1, axis2=2))
    return Local(
        m.grams / (scales[:, :, None] * scales[:, None, :]), m.gram_of,
        m.counts.astype(np.float64), problem.edge_cost, know.allowed, know.required, know.before,
        most, exchange, codes,
        np.zeros(size, np.uint64), np.zeros(size), np.zeros(1, np.int64),
        np.zeros((width + 1, d + 1)), np.zeros((2, d + 1)), np.zeros(d + 1, np.int64),
        np.zeros(width + 1, np.int64), np.zeros((2, width + 1, width + 1)),
        np.zeros((2, width + 1)), np.zeros(d + 1, np.bool_),
    )  # fmt: skip


# ---- parents of one node -------------------------------------------------------------------------


@inner(contract=True, merged=True)
def _take(a, x, y, stop):
    for c in range(stop):
        y[c] -= a * x[c]


@inner(contract=True, merged=True)
def _deflate(row, g, rest, with_node, stop):
    for c in range(stop):
        rest[c] -= row[c] * row[c]
        with_node[c] -= g * row[c]


@inner(contract=True, merged=True)
def _add_row(g, row, weights, squares, stop):
    for t in range(stop):
        weights[t] += g * row[t]
        squares[t] += row[t] * row[t]


@inner(merged=True)
def _enter(local, G, j, m, k, p, v):
    """Add candidate p as parent number k; the residual variance of j after it."""
    row, node, inverse = local.q[k], local.cand[p], local.small[0, k]
    for c in range(m):
        row[c] = G[node, local.cand[c]]
    row[m] = G[node, j]
    for t in range(k):
        inverse[t] = 0.0
    inverse[k] = 1.0
    for s in range(k):
        share = local.q[s, p]
        _take(share, local.q[s], row, m + 1)
        _take(share, local.small[0, s], inverse, s + 1)
    scale = 1.0 / np.sqrt(max(row[p], 1e-12))
    for c in range(m + 1):
        row[c] *= scale
    for t in range(k + 1):
        inverse[t] *= scale
    _deflate(row, row[m], local.rest[0], local.rest[1], m)
    local.weights[0, k] = local.weights[1, k] = 0.0
    _add_row(row[m], inverse, local.weights[0], local.weights[1], k + 1)
    local.parents[k] = p
    local.inside[p] = True
    return max(v - row[m] * row[m], 1e-13)


@inner
def _rebuild(local, G, j, m, k):
    """Factor anew with the k parents listed."""
    v = 1.0
    for c in range(m):
        local.rest[0, c] = 1.0
        local.rest[1, c] = G[local.cand[c], j]
        local.inside[c] = False
    for s in range(k):
        v = _enter(local, G, j, m, s, local.parents[s], v)
    return v


@inner(merged=True)
def _best_addition(local, m, skip):
    """Candidate that explains most of what is left, and how much."""
    best, square, variance = -1, 0.0, 1.0
    for c in range(m):
        rest, cov = local.rest[0, c], local.rest[1, c]
        if cov * cov * variance > square * rest and rest > 1e-9:
            if c != skip and not local.inside[c]:
                best, square, variance = c, cov * cov, rest
    return best, square / variance


@inner(merged=True)
def _shrink(local, j, k, v, fall):
    """Take parents off the list while that pays, least loss first; how many stay.

    On the inverse A = X'X of their Gram matrix and the weights w: without parent t the residual
    variance is larger by w_t^2 / A_tt, and a step of Gaussian elimination gives A and w of the
    others.
    """
    parents, X, A = local.parents, local.small[0], local.small[1]
    w, square, left = local.weights[0], local.weights[1], k
    while True:
        worst, least = -1, v * fall
        for t in range(k):
            if w[t] * w[t] < least * square[t] and parents[t] >= 0:
                if not local.required[local.cand[parents[t]], j]:
                    worst, least = t, w[t] * w[t] / square[t]
        if worst < 0:
            break
        if left == k:  # A is seldom asked for
            for t in range(k):
                for u in range(t + 1):
                    A[t, u] = 0.0
                    for s in range(t, k):
                        A[t, u] += X[s, t] * X[s, u]
                    A[u, t] = A[t, u]
        v += least
        left -= 1
        parents[worst] = -1
        row = A[worst]
        for t in range(k):
            if parents[t] >= 0:
                share = row[t] / row[worst]
                w[t] -= share * w[worst]
                for u in range(k):
                    A[t, u] -= share * row[u]
                square[t] = A[t, t]
    if left < k:
        t = 0
        for s in range(k):
            if parents[s] >= 0:
                parents[t] = parents[s]
                t += 1
    return left


@inner
def grow_shrink(local, j, order, stop):
    """Score of j with the best parents found among order[:stop]; they stay in `local`.

    Candidates enter while one pays for itself, parents leave while one does not, and, if asked
    for, parents are exchanged one for one: until nothing of that improves the score.
    """
    group = local.gram_of[j]
    G, half, cost = local.grams[group], local.counts[group] / 2, local.cost
    m, k = 0, 0
    for s in range(stop):
        if local.allowed[order[s], j] and order[s] != j:
            local.cand[m] = order[s]
            if local.required[order[s], j]:
                local.parents[k] = m
                k += 1
            m += 1
    # Shares of the residual variance that pay for an edge, as it comes and as it goes.
    rise, fall = -np.expm1(-(cost + LEAST) / half), np.expm1((cost - LEAST) / half)
    v = _rebuild(local, G, j, m, k)
    while True:
        while k < local.most:
            c, gain = _best_addition(local, m, -1)
            if not min(gain, v - 1e-13) > v * rise:
                break
            v = _enter(local, G, j, m, k, c, v)
            k += 1
        left = _shrink(local, j, k, v, fall)
        changed = left < k
        if changed:
            k = left
            v = _rebuild(local, G, j, m, k)
        if local.exchange and not changed:
            v, changed = _exchange(local, G, j, m, k, v, half)
        if not changed:
            break
    return half * np.log(v) + cost * k, m, k


@inner
def _leave(local, k, t):
    """Take parent number t off the list."""
    for s in range(t, k - 1):
        local.parents[s] = local.parents[s + 1]


@inner
def _exchange(local, G, j, m, k, v, half):
    """First exchange of a parent for another candidate that improves the score."""
    for _ in range(k):
        old = local.parents[0]  # each parent comes to the front once
        if not local.required[local.cand[old], j]:
            _leave(local, k, 0)
            less = _rebuild(local, G, j, m, k - 1)
            c, gain = _best_addition(local, m, old)
            if c >= 0 and half * np.log(v / max(less - gain, 1e-13)) > LEAST:
                return _enter(local, G, j, m, k - 1, c, less), True
            local.parents[k - 1] = old
        else:
            _leave(local, k, 0)
            local.parents[k - 1] = old
    return _rebuild(local, G, j, m, k), False


# ---- scores of orders ----------------------------------------------------------------------------


@inner
def score(local, j, order, stop, code):
    """`grow_shrink`, remembered; `code` is the sum of the codes of order[:stop].

    Sums without carry of random codes are random themselves: they serve as hashes as they are.
    """
    key = code ^ local.codes[1, j] | np.uint64(1)
    mask = np.uint64(local.keys.size - 1)
    place = (key >> np.uint64(32)) & mask
    while local.keys[place] != 0:
        if local.keys[place] == key:
            return local.values[place]
        place = (place + np.uint64(1)) & mask
    if local.filled[0] > local.keys.size // 2:  # forget everything rather than search long
        for p in range(local.keys.size):
            local.keys[p] = 0
        local.filled[0] = 0
        place = (key >> np.uint64(32)) & mask
    value, _, _ = grow_shrink(local, j, order, stop)
    local.keys[place] = key
    local.values[place] = value
    local.filled[0] += 1
    return value


@inner
def range_score(local, order, first, last):
    """Total score of the nodes at places first to last - 1."""
    code = np.uint64(0)
    for t in range(first):
        code ^= local.codes[0, order[t]]
    total = 0.0
    for t in range(first, last):
        total += score(local, order[t], order, t, code)
        code ^= local.codes[0, order[t]]
    return total


@kernel
def order_score(local, order):
    """Score of the best graph found for an order."""
    return range_score(local, order, 0, order.size)


@kernel
def graph_of(local, order, A):
    """Parents that the order's score stands for; that score."""
    total = 0.0
    for t in range(order.size):
        j = order[t]
        value, _, k = grow_shrink(local, j, order, t)
        total += value
        for i in range(order.size):
            A[i, j] = False
        for s in range(k):
            A[local.cand[local.parents[s]], j] = True
    return total


# ---- moves ---------------------------------------------------------------------------------------


@kernel
def settle(local, order, sweep, at, idle, total, home, steps, work, trial):
    """Move nodes to their best places, in turn from sweep[at], until as many as there are stay.

    Returns (nodes tried, at, nodes that stayed in a row, score); ends early at the score `home`.
    """
    d, done = order.size, 0
    while done < steps and idle < d and not abs(total - home) < SAME:
        gain = best_place(local, order, sweep[at], work, trial)
        total -= gain
        idle = 0 if gain > 0 else idle + 1
        at = (at + 1) % d
        done += 1
    return done, at, idle, total


@inner
def best_place(local, order, x, work, trial):
    """Move node x to its best place, all other nodes in order; the gain."""
    d = order.size
    others, n = trial[0], 0
    low, high, now = 0, d - 1, 0
    for t in range(d):
        if order[t] == x:
            now = t
        else:
            others[n] = order[t]
            n += 1
            if local.before[order[t], x]:
                low = n
            if local.before[x, order[t]] and n - 1 < high:
                high = n - 1
    # work[0, p]: total if x is put at place p of the others; rows 1, 2: without and with x before.
    with_x = trial[1]
    with_x[0] = x
    code, x_code = np.uint64(0), local.codes[0, x]
    without, tail = 0.0, 0.0
    for t in range(d):
        work[0, t] = without + score(local, x, others, t, code) if low <= t <= high else np.inf
        if t == d - 1:
            break
        y = others[t]
        work[1, t] = score(local, y, others, t, code) if t < high else 0.0
        work[2, t] = score(local, y, with_x, t + 1, code ^ x_code) if t >= low else 0.0
        without += work[1, t]
        with_x[t + 1] = y
        code ^= local.codes[0, y]
    best = now
    for t in range(d - 1, -1, -1):
        if t < d - 1:
            tail += work[2, t]
        work[0, t] += tail
    for t in range(d):
        if work[0, t] < work[0, best] - LEAST:
            best = t
    gain = work[0, now] - work[0, best]
    if best != now:
        for t in range(d):
            order[t] = others[t] if t < best else (x if t == best else others[t - 1])
    return gain


@kernel
def tuck(local, order, A, trial):
    """First move of a child with its ancestors to before a parent that improves; the gain."""
    d = order.size
    moved = np.zeros(d, np.bool_)
    for b in range(1, d):
        j = order[b]
        for a in range(b - 1, -1, -1):
            i = order[a]
            if not A[i, j]:
                continue
            # The ancestors of j after i go along.
            for t in range(a, b + 1):
                moved[t] = False
            moved[b] = True
            for t in range(b, a, -1):
                if moved[t]:
                    for s in range(a + 1, t):
                        if A[order[s], order[t]] or local.before[order[s], order[t]]:
                            moved[s] = True
            fine = not local.before[i, j]
            for t in range(d):
                trial[t] = order[t]
            place = a
            for t in range(a, b + 1):
                if moved[t]:
                    fine = fine and not local.before[i, order[t]]
                    trial[place] = order[t]
                    place += 1
            for t in range(a, b + 1):
                if not moved[t]:
                    for s in range(t + 1, b + 1):
                        fine = fine and not (moved[s] and local.before[order[t], order[s]])
                    trial[place] = order[t]
                    place += 1
            if not fine:
                continue
            gain = range_score(local, order, a, b + 1) - range_score(local, trial, a, b + 1)
            if gain > LEAST:
                for t in range(a, b + 1):
                    order[t] = trial[t]
                return gain
    return 0.0


@kernel
def window(local, order, first, width, trial):
    """Put the nodes at `width` places from `first` in their best order of all; the gain."""
    size = 1 << width
    best, last = np.full(size, np.inf), np.zeros(size, np.int64)
    base = np.uint64(0)
    for t in range(first):
        trial[t] = order[t]
        base ^= local.codes[0, order[t]]
    best[0] = 0.0
    for S in range(size - 1):
        if not best[S] < np.inf:
            continue
        code, stop = base, first
        for u in range(width):
            if S >> u & 1:
                trial[stop] = order[first + u]
                code ^= local.codes[0, order[first + u]]
                stop += 1
        for u in range(width):
            if S >> u & 1:
                continue
            fits = True
            for r in range(width):
                if not S >> r & 1 and local.before[order[first + r], order[first + u]]:
                    fits = False
            if not fits:
                continue
            total = best[S] + score(local, order[first + u], trial, stop, code)
            if total < best[S | 1 << u]:
                best[S | 1 << u] = total
                last[S | 1 << u] = u
    gain = range_score(local, order, first, first + width) - best[size - 1]
    if not gain > LEAST:
        return 0.0
    S = size - 1
    for t in range(width - 1, -1, -1):
        trial[t] = order[first + last[S]]
        S &= ~(1 << last[S])
    for t in range(width):
        order[first + t] = trial[t]
    return gain
