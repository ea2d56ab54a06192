"""Rows of the table of solvers: games, fixed points and monotone inclusions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from numopt.calculus import SeparableSum
from numopt.operators import Affine, Saddle
from numopt.problems import FixedPoint, MatrixGame, MonotoneInclusion
from numopt.sets import Box, Simplex
from numopt.solvers import (
    AnchoredExtragradient,
    AndersonMixing,
    DoubleOracle,
    GamePDHG,
    Halpern,
    KrasnoselskiiMann,
    VarianceReducedHalpern,
)
from tests.helpers import naive
from tests.solvers.table import Arrays, Generator, Row, dense

# ---- games ---------------------------------------------------------------------------------------


def game_residual(arrays: Arrays, result: Any) -> float:
    A, x, y = dense(arrays["A"]), result.x, result.y
    gap = (A @ y).max() - (A.T @ x).min()
    off = max(abs(x.sum() - 1), abs(y.sum() - 1), -x.min(), -y.min())
    return float(max(gap / max(1.0, np.abs(A).max()), off))


def games(m: int, n: int) -> Generator:
    return Generator(
        f"game-{m}",
        lambda rng: {"A": rng.standard_normal((m, n))},
        MatrixGame,
        game_residual,
        lambda rng: rng.dirichlet(np.ones(m)),
        matrix="A",
        float32=False,
        scaled=lambda arrays, factor: ({"A": arrays["A"] * factor}, 1.0),
    )


# ---- fixed points --------------------------------------------------------------------------------


def draw_turn(rng: np.random.Generator, n: int) -> Arrays:
    """A map that turns a lot and contracts a little."""
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return {"M": 0.97 * Q, "q": rng.standard_normal(n), "z0": rng.standard_normal(n)}


def draw_shrink(rng: np.random.Generator, n: int) -> Arrays:
    """A map that contracts along all directions, more or less."""
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    M = (Q * np.linspace(0.1, 0.9, n)) @ Q.T
    return {"M": M, "q": rng.standard_normal(n), "z0": rng.standard_normal(n)}


def turn(z: np.ndarray, M: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.tanh(M @ z + q)


def affine_residual(arrays: Arrays, result: Any) -> float:
    M, q, z, z0 = arrays["M"], arrays["q"], result.x, arrays["z0"]
    return float(np.linalg.norm(z - M @ z - q) / (1 + np.linalg.norm(z0 - M @ z0 - q)))


def turned_residual(arrays: Arrays, result: Any) -> float:
    M, q, z, z0 = arrays["M"], arrays["q"], result.x, arrays["z0"]
    first = np.linalg.norm(z0 - np.tanh(M @ z0 + q))
    return float(np.linalg.norm(z - np.tanh(M @ z + q)) / (1 + first))


def maps(n: int, draw: Any = draw_turn) -> Generator:
    return Generator(
        f"affine-map-{n}",
        lambda rng: draw(rng, n),
        lambda M, q, z0: FixedPoint(Affine(M, q), z0),
        affine_residual,
        lambda rng: rng.standard_normal(n),
        float32=False,
    )


TURN = Generator(
    "map-in-python",
    lambda rng: draw_turn(rng, 8),
    lambda M, q, z0: FixedPoint(partial(turn, M=M, q=q), z0),
    turned_residual,
    lambda rng: rng.standard_normal(8),
    float32=False,
)


# ---- monotone inclusions -------------------------------------------------------------------------


def draw_saddle(rng: np.random.Generator, n: int = 6) -> Arrays:
    A = rng.standard_normal((n, n)) + 2 * n**0.5 * np.eye(n)
    c, b = rng.standard_normal((2, n))
    return {"A": A, "c": c, "b": b, "z0": rng.standard_normal(2 * n)}


def saddle(z: np.ndarray, A: np.ndarray, c: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, y = z[: c.size], z[c.size :]
    return np.concatenate([c + A.T @ y, b - A @ x])


def natural(arrays: Arrays, result: Any, project: Any) -> float:
    A, c, b, z, z0 = (arrays["A"], arrays["c"], arrays["b"], result.x, arrays["z0"])
    here, first = (np.linalg.norm(w - project(w - saddle(w, A, c, b))) for w in (z, z0))
    return float(here / (1 + first))


def both_simplices(z: np.ndarray) -> np.ndarray:
    n = z.size // 2
    return np.concatenate([naive.project_simplex(z[:n]), naive.project_simplex(z[n:])])


def saddles(n: int) -> Generator:
    return Generator(
        f"saddle-{n}",
        lambda rng: draw_saddle(rng, n),
        lambda A, c, b, z0: MonotoneInclusion(Saddle(A, c=c, b=b), z0),
        lambda arrays, result: natural(arrays, result, lambda w: w),
        lambda rng: rng.standard_normal(2 * n),
        float32=False,
    )


SADDLE_ON_SIMPLICES = Generator(
    "saddle-on-simplices",
    draw_saddle,
    lambda A, c, b, z0: MonotoneInclusion(
        Saddle(A, c=c, b=b), z0, SeparableSum([Simplex(), Simplex()], [6, 6])
    ),
    lambda arrays, result: natural(arrays, result, both_simplices),
    lambda rng: np.concatenate([rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))]),
    float32=False,
)


def clip(z: np.ndarray) -> np.ndarray:
    return np.clip(z, -1, 1)


SADDLE_IN_PYTHON = Generator(
    "saddle-in-python",
    draw_saddle,
    lambda A, c, b, z0: MonotoneInclusion(partial(saddle, A=A, c=c, b=b), z0, project=clip),
    lambda arrays, result: natural(arrays, result, clip),
    lambda rng: rng.uniform(-1, 1, 12),
    float32=False,
)


def draw_mean(rng: np.random.Generator, n: int = 8, samples: int = 40) -> Arrays:
    X = rng.standard_normal((samples, n))
    y = X @ rng.standard_normal(n) + 0.1 * rng.standard_normal(samples)
    return {"X": X, "y": y, "z0": rng.standard_normal(n)}


def mean_gradient(z: np.ndarray, batch: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return X[batch].T @ (X[batch] @ z - y[batch]) / len(batch)


def mean_residual(arrays: Arrays, result: Any) -> float:
    X, y, z, z0 = arrays["X"], arrays["y"], result.x, arrays["z0"]
    here, first = (w - np.clip(w - X.T @ (X @ w - y) / len(y), -1, 1) for w in (z, z0))
    return float(np.linalg.norm(here) / (1 + np.linalg.norm(first)))


def means(compiled: bool, n: int = 8, samples: int = 40) -> Generator:
    """Least squares in a box: the gradient by columns, or by samples in Python."""

    def build(X: np.ndarray, y: np.ndarray, z0: np.ndarray) -> MonotoneInclusion:
        if compiled:
            F = Affine(X.T @ X / len(y), -X.T @ y / len(y))
            return MonotoneInclusion(F, z0, Box(-1.0, 1.0), cocoercive=True)
        parts = len(y), partial(mean_gradient, X=X, y=y)
        return MonotoneInclusion(None, z0, clip, components=parts, cocoercive=True)

    return Generator(
        f"mean-{n}-{'columns' if compiled else 'samples'}",
        lambda rng: draw_mean(rng, n, samples),
        build,
        mean_residual,
        lambda rng: rng.uniform(-1, 1, n),
        float32=False,
    )


ROWS = [
    Row(DoubleOracle(), (games(12, 9),)),
    Row(GamePDHG(), (games(12, 9),), hard=games(700, 800)),
    Row(Halpern(), (maps(8), TURN, means(True)), hard=maps(1200)),
    Row(KrasnoselskiiMann(), (maps(8, draw_shrink), means(True)), hard=maps(1200)),
    Row(AndersonMixing(), (maps(8, draw_shrink), TURN), hard=maps(1200)),
    Row(
        AnchoredExtragradient(),
        (saddles(6), SADDLE_ON_SIMPLICES, SADDLE_IN_PYTHON),
        hard=saddles(1200),
    ),
    Row(VarianceReducedHalpern(), (means(True), means(False)), hard=means(True, 300, 320)),
]
