"""Parts of an iteration of the interior point method for conic programs, compiled.

Nesterov and Todd's scaling W of a cone takes the slacks s and multipliers z to the same point,
W z = W^{-1} s. For s, z > 0 it is sqrt(s / z); for a second-order cone, with J = diag(1, -I),

    W = eta (w_0, w_1'; w_1, I + w_1 w_1' / (1 + w_0)),   W^2 = eta^2 (2 w w' - J),   w' J w = 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.cones import tail_norm
from numopt.linalg.sparse import row_axpy, row_dot

# How a chunk ends.
GOING, SOLVED, STUCK, INFEASIBLE, UNBOUNDED = range(5)

# Places in `scalars`.
TAU, KAPPA, MU, TOL, PRIMAL, DUAL, GAP, RESIDUAL, MISSES, BEST, FARKAS, RAY = range(12)
NO_POINT, NO_END, CURVED, SLOPE = 12, 13, 14, 15  # goals of the proofs; x'Px and q'x + b'z
R_TAU, D_TAU, D_KAPPA, SHIFT = 16, 17, 18, 19
MARKS = 20  # least values by which progress is told
SCALARS = 24


class Point(NamedTuple):
    """Iterate of the embedding, and what is computed from it."""

    x: np.ndarray
    s: np.ndarray
    z: np.ndarray
    rx: np.ndarray  # P x + A'z + q tau
    rz: np.ndarray  # A x + s - b tau
    Px: np.ndarray
    w: np.ndarray  # scaling of the cones
    eta: np.ndarray  # of each second-order cone
    middle: np.ndarray  # W z = W^{-1} s
    scalars: np.ndarray


class Room(NamedTuple):
    """Work arrays."""

    rhs: np.ndarray  # as many as the KKT matrix has rows
    still: np.ndarray  # the solution for (-q, b)
    step: np.ndarray
    fix: np.ndarray
    r: np.ndarray
    ds: np.ndarray  # step of s
    target: np.ndarray  # what s + W^2 z has to fall by
    Wz: np.ndarray  # scaled step of z
    Ws: np.ndarray  # scaled step of s


class Kkt(NamedTuple):
    """Upper triangle of the KKT matrix by columns."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    diagonal: np.ndarray  # places of the diagonal
    first: np.ndarray  # of the two columns that each large cone has for itself, or -1


@inner
def degree(cones):
    """Number of products s z."""
    return cones.nonneg - cones.zero + cones.starts.size - 1


@inner(contract=True)
def evaluate(model, point):
    """Residuals of the embedding, and those of the program in the units of the data."""
    P, A, q, b, cones, D, E, cost, reach, rows = model
    x, s, z, rx, rz, Px, _, _, _, scalars = point
    n, m, tau = q.size, b.size, scalars[TAU]
    top, products, support, curved, linear = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(m):
        rz[i] = 0.0
        products += s[i] * z[i]
        support += b[i] * z[i]
    for j in range(n):
        row_axpy(A, j, x[j], rz)
    primal, scale, outside = 0.0, 0.0, 0.0
    for i in range(m):
        Ax, e = rz[i], 1 / E[i]
        rz[i] = Ax + s[i] - b[i] * tau
        r = abs(rz[i]) * e
        primal = primal if r <= primal else r
        scale = max(scale, abs(Ax) * e, abs(b[i] * tau - s[i]) * e)
        if rows[i] > 0:
            outside = max(outside, abs(Ax + s[i]) * e / rows[i])
        top = max(top, abs(rz[i]))
    scalars[PRIMAL] = primal / (tau + scale)
    dual, scale, flat, proof, steepest = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(n):
        Az = row_dot(A, j, z)
        Px[j] = row_dot(P, j, x)
        rx[j] = Px[j] + Az + q[j] * tau
        f = 1 / (cost * D[j])
        r = abs(rx[j]) * f
        dual = dual if r <= dual else r
        scale = max(scale, abs(Px[j]) * f, abs(q[j]) * f * tau, abs(Az) * f)
        flat = max(flat, abs(Px[j]) * f)
        proof = max(proof, abs(Az) / D[j])
        steepest = max(steepest, abs(q[j]) / D[j])
        curved += x[j] * Px[j]
        linear += q[j] * x[j]
        top = max(top, abs(rx[j]))
    scalars[DUAL] = dual / (tau + scale)
    unit = cost * tau * tau
    most = max(abs(curved), abs(linear) * tau, abs(support) * tau) / unit
    scalars[GAP] = abs(curved + (linear + support) * tau) / unit / (1 + most)
    scalars[FARKAS] = proof * reach / -support if support < 0 else np.inf
    ray = max(flat * reach * cost, outside * steepest)
    scalars[RAY] = ray / -linear if linear < 0 else np.inf
    scalars[MU] = (products + tau * scalars[KAPPA]) / (degree(cones) + 1)
    scalars[CURVED], scalars[SLOPE] = curved, linear + support
    scalars[R_TAU] = scalars[KAPPA] + curved / tau + linear + support
    scalars[RESIDUAL] = top


