"""Formulas written naively, straight from the textbooks: what the library is held against."""

import numpy as np


def soft(v, threshold):
    """Soft threshold."""
    return np.sign(v) * np.maximum(np.abs(v) - threshold, 0.0)


def project_simplex(v, radius=1.0):
    """Projection on the simplex by sorting."""
    u = np.sort(v)[::-1]
    excess = (np.cumsum(u) - radius) / np.arange(1, v.size + 1)
    return np.maximum(v - excess[np.flatnonzero(u > excess)[-1]], 0.0)


def sigmoid(t):
    """1 / (1 + exp(-t)) without overflow."""
    return np.where(
        t >= 0, 1 / (1 + np.exp(-np.abs(t))), np.exp(-np.abs(t)) / (1 + np.exp(-np.abs(t)))
    )


def loss_gradient(loss, y, z, weight=None):
    """Gradient of the weighted mean of "squares" or "logistic" (y = +-1) at the prediction z."""
    weight = np.full(y.size, 1.0) if weight is None else np.asarray(weight, float)
    r = z - y if loss == "squares" else -y * sigmoid(-y * z)
    return weight / weight.sum() * r


def distance_l1(x, g, alpha):
    """max_j dist(-g_j, alpha d|x_j|)."""
    at_zero = np.maximum(np.abs(g) - alpha, 0.0)
    return np.max(np.where(x == 0, at_zero, np.abs(g + alpha * np.sign(x))), initial=0.0)


def distance_mcp(x, g, alpha, gamma):
    """max_j dist(-g_j, d MCP(x_j))."""
    slope = np.maximum(alpha - np.abs(x) / gamma, 0.0) * np.sign(x)
    at_zero = np.maximum(np.abs(g) - alpha, 0.0)
    return np.max(np.where(x == 0, at_zero, np.abs(g + slope)), initial=0.0)


def intercept_alone(loss, y):
    """Best constant prediction."""
    if loss == "squares":
        return y.mean()
    return np.log(np.mean(y > 0) / np.mean(y <= 0))


def ista(gradient, prox, x0, step, iterations):
    """Textbook proximal gradient with a fixed step; all iterates."""
    xs = [x0]
    for _ in range(iterations):
        xs.append(prox(xs[-1] - step * gradient(xs[-1]), step))
    return xs


def objective_l1(A, y, alpha, x):
    """|y - Ax|^2 / (2n) + alpha |x|_1."""
    return np.sum((y - A @ x) ** 2) / (2 * y.size) + alpha * np.abs(x).sum()
