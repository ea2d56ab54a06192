"""Regressions of one node on those before it: least squares, logistic, Poisson; with L1 or not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.vector import dot

LEAST_SQUARES, LOGISTIC, POISSON = range(3)
FAMILIES = {"ls": LEAST_SQUARES, "logistic": LOGISTIC, "poisson": POISSON}
# KKT residual of a fit, relative to the columns' norms, and rounds at most.
EXACT = 1e-11
NEWTON, SWEEPS = 60, 20_000


class Nodes(NamedTuple):
    """Data of the regressions and room to compute them in; candidates are numbered 0 to m - 1."""

    family: int
    X: np.ndarray  # columns and, last, ones; empty for least squares
    grams: np.ndarray  # second moments, a matrix for each class of nodes
    gram_of: np.ndarray  # class of each node
    penalties: np.ndarray  # L1 strength of each edge
    allowed: np.ndarray  # allowed[i, j]: i may be a parent of j
    gamma: float  # of the minimax concave penalty; infinity for L1
    intercept: bool  # whether logistic and Poisson models have a constant
    H: np.ndarray  # matrix of the quadratic model
    lin: np.ndarray  # rows: its linear term, strengths, coefficients, residual, step
    cand: np.ndarray  # columns of the candidates
    eta: np.ndarray  # rows: linear predictor, weights, change of the predictor


def make_nodes(problem: Any) -> Nodes:
    """Room and data for the regressions of a problem."""
    d, m = problem.size, problem.moments
    X, n = np.zeros((0, 0), order="F"), 0
    if problem.score != "ls":
        n = len(problem.X)
        X = np.asfortranarray(np.hstack([problem.X, np.ones((n, 1))]))
    return Nodes(
        FAMILIES[problem.score], X, np.ascontiguousarray(m.grams), m.gram_of,
        np.ascontiguousarray(problem.penalties), problem.knowledge.allowed,
        problem.mcp_gamma or np.inf, problem.fit_intercept,
        np.zeros((d + 1, d + 1)), np.zeros((5, d + 1)), np.zeros(d + 1, np.int64),
        np.zeros((3, n)),
    )  # fmt: skip


@kernel
def fit_node(nodes, j, order, stop, w):
    """Best weights of node j on order[:stop], into w (the start); their score."""
    m = 0
    for s in range(stop):
        if nodes.allowed[order[s], j]:
            nodes.cand[m] = order[s]
            nodes.lin[1, m] = nodes.penalties[order[s], j]
            nodes.lin[2, m] = w[order[s]]
            m += 1
    if nodes.family == LEAST_SQUARES:
        score = _least_squares(nodes, j, m)
    else:
        score = _generalised(nodes, j, m)
    for i in range(w.size):
        w[i] = 0.0
    for k in range(m):
        w[nodes.cand[k]] = nodes.lin[2, k]
    return score


@inner
def _least_squares(nodes, j, m):
    G = nodes.grams[nodes.gram_of[j]]
    for k in range(m):
        for s in range(m):
            nodes.H[k, s] = G[nodes.cand[k], nodes.cand[s]]
        nodes.lin[0, k] = G[nodes.cand[k], j]
    _quadratic(nodes, m, G[j, j], EXACT)
    w, fit = nodes.lin[2], 0.0
    for k in range(m):
        # w'Hw - 2 g'w = -w'(g + r) with r = g - Hw
        fit -= w[k] * (nodes.lin[0, k] + nodes.lin[3, k])
    return max(G[j, j] + fit, 0.0) / 2 + _penalty(w, nodes.lin[1], m, nodes.gamma)


@inner
def _quadratic(nodes, m, scale, tol):
    """Minimise w'Hw/2 - g'w + sum of a |w| by coordinate descent and Newton steps on supports."""
    H, g, a, w, r = nodes.H, nodes.lin[0], nodes.lin[1], nodes.lin[2], nodes.lin[3]
    for k in range(m):
        r[k] = g[k]
        for s in range(m):
            r[k] -= H[k, s] * w[s]
    if not scale > 0:
        scale = 1.0
    for sweep in range(SWEEPS):
        if sweep % 10 == 0 and nodes.gamma == np.inf:
            _polish(nodes, m)
        worst = 0.0
        for k in range(m):
            h = H[k, k]
            if not h > 0:
                continue
            t = r[k] + h * w[k]
            new = _shrunk(abs(t), a[k], h, nodes.gamma)
            if t < 0:
                new = -new
            change = new - w[k]
            if change != 0:
                w[k] = new
                for s in range(m):
                    r[s] -= H[s, k] * change
                worst = max(worst, abs(change) * np.sqrt(h / scale))
        if worst <= tol:
            return


@inner
def _shrunk(t, a, h, gamma):
    """Minimiser over w >= 0 of h w^2 / 2 - t w + penalty."""
    if h * gamma > 1:
        if t > gamma * a * h:
            return t / h
        return max(t - a, 0.0) / (h - 1 / gamma)
    return t / h if t * t > gamma * a * a * h else 0.0  # nothing between is a minimum


@inner
def _polish(nodes, m):
    """Solve on the support with its signs; kept if no sign turns."""
    H, g, a, w, r = nodes.H, nodes.lin[0], nodes.lin[1], nodes.lin[2], nodes.lin[3]
    place, k = np.empty(m, np.int64), 0
    for s in range(m):
        if w[s] != 0 or a[s] == 0:
            place[k] = s
            k += 1
    L, x = np.empty((k, k)), np.empty(k)
    for s in range(k):
        p = place[s]
        x[s] = g[p] - (a[p] * np.sign(w[p]) if a[p] > 0 else 0.0)
        for t in range(s + 1):
            L[s, t] = H[p, place[t]] - dot(L[s, :t], L[t, :t])
            if t < s:
                L[s, t] /= L[t, t]
        if not L[s, s] > 1e-13 * H[p, p]:
            return
        L[s, s] = np.sqrt(L[s, s])
        x[s] = (x[s] - dot(L[s, :s], x[:s])) / L[s, s]
    for s in range(k - 1, -1, -1):
        for t in range(s + 1, k):
            x[s] -= L[t, s] * x[t]
        x[s] /= L[s, s]
    for s in range(k):
        if a[place[s]] > 0 and x[s] * w[place[s]] <= 0:
            return
    for s in range(k):
        w[place[s]] = x[s]
    for s in range(m):
        total = 0.0
        for t in range(k):
            total += H[s, place[t]] * x[t]
        r[s] = g[s] - total


# ---- logistic and Poisson regression: Newton's method, each step a quadratic model ---------------


@inner
def _value(family, eta, y, shift, t):
    """Mean loss at eta + t * shift."""
    total = 0.0
    for i in range(eta.size):
        z = eta[i] + t * shift[i]
        if family == LOGISTIC:
            total += max(z, 0.0) + np.log1p(np.exp(-abs(z))) - y[i] * z
        else:
            total += np.exp(z) - y[i] * z
    return total / eta.size


@inner
def _generalised(nodes, j, m):
    X, w, a = nodes.X, nodes.lin[2], nodes.lin[1]
    y, eta, weight, shift = X[:, j], nodes.eta[0], nodes.eta[1], nodes.eta[2]
    n, total = eta.size, m
    if nodes.intercept:
        nodes.cand[m] = X.shape[1] - 1
        a[m], w[m] = 0.0, 0.0
        total = m + 1
    for i in range(n):
        eta[i] = 0.0
    for k in range(total):
        for i in range(n):
            eta[i] += w[k] * X[i, nodes.cand[k]]
    old = nodes.lin[4]
    value = _value(nodes.family, eta, y, shift, 0.0) + _penalty(w, a, total, np.inf)
    for _ in range(NEWTON):
        for i in range(n):
            mean = np.exp(min(eta[i], 700.0))
            if nodes.family == LOGISTIC:
                mean = 1.0 / (1.0 + np.exp(-eta[i]))
                weight[i] = max(mean * (1 - mean), 1e-10)
            else:
                weight[i] = max(mean, 1e-10)
            shift[i] = mean - y[i]
        worst = 0.0
        for k in range(total):
            x = X[:, nodes.cand[k]]
            g = dot(x, shift) / n
            for s in range(k + 1):
                nodes.H[k, s] = nodes.H[s, k] = _weighted(x, X[:, nodes.cand[s]], weight) / n
            violation = abs(g + a[k] * np.sign(w[k])) if w[k] != 0 else max(abs(g) - a[k], 0.0)
            worst = max(worst, violation / np.sqrt(max(dot(x, x) * dot(y, y), 1e-300)) * n)
            nodes.lin[0, k] = -g
            old[k] = w[k]
        if worst <= EXACT:
            break
        for k in range(total):
            for s in range(total):
                nodes.lin[0, k] += nodes.H[k, s] * old[s]
        _quadratic(nodes, total, 1.0, 1e-13)
        for i in range(n):
            shift[i] = 0.0
        for k in range(total):
            if w[k] != old[k]:
                for i in range(n):
                    shift[i] += (w[k] - old[k]) * X[i, nodes.cand[k]]
        t, improved = 1.0, False
        for _ in range(30):
            new = _value(nodes.family, eta, y, shift, t) + _penalty(w, a, total, np.inf)
            if new <= value + 1e-15 * abs(value):
                improved = True
                break
            t *= 0.5
            for k in range(total):
                w[k] = (w[k] + old[k]) / 2
        if not improved:
            for k in range(total):
                w[k] = old[k]
            break
        value = new
        for i in range(n):
            eta[i] += t * shift[i]
    return value


@inner
def _penalty(w, a, m, gamma):
    total = 0.0
    for k in range(m):
        size = abs(w[k])
        if size > gamma * a[k]:
            total += gamma * a[k] * a[k] / 2
        else:
            total += a[k] * size - size * size / (2 * gamma)
    return total


@inner(reduction=True)
def _weighted(x, y, weight):
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i] * weight[i]
    return total
