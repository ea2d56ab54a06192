"""What solvers of `DagScore` share: starts and answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import kernel
from numopt.core.validate import as_array
from numopt.linalg.order_moves import coefficients, factor, variance_order
from numopt.linalg.vector import dot
from numopt.problems._dag_basis import edge_sizes, expanded_order, over_groups
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
        G = np.ascontiguousarray(problem.gram_of_basis)
        variance_order(G, problem.per_parent, before, order)
        return order
    if np.ndim(given) == 1:
        order = problem.check_order(given)
        found = topological_order(before, order)
    else:
        square = np.shape(given) == (problem.size, problem.size)  # graphs of linear models, too
        W = as_array(given, "x0", 2, np.float64) if square else problem.weights(given)
        found = order_of(problem, edge_sizes(W))
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
    return fit_order(problem, order)[0]


def fit_order(problem: Any, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, and half the residual variance of each node."""
    d, q = problem.size, problem.per_parent
    functions = expanded_order(order, q)
    U, M = np.zeros((2, d * q, d * q))
    factor(problem.gram_of_basis, functions, U, M)
    W, scores = coefficients(U, M, functions), np.empty(d)
    scores[order] = U.diagonal()[::q] ** 2 / 2
    if q == 1:
        return W, scores
    return W[:, ::q].copy(), scores  # columns are the first of their functions


def fit_parents(problem: Any, A: np.ndarray) -> np.ndarray:
    """Least-squares weights of each node on its parents in A."""
    m, q = problem.moments, problem.per_parent
    grams = m.grams if q == 1 else problem.gram_of_basis[None]
    W = np.zeros((len(A) * q, len(A)))
    _fit_parents(grams, m.gram_of, np.ascontiguousarray(over_groups(A, q), bool), W)
    return W


@kernel
def _fit_parents(grams, gram_of, A, W):
    """Cholesky factors of the parents' correlations, one node after the other."""
    d, nodes = A.shape
    q = d // nodes
    parents, scale, w = np.empty(d, np.int64), np.empty(d), np.empty(d)
    L = np.empty((d, d))
    for j in range(nodes):
        G, k = grams[gram_of[j]], 0
        for i in range(d):
            if A[i, j]:
                parents[k] = i
                scale[k] = np.sqrt(G[i, i])
                k += 1
        for s in range(k):
            i = parents[s]
            w[s] = G[i, j * q] / scale[s]
            for t in range(s):
                L[s, t] = (G[i, parents[t]] / (scale[s] * scale[t]) - dot(L[s, :t], L[t, :t])) / L[
                    t, t
                ]
            L[s, s] = np.sqrt(max(1.0 - dot(L[s, :s], L[s, :s]), 1e-15))
            w[s] = (w[s] - dot(L[s, :s], w[:s])) / L[s, s]
        for s in range(k - 1, -1, -1):
            w[s] /= L[s, s]
            for t in range(s):
                w[t] -= L[s, t] * w[s]
            W[parents[s], j] = w[s] / scale[s]


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
