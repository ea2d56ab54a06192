"""What is told about a graph besides its weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.linalg
import scipy.stats

from numopt.linalg.order_moves import coefficients, factor, variance_order
from numopt.linalg.order_search import make_search, search
from numopt.problems._dag_graph import topological_order
from numopt.problems.dag_score import DagScore


def refit(problem: DagScore, A: np.ndarray) -> np.ndarray:
    """Weights on the edges A alone, without penalty."""
    from numopt.solvers._parts.dag import fit_parents

    if problem.score in ("ls", "bic"):
        return fit_parents(problem, A)
    from numopt.solvers._parts.dag_nodes import fit_node, make_nodes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the data: given once
        bare = problem.replace(alpha=0.0)
    W = np.zeros(A.shape)
    nodes = make_nodes(bare)
    for j in range(problem.size):
        parents = np.flatnonzero(A[:, j])
        w = np.zeros(problem.size)
        fit_node(nodes, j, parents, parents.size, w)
        W[:, j] = w
    return W


def known_edges(problem: DagScore) -> np.ndarray | None:
    """Pairs whose direction is known beforehand: kept in the CPDAG; None if there are none."""
    know = problem.knowledge
    known = know.required | know.before | (know.allowed & ~know.allowed.T)
    return known if known.any() else None


def as_networkx(W: np.ndarray, names: list[Any]) -> Any:
    """Graph with the attribute `weight` on its edges."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(names)
    for i, j in np.argwhere(W):
        graph.add_edge(names[i], names[j], weight=float(W[i, j]))
    return graph


def diagnostics(problem: DagScore, order: np.ndarray) -> dict[str, Any]:
    """How far the order can be told from variances alone, which units decide.

    ``variance_rank_correlation`` and ``r2_rank_correlation``: Spearman's correlation of the places
    in the order with the columns' variances, and with R^2 of each column given all others.
    """
    G = problem.covariance
    scale = np.sqrt(G.diagonal())
    R = G / np.outer(scale, scale)
    R.flat[:: len(R) + 1] *= 1 + 1e-10
    r2 = 1 - 1 / scipy.linalg.inv(R).diagonal()
    return {
        "variance_rank_correlation": rank_correlation(order, np.log(G.diagonal())),
        "r2_rank_correlation": rank_correlation(order, r2),
        "columns_per_row": None if not problem.n_samples else problem.size / problem.n_samples,
        "constant_columns": [problem.names[j] for j in problem.moments.constant],
    }


def rank_correlation(order: np.ndarray, values: np.ndarray) -> float:
    """Spearman's correlation of the places in the order with values, equal to 12 digits or not."""
    values = np.round(values[order], 12)
    rising = np.sort(values)
    # Mean rank of equal values; a centred rank in an order of d has the square d (d^2 - 1) / 12.
    ranks = (np.searchsorted(rising, values) + np.searchsorted(rising, values, "right")) / 2
    ranks -= values.size / 2
    square = float(ranks @ ranks) * values.size * (values.size**2 - 1) / 12
    return float(np.arange(values.size) @ ranks / np.sqrt(square)) if square > 0 else 0.0


def standardised_edges(problem: DagScore, threshold: float) -> np.ndarray:
    """Edges found in columns of unit variance, those of weight above `threshold` there."""
    G, before = problem.covariance, problem.knowledge.before
    d, scale = problem.size, np.sqrt(G.diagonal())
    R = G / np.outer(scale, scale)
    R.flat[:: d + 1] *= 1 + 1e-12
    order = np.empty(d, np.int64)
    variance_order(R, 1, before, order)
    state = make_search(order, d, 0, 0)
    search(R, None, before, state, 4000, 1e-9, 0, 0, 0.0, 0)
    factor(R, state.best, state.U, state.M)
    return np.abs(coefficients(state.U, state.M, state.best)) > threshold


def varsortability(W: np.ndarray, variances: np.ndarray) -> float:
    """Share of directed paths that lead to a larger variance: near 1, sorting finds the order.

    Mean over the lengths of paths, ties count half. A. Reisach, C. Seiler, S. Weichwald, "Beware
    of the simulated DAG!", NeurIPS 2021, arXiv 2104.05441.
    """
    A = (W != 0).astype(float)
    assert topological_order(A > 0) is not None
    v = np.asarray(variances, float)
    rises = (v[:, None] < v) + 0.5 * (v[:, None] == v)
    paths, good, total = A.copy(), 0.0, 0.0
    while paths.any():
        good += float((rises * (paths > 0)).sum())
        total += float((paths > 0).sum())
        paths = ((paths @ A) > 0).astype(float)
    return good / total if total else 1.0


def path_of_thresholds(W: np.ndarray, thresholds: Any) -> list[dict[str, Any]]:
    """Number of edges for each threshold, and whether the graph is acyclic."""
    out = []
    for t in thresholds:
        A = np.abs(W) > t
        out.append(
            {"threshold": float(t), "edges": int(A.sum()),
             "acyclic": topological_order(A) is not None}
        )  # fmt: skip
    return out


def confidence_intervals(problem: DagScore, A: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Bounds (2, d, d) of the weights on the edges A, given the graph: selection is ignored.

    Least squares: w_p -+ t sqrt(n v_j (A^{-1})_pp / (n - k - 1)) / sqrt(n) with k parents.
    """
    from numopt.solvers._parts.dag import fit_parents

    if problem.splines is not None:
        raise ValueError("confidence intervals are of linear models, not of splines")
    if problem.n_samples is None:
        raise ValueError("confidence intervals need n_samples")
    m, W = problem.moments, fit_parents(problem, A)
    bounds = np.zeros((2, *A.shape))
    for j in range(problem.size):
        parents = np.flatnonzero(A[:, j])
        if not parents.size:
            continue
        G, n = m.grams[m.gram_of[j]], int(m.counts[m.gram_of[j]])
        free = n - parents.size - 1
        inverse = scipy.linalg.inv(G[np.ix_(parents, parents)])
        w = W[parents, j]
        v = G[j, j] - w @ G[parents, j]
        half = scipy.stats.t.ppf((1 + level) / 2, max(free, 1)) * np.sqrt(
            v * np.diag(inverse) / max(free, 1)
        )
        bounds[0, parents, j], bounds[1, parents, j] = w - half, w + half
    return bounds
