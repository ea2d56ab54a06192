"""What solvers of `DagScore` share: starts and answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.linalg.order_moves import coefficients, factor, variance_order
from numopt.problems._dag_graph import topological_order


def start_order(problem: Any, x0: Any, warm: dict[str, Any], rng: Any = None) -> np.ndarray:
    """Order to start from: given as an order or as weights, random, or by least variance."""
    if x0 is None and "order" not in warm and "x" in warm:
        x0 = warm["x"]
    before = problem.knowledge.before
    given = warm.get("order", x0)
    if given is None:
        if rng is not None:
            found = topological_order(before, rng.permutation(problem.size))
            assert found is not None  # constraints were checked
            return found
        order = np.empty(problem.size, np.int64)
        variance_order(np.ascontiguousarray(problem.covariance), before, order)
        return order
    if np.ndim(given) == 1:
        order = problem.check_order(given)
        found = topological_order(before, order)
    else:
        found = order_of(problem, problem.weights(given))
    assert found is not None
    return found


def order_of(problem: Any, W: np.ndarray) -> np.ndarray:
    """Order of an acyclic W; of the DAG that its heaviest edges form if there are cycles."""
    before = problem.knowledge.before
    A = (W != 0) & problem.knowledge.allowed
    order = topological_order(A | before)
    if order is not None:
        return order
    sizes = np.sort(np.abs(W[A]))
    low, high = 0, sizes.size  # all edges above sizes[high - 1] form a DAG
    while low < high:
        middle = (low + high) // 2
        if topological_order((np.abs(W) > sizes[middle]) & A | before) is None:
            low = middle + 1
        else:
            high = middle
    order = topological_order((np.abs(W) > sizes[low]) & A | before)
    assert order is not None
    return order


def regressions(problem: Any, order: np.ndarray) -> np.ndarray:
    """Least-squares weights of each node on all before it."""
    d = problem.size
    U, M = np.zeros((2, d, d))
    factor(problem.covariance, order, U, M)
    return coefficients(U, M, order)


def fit_parents(problem: Any, A: np.ndarray) -> np.ndarray:
    """Least-squares weights of each node on its parents in A."""
    m = problem.moments
    W = np.zeros(A.shape)
    for j in range(problem.size):
        parents = np.flatnonzero(A[:, j])
        if parents.size:
            G = m.grams[m.gram_of[j]]
            scale = np.sqrt(np.diag(G)[parents])
            P = G[np.ix_(parents, parents)] / np.outer(scale, scale)
            W[parents, j] = np.linalg.solve(P, G[parents, j] / scale) / scale
    return W


def r2_order(problem: Any) -> np.ndarray:
    """Nodes by the share of their variance that all others explain, least first."""
    G = problem.covariance
    scale = np.sqrt(np.diag(G))
    R = G / np.outer(scale, scale)
    R[np.diag_indices_from(R)] *= 1 + 1e-8  # fewer rows than columns
    order = np.argsort(np.diag(np.linalg.inv(R)), kind="stable")
    found = topological_order(problem.knowledge.before, order)
    assert found is not None
    return found
