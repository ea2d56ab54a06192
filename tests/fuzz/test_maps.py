"""Random games, fixed points and variational inequalities with planted solutions."""

import warnings

import numpy as np
import pytest

import numopt
from numopt.operators import Affine
from numopt.sets import Box
from tests.helpers import naive


def draw_game(rng):
    """Payoffs of many kinds: degenerate, duplicated, of low rank, with rows in other units."""
    m, n = (int(k) for k in np.exp(rng.uniform(0, np.log(60), 2)))
    kind = str(
        rng.choice(["signs", "normal", "binary", "rank", "rows", "columns", "skew", "twins"])
    )
    A = rng.standard_normal((m, n))
    if kind == "signs":
        A = rng.integers(-1, 2, (m, n)).astype(float)
    elif kind == "binary":
        A = rng.integers(0, 2, (m, n)).astype(float)
    elif kind == "rank":
        A = rng.standard_normal((m, 2)) @ rng.standard_normal((2, n))
    elif kind == "rows":
        A *= 10.0 ** rng.integers(-8, 9, (m, 1))
    elif kind == "columns":
        A *= 10.0 ** rng.integers(-8, 9, (1, n))
    elif kind == "skew":
        A = rng.integers(-5, 6, (m, m)).astype(float)
        A = A - A.T
    elif kind == "twins":
        A = rng.integers(-3, 4, (m, n)).astype(float)
        A = np.repeat(A, 2, axis=0)[:, rng.integers(0, n, 2 * n)]
    return kind, A * 10.0 ** rng.integers(-3, 4) + rng.choice([0.0, 0.0, 10.0])


def test_games_are_solved_exactly():
    for seed in range(400):
        kind, A = draw_game(np.random.default_rng(seed))
        result = numopt.solve_game(A)
        spread = A.max() - A.min() or 1.0
        assert result.success, seed
        gap = (A @ result.y).max() - (A.T @ result.x).min()
        exact = 1e-6 if kind in ("rows", "columns") else 1e-11 + 1e-14 * np.abs(A).max() / spread
        assert gap <= exact * spread, (seed, kind)


def draw_inequality(rng):
    """F(z) = M z + q on a box, half-space of signs, simplex or the whole space, with a solution."""
    n = int(np.exp(rng.uniform(0, np.log(25))))
    S = rng.standard_normal((n, n)) * rng.choice([0.0, 0.3, 1.0])
    K = rng.standard_normal((n, n)) * rng.choice([0.0, 1.0, 3.0])
    M = S @ S.T / n + K - K.T + rng.choice([0.0, 0.1, 1.0]) * np.eye(n)
    unit = 10.0 ** rng.integers(-2, 3)
    kind = str(rng.choice(["box", "signs", "simplex", "free"]))
    z, normal = rng.standard_normal(n), np.zeros(n)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    if kind == "box":
        low, high = z - rng.random(n), z + rng.random(n)
        at = rng.integers(0, 3, n)
        z = np.where(at == 1, low, np.where(at == 2, high, z))
        normal = np.where(at == 1, -rng.random(n), np.where(at == 2, rng.random(n), 0.0))
    elif kind == "signs":
        low = np.zeros(n)
        off = rng.random(n) < 0.5
        z, normal = np.where(off, 0.0, np.abs(z)), np.where(off, -rng.random(n), 0.0)
    elif kind == "simplex":
        off = rng.random(n) < 0.5
        off[0] = False
        z = np.where(off, 0.0, np.abs(z) + 0.1)
        z, normal = z / z.sum(), rng.standard_normal() - np.where(off, rng.random(n), 0.0)
    q = -M @ z - normal
    project = {"simplex": naive.project_simplex, "free": lambda v: v}.get(
        kind, lambda v: np.clip(v, low, high)
    )
    given = {
        "simplex": numopt.sets.Simplex(), "free": None, "box": Box(low, high),
        "signs": Box(0.0, np.inf),
    }[kind]  # fmt: skip
    return unit * M, unit * q, project, given


METHODS = [("auto", 0.99), ("eg", 0.98), ("forb", 0.97), ("eag", 0.98)]


@pytest.mark.parametrize("method, least", METHODS)
def test_variational_inequalities(method, least):
    solved = 0
    cases = 150
    for seed in range(cases):
        M, q, project, given = draw_inequality(np.random.default_rng(seed))
        n = q.size
        start = np.full(n, 1.0 / n)
        in_python = seed % 3 == 0
        F = (lambda v, M=M, q=q: M @ v + q) if in_python else Affine(M, q)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = numopt.solve_vi(
                F, start, project=given, method=method,
                options={"max_iter": 4000 if in_python else 30_000},
            )  # fmt: skip
        here, first = (np.linalg.norm(v - project(v - M @ v - q)) for v in (result.x, start))
        assert np.isfinite(result.x).all()
        assert result.success == (here <= 1e-6 * (1 + first) * (1 + 1e-6)), seed
        solved += result.success
    assert solved >= least * cases


def test_fixed_points():
    solved = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n = int(np.exp(rng.uniform(0, np.log(25))))
        Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
        z = rng.standard_normal(n) * 10.0 ** rng.integers(-2, 3)
        averaged = float(rng.choice([0.5, 1.0]))
        shrink = float(rng.choice([1.0, 0.99, 0.5]))
        low, high = z - 10.0 ** rng.integers(-3, 3), z + 10.0 ** rng.integers(-3, 3)

        def T(v, Q=Q, z=z, a=averaged, c=shrink, low=low, high=high):
            turned = z + c * (Q @ (v - z))
            return (1 - a) * v + a * (np.clip(turned, low, high) if a == 1 else turned)

        start = z + rng.standard_normal(n)
        method = str(rng.choice(["halpern", "halpern", "km"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = numopt.fixed_point(
                T, start, method=method, averaged=averaged, tol=1e-6, max_iter=5000
            )
        here, first = (np.linalg.norm(v - T(v)) for v in (result.x, start))
        assert result.success == (here <= 1e-6 * (1 + first)), seed
        assert result.consistent in ((True,) if result.success else (None, False))
        solved += result.success
    assert solved >= 148
