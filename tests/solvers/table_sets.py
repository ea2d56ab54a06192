"""Rows of `table.py` for methods over sets with an oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from numopt.losses import LeastSquares, Logistic
from numopt.problems import SetConstrained
from numopt.sets import L1Ball, Simplex
from numopt.solvers import FrankWolfe
from tests.helpers import naive
from tests.solvers.table import (
    BOWL_ON_BOX,
    Arrays,
    Generator,
    Row,
    dense,
    draw_classes,
    draw_dense_truth,
    draw_regression,
)


def draw(rng: np.random.Generator) -> Arrays:
    drawn = draw_regression(rng)
    return {"A": drawn["A"], "y": drawn["y"]}


def draw_labels(rng: np.random.Generator) -> Arrays:
    drawn = draw_classes(rng)
    return {"A": drawn["A"], "y": drawn["y"]}


def ball_gap(arrays: Arrays, result: Any) -> float:
    """Gap over the L1 ball of radius 5: 5 times the largest slope."""
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    r = A @ x - y
    g, f = A.T @ r / y.size, r @ r / (2 * y.size)
    outside = max(0.0, np.abs(x).sum() - 5.0)
    return float(max(outside, (g @ x + 5 * np.max(np.abs(g))) / max(1.0, f)))


def simplex_gap(arrays: Arrays, result: Any) -> float:
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    g = A.T @ naive.loss_gradient("logistic", y, A @ x)
    return float(g @ x - 2 * g.min())


BALL = Generator(
    "least-squares-l1-ball",
    draw,
    lambda A, y: SetConstrained(LeastSquares(y), A, L1Ball(5.0)),
    ball_gap,
    lambda rng: 0.05 * rng.standard_normal(60),
    matrix="A",
    excused=("no column",),
)
# First-order steps see the units of the columns.
BALL_BY_SLOPES = replace(BALL, name="by-slopes", excused=("no column", "units apart"))
LABELS = Generator(
    "logistic-simplex",
    draw_labels,
    lambda A, y: SetConstrained(Logistic(y), A, Simplex(2.0)),
    simplex_gap,
    lambda rng: 2 * rng.dirichlet(np.ones(20)),
    matrix="A",
    excused=("no column",),
)
HARD_BALL = Generator(
    "least-squares-large-ball",
    lambda rng: {k: v for k, v in draw_dense_truth(rng).items() if k != "alpha"},
    lambda A, y: SetConstrained(LeastSquares(y), A, L1Ball(300.0)),
    ball_gap,
    lambda rng: rng.standard_normal(1000),
    matrix="A",
)

ROWS = [
    Row(FrankWolfe(), (BALL, LABELS, BOWL_ON_BOX), hard=HARD_BALL),
    Row(FrankWolfe(variant="pairwise"), (BALL_BY_SLOPES,)),
]
