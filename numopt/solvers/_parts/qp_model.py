"""Analysis of KKT matrices, kept for programs that come of one another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.linalg.ldl_kernels.analysis import Analysis
from numopt.linalg.patterns import UpperPattern


class Analysed(NamedTuple):
    """The pattern of a KKT matrix, upper triangle by columns, and what it decides."""

    indptr: np.ndarray
    indices: np.ndarray
    diagonal: np.ndarray  # places of the diagonal
    analysis: Analysis


def analysed(problem: Any, indptr: Any, indices: Any, diagonal: Any, part: Any = None) -> Analysed:
    """The analysis, kept for all programs with these patterns of P and A (and `part` of them)."""
    known: dict[Any, Analysed] = problem.cached("kkt", problem.pattern, dict)
    if part not in known:
        pattern: Any = UpperPattern(indptr, indices, "the KKT matrix")
        known[part] = Analysed(indptr, indices, diagonal, Analysis(pattern))
    return known[part]
