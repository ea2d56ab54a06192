"""Directed graphs as boolean matrices: edge i -> j where A[i, j]."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel


def topological_order(A: np.ndarray, first: np.ndarray | None = None) -> np.ndarray | None:
    """Nodes, each after its parents, by preference `first` and then by number; None if cyclic."""
    order = np.empty(len(A), np.int64)
    preference = np.arange(len(A)) if first is None else np.asarray(first, np.int64)
    return order if _sort(np.ascontiguousarray(A), preference, order) else None


@kernel
def _sort(A: Any, first: Any, order: Any) -> bool:
    """Kahn's algorithm, always with the earliest node of `first` that is free."""
    d = order.size
    waiting = np.zeros(d, np.int64)
    for i in range(d):
        for j in range(d):
            waiting[j] += A[i, j]
    start = 0  # all of first[:start] are placed
    for t in range(d):
        while start < d and waiting[first[start]] < 0:
            start += 1
        node = -1
        for s in range(start, d):
            if waiting[first[s]] == 0:
                node = first[s]
                break
        if node < 0:
            return False
        order[t] = node
        waiting[node] = -1
        for j in range(d):
            if A[node, j]:
                waiting[j] -= 1
    return True


def ordered(A: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
    """`topological_order` of a graph known to be acyclic."""
    order = topological_order(A, first)
    if order is None:
        raise AssertionError("the graph has a cycle")
    return order


def closure(A: np.ndarray, order: np.ndarray) -> np.ndarray:
    """reach[i, j]: a walk of at least one edge leads from i to j, in a graph with this order."""
    reach = A.copy()
    _close(np.ascontiguousarray(A), order, reach)
    return reach


@kernel
def _close(A: Any, order: Any, reach: Any) -> None:
    d = order.size
    for t in range(d - 1, -1, -1):
        i = order[t]
        for s in range(t + 1, d):
            k = order[s]
            if A[i, k]:
                for j in range(d):
                    reach[i, j] |= reach[k, j]


def a_cycle(A: np.ndarray) -> list[int]:
    """Nodes of one cycle, in its direction; empty if there is none."""
    left = np.ones(len(A), bool)
    while True:  # what has no parent or no child is on no cycle
        keep = left & (A & left[:, None]).any(0) & (A & left).any(1)
        if (keep == left).all():
            break
        left = keep
    if not left.any():
        return []
    walk = [int(np.flatnonzero(left)[0])]
    while True:
        node = int(np.flatnonzero(A[walk[-1]] & left)[0])
        if node in walk:
            return walk[walk.index(node) :]
        walk.append(node)


def cpdag(A: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Edges shared by all DAGs with the independences of A: C[i, j] and C[j, i] if undirected.

    V-structures are oriented, edges of A that are `known`, and what follows by Meek's rules.
    """
    A = np.ascontiguousarray(A, bool)
    directed = np.zeros_like(A) if known is None else A & known
    _orient(A, A | A.T, directed)
    return directed | (A | A.T) & ~directed.T


@kernel
def _orient(A: Any, adjacent: Any, directed: Any) -> None:
    """Direct all edges of a DAG that its class shares."""
    d = A.shape[0]
    for j in range(d):
        for i in range(d):
            if A[i, j] and not directed[i, j]:
                for k in range(d):
                    if A[k, j] and k != i and not adjacent[i, k]:
                        directed[i, j] = True
                        break
    changed = True
    while changed:
        changed = False
        for i in range(d):
            for j in range(d):
                if adjacent[i, j] and not directed[i, j] and not directed[j, i]:
                    if _meek(adjacent, directed, i, j):
                        directed[i, j] = True
                        changed = True


@inner
def _meek(adjacent: Any, directed: Any, i: int, j: int) -> bool:
    """Whether one of Meek's four rules turns i - j into i -> j."""
    d = adjacent.shape[0]
    for k in range(d):
        if directed[k, i] and k != j and not adjacent[k, j]:  # k -> i - j
            return True
        if not directed[k, j]:
            continue
        if directed[i, k]:  # i -> k -> j
            return True
        if not adjacent[i, k]:
            continue
        open_edge = not directed[k, i]
        for m in range(d):
            # i - k -> j and i - m -> j with k and m apart
            if open_edge and directed[m, j] and m != k and not adjacent[k, m]:
                if adjacent[i, m] and not directed[i, m] and not directed[m, i]:
                    return True
            # i - m -> k -> j with m and j apart
            if directed[m, k] and m != j and not adjacent[m, j]:
                if adjacent[i, m] and not directed[i, m] and not directed[m, i]:
                    return True
    return False


def hamming_distance(A: np.ndarray, B: np.ndarray) -> int:
    """Structural Hamming distance: pairs whose edge is missing, extra or turned."""
    differs = A.astype(bool) != B.astype(bool)
    return int(np.count_nonzero(differs | differs.T)) // 2
