"""Numbers of a graph's certificate, straight from the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from numopt.core.jit import kernel
from numopt.problems._dag_basis import edge_sizes, expanded_order, over_groups
from numopt.problems._dag_graph import closure, topological_order

KKT = "max |dQ/dW_ij| less the penalty's, over pairs without a walk j ~> i, / (|x_i| |x_j| / n)"


def objective(problem: Any, W: np.ndarray, g: np.ndarray | None = None) -> float:
    """Q(W) and the penalty; g is the gradient of Q, where it is known."""
    if problem.score == "bic":
        m = problem.moments
        v = residual_variances(problem, W, g)
        nodes = np.arange(problem.size)
        G = m.grams[m.gram_of, nodes, nodes]
        n = m.counts[m.gram_of]
        fit = float((n / 2 * np.log(np.maximum(v / G, 1e-300))).sum())
        edges = (edge_sizes(W) != 0) | problem.knowledge.required
        return fit + float(problem.edge_costs @ edges.sum(1))
    penalty = penalty_value(problem, W) if problem.alpha else 0.0
    if problem.score == "ls":
        return float(residual_variances(problem, W, g).sum()) / 2 + penalty
    X, M = problem.X, linear_predictor(problem, W)
    family = np.logaddexp(0.0, M) if problem.score == "logistic" else np.exp(M)
    return float((family - X * M).mean(0).sum()) + penalty


def penalty_value(problem: Any, W: np.ndarray) -> float:
    """L1, or the minimax concave penalty, of the edges' sizes."""
    a, size = problem.penalties, edge_sizes(W)
    if problem.mcp_gamma is None:
        return float((a * size).sum())
    gamma = problem.mcp_gamma
    inside = size <= gamma * a
    return float(np.where(inside, a * size - size**2 / (2 * gamma), gamma * a**2 / 2).sum())


def penalty_gradient(problem: Any, W: np.ndarray) -> np.ndarray:
    """Gradient of the penalty where an edge is not 0."""
    a, size = problem.penalties, edge_sizes(W)
    slope = a if problem.mcp_gamma is None else np.maximum(a - size / problem.mcp_gamma, 0.0)
    return over_groups(slope / np.maximum(size, 1e-300), problem.per_parent) * W


def residual_variances(problem: Any, W: np.ndarray, g: np.ndarray | None = None) -> np.ndarray:
    """v_j = (e_j - w_j)' G_j (e_j - w_j), each node with the Gram matrix of its own rows."""
    return -((gradient(problem, W) if g is None else g) * _residuals(W)).sum(0)


def _residuals(W: np.ndarray) -> np.ndarray:
    """I - W; with splines, the columns themselves are the first functions of each group."""
    E = -W
    E.flat[:: len(W) + 1] += 1.0
    return E


def gradient(problem: Any, W: np.ndarray) -> np.ndarray:
    """DQ/dW without the penalty; that of "bic" is taken of sum_j v_j / 2."""
    if problem.score in ("ls", "bic"):
        m, E = problem.moments, _residuals(W)
        if len(m.grams) == 1:
            return -problem.gram_of_basis @ E
        g = np.zeros_like(W)
        for k, G in enumerate(m.grams):
            mine = m.gram_of == k
            g[:, mine] = -G @ E[:, mine]
        return g
    X, M = problem.X, linear_predictor(problem, W)
    mean = expit(M) if problem.score == "logistic" else np.exp(M)
    return X.T @ (mean - X) / len(X)


def linear_predictor(problem: Any, W: np.ndarray) -> np.ndarray:
    """M = X W + b with the intercepts b that fit best, by Newton's method."""
    M = problem.X @ W
    return M + intercepts(problem, M) if problem.fit_intercept else M


