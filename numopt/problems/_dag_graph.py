"""Directed graphs as boolean matrices: edge i -> j where A[i, j]."""

from __future__ import annotations

import numpy as np


def topological_order(A: np.ndarray, first: np.ndarray | None = None) -> np.ndarray | None:
    """Nodes, each after its parents, by preference `first` and then by number; None if cyclic."""
    d = len(A)
    rank = np.arange(d) if first is None else np.argsort(first)
    waiting = A.sum(0).astype(np.int64)
    waiting_rank = np.where(waiting == 0, rank, d)
    order = np.empty(d, np.int64)
    for t in range(d):
        node = int(np.argmin(waiting_rank))
        if waiting_rank[node] >= d:
            return None
        order[t] = node
        waiting_rank[node] = 2 * d
        waiting -= A[node]
        freed = A[node] & (waiting == 0)
        waiting_rank[freed] = rank[freed]
    return order


def closure(A: np.ndarray, order: np.ndarray) -> np.ndarray:
    """reach[i, j]: a walk of at least one edge leads from i to j, in a graph with this order."""
    reach = A.copy()
    for node in order[::-1]:
        children = np.flatnonzero(A[node])
        if children.size:
            reach[node] |= reach[children].any(0)
    return reach


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
