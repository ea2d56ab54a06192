"""Regressions of one node on splines of those before it, with a penalty on each parent's group."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.vector import dot
from numopt.solvers._parts.dag_nodes import EXACT, SWEEPS, _penalty, _shrunk


class Groups(NamedTuple):
    """Data of the regressions and room to compute them in; q coefficients for each candidate."""

    gram: np.ndarray  # second moments of all functions; a column is the first of its q
    q: int
    penalties: np.ndarray  # strength of each edge
    allowed: np.ndarray  # allowed[i, j]: i may be a parent of j
    gamma: float  # of the minimax concave penalty; infinity for L1
    H: np.ndarray  # moments of the candidates
    lin: np.ndarray  # rows: covariances with the node, coefficients, residual, step
    cand: np.ndarray  # columns of the candidates
    sizes: np.ndarray  # rows: strengths, norms of groups


def make_groups(problem: Any) -> Groups:
    """Room and data for the regressions of an additive problem."""
    d, q = problem.size, problem.per_parent
    return Groups(
        np.ascontiguousarray(problem.gram_of_basis), q, np.ascontiguousarray(problem.penalties),
        problem.knowledge.allowed, problem.mcp_gamma or np.inf, np.zeros((d * q, d * q)),
        np.zeros((4, d * q)), np.zeros(d, np.int64), np.zeros((2, d)),
    )  # fmt: skip


@kernel
def fit_groups(nodes, j, order, stop, w):
    """Best coefficients of node j on order[:stop], into w (the start); their score."""
    q, m = nodes.q, 0
    for s in range(stop):
        if nodes.allowed[order[s], j]:
            nodes.cand[m] = order[s]
            nodes.sizes[0, m] = nodes.penalties[order[s], j]
            m += 1
    G, H = nodes.gram, nodes.H
    g, c, r = nodes.lin[0], nodes.lin[1], nodes.lin[2]
    for k in range(m * q):
        row = nodes.cand[k // q] * q + k % q
        for s in range(m * q):
            H[k, s] = G[row, nodes.cand[s // q] * q + s % q]
        g[k], c[k] = G[row, j * q], w[row]
    _descend(nodes, m, G[j * q, j * q])
    for i in range(w.size):
        w[i] = 0.0
    fit = 0.0
    for k in range(m * q):
        w[nodes.cand[k // q] * q + k % q] = c[k]
        fit -= c[k] * (g[k] + r[k])  # c'Hc - 2 g'c = -c'(g + r) with r = g - Hc
    _norms(nodes, m)
    penalty = _penalty(nodes.sizes[1], nodes.sizes[0], m, nodes.gamma)
    return max(G[j * q, j * q] + fit, 0.0) / 2 + penalty


@inner
def _norms(nodes, m):
    for k in range(m):
        square = 0.0
        for s in range(k * nodes.q, (k + 1) * nodes.q):
            square += nodes.lin[1, s] ** 2
        nodes.sizes[1, k] = np.sqrt(square)


@inner
def _residual(nodes, m):
    """R = g - Hc."""
    for k in range(m * nodes.q):
        nodes.lin[2, k] = nodes.lin[0, k] - dot(nodes.H[k, : m * nodes.q], nodes.lin[1])


@inner
def _descend(nodes, m, scale):
    """Block coordinate descent, each group in closed form, and Newton steps on the groups not 0."""
    q, H, c, r, a = nodes.q, nodes.H, nodes.lin[1], nodes.lin[2], nodes.sizes[0]
    _residual(nodes, m)
    for sweep in range(SWEEPS):
        if sweep % 5 == 0:
            for _ in range(20):
                if not _newton(nodes, m):
                    break
        worst = 0.0
        for k in range(m):
            h, size = H[k * q, k * q], 0.0
            for s in range(k * q, (k + 1) * q):
                size += (r[s] + h * c[s]) ** 2
            size = np.sqrt(size)
            if size == 0:
                continue
            factor = _shrunk(size, a[k], h, nodes.gamma) / size
            for s in range(k * q, (k + 1) * q):
                change = factor * (r[s] + h * c[s]) - c[s]
                nodes.lin[3, s] = change
                worst = max(worst, abs(change) * np.sqrt(h / scale))
            for s in range(k * q, (k + 1) * q):
                change = nodes.lin[3, s]
                if change != 0:
                    c[s] += change
                    for u in range(m * q):
                        r[u] -= H[s, u] * change
        if worst <= EXACT:
            return


@inner
def _newton(nodes, m):
    """A Newton step over the groups that are not 0; whether it was large, and so worth another.

    Kept if the quadratic model is convex, no group turns round, and the step of a further one would
    be shorter.
    """
    q, H, c, r, a = nodes.q, nodes.H, nodes.lin[1], nodes.lin[2], nodes.sizes[0]
    _norms(nodes, m)
    size = nodes.sizes[1]
    place, count = np.empty(m * q, np.int64), 0
    for k in range(m):
        if size[k] > 0 or a[k] == 0:
            for s in range(q):
                place[count] = k * q + s
                count += 1
    L, x = np.empty((count, count)), np.empty(count)
    for s in range(count):
        p = place[s]
        k = p // q
        slope = max(a[k] - size[k] / nodes.gamma, 0.0)
        curve = -1.0 / nodes.gamma if slope > 0 else 0.0
        x[s] = r[p]
        if slope > 0:
            x[s] -= slope * c[p] / size[k]
        for t in range(s + 1):
            u = place[t]
            value = H[p, u]
            if u // q == k and slope > 0:
                along = c[p] * c[u] / size[k] ** 2
                value += slope / size[k] * ((1.0 if p == u else 0.0) - along) + curve * along
            value -= dot(L[s, :t], L[t, :t])
            if t < s:
                L[s, t] = value / L[t, t]
            elif not value > 1e-13 * H[p, p]:
                return False
            else:
                L[s, s] = np.sqrt(value)
        x[s] = (x[s] - dot(L[s, :s], x[:s])) / L[s, s]
    step, long = 0.0, 0.0
    for s in range(count - 1, -1, -1):
        x[s] /= L[s, s]
        for t in range(s):
            x[t] -= L[s, t] * x[s]
        step = max(step, abs(x[s]))
        long = max(long, abs(c[place[s]]))
    for s in range(0, count, q):  # the angle between old and new group stays below 60 degrees
        k = place[s] // q
        if a[k] > 0:
            along, square = 0.0, 0.0
            for t in range(q):
                new = c[place[s + t]] + x[s + t]
                along += new * c[place[s + t]]
                square += new * new
            if not along > 0.5 * size[k] * np.sqrt(square):
                return False
    for s in range(count):
        c[place[s]] += x[s]
    _residual(nodes, m)
    return step > 1e-9 * long