def intercepts(problem: Any, M: np.ndarray) -> np.ndarray:
    """Best constant of each column of M; at most 30 where a column is all 0 or all 1."""
    mean = problem.X.mean(0)
    if problem.score == "poisson":
        top = M.max(0)
        scale = np.log(np.exp(M - top).mean(0)) + top
        return np.log(np.maximum(mean, 1e-13)) - scale
    b = np.zeros(M.shape[1])
    low, high = -30.0 - M.max(0), 30.0 - M.min(0)
    for _ in range(200):
        p = expit(M + b)
        slope = p.mean(0) - mean
        low, high = np.where(slope < 0, b, low), np.where(slope > 0, b, high)
        step = b - slope / np.maximum((p * (1 - p)).mean(0), 1e-300)
        new = np.where((step > low) & (step < high), step, (low + high) / 2)
        if np.abs(new - b).max(initial=0.0) <= 1e-15 * (1 + np.abs(b).max(initial=0.0)):
            break
        b = new
    return b


def norms(problem: Any) -> np.ndarray:
    """|x_i| |x_j| / n for all pairs."""
    if problem.score in ("ls", "bic"):
        m = problem.moments
        nodes = np.arange(problem.size)
        s = np.sqrt(m.grams[m.gram_of, nodes, nodes])
    else:
        s = np.sqrt((problem.X**2).mean(0))
        s[s == 0] = 1.0  # a column of zeros
    return np.maximum(np.outer(s, s), 1e-300)


def kkt(problem: Any, W: np.ndarray, order: np.ndarray, g: np.ndarray | None = None) -> float:
    """Residual of K1 and K2: see `DagScore`."""
    A, know = edge_sizes(W) != 0, problem.knowledge
    blocked = problem.score == "bic" or know.max_parents < problem.size - 1
    if blocked:
        free = A  # which edges there are is not a question of derivatives
    else:
        reach = closure(A | know.before, order)
        free = know.allowed & ~reach.T
    g = gradient(problem, W) if g is None else g
    residual = edge_sizes(g)
    if problem.alpha:
        inside = edge_sizes(g + penalty_gradient(problem, W))
        residual = np.where(A, inside, np.maximum(residual - problem.penalties, 0.0))
    residual /= norms(problem)
    return float(residual[free].max(initial=0.0))


def nodes_on_cycles(A: np.ndarray) -> int:
    """Nodes that reach themselves."""
    if topological_order(A) is not None:
        return 0
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(sp.csr_array(A), directed=True, connection="strong")
    return int(sum(size for size in np.bincount(labels, minlength=count) if size > 1))


def violations(problem: Any, A: np.ndarray) -> int:
    """Edges that are not allowed or missing, parents in excess."""
    know = problem.knowledge
    missing = know.required & ~A
    constant = list(problem.moments.constant)
    if constant:
        missing[:, constant] = missing[constant] = False
    count = np.count_nonzero(A & ~know.allowed) + np.count_nonzero(missing)
    if know.max_parents < problem.size - 1:
        count += int(np.maximum(A.sum(0) - know.max_parents, 0).sum())
    return int(count)


def has_moves(problem: Any) -> bool:
    """Whether the best move is computed: least squares over orders, and edges for "bic"."""
    by_edges = problem.score == "bic" and problem.splines is None
    return bool(problem.orders_alone or by_edges)


def best_move(problem: Any, W: np.ndarray, order: np.ndarray, fun: float) -> float:
    """Largest decrease of Q by one move; `fun` is Q(W)."""
    if problem.score == "bic":
        return best_edge(problem, W, order)[0]
    from numopt.linalg.block_order_moves import all_block_gains
    from numopt.linalg.order_moves import all_gains, factor

    d, q = problem.size, problem.per_parent
    before = problem.knowledge.before
    if before.any():
        place = np.argsort(order)
        if (before & (place[:, None] > place)).any():
            return np.inf
    U, M = np.zeros((2, d * q, d * q))
    factor(problem.gram_of_basis, expanded_order(order, q), U, M)
    gains, targets = np.zeros((3, d)), np.zeros((3, d), np.int64)
    if problem.splines is None:
        all_gains(U, M, order, before, gains, targets)
    else:
        all_block_gains(U, M, q, order, before, gains, targets)
    # W itself may be worse than the order's own optimum.
    own = fun - float((U.diagonal()[::q] ** 2).sum()) / 2
    return float(own - gains.min() / 2)


