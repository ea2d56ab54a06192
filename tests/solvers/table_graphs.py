"""Rows of the solver table for graphs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from numopt.problems import DagScore
from numopt.solvers import BOSS, ExactOrder, OrderBranchAndBound, OrderInsertion
from numopt.solvers._parts.dag import regressions
from tests.helpers import dags
from tests.solvers.table import Arrays, Generator, Row


def draw_covariance(rng: np.random.Generator, d: int = 6, n: int = 60) -> Arrays:
    X = dags.draw(rng, dags.random_dag(rng, d), n)
    return {"G": np.cov(X.T, bias=True)}


def node_variance(G: np.ndarray, j: int, parents: Any) -> float:
    parents = list(parents)
    if not parents:
        return float(G[j, j])
    P = G[np.ix_(parents, parents)]
    return float(G[j, j] - G[parents, j] @ np.linalg.solve(P, G[parents, j]))


def gradient_residual(G: np.ndarray, W: np.ndarray, free: np.ndarray) -> float:
    scale = np.sqrt(np.outer(np.diag(G), np.diag(G)))
    return float((np.abs(G @ (np.eye(len(W)) - W)) / scale)[free].max(initial=0.0))


def order_residual(arrays: Arrays, result: Any) -> float:
    """KKT of the order, and the best gain by swapping or moving one variable."""
    G, order = arrays["G"], list(result.order)

    def score(order: list[int]) -> float:
        return sum(node_variance(G, j, order[:t]) for t, j in enumerate(order)) / 2

    others = []
    for a, b in itertools.permutations(range(len(order)), 2):
        swapped, moved = order.copy(), order.copy()
        swapped[a], swapped[b] = swapped[b], swapped[a]
        moved.insert(b, moved.pop(a))
        others += [swapped, moved]
    place = np.argsort(order)
    gain = max(0.0, score(order) - min(map(score, others))) / score(order)
    return max(gain, gradient_residual(G, result.x, place[:, None] < place))


def bic_residual(arrays: Arrays, result: Any) -> float:
    """KKT on the edges, and the best gain by one edge more, less or turned, of 60 rows."""
    G, A, n = arrays["G"], result.x != 0, 60

    def score(A: np.ndarray) -> float:
        if np.trace(np.linalg.matrix_power(np.eye(len(A)) + A, len(A))) > len(A) + 1e-9:
            return np.inf
        v = [node_variance(G, j, np.flatnonzero(A[:, j])) / G[j, j] for j in range(len(A))]
        return float(n / 2 * np.log(v).sum() + np.log(n) / 2 * A.sum())

    others = []
    for i, j in itertools.permutations(range(len(A)), 2):
        changed, turned = A.copy(), A.copy()
        changed[i, j] = not A[i, j]
        turned[i, j], turned[j, i] = turned[j, i], turned[i, j]
        others += [changed, turned]
    gain = max(0.0, score(A) - min(map(score, others))) / max(abs(score(A)), 1e-300)
    return max(gain, gradient_residual(G, result.x, A))


def reversed_order(rng: np.random.Generator) -> np.ndarray:
    """Every variable of the first problem fitted on those of less residual variance."""
    G = draw_covariance(np.random.default_rng(0))["G"]
    problem = DagScore(gram=G)
    return regressions(problem, np.argsort(-np.diag(G)))


def graphs(name: str, residual: Any, **fields: Any) -> Generator:
    return Generator(
        name,
        draw_covariance,
        lambda G: DagScore(gram=G, **fields),
        residual,
        reversed_order,
        convex=False,
        float32=False,
        scaled=lambda arrays, factor: ({"G": arrays["G"] * factor**2}, 1.0),
    )


ORDERS = graphs("orders", order_residual)
BIC = graphs("bic", bic_residual, n_samples=60, score="bic")


ROWS = [
    Row(OrderInsertion(), (ORDERS,)),
    Row(ExactOrder(), (ORDERS, BIC), restart=7),
    Row(OrderBranchAndBound(random_state=0), (BIC,), restart=3),
    Row(BOSS(restarts=0, random_state=0), (BIC,), restart=60),
]
