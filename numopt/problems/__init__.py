"""Problem classes: data and blocks, with objective and certificate, no algorithm."""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "Composite": "composite",
    "ConicProgram": "conic_program",
    "DagScore": "dag_score",
    "FixedPoint": "fixed_point",
    "LinearProgram": "linear_program",
    "LinearSystem": "linear_system",
    "MatrixGame": "matrix_game",
    "MonotoneInclusion": "monotone_inclusion",
    "Problem": "_base",
    "QuadraticProgram": "quadratic_program",
    "SetConstrained": "set_constrained",
    "Smooth": "smooth",
    "SmoothComposite": "smooth_composite",
    "Splitting": "splitting",
}

__all__ = [
    "Composite",
    "ConicProgram",
    "DagScore",
    "FixedPoint",
    "LinearProgram",
    "LinearSystem",
    "MatrixGame",
    "MonotoneInclusion",
    "Problem",
    "QuadraticProgram",
    "SetConstrained",
    "Smooth",
    "SmoothComposite",
    "Splitting",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'numopt.problems' has no attribute {name!r}")
