"""Best parents of a node among a set of others, by BIC, exactly and only when asked for.

The best parents P of node j among all others are the best among any set that holds P. Where a set
lacks some v in P, they are the best without v, and so on: a tree whose branches are nodes left out,
which grows by the questions asked. Each of its nodes is one search over subsets, by branch and
bound over regressions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel


class Parents(NamedTuple):
    """The trees of all nodes, node j's root in row j, and what they are made from."""

    R: np.ndarray  # correlations, one matrix for each class of nodes
    class_of: np.ndarray  # class of each node
    half: np.ndarray  # half the rows of each class
    cost: float  # of an edge
    allowed: np.ndarray  # bit masks: possible parents of each node
    required: np.ndarray  # and those that it has
    most: int  # parents of one node
    best: np.ndarray  # best set of each row, as a bit mask
    scores: np.ndarray  # and its score
    without: np.ndarray  # what is left out
    owner: np.ndarray  # the node
    child: np.ndarray  # child[row, v]: row with v left out, too; 0 if not made yet
    used: np.ndarray  # rows in use
    work: np.ndarray  # Schur complements, by depth of the search
    tails: np.ndarray  # variances given all further candidates, by depth
    small: np.ndarray  # two matrices


def make_parents(problem: Any, rows: int) -> Parents:
    """Trees with their roots; `rows` of them at most."""
    d, m, know = problem.size, problem.moments, problem.knowledge
    scales = np.sqrt(m.grams.diagonal(axis1=1, axis2=2))
    R = m.grams / (scales[:, :, None] * scales[:, None, :])
    most = min(know.max_parents, d - 1)
    parents = Parents(
        R, m.gram_of, m.counts / 2, problem.edge_cost, bits(know.allowed.T), bits(know.required.T),
        most, np.zeros(rows, np.int64), np.zeros(rows), np.zeros(rows, np.int64),
        np.zeros(rows, np.int64), np.zeros((rows, d), np.int32), np.zeros(1, np.int64),
        np.zeros((d + 2, d + 1, d + 1)), np.zeros((d + 2, d + 1)), np.zeros((2, d + 1, d + 1)),
    )  # fmt: skip
    plant(parents)
    return parents


def bits(A: np.ndarray) -> np.ndarray:
    """Rows of a boolean matrix as bit masks."""
    return np.asarray((A.astype(np.int64) << np.arange(A.shape[1])).sum(1), np.int64)


def enlarged(parents: Parents, rows: int) -> Parents:
    """The same trees with more room."""
    more = rows - len(parents.best)
    grown: dict[str, Any] = {
        name: np.concatenate([table, np.zeros((more, *table.shape[1:]), table.dtype)])
        for name in ("best", "scores", "without", "owner", "child")
        for table in (getattr(parents, name),)
    }
    return parents._replace(**grown)


@kernel
def plant(parents):
    """Make the roots."""
    for j in range(parents.class_of.size):
        parents.owner[j] = j
        parents.used[0] = j + 1
        _search(parents, j)


@inner
def ask(parents, j, inside):
    """Row of the best parents of j within the set `inside`; -1 if there is no room to find them."""
    row = j
    while True:
        missing = parents.best[row] & ~inside
        if missing == 0 or parents.scores[row] == np.inf:
            return row
        v = 0
        while not missing >> v & 1:
            v += 1
        down = parents.child[row, v]
        if down == 0:
            down = parents.used[0]
            if down == parents.best.size:
                return -1
            parents.used[0] = down + 1
            parents.child[row, v] = down
            parents.owner[down] = j
            parents.without[down] = parents.without[row] | 1 << v
            _search(parents, down)
        row = down


@inner
def _tails(S, first, m, L, y, out):
    """out[c]: variance of the node (row m of S) given candidates c to m - 1, for c >= first."""
    left = S[m, m]
    out[m] = left
    for c in range(m - 1, first - 1, -1):
        pivot, cov = S[c, c], S[m, c]
        for t in range(m - 1, c, -1):
            value = S[c, t]
            for u in range(m - 1, t, -1):
                value -= L[c, u] * L[t, u]
            value /= L[t, t]
            L[c, t] = value
            pivot -= value * value
            cov -= value * y[t]
        L[c, c] = np.sqrt(max(pivot, 1e-12))
        y[c] = cov / L[c, c]
        left = max(left - y[c] * y[c], 1e-13)
        out[c] = left


