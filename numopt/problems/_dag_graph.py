"""Directed graphs as boolean matrices: edge i -> j where A[i, j]."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import kernel


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
    A = A.astype(bool)
    adjacent = A | A.T
    apart = ~adjacent
    np.fill_diagonal(apart, False)
    directed = np.zeros_like(A) if known is None else A & known
    for j in range(len(A)):
        parents = np.flatnonzero(A[:, j])
        meets = apart[np.ix_(parents, parents)].any(1)
        directed[parents[meets], j] = True
    while True:
        open_edges = adjacent & ~directed & ~directed.T
        new = open_edges & _meek(directed, open_edges, adjacent, apart)
        if not new.any():
            return directed | open_edges
        directed |= new


def _meek(
    directed: np.ndarray, open_edges: np.ndarray, adjacent: np.ndarray, apart: np.ndarray
) -> np.ndarray:
    """Undirected edges i - j that one of Meek's four rules turns into i -> j."""
    count = directed.astype(np.float32)
    new = (count.T @ apart.astype(np.float32) > 0) | (count @ count > 0)
    for i, j in np.argwhere(open_edges & ~new):
        into = np.flatnonzero(directed[:, j] & open_edges[i])
        if apart[np.ix_(into, into)].any():
            new[i, j] = True
            continue
        # i - k -> l -> j with k and j apart and l a neighbour of i.
        last = np.flatnonzero(directed[:, j] & adjacent[i])
        first = np.flatnonzero(open_edges[i] & apart[:, j])
        new[i, j] = directed[np.ix_(first, last)].any()
    return new


def hamming_distance(A: np.ndarray, B: np.ndarray) -> int:
    """Structural Hamming distance: pairs whose edge is missing, extra or turned."""
    differs = A.astype(bool) != B.astype(bool)
    return int(np.triu(differs | differs.T).sum())
