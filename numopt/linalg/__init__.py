"""Linear algebra and the inner routines of projections, as solvers use them.

Functions named here check their arguments and return new arrays. Compiled code calls the kernels
behind them, which stand in the same modules and write into arrays given to them.
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module; nothing is imported before it is used.
_WHERE = {
    "BandedLDL": "banded",
    "BlockTridiagonalLDL": "banded",
    "cg": "krylov",
    "colours": "scheduling",
    "column_norms": "scaling",
    "CountSketch": "sketch",
    "draw_sketch": "sketch",
    "ForestLDL": "forest",
    "GaussianSketch": "sketch",
    "gmres": "krylov",
    "golub_kahan": "spectra",
    "hadamard_transform": "sketch",
    "HadamardSketch": "sketch",
    "IncompleteCholesky": "incomplete",
    "isotonic_regression": "isotonic",
    "kth_largest": "selection",
    "lanczos": "spectra",
    "LDL": "ldl",
    "levels": "scheduling",
    "leverage_scores": "sketched_least_squares",
    "lsqr": "krylov",
    "minimum_degree": "ordering",
    "minres": "krylov",
    "pock_chambolle": "scaling",
    "project_knapsack": "projections",
    "project_l1_ball": "projections",
    "project_second_order": "cones",
    "project_simplex": "projections",
    "ReusableSolver": "reusable",
    "row_norms": "scaling",
    "RowSample": "sketch",
    "ruiz": "scaling",
    "simplex_qp": "simplex_quadratic",
    "sketch_preconditioner": "sketched_least_squares",
    "sketched_lstsq": "sketched_least_squares",
    "SparseOperator": "sparse",
    "spectral_norm": "norm_bounds",
    "Sweeps": "sweeps",
    "top_k": "selection",
    "UpdatableCholesky": "cholesky_updates",
    "UpdatableQR": "qr_updates",
    "weighted_median": "medians",
}

__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'numopt.linalg' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
