"""Random graphs, and scores of graphs from the data by plain least squares."""

import itertools

import numpy as np


def random_dag(rng, d, edges_per_node=2.0, low=0.5, high=2.0):
    """Erdos-Renyi graph in a random order, weights of both signs."""
    chance = min(1.0, 2 * edges_per_node / max(d - 1, 1))
    A = np.triu(rng.random((d, d)) < chance, 1)
    W = A * rng.uniform(low, high, (d, d)) * rng.choice([-1.0, 1.0], (d, d))
    order = rng.permutation(d)
    out = np.zeros((d, d))
    out[np.ix_(order, order)] = W
    return out


def draw(rng, W, n, noise=None):
    """Rows of the linear model x = W'x + noise of unit variance."""
    d = len(W)
    noise = rng.standard_normal((n, d)) if noise is None else noise(rng, (n, d))
    return noise @ np.linalg.inv(np.eye(d) - W)


def residual(X, j, parents):
    """Mean square of column j after regression on `parents`; X is centred."""
    parents = list(parents)
    if not parents:
        return float((X[:, j] ** 2).mean())
    w = np.linalg.lstsq(X[:, parents], X[:, j], rcond=None)[0]
    return float(((X[:, j] - X[:, parents] @ w) ** 2).mean())


def ls_of_order(X, order):
    """Half the sum of residual variances, each column regressed on all before it."""
    return sum(residual(X, j, order[:t]) for t, j in enumerate(order)) / 2


def best_ls(X):
    """Least value over all orders."""
    return min(ls_of_order(X, order) for order in itertools.permutations(range(X.shape[1])))


def bic(X, A, weight=1.0):
    """BIC of a graph relative to the empty one, from the data."""
    n, d = X.shape
    X = X - X.mean(0)
    total = 0.0
    for j in range(d):
        parents = np.flatnonzero(A[:, j])
        total += n / 2 * np.log(residual(X, j, parents) / residual(X, j, []))
        total += weight / 2 * np.log(n) * len(parents)
    return total


def best_bic(X, allowed=lambda parents, j: True):
    """Least BIC over all graphs: best parents among predecessors, over all orders."""
    n, d = X.shape
    X = X - X.mean(0)
    local = {}
    for j in range(d):
        for k in range(d):
            for parents in itertools.combinations([i for i in range(d) if i != j], k):
                fit = n / 2 * np.log(residual(X, j, parents) / residual(X, j, []))
                ok = allowed(parents, j)
                local[j, frozenset(parents)] = fit + np.log(n) / 2 * k if ok else np.inf

    def node(j, before):
        subsets = (
            frozenset(s) for k in range(len(before) + 1) for s in itertools.combinations(before, k)
        )
        return min(local[j, s] for s in subsets)

    return min(
        sum(node(j, order[:t]) for t, j in enumerate(order))
        for order in itertools.permutations(range(d))
    )