@inner(contract=True)
def weigh(model, point, kkt):
    """Scaling of the cones at (s, z) and their part of the KKT matrix; False outside of them."""
    cones, s, z, w, eta, middle = model.cones, point.s, point.z, point.w, point.eta, point.middle
    values, diagonal, n = kkt.values, kkt.diagonal, model.q.size
    for i in range(cones.zero):
        values[diagonal[n + i]] = 0.0
    for i in range(cones.zero, cones.nonneg):
        if not (s[i] > 0 and z[i] > 0):
            return False
        w[i] = np.sqrt(s[i] / z[i])
        middle[i] = np.sqrt(s[i] * z[i])
        values[diagonal[n + i]] = -s[i] / z[i]
    for c in range(cones.starts.size - 1):
        a, e = cones.starts[c], cones.starts[c + 1]
        s_tail, z_tail = tail_norm(s, a, e), tail_norm(z, a, e)
        if not (s[a] > s_tail and z[a] > z_tail):
            return False
        s_size = np.sqrt((s[a] - s_tail) * (s[a] + s_tail))
        z_size = np.sqrt((z[a] - z_tail) * (z[a] + z_tail))
        product = s[a] * z[a]
        for k in range(a + 1, e):
            product += s[k] * z[k]
        half = np.sqrt(0.5 * (1 + max(product / (s_size * z_size), 1.0)))
        s0, z0 = s[a] / s_size, z[a] / z_size
        size = np.sqrt(s_size * z_size)
        eta[c] = np.sqrt(s_size / z_size)
        squares = 0.0
        for k in range(a + 1, e):
            sk, zk = s[k] / s_size, z[k] / z_size
            w[k] = (sk - zk) / (2 * half)
            squares += w[k] * w[k]
            middle[k] = size * ((half + z0) * sk + (half + s0) * zk) / (s0 + z0 + 2 * half)
        w[a] = np.sqrt(1 + squares)
        middle[a] = size * half
        _cone_block(kkt, n, a, e, w, eta[c] * eta[c], kkt.first[c])
    return True


@inner
def _cone_block(kkt, n, a, e, w, square, first):
    """-W^2 of one cone: in full, or as -square (D + u u' - v v') with two more columns u and v."""
    values, diagonal = kkt.values, kkt.diagonal
    if first < 0:
        for i in range(a, e):
            place = diagonal[n + i] - (i - a)
            for k in range(a, i + 1):
                entry = 2 * w[i] * w[k]
                if i == k:
                    entry += -1.0 if i == a else 1.0
                values[place + (k - a)] = -square * entry
        return
    whole = 2 * w[a] * w[a] - 1
    d = 0.5 / whole
    u0 = np.sqrt(whole - d)
    u1 = 2 * w[a] / u0
    v1 = np.sqrt((2 + 1 / whole) / (whole - d))
    eta, length = np.sqrt(square), e - a
    v_place, u_place = diagonal[first] - length, diagonal[first + 1] - length
    values[diagonal[n + a]] = -square * d
    values[v_place] = 0.0
    values[u_place] = eta * u0
    for k in range(1, length):
        values[diagonal[n + a + k]] = -square
        values[v_place + k] = eta * v1 * w[a + k]
        values[u_place + k] = eta * u1 * w[a + k]
    values[diagonal[first]] = -1.0
    values[diagonal[first + 1]] = 1.0


@inner(contract=True)
def scale_by(cones, w, eta, inverse, v, out):
    """Out = W v, or W^{-1} v."""
    for i in range(cones.zero):
        out[i] = 0.0
    for i in range(cones.zero, cones.nonneg):
        out[i] = v[i] / w[i] if inverse else w[i] * v[i]
    for c in range(cones.starts.size - 1):
        a, e = cones.starts[c], cones.starts[c + 1]
        sign = -1.0 if inverse else 1.0
        factor = 1 / eta[c] if inverse else eta[c]
        tail = 0.0
        for k in range(a + 1, e):
            tail += w[k] * v[k]
        v0 = v[a]
        out[a] = factor * (w[a] * v0 + sign * tail)
        t = sign * v0 + tail / (1 + w[a])
        for k in range(a + 1, e):
            out[k] = factor * (v[k] + t * w[k])


