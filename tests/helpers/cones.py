"""Cone programs with a planted verdict, and what they are checked by: plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

Arrays = dict[str, Any]


def blocks(cones: dict[str, Any]) -> list[tuple[str, slice]]:
    """Kind and rows of every cone, one row at a time outside second-order cones."""
    found, at = [], 0
    for kind in ("zero", "nonneg"):
        for _ in range(cones.get(kind, 0)):
            found.append((kind, slice(at, at + 1)))
            at += 1
    for size in cones.get("soc", ()):
        found.append(("soc", slice(at, at + size)))
        at += size
    return found


def project_second_order(v: np.ndarray) -> np.ndarray:
    """The nearest (t, u) with |u| <= t, from the root of the derivative of its distance."""
    t, u = v[0], v[1:]
    length = np.linalg.norm(u)
    if length <= t:
        return v.copy()
    # Minimise (s - t)^2 + (s - length)^2 over s >= 0: u shrinks along itself to length s.
    slope = lambda s: (s - t) + (s - length)  # noqa: E731
    s = brentq(slope, 0.0, abs(t) + length, xtol=1e-15, rtol=1e-15) if slope(0.0) < 0 else 0.0
    return np.concatenate(([s], s * u / length))


def project(v: np.ndarray, cones: dict[str, Any], dual: bool = False) -> np.ndarray:
    """The nearest point of a product of cones, or of its dual."""
    out = np.array(v, float)
    for kind, rows in blocks(cones):
        if kind == "zero":
            out[rows] = v[rows] if dual else 0.0
        elif kind == "nonneg":
            out[rows] = np.maximum(v[rows], 0.0)
        else:
            out[rows] = project_second_order(out[rows])
    return out


def residual(arrays: Arrays, x: np.ndarray, y: np.ndarray) -> float:
    """The largest of primal, dual and gap residual, each over 1 + its largest term."""
    P, q, b, cones = (arrays[key] for key in ("P", "q", "b", "cones"))
    P, A = (np.asarray(M.toarray() if hasattr(M, "toarray") else M) for M in (P, arrays["A"]))
    s, z = project(b - A @ x, cones), project(y, cones, dual=True)
    top = lambda *terms: max(np.abs(term).max(initial=0.0) for term in terms)  # noqa: E731
    primal = top(A @ x + s - b) / (1 + top(A @ x, b - s))
    dual = top(P @ x + q + A.T @ y, y - z) / (1 + top(P @ x, q, A.T @ y))
    terms = x @ P @ x, q @ x, b @ z
    return float(max(primal, dual, abs(sum(terms)) / (1 + max(map(abs, terms)))))


def draw(rng: np.random.Generator, verdict: str, n: int = 0) -> Arrays:
    """Arrays of a program that is "solvable", "infeasible" or "unbounded"."""
    n = n or int(rng.integers(2, 25))
    cones = {
        "zero": int(rng.integers(0, n // 3 + 1)),
        "nonneg": int(rng.integers(0, 8)),
        "soc": rng.integers(1, 9, int(rng.integers(1, 6))).tolist(),
    }
    m = cones["zero"] + cones["nonneg"] + sum(cones["soc"])
    A = rng.standard_normal((m, n)) * (rng.random((m, n)) < rng.choice([0.4, 1.0]))
    w = rng.standard_normal(m)
    s = project(w, cones)
    y = s - w
    x, F = rng.standard_normal(n), rng.standard_normal((int(rng.integers(0, n)), n))
    P, q, b = F.T @ F, -(F.T @ (F @ x)) - A.T @ y, A @ x + s
    if verdict == "infeasible":
        while not y.any():
            y = project(rng.standard_normal(m), cones, dual=True)
        y /= np.linalg.norm(y)
        A = A - np.outer(y, y @ A)
        b = rng.standard_normal(m)
        b -= y * (y @ b + 1)
    elif verdict == "unbounded":
        d = rng.standard_normal(n)
        A = A - np.outer(A @ d + s, d) / (d @ d)
        F = F - np.outer(F @ d, d) / (d @ d)
        P, q = F.T @ F, q - d * (q @ d + 1) / (d @ d)
        b = A @ x + project(rng.standard_normal(m), cones)
    return {"P": P, "q": q, "A": A, "b": b, "cones": cones}