def best_edge(problem: Any, W: np.ndarray, order: np.ndarray) -> tuple[float, str, int, int]:
    """Best edge to add, delete or turn in a graph for "bic": (gain, kind, i, j)."""
    know, cost = problem.knowledge, problem.edge_cost
    A = W != 0
    add, drop = edge_gains(problem, A)
    add -= cost
    drop = np.where(A, drop + cost, -np.inf)
    walks = A | know.before
    reach = closure(walks, order)
    # i -> j may come if no walk leads back, also through known precedence.
    full = A.sum(0) >= know.max_parents
    can_add = know.allowed & ~A & ~reach.T & ~full
    np.fill_diagonal(can_add, False)
    can_drop = A & ~know.required
    # i -> j turns if no other walk leads from i to j.
    detour = walks.astype(float) @ reach > 0
    can_turn = can_drop & ~detour & know.allowed.T & ~full[:, None]
    best = [
        (np.where(can_add, add, -np.inf), "add"),
        (np.where(can_drop, drop, -np.inf), "drop"),
        (np.where(can_turn, drop + add.T, -np.inf), "turn"),
    ]
    gain, kind, where = max((float(m.max(initial=-np.inf)), k, int(m.argmax())) for m, k in best)
    i, j = divmod(where, len(A))
    return max(gain, 0.0), kind, i, j


def edge_gains(problem: Any, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the likelihood gains by each edge i -> j not in A, and loses without each one in A."""
    m = problem.moments
    add, drop = np.zeros((2, *A.shape))
    _edge_gains(m.grams, m.gram_of, m.counts.astype(float), A, add, drop)
    return add, drop


@kernel
def _edge_gains(grams: Any, gram_of: Any, counts: Any, A: Any, add: Any, drop: Any) -> None:
    """The same, node by node: the correlations of all columns are projected on its parents."""
    d = A.shape[0]
    q, X, left = np.zeros((d, d)), np.zeros((d, d)), np.zeros((2, d))
    parents = np.zeros(d, np.int64)
    for j in range(d):
        G, half = grams[gram_of[j]], counts[gram_of[j]] / 2
        for c in range(d):
            left[0, c] = 1.0
            left[1, c] = G[c, j] / np.sqrt(G[c, c] * G[j, j])
        k = 0
        for p in range(d):
            if not A[p, j]:
                continue
            row = q[k]
            for c in range(d):
                row[c] = G[p, c] / np.sqrt(G[p, p] * G[c, c])
            for t in range(k):
                share = q[t, p]
                for c in range(d):
                    row[c] -= share * q[t, c]
            scale = 1.0 / np.sqrt(max(row[p], 1e-12))
            for c in range(d):
                row[c] *= scale
            g = row[j]
            for c in range(d):
                left[0, c] -= row[c] * row[c]
                left[1, c] -= g * row[c]
            parents[k] = p
            k += 1
        v = max(left[0, j], 1e-300)
        for c in range(d):
            if c != j and not A[c, j]:
                share = left[1, c] * left[1, c] / max(left[0, c], 1e-12) / v
                add[c, j] = -half * np.log(max(1 - share, 1e-12))
        for s in range(k):  # X: inverse of the lower triangle L[s, t] = q_t at parent s
            for t in range(s):
                total = 0.0
                for u in range(t, s):
                    total += q[u, parents[s]] * X[u, t]
                X[s, t] = -total / q[s, parents[s]]
            X[s, s] = 1.0 / q[s, parents[s]]
        for t in range(k):
            w, square = 0.0, 0.0
            for s in range(t, k):
                w += X[s, t] * q[s, j]
                square += X[s, t] * X[s, t]
            drop[parents[t], j] = -half * np.log1p(w * w / square / v)
