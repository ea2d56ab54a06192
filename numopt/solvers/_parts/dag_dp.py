"""Dynamic programming over subsets of nodes: the best graph and a proof of it.

A subset is a bit mask. The log-determinants of all Gram submatrices, 2^d of them, give the score of
any node with any parents by a difference; minima over subsets of predecessors and the best last
node of each subset follow in d 2^d steps each.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel

# Scores that are equal up to this, relative to their size, are.
TIE = 1e-11


@kernel
def log_determinants(G, out):
    """out[S] = log det G[S, S] for every subset S, one row of a Cholesky factor each."""
    d = G.shape[0]
    L = np.zeros((d, d))
    path = np.full(d + 1, -1, np.int64)  # increasing; its last element is the one tried last
    out[0] = 0.0
    depth, mask = 0, 0
    while depth >= 0:
        h = path[depth] + 1
        mask &= (1 << path[depth - 1] + 1) - 1 if depth > 0 else 0
        if h == d:
            depth -= 1
            continue
        pivot = G[h, h]
        for s in range(depth):
            t = G[h, path[s]]
            for r in range(s):
                t -= L[depth, r] * L[s, r]
            t /= L[s, s]
            L[depth, s] = t
            pivot -= t * t
        pivot = max(pivot, 1e-13 * G[h, h])
        L[depth, depth] = np.sqrt(pivot)
        out[mask | (1 << h)] = out[mask] + np.log(pivot)
        path[depth] = h
        mask |= 1 << h
        if depth + 1 < d:
            path[depth + 1] = h
            depth += 1


@inner
def _spread(T, j):
    """The subset of all nodes that a subset T of the others is."""
    low = (1 << j) - 1
    return (T & low) | ((T & ~low) << 1)


@inner
def _squeeze(S, j):
    low = (1 << j) - 1
    return (S & low) | ((S >> 1) & ~low)


@inner
def _ones(S):
    count = 0
    while S:
        S &= S - 1
        count += 1
    return count


@kernel
def local_scores(dets, j, diagonal, n, cost, allowed, required, most, is_bic, out):
    """out[T]: score of node j with the parents T, a subset of the other nodes."""
    bit = 1 << j
    base = np.log(diagonal)
    for T in range(out.size):
        S = _spread(T, j)
        k = _ones(S)
        if (S & ~allowed) or (required & ~S) or k > most:
            out[T] = np.inf
            continue
        rest = dets[S | bit] - dets[S]
        out[T] = n / 2 * (rest - base) + cost * k if is_bic else np.exp(rest) / 2


@kernel
def group_scores(H, q, j, diagonal, n, costs, allowed, required, most, is_bic, out):
    """The same where each parent brings q functions; H: their correlations, `costs` of each parent.

    Subsets grow by one node after the other, and the Cholesky factor by q rows for each.
    """
    d = H.shape[0] // q
    L, y = np.zeros((d * q, d * q)), np.zeros(d * q)
    # By depth: the node tried, numbered without j; the set so far, its cost, what it leaves of j.
    path, sets = np.full(d + 1, -1, np.int64), np.zeros(d + 1, np.int64)
    paid, left = np.zeros(d + 1), np.ones(d + 1)
    out[0] = np.inf if required else (0.0 if is_bic else diagonal / 2)
    depth = 0
    while depth >= 0:
        u = path[depth] + 1
        if u == d - 1:
            depth -= 1
            continue
        h = u if u < j else u + 1
        path[depth] = path[depth + 1] = u
        T = sets[depth + 1] = sets[depth] | 1 << u
        paid[depth + 1], left[depth + 1] = paid[depth] + costs[h], left[depth]
        for k in range(q):
            row = depth * q + k
            pivot, cov = H[h * q + k, h * q + k], H[h * q + k, j * q]
            for s in range(row):
                p = path[s // q]
                total = H[h * q + k, (p if p < j else p + 1) * q + s % q]
                for r in range(s):
                    total -= L[row, r] * L[s, r]
                L[row, s] = total / L[s, s]
                pivot -= L[row, s] * L[row, s]
                cov -= L[row, s] * y[s]
            L[row, row] = np.sqrt(max(pivot, 1e-13))
            y[row] = cov / L[row, row]
            left[depth + 1] -= y[row] * y[row]
        v, S = max(left[depth + 1], 1e-13), _spread(T, j)
        if (S & ~allowed) or (required & ~S) or depth + 1 > most:
            out[T] = np.inf
        else:
            out[T] = n / 2 * np.log(v) + paid[depth + 1] if is_bic else v * diagonal / 2
        depth += 1


@kernel
def least_of_subsets(table):
    """table[T] = least entry over the subsets of T, in place."""
    step = 1
    while step < table.size:
        for start in range(0, table.size, 2 * step):
            for T in range(start, start + step):
                if table[T] < table[T + step]:
                    table[T + step] = table[T]
        step *= 2


@kernel
def best_order(tables, after, order):
    """Least total over all orders, and the order; after[j]: nodes that j has to precede."""
    d = tables.shape[0]
    size = 1 << d
    best = np.empty(size)
    best[0] = 0.0
    for S in range(1, size):
        least = np.inf
        for j in range(d):
            if S >> j & 1 and not S & after[j]:
                rest = S & ~(1 << j)
                total = best[rest] + tables[j, _squeeze(rest, j)]
                if total < least:
                    least = total
        best[S] = least
    S = size - 1
    for t in range(d - 1, -1, -1):
        least, last = np.inf, -1
        for j in range(d):
            if S >> j & 1 and not S & after[j]:
                rest = S & ~(1 << j)
                total = best[rest] + tables[j, _squeeze(rest, j)]
                # Equivalent graphs tie: which of them is found must not hang on rounding.
                if total < least - TIE * abs(total):
                    least, last = total, j
        order[t] = last
        S &= ~(1 << last)
    return best[size - 1]


@kernel
def best_parents(scores, j, before):
    """Subset of `before` with the least score."""
    T = _squeeze(before, j)
    best, U = T, T
    while True:  # all subsets of T, largest first
        if scores[U] < scores[best]:
            best = U
        if U == 0:
            return _spread(best, j)
        U = (U - 1) & T