@inner
def _eliminate(S, c, first, m, out):
    """Schur complement of candidate c in rows `first` to m."""
    pivot = max(S[c, c], 1e-12)
    for s in range(first, m + 1):
        factor = S[s, c] / pivot
        for t in range(first, m + 1):
            out[s, t] = S[s, t] - factor * S[t, c]


@inner
def _strengths(S, m, L, X, out):
    """Squared partial correlation of each candidate with the node (row m) given all others."""
    for s in range(m + 1):  # S = L L' and X = L^{-1}, so that X'X is the precision
        for t in range(s + 1):
            value = S[s, t]
            for u in range(t):
                value -= L[s, u] * L[t, u]
            L[s, t] = value / L[t, t] if t < s else np.sqrt(max(value, 1e-12))
        for t in range(s + 1):
            value = 1.0 if s == t else 0.0
            for u in range(t, s):
                value -= L[s, u] * X[u, t]
            X[s, t] = value / L[s, s]
    for c in range(m):
        square = 0.0
        for s in range(c, m + 1):
            square += X[s, c] * X[s, c]
        out[c] = X[m, c] * X[m, c] / square


@inner
def _search(parents, row):
    """Best set of parents among those left in, into the row: branch and bound over regressions.

    Supersets of F by candidates from c on need one edge more at least, and explain no more than all
    of them together.
    """
    j = parents.owner[row]
    group = parents.class_of[j]
    R, half, cost = parents.R[group], parents.half[group], parents.cost
    required, d = parents.required[j], parents.class_of.size
    left = parents.allowed[j] & ~parents.without[row]
    if required & ~left:
        parents.scores[row] = np.inf
        return
    # Rows of the first Schur complement: required parents, candidates, the node itself.
    nodes, strength = np.empty(d + 1, np.int64), np.empty(d + 1)
    k, m = 0, 0
    for i in range(d):
        if required >> i & 1:
            nodes[k] = i
            k += 1
    for i in range(d):
        if left >> i & 1 and not required >> i & 1:
            nodes[k + m] = i
            m += 1
    nodes[k + m] = j
    first = parents.work[d + 1]
    for s in range(k + m + 1):
        for t in range(k + m + 1):
            first[s, t] = R[nodes[s], nodes[t]]
    for s in range(k):
        _eliminate(first, s, s + 1, k + m, first)
    S, L, X = parents.work[0], parents.small[0], parents.small[1]
    for s in range(m + 1):
        for t in range(m + 1):
            S[s, t] = first[k + s, k + t]
    _strengths(S, m, L, X, strength)
    rank = np.argsort(-strength[:m])
    for s in range(m + 1):
        a = k + (rank[s] if s < m else m)
        for t in range(m + 1):
            S[s, t] = first[a, k + (rank[t] if t < m else m)]
    chosen, turn = np.empty(d + 1, np.int64), np.empty(d + 1, np.int64)
    y = np.empty(m + 1)
    best, count = half * np.log(max(S[m, m], 1e-13)) + cost * k, 0
    found = required
    _tails(S, 0, m, L, y, parents.tails[0])
    depth = 0
    turn[0] = 0
    while depth >= 0:
        c, S = turn[depth], parents.work[depth]
        price = cost * (k + depth + 1)
        bound = half * np.log(parents.tails[depth, c]) + price
        if c >= m or k + depth >= parents.most or bound >= best:
            depth -= 1
            continue
        turn[depth] = c + 1
        gain = S[m, c] ** 2 / max(S[c, c], 1e-12)
        score = half * np.log(max(S[m, m] - gain, 1e-13)) + price
        chosen[depth] = c
        if score < best:
            best, found, count = score, required, depth + 1
            for s in range(count):
                found |= 1 << nodes[k + rank[chosen[s]]]
        if c + 1 < m and k + depth + 1 < parents.most:
            _eliminate(S, c, c + 1, m, parents.work[depth + 1])
            depth += 1
            _tails(parents.work[depth], c + 1, m, L, y, parents.tails[depth])
            turn[depth] = c + 1
    parents.best[row], parents.scores[row] = found, best


@kernel
def best_parents(parents, j, inside):
    """Best set of parents of j within `inside`, which was asked for before."""
    return parents.best[ask(parents, j, inside)]
