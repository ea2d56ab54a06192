"""Edges deleted from an equivalence class of graphs: the backward phase of GES."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from numopt.core.jit import kernel
from numopt.problems._dag_graph import cpdag, topological_order

# Undirected neighbours of which all subsets are tried.
MOST = 6


def node_score(problem: Any, j: int, parents: list[int]) -> float:
    """BIC of node j with these parents."""
    m = problem.moments
    G, n = m.grams[m.gram_of[j]], m.counts[m.gram_of[j]]
    share = _unexplained(G, j, np.array(parents, np.int64))
    return float(n / 2 * np.log(max(share, 1e-13)) + problem.edge_cost * len(parents))


@kernel
def _unexplained(G: Any, j: Any, parents: Any) -> Any:
    """Share of the variance of j that its regression on the parents leaves."""
    k = parents.size
    L = np.empty((k + 1, k + 1))  # Cholesky factor, j last
    for s in range(k + 1):
        i = parents[s] if s < k else j
        for t in range(s + 1):
            total = G[i, parents[t] if t < k else j]
            for u in range(t):
                total -= L[s, u] * L[t, u]
            L[s, t] = total / L[t, t] if t < s else np.sqrt(max(total, 0.0))
    return L[k, k] * L[k, k] / G[j, j]


def backward(problem: Any, A: np.ndarray) -> float:
    """Delete edges from the class of A, best first, while that improves BIC; A becomes a member.

    Without constraints on edges only: a member need not obey them.
    """
    know = problem.knowledge
    off = ~np.eye(len(A), dtype=bool)
    if not (know.allowed == off).all() or len(problem.moments.grams) > 1:
        return 0.0
    total = 0.0
    scores: dict[tuple[int, frozenset[int]], float] = {}

    def scored(j: int, parents: set[int]) -> float:
        key = j, frozenset(parents)
        if key not in scores:
            scores[key] = node_score(problem, j, sorted(parents))
        return scores[key]

    while True:
        C = cpdag(A)
        found = _best_deletion(C, scored)
        if found is None:
            return total
        gain, x, y, apart = found
        P = C.copy()
        P[x, y] = P[y, x] = False
        for h in apart:  # y -> h, and x -> h where that was open
            P[h, y] = False
            P[h, x] = False
        member = extension(P)
        if member is None:  # rounding of a tie: stay with what there is
            return total
        A[:] = member
        total += gain


def _best_deletion(C: np.ndarray, scored: Any) -> tuple[float, int, int, tuple[int, ...]] | None:
    """Valid deletion of largest gain: gain, x, y and the neighbours set apart."""
    best, least = None, 1e-9
    open_edges = C & C.T
    adjacent = C | C.T
    for x, y in np.argwhere(C):
        x, y = int(x), int(y)
        shared = [int(h) for h in np.flatnonzero(open_edges[y] & adjacent[x])]
        parents = {int(p) for p in np.flatnonzero(C[:, y] & ~C[y])} | {x}
        if len(shared) > MOST:
            continue
        for size in range(len(shared) + 1):
            for kept in itertools.combinations(shared, size):
                clique = adjacent[np.ix_(kept, kept)]
                if int(clique.sum()) != size * (size - 1):
                    continue
                base = parents | set(kept)
                gain = scored(y, base | {x}) - scored(y, base - {x})
                if gain > least:
                    apart = tuple(h for h in shared if h not in kept)
                    best, least = (gain, x, y, apart), gain
    return best


def extension(P: np.ndarray) -> np.ndarray | None:
    """A DAG with the directed edges of P, its skeleton and no new v-structures; None without one.

    D. Dor, M. Tarsi, "A simple algorithm to construct a consistent extension of a partially
    oriented graph", UCLA R-185, 1992.
    """
    P = P.copy()
    out = P & ~P.T
    left = np.ones(len(P), bool)
    for _ in range(len(P)):
        for x in np.flatnonzero(left):
            if (P[x] & ~P[:, x]).any():
                continue
            near = np.flatnonzero(P[x] & P[:, x])
            around = P[x] | P[:, x]
            fits = True
            for y in near:
                missing = around & ~(P[y] | P[:, y])
                missing[y] = False
                if missing.any():
                    fits = False
                    break
            if fits:
                out[near, x] = True
                P[x] = P[:, x] = False
                left[x] = False
                break
        else:
            return None
    return out if topological_order(out) is not None else None