@inner(contract=True)
def correct(cones, point, room, mu):
    """Target of the second step: s + W t with middle o t = Ws o Wz - mu e, of the first step.

    (t, u) o (v, w) = (t v + u'w, t w + v u) is the product of a second-order cone.
    """
    s, w, eta, p = point.s, point.w, point.eta, point.middle
    f, g, target = room.Ws, room.Wz, room.target
    for i in range(cones.zero):
        target[i] = 0.0
    for i in range(cones.zero, cones.nonneg):
        f[i] = (f[i] * g[i] - mu) / p[i]
    for c in range(cones.starts.size - 1):
        a, e = cones.starts[c], cones.starts[c + 1]
        f0, g0, dot = f[a], g[a], 0.0
        first = f0 * g0 - mu
        length = tail_norm(p, a, e)
        for k in range(a + 1, e):
            first += f[k] * g[k]
            f[k] = f0 * g[k] + g0 * f[k]
            dot += p[k] * f[k]
        square = (p[a] - length) * (p[a] + length)
        t = (dot / p[a] - first) / square
        f[a] = (p[a] * first - dot) / square
        for k in range(a + 1, e):
            f[k] = t * p[k] + f[k] / p[a]
    scale_by(cones, w, eta, False, f, target)
    for i in range(cones.zero, s.size):
        target[i] += s[i]


@inner(contract=True)
def longest(cones, v, d, most):
    """Largest step up to `most` that keeps v + step d in the cones."""
    a = most
    for i in range(cones.zero, cones.nonneg):
        if d[i] * a < -v[i]:
            a = -v[i] / d[i]
    for c in range(cones.starts.size - 1):
        start, stop = cones.starts[c], cones.starts[c + 1]
        if d[start] * a < -v[start]:
            a = -v[start] / d[start]
        v_tail, d_tail = tail_norm(v, start, stop), tail_norm(d, start, stop)
        cross = 0.0
        for k in range(start + 1, stop):
            cross += v[k] * d[k]
        # Roots of two a^2 + 2 one a + zero, which is positive inside the cone.
        two = (d[start] - d_tail) * (d[start] + d_tail)
        one = v[start] * d[start] - cross
        zero = (v[start] - v_tail) * (v[start] + v_tail)
        inside = one * one - two * zero
        if two >= 0 and (one >= 0 or inside < 0):
            continue
        root = np.sqrt(max(inside, 0.0))
        if one < 0:
            a = min(a, zero / (root - one))
        else:
            a = min(a, -(one + root) / two)
    return max(a, 0.0)


@inner
def push_inside(cones, v):
    """Move v along the cones' centre until it lies well inside."""
    least, total, count = np.inf, 0.0, degree(cones)
    for i in range(cones.zero, cones.nonneg):
        least = min(least, v[i])
        total += max(v[i], 0.0)
    for c in range(cones.starts.size - 1):
        a, e = cones.starts[c], cones.starts[c + 1]
        margin = v[a] - tail_norm(v, a, e)
        least = min(least, margin)
        total += max(margin, 0.0)
    wanted = max(1.0, 0.1 * total / max(count, 1))
    if least >= wanted:
        return
    shift = wanted - least
    for i in range(cones.zero, cones.nonneg):
        v[i] += shift
    for c in range(cones.starts.size - 1):
        v[cones.starts[c]] += shift


@inner
def remember(point, best):
    """Copy x / tau and z / tau to `best` if they are."""
    scalars = point.scalars
    worst = max(scalars[PRIMAL], scalars[DUAL], scalars[GAP])
    if worst < scalars[BEST]:
        scalars[BEST] = worst
        x, z = best
        for j in range(x.size):
            x[j] = point.x[j] / scalars[TAU]
        for i in range(z.size):
            z[i] = point.z[i] / scalars[TAU]


@inner
def note_progress(scalars):
    """Count iterations in which no measure fell below what it was when there last was progress."""
    missed = True
    worst = max(scalars[PRIMAL], scalars[DUAL], scalars[GAP])
    proof = min(scalars[FARKAS], scalars[RAY])
    for k in range(4):
        value = worst if k == 0 else proof if k == 1 else scalars[MU] if k == 2 else scalars[GAP]
        if value < 0.9 * scalars[MARKS + k]:
            scalars[MARKS + k] = value
            missed = False
    scalars[MISSES] = scalars[MISSES] + 1 if missed else 0.0
