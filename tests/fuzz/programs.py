"""Random quadratic programs with a planted verdict: a solution, a Farkas vector or a ray."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

import numopt

INF = np.inf
VERDICTS = {"solvable": 0, "infeasible": 2, "unbounded": 3}
LIMIT = 20.0


def draw(rng: np.random.Generator, linear: bool = False) -> tuple[str, dict[str, np.ndarray]]:
    """Verdict and arrays of a program; with P = 0 if `linear`."""
    n = int(np.exp(rng.uniform(0, np.log(40))))
    m = int(np.exp(rng.uniform(0, np.log(60)))) - 1
    verdict = str(rng.choice(["solvable", "solvable", "infeasible", "unbounded"]))
    F = rng.standard_normal((0 if linear else rng.integers(0, n + 1), n))
    F *= rng.random(F.shape) < rng.choice([0.3, 1.0])
    A = rng.standard_normal((m, n)) * (rng.random((m, n)) < rng.choice([0.2, 0.6, 1.0]))
    if rng.random() < 0.15:
        A = np.round(A * 2)
    if m > 2 and rng.random() < 0.3:
        A[1], A[-1] = 0.0, A[0] * rng.choice([1, -2.0])
    x = rng.standard_normal(n) * (rng.random(n) < 0.8) * rng.choice([1.0, 1.0, 1e3])
    Ax = A @ x
    # Rows: equations, active above, active below, inactive, free; multipliers to match.
    kind = rng.integers(0, 5, m)
    l, u = Ax - 3 * rng.random(m) - 0.1, Ax + 3 * rng.random(m) + 0.1  # noqa: E741
    y = np.where(kind == 0, rng.standard_normal(m), 0.0)
    strict = rng.random(m) * (rng.random(m) < 0.8)
    l[kind == 0] = u[kind == 0] = Ax[kind == 0]
    u[kind == 1], l[kind == 2] = Ax[kind == 1], Ax[kind == 2]
    y += np.where(kind == 1, strict, 0.0) - np.where(kind == 2, strict, 0.0)
    one_sided = rng.random(m) < 0.4
    l[(kind == 4) | (one_sided & ((kind == 1) | (kind == 3)))] = -INF
    u[(kind == 4) | (one_sided & (kind == 2))] = INF
    bound = rng.integers(0, 6, n)
    lb, ub = np.where(bound == 3, x - 1, -INF), np.where(bound == 3, x + 1, INF)
    lb[(bound == 1) | (bound == 4)] = x[(bound == 1) | (bound == 4)]
    ub[(bound == 2) | (bound == 4)] = x[(bound == 2) | (bound == 4)]
    z = np.where(bound == 4, rng.standard_normal(n), 0.0)
    z += np.where(bound == 2, rng.random(n), 0.0) - np.where(bound == 1, rng.random(n), 0.0)
    q = -(F.T @ (F @ x) + A.T @ y + z)
    if verdict == "infeasible":
        # One more row, which contradicts a combination of the others.
        w = rng.standard_normal(m) * (rng.random(m) < 0.7)
        w[((w > 0) & (u == INF)) | ((w < 0) & (l == -INF))] = 0
        total = (np.where(w > 0, u, 0)[w > 0] * w[w > 0]).sum() + (l[w < 0] * w[w < 0]).sum()
        row = -(w @ A)
        gap = rng.choice([1.0, 1e-2]) * (1 + abs(total))
        A, u = np.vstack([A, row]), np.append(u, -total - gap)
        l = np.append(l, -INF)  # noqa: E741
    elif verdict == "unbounded":
        d = rng.standard_normal(n) * (rng.random(n) < 0.6)
        d[0] = d[0] or 1.0
        lb[d < 0], ub[d > 0] = -INF, INF
        across = np.eye(n) - np.outer(d, d) / (d @ d)
        F, Ad = F @ across, A @ d
        stops = ((Ad > 1e-9) & (u < INF)) | ((Ad < -1e-9) & (l > -INF))
        A[stops] = A[stops] @ across
        l, u = np.minimum(l, A @ x), np.maximum(u, A @ x)  # noqa: E741
        q = rng.standard_normal(n) @ across - d / np.abs(d).max()
    if rng.random() < 0.2:
        s = 10.0 ** rng.uniform(-3, 3, n)
        A, F, q, lb, ub = A * s, F * s, q * s, lb / s, ub / s
    P = F.T @ F * (unit := rng.choice([1.0] * 8 + [1e-6, 1e6]))
    return verdict, {"P": (P + P.T) / 2, "q": q * unit, "A": A, "l": l, "u": u, "lb": lb, "ub": ub}


def residual(arrays: dict[str, np.ndarray], result: Any) -> float:
    """Largest of primal, dual and complementarity residual, relative, straight from the arrays."""
    P, q, A = arrays["P"], arrays["q"], arrays["A"]
    x, y, z = result.x, result.y, result.z_ub - result.z_lb
    worst = 0.0
    support = 0.0
    for v, multiplier, low, high in (
        (A @ x, y, arrays["l"], arrays["u"]), (x, z, arrays["lb"], arrays["ub"]),
    ):  # fmt: skip
        near = np.clip(v, low, high)
        # Variables without bounds have no part in the residual of the bounds.
        there = (low > -INF) | (high < INF) if v is x else np.full(v.shape, True)
        scale = 1 + np.maximum(np.abs(v), np.abs(near))[there].max(initial=0)
        worst = max(worst, np.abs(v - near).max(initial=0) / scale)
        side = np.where(multiplier > 0, high, low)
        active = multiplier != 0
        support += (side[active] * multiplier[active]).sum()
    terms = (P @ x, q, A.T @ y, z)
    scale = 1 + max(np.abs(t).max(initial=0) for t in terms)
    worst = max(worst, np.abs(sum(terms)).max(initial=0) / scale)
    parts = (x @ P @ x, q @ x, support)
    return max(worst, abs(sum(parts)) / (1 + max(map(abs, parts))))


def program(rng: np.random.Generator) -> Any:
    """A case with its judge; a proof of something false counts as a crash."""
    from tests.fuzz.generators import Case

    verdict, arrays = draw(rng)
    method = str(rng.choice(["auto", "ipm"]))
    stored = dict(arrays)
    if rng.random() < 0.3:
        stored["P"], stored["A"] = sp.csc_array(arrays["P"]), sp.csr_array(arrays["A"])

    def solve() -> Any:
        result = numopt.quadprog(**stored, method=method, options={"time_limit": LIMIT})
        if result.status in (2, 3, 6):
            # What is unbounded may also be infeasible, in theory: planted points forbid it.
            assert result.status == VERDICTS[verdict], f"{result.status.name}, planted {verdict}"
        return result

    def wrong(result: Any) -> str:
        if verdict != "solvable":
            return f"planted {verdict}"
        worst = residual(arrays, result)
        return "" if worst <= 1.1e-8 else f"residual {worst:.2e}"

    return Case(
        f"program: {verdict} {method}", solve, wrong, verdict == "solvable",
        [f"n={arrays['q'].size}", f"m={arrays['l'].size}"],
    )  # fmt: skip
