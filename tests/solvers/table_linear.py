"""Rows of the solver table for linear programs."""

from __future__ import annotations

import numpy as np

from numopt.problems import LinearProgram
from numopt.solvers import HalpernPDHG, Highs
from tests.solvers.table import Arrays, Generator, Row, program_residual


def draw_program(rng: np.random.Generator, n: int = 14, m: int = 9) -> Arrays:
    """0 is feasible and everything bounded, whatever A is."""
    room = np.where(np.arange(m) < 3, 0.0, 0.3)
    return {
        "c": rng.standard_normal(n), "A": rng.standard_normal((m, n)), "l": -room, "u": room,
        "lb": np.full(n, -0.5), "ub": np.full(n, 0.5),
    }  # fmt: skip


def residual(arrays: Arrays, result: object) -> float:
    n = arrays["c"].size
    return program_residual({**arrays, "P": np.zeros((n, n)), "q": arrays["c"]}, result)


LINEAR = Generator(
    "linear",
    draw_program,
    LinearProgram,
    residual,
    lambda rng: rng.standard_normal(14),
    matrix="A",
    float32=False,
    scaled=lambda arrays, factor: (
        {**arrays, **{key: arrays[key] * factor for key in ("A", "l", "u")}},
        1.0,
    ),
)
# With more entries than are run in one way only.
HARD_LINEAR = Generator(
    "linear-large",
    lambda rng: draw_program(rng, 400, 200),
    LinearProgram,
    residual,
    lambda rng: rng.standard_normal(400),
    matrix="A",
    float32=False,
)

ROWS = [
    Row(Highs(), (LINEAR,)),
    Row(HalpernPDHG(), (LINEAR,), hard=HARD_LINEAR),
]
