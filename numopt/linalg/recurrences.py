"""The recurrences of CG, MINRES, GMRES and LSQR for a correction A d = r, from d = 0.

They believe their own residuals; `numopt.linalg.krylov` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from numopt.core.jit import kernel
from numopt.linalg.operators import Operator, Product


@dataclass
class Outcome:
    """One recurrence from r: where it got, and why it stopped."""

    step: np.ndarray  # correction d
    code: str  # "claims" to have met the goal, "limit", or a key of krylov.VERDICTS
    tridiagonal: Any = None


def cg(
    A: Operator, M: Product | None, r: np.ndarray, goal: float, limit: int, history: list[float]
) -> Outcome:
    """Conjugate gradients until the recursive residual is at most `goal`."""
    d, alphas, betas = np.zeros_like(r), [], []
    z = r if M is None else M(r)
    p, rz, scale, code = z.copy(), dot(r, z), 0.0, "limit"
    if not rz > 0:
        return Outcome(d, "preconditioner" if rz <= 0 else "trouble")
    for k in range(limit):
        q = A.matvec(p)
        curvature = dot(p, q)
        if k == 0:
            scale = norm(q) / norm(p)
        if not curvature > 0:
            code = "indefinite" if curvature <= 0 else "trouble"
            if norm(q) <= np.sqrt(np.finfo(r.dtype).eps) * scale * norm(p):
                code = "singular"
            break
        alpha = rz / curvature
        rr = _cg_update(A.dtype.type(alpha), p, q, d, r)
        history.append(float(np.sqrt(rr)))
        alphas.append(alpha)
        if history[-1] <= goal:
            code = "claims"
            break
        z = r if M is None else M(r)
        rz_new = rr if M is None else dot(r, z)
        if not rz_new > 0:
            code = "preconditioner" if rz_new <= 0 else "trouble"
            break
        beta, rz = rz_new / rz, rz_new
        betas.append(beta)
        _next_direction(z, A.dtype.type(beta), p)
    return Outcome(d, code, _lanczos_matrix(np.array(alphas), np.array(betas)))


def _lanczos_matrix(alphas: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal and off-diagonal of the tridiagonal matrix behind the coefficients of CG."""
    k = alphas.size
    if k == 0:
        return np.zeros(0), np.zeros(0)
    betas = betas[: k - 1]
    diagonal = 1 / alphas
    diagonal[1:] += betas / alphas[:-1]
    return diagonal, np.sqrt(betas) / alphas[:-1]


def minres(
    A: Operator, M: Product | None, r: np.ndarray, goal: float, limit: int, history: list[float]
) -> Outcome:
    """MINRES; r is carried along as a vector, hence known in the Euclidean norm."""
    d, w, w_old = np.zeros((3, r.size), r.dtype)
    eps = float(np.finfo(r.dtype).eps)
    v_old, v = np.zeros_like(r), r.copy()  # unnormalised Lanczos vectors
    y = v if M is None else M(v)
    beta = dot(v, y)
    if not beta > 0:
        return Outcome(d, "preconditioner" if beta <= 0 else "trouble")
    beta = float(np.sqrt(beta))
    beta_old, rho_bar, epsilon, squares = 1.0, beta, 0.0, 0.0
    c, s, delta_bar = -1.0, 0.0, 0.0
    for k in range(limit):
        direction = y / beta
        product = A.matvec(direction)
        alpha = _orthogonalise(product, beta / beta_old, v_old, direction, beta, v)
        v_old, v = v, product
        y = v if M is None else M(v)
        beta_old, beta = beta, dot(v, y)
        if not beta >= -eps * norm(v) * norm(y):
            return Outcome(d, "preconditioner" if beta < 0 else "trouble")
        beta = float(np.sqrt(max(beta, 0.0)))
        squares += alpha**2 + beta**2 + (beta_old**2 if k else 0.0)  # |T|_F^2
        # The last rotation applied to the new column, and the one that annihilates beta.
        epsilon_old, delta = epsilon, c * delta_bar + s * alpha
        gamma_bar = s * delta_bar - c * alpha
        epsilon, delta_bar = s * beta, -c * beta
        if np.hypot(gamma_bar, delta_bar) <= 10 * eps * np.sqrt(squares):
            return Outcome(d, "dead end")  # A r = 0, up to rounding
        gamma = float(np.hypot(gamma_bar, beta))
        c, s = gamma_bar / gamma, beta / gamma
        phi, rho_bar = c * rho_bar, s * rho_bar
        drop = rho_bar * c / beta if beta > 0 else 0.0
        coefficients = np.array([epsilon_old, delta, gamma, phi, s * s, drop], r.dtype)
        rr = _minres_update(coefficients, direction, w_old, w, d, v, r)
        w_old, w = w, w_old
        history.append(float(np.sqrt(rr)))
        if not history[-1] > goal:
            return Outcome(d, "claims")
    return Outcome(d, "limit")


