"""What is known of a graph before the data: edges, tiers, roots, leaves, numbers of parents."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from numopt.core.validate import require_count
from numopt.problems._dag_graph import a_cycle, closure, topological_order


class Knowledge(NamedTuple):
    """Constraints on graphs and on their orders, exact in every method."""

    allowed: np.ndarray  # allowed[i, j]: the edge i -> j may be there
    required: np.ndarray  # required[i, j]: the edge i -> j is there, and is never penalised
    before: np.ndarray  # before[i, j]: i precedes j in every order considered; transitive
    max_parents: int  # of one node
    order_only: bool  # any order with `before`, each node with all its predecessors, is allowed


def node_index(node: Any, names: list[Any], argument: str) -> int:
    """Number of a node given by number or by name."""
    d = len(names)
    if isinstance(node, numbers.Integral) and not isinstance(node, bool) and node not in names:
        if not 0 <= int(node) < d:
            raise ValueError(f"{argument} names node {node}, but nodes are 0 to {d - 1}")
        return int(node)
    if node in names:
        return names.index(node)
    raise ValueError(f"{argument} names node {node!r}, which is not among the {d} columns")


def build(
    names: list[Any],
    required: Iterable[Any],
    forbidden: Iterable[Any],
    tiers: Any,
    roots: Iterable[Any],
    leaves: Iterable[Any],
    max_parents: int | None,
) -> Knowledge:
    """Matrices of the constraints; contradictions are errors that name the edges."""
    d = len(names)
    if max_parents is None and all(
        type(given) in (tuple, list) and not given
        for given in (required, forbidden, tiers, roots, leaves)
    ):  # nothing is known
        none = np.zeros((d, d), bool)
        return Knowledge(~np.eye(d, dtype=bool), none, none.copy(), d, True)
    must = _edges(required, names, "required")
    banned = _edges(forbidden, names, "forbidden")
    both = must & banned
    if both.any():
        raise ValueError(f"edge {_show(both, names)} is both required and forbidden")
    allowed = ~banned
    np.fill_diagonal(allowed, False)
    first = [node_index(node, names, "roots") for node in _listed(roots, "roots")]
    last = [node_index(node, names, "leaves") for node in _listed(leaves, "leaves")]
    allowed[:, first] = False
    allowed[last, :] = False
    if (must & ~allowed).any():
        raise ValueError(
            f"edge {_show(must & ~allowed, names)} is required, but leads into a root or out of a "
            "leaf"
        )
    level = _levels(tiers, names)
    with np.errstate(invalid="ignore"):
        before = level[:, None] < level[None, :]
    if (must & before.T).any():
        raise ValueError(
            f"edge {_show(must & before.T, names)} is required, but leads to an earlier tier"
        )
    before |= must
    order = topological_order(before)
    if order is None:
        cycle = [names[node] for node in a_cycle(before)]
        path = " -> ".join(map(str, [*cycle, cycle[0]]))
        raise ValueError(f"required edges and tiers contradict each other: {path}")
    before = closure(before, order)
    before = _pull(before, first, last)
    allowed &= ~before.T
    limit = d if max_parents is None else max_parents
    require_count(limit, "max_parents")
    if must.sum(0).max(initial=0) > limit:
        node = int(must.sum(0).argmax())
        raise ValueError(
            f"node {names[node]!r} has {int(must[:, node].sum())} required parents, but "
            f"max_parents is {limit}"
        )
    free = allowed | before.T
    np.fill_diagonal(free, True)
    return Knowledge(allowed, must, before, limit, bool(free.all()) and limit >= d - 1)


def _pull(before: np.ndarray, first: list[int], last: list[int]) -> np.ndarray:
    """Put roots to the front and leaves to the back where tiers leave room: this costs no graph."""
    before = before.copy()
    inner = np.ones(len(before), bool)
    inner[first + last] = False
    for node in first:
        if not before[:, node].any():
            before[node, inner] = True
    for node in last:
        if not before[node].any():
            before[inner, node] = True
    order = topological_order(before)
    assert order is not None  # a root without predecessors closes no cycle
    return closure(before, order)


def _listed(value: Any, argument: str) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{argument} must be a list of nodes, got {value!r}")
    return list(value)


def _edges(edges: Any, names: list[Any], argument: str) -> np.ndarray:
    """Matrix of a list of pairs."""
    A = np.zeros((len(names), len(names)), bool)
    if isinstance(edges, str) or not isinstance(edges, Iterable):
        raise TypeError(f"{argument} must be a list of edges (from, to), got {edges!r}")
    for edge in edges:
        if isinstance(edge, str) or not isinstance(edge, Iterable) or len(tuple(edge)) != 2:
            raise ValueError(f"{argument} must hold pairs (from, to), got {edge!r}")
        i, j = (node_index(node, names, argument) for node in edge)
        if i == j:
            raise ValueError(f"{argument} holds the loop {tuple(edge)}; a DAG has none")
        A[i, j] = True
    return A


def _levels(tiers: Any, names: list[Any]) -> np.ndarray:
    """Number of each node's tier, NaN where it has none."""
    level = np.full(len(names), np.nan)
    for number, tier in enumerate(_listed(tiers, "tiers")):
        for node in _listed(tier, f"tiers[{number}]"):
            index = node_index(node, names, f"tiers[{number}]")
            if not np.isnan(level[index]):
                raise ValueError(f"tiers[{number}] names node {node!r}, which has a tier already")
            level[index] = number
    return level


def _show(edges: np.ndarray, names: list[Any]) -> str:
    i, j = np.argwhere(edges)[0]
    return f"{names[i]} -> {names[j]}"
