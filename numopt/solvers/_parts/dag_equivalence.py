"""Edges deleted from an equivalence class of graphs: the backward phase of GES."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.problems._dag_graph import cpdag, topological_order

# Undirected neighbours of which all subsets are tried.
MOST = 6


def backward(problem: Any, A: np.ndarray) -> float:
    """Delete edges from the class of A, best first, while that improves BIC; A becomes a member.

    Without constraints on edges only: a member need not obey them.
    """
    know, m = problem.knowledge, problem.moments
    off = ~np.eye(len(A), dtype=bool)
    if not (know.allowed == off).all() or len(m.grams) > 1:
        return 0.0
    scale = np.sqrt(m.grams[0].diagonal())
    R, half = m.grams[0] / np.outer(scale, scale), float(m.counts[0]) / 2
    kept, total = np.zeros(len(A), bool), 0.0
    while True:
        C = cpdag(A)
        gain, x, y = best_deletion(R, half, problem.edge_cost, C, kept)
        if x < 0:
            return total
        apart = C[y] & C[:, y] & (C[x] | C[:, x]) & ~kept
        C[x, y] = C[y, x] = False
        C[apart, y] = C[apart, x] = False  # y -> h, and x -> h where that was open
        member = extension(C)
        if member is None:  # rounding of a tie: stay with what there is
            return total
        A[:] = member
        total += gain


@kernel
def best_deletion(R: Any, half: float, cost: float, C: Any, kept: Any) -> Any:
    """Valid deletion of the edge x -> y or x - y of largest gain: (gain, x, y), x = -1 if none.

    R holds correlations, `half` is half the rows and `cost` that of an edge. Common neighbours of x
    and y that stay neighbours of y are `kept`: they have to form a clique.
    """
    d = C.shape[0]
    L, parents = np.empty((d + 1, d + 1)), np.empty(d + 1, np.int64)
    shared, best = np.empty(d, np.int64), (1e-9, -1, -1)
    for x in range(d):
        for y in range(d):
            if not C[x, y]:
                continue
            first, n = 0, 0
            for h in range(d):
                if C[h, y] and not C[y, h]:
                    if h != x:
                        parents[first] = h
                        first += 1
                elif C[h, y] and (C[x, h] or C[h, x]):
                    shared[n] = h
                    n += 1
            if n > MOST:
                continue
            for part in range(1 << n):
                k, clique = first, True
                for s in range(n):
                    if part >> s & 1:
                        for t in range(first, k):
                            clique &= C[parents[t], shared[s]] or C[shared[s], parents[t]]
                        parents[k] = shared[s]
                        k += 1
                if not clique:
                    continue
                parents[k] = x
                gain = cost - half * _log_rise(R, y, parents, k + 1, L)
                if gain > best[0]:
                    best = (gain, x, y)
                    kept[:] = False
                    for t in range(first, k):
                        kept[parents[t]] = True
    return best


@inner
def _log_rise(R: Any, j: int, parents: Any, k: int, L: Any) -> float:
    """By how much the logarithm of j's residual variance rises without the last of k parents."""
    for s in range(k + 1):  # Cholesky factor, j last
        i = parents[s] if s < k else j
        for t in range(s + 1):
            total = R[i, parents[t] if t < k else j]
            for u in range(t):
                total -= L[s, u] * L[t, u]
            L[s, t] = total / L[t, t] if t < s else np.sqrt(max(total, 1e-13))
    return np.log1p((L[k, k - 1] / L[k, k]) ** 2)


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