def gmres(
    A: Operator,
    M: Product | None,
    r: np.ndarray,
    goal: float,
    limit: int,
    history: list[float],
    restart: int,
) -> Outcome:
    """GMRES, preconditioned from the right so that its residual is that of A d = r.

    A cycle that gains next to nothing doubles the length of the following ones.
    """
    d, n = np.zeros_like(r), r.size
    left = limit
    while True:
        before = norm(r)
        step, code, steps = _gmres_cycle(A, M, r, goal, min(restart, n, left), history)
        left -= steps
        if code == "trouble":
            return Outcome(d, code)
        d += step
        if code:
            return Outcome(d, code)
        if left <= 0:
            return Outcome(d, "limit")
        r = r - A.matvec(step)
        if not norm(r) <= 0.9 * before:
            if restart >= n:
                return Outcome(d, "stalled")
            restart *= 2


def _gmres_cycle(
    A: Operator, M: Product | None, r: np.ndarray, goal: float, length: int, history: list[float]
) -> tuple[np.ndarray, str, int]:
    """The best correction from a Krylov space of at most this dimension; why it ended, steps."""
    V = np.empty((length + 1, r.size), r.dtype)
    R, g = np.zeros((length + 1, length)), np.zeros(length + 1)
    rotations = np.empty((length, 2))
    g[0] = norm(r)
    V[0] = r / r.dtype.type(g[0])
    eps, largest = float(np.finfo(r.dtype).eps), 0.0
    code, k = "", 0
    while k < length and not code:
        w = A.matvec(V[k] if M is None else M(V[k].copy()))
        size, h = norm(w), R[:, k]
        if not size < np.inf:
            return w, "trouble", k
        largest = max(largest, size)
        rest = _arnoldi(V, k, w, h)
        for i in range(k):
            c, s = rotations[i]
            h[i], h[i + 1] = c * h[i] + s * h[i + 1], c * h[i + 1] - s * h[i]
        pivot = float(np.hypot(h[k], rest))
        if pivot <= 10 * eps * largest:  # A maps the whole space into what it held before
            code = "singular"
            break
        c, s = rotations[k] = h[k] / pivot, rest / pivot
        h[k], h[k + 1] = pivot, 0.0
        g[k], g[k + 1] = c * g[k], -s * g[k]
        k += 1
        history.append(abs(float(g[k])))
        if history[-1] <= goal or rest <= 10 * eps * size:
            code = "claims"
        else:
            np.divide(w, r.dtype.type(rest), out=V[k])
    y = scipy.linalg.solve_triangular(R[:k, :k], g[:k]).astype(r.dtype) if k else np.zeros(0)
    step = (y @ V[:k]).astype(r.dtype, copy=False)
    return (step if M is None else M(step)), code, k


