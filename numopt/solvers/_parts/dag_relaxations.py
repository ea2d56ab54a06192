"""What continuous relaxations share: least squares by Gram matrices, and the way back to DAGs."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.problems._dag_graph import ordered, topological_order
from numopt.solvers._parts.dag import fit_parents, order_of, regressions
from numopt.solvers.topological_swaps import TopologicalSwaps


def check(problem: Any, name: str) -> None:
    """Refuse what a relaxation does not model."""
    if problem.score != "ls" or len(problem.moments.grams) > 1:
        raise TypeError(f"{name} takes score 'ls' on one Gram matrix, got {problem.score!r}")
    if problem.splines is not None:
        raise TypeError(f"{name} solves linear models; use 'insertion' or 'topo' with splines")
    if problem.knowledge.max_parents < problem.size - 1:
        raise TypeError(f"{name} does not limit the parents of a node; use score 'bic'")


def raw_start(problem: Any, x0: Any, warm: dict[str, Any]) -> np.ndarray:
    """Weights to start from, 0 if not given; none on edges that are not allowed."""
    x0 = warm.get("relaxed", x0)
    if x0 is None or np.ndim(x0) != 2:
        return np.zeros((problem.size, problem.size))
    return problem.weights(x0) * problem.knowledge.allowed


def loss(G: np.ndarray, W: np.ndarray) -> tuple[float, np.ndarray]:
    """Tr (I - W)'G(I - W) / 2 and its gradient."""
    E = np.eye(len(W)) - W
    GE = G @ E
    return float((E * GE).sum()) / 2, -GE


def exponential(A: np.ndarray) -> np.ndarray:
    """Matrix exponential of A >= 0, without cancellation: Taylor's series, scaled and squared."""
    norm = float(A.sum(0).max(initial=0.0))
    if not norm < 700:
        return np.full_like(A, np.inf)
    squarings = max(0, int(np.ceil(np.log2(max(norm, 1e-300)))) + 3)
    B = A / 2.0**squarings
    E = np.eye(len(A)) + B / 9
    for k in range(8, 0, -1):
        E = np.eye(len(A)) + B @ E / k
    for _ in range(squarings):
        E = E @ E
    return E


def acyclic_part(problem: Any, W: np.ndarray, threshold: float) -> tuple[np.ndarray, float]:
    """Edges above the threshold, raised until no cycle is left; and that threshold."""
    A = (np.abs(W) > threshold) & problem.knowledge.allowed
    before = problem.knowledge.before
    if topological_order(A | before) is None:
        order = order_of(problem, np.where(A, W, 0.0))
        place = np.argsort(order)
        broken = A & (place[:, None] > place)
        threshold = float(np.abs(W[broken]).max())
        A &= np.abs(W) > threshold
    return A, threshold


def stationary(problem: Any, W: np.ndarray, threshold: float) -> dict[str, Any]:
    """A KKT point from relaxed weights: every node fitted on all before it in their order."""
    A, used = acyclic_part(problem, W, threshold)
    order = ordered(A | problem.knowledge.before, order_of(problem, W * A))
    if problem.orders_alone:
        x = regressions(problem, order)
    else:
        solver = TopologicalSwaps()
        state = solver.init(problem, order, {})
        while solver._repair(problem, state):
            pass
        x, order = state.W, state.order
    return {
        "x": x, "order": order, "claim": "kkt", "relaxed": W.copy(), "threshold": used,
        "thresholded": fit_parents(problem, A | problem.knowledge.required),
        "warm_start": {"relaxed": W.copy()},
    }  # fmt: skip