def lsqr(
    A: Operator,
    N: Operator | None,
    r: np.ndarray,
    goal: float,
    rtol: float,
    largest: list[float],
    limit: int,
    history: list[float],
) -> Outcome:
    """LSQR until r or A'r is small; raises the bound largest[0] <= |A|_2 on the way."""
    x = np.zeros(A.shape[1], A.dtype)
    precision = max(0.9 * rtol, 0.1 * float(np.finfo(A.dtype).eps))
    phi_bar = norm(r)
    u = r / phi_bar
    # N't = v: carrying t along makes A'r known in the original coordinates.
    t = A.rmatvec(u)
    v, alpha, t = _through(N, t)
    w = x.copy()
    rho_bar, ratio = alpha, 0.0
    for _ in range(limit):
        if alpha == 0:
            return Outcome(x, "claims")  # A'r = 0
        direction = v if N is None else N.matvec(v)
        product = A.matvec(direction)
        largest[0] = max(largest[0], norm(product) / norm(direction))
        _next_direction(direction, A.dtype.type(-ratio), w)
        u = product - alpha * u
        beta = norm(u)
        u /= beta or 1.0
        adjoint = A.rmatvec(u)
        largest[0] = max(largest[0], norm(adjoint))
        adjoint -= beta * t
        slope = norm(adjoint)
        rho = float(np.hypot(rho_bar, beta))
        if not rho > 0:
            return Outcome(x, "trouble")
        c, s = rho_bar / rho, beta / rho
        x += (c * phi_bar / rho) * w
        v, alpha, t = _through(N, adjoint)
        ratio, rho_bar, phi_bar = s * alpha / rho, -c * alpha, s * phi_bar
        history.append(phi_bar)
        if phi_bar <= goal or phi_bar * abs(c) * slope <= precision * largest[0] * phi_bar:
            return Outcome(x, "claims")
    return Outcome(x, "limit")


def _through(N: Operator | None, t: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """N't normalised, its length, and t divided by that."""
    v = t if N is None else N.rmatvec(t)
    alpha = norm(v)
    if alpha > 0:
        v = v / alpha
        t = v if N is None else t / alpha
    return v, alpha, t


# ---- pieces --------------------------------------------------------------------------------------


@kernel(reduction=True)
def dot(x, y):
    """x'y in float64."""
    total = 0.0
    for i in range(x.size):
        total += np.float64(x[i]) * y[i]
    return total


@kernel(reduction=True)
def _cg_update(alpha, p, q, d, r):
    """d += alpha p and r -= alpha q; returns r'r."""
    total = 0.0
    for i in range(r.size):
        d[i] += alpha * p[i]
        r[i] -= alpha * q[i]
        total += np.float64(r[i]) * r[i]
    return total


@kernel
def _next_direction(z, beta, p):
    """p = z + beta p."""
    for i in range(p.size):
        p[i] = z[i] + beta * p[i]


@kernel
def _minres_update(coefficients, direction, w_old, w, d, v, r):
    """Next w into w_old, step along it, next residual; returns r'r."""
    epsilon, delta, gamma, phi, keep, drop = coefficients
    total = 0.0
    for i in range(r.size):
        step = (direction[i] - epsilon * w_old[i] - delta * w[i]) / gamma
        w_old[i] = step
        d[i] += phi * step
        r[i] = keep * r[i] - drop * v[i]
        total += np.float64(r[i]) * r[i]
    return total


def _orthogonalise(
    y: np.ndarray, back: float, v_old: np.ndarray, direction: np.ndarray, beta: float, v: np.ndarray
) -> float:
    """One Lanczos step on y in place; the new diagonal entry."""
    _subtract(y, y.dtype.type(back), v_old)
    alpha = float(dot(direction, y))
    _subtract(y, y.dtype.type(alpha / beta), v)
    return alpha


@kernel
def _arnoldi(V, k, w, h):
    """Orthogonalise w against V[:k + 1] twice, adding the products to h; what is left of |w|."""
    for _ in range(2):
        for i in range(k + 1):
            product = dot(V[i], w)
            h[i] += product
            _subtract(w, w.dtype.type(product), V[i])
    return np.sqrt(dot(w, w))


@kernel
def _subtract(y, a, x):
    """y -= a x."""
    for i in range(y.size):
        y[i] -= a * x[i]


def norm(x: np.ndarray) -> float:
    """|x|_2, summed in float64."""
    return float(np.sqrt(dot(x, x)))
