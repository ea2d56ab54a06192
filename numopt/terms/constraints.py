"""Indicators of sets given by data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.validate import as_matrix, as_vector, require_length
from numopt.terms._base import Term, outside

# How far equations may be from agreeing, relative to their terms.
CONSISTENT, CONSISTENT_SINGLE = 1e-8, 1e-5


@dataclass(frozen=True, eq=False)
class Affine(Term):
    r"""The constraint :math:`F x = b`, as an indicator.

    Parameters
    ----------
    F : array of shape (m, n)
        Rows may depend on each other if the equations agree.
    b : array of shape (m,)

    Raises
    ------
    ValueError
        Equations that contradict each other.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.terms import Affine
    >>> plane = Affine(np.array([[1.0, 1.0]]), np.array([2.0]))
    >>> plane.prox(np.array([0.0, 0.0]), 1.0).round(12).tolist()
    [1.0, 1.0]
    """

    F: Any
    b: Any

    def __post_init__(self) -> None:
        F, b = as_matrix(self.F, "F"), as_vector(self.b, "b")
        F = F.toarray() if sp.issparse(F) else F
        require_length(b, F.shape[0], "b")
        for name, value in (("F", F), ("b", b), ("size", int(F.shape[1]))):
            object.__setattr__(self, name, value)
        # Rounding of F x = b is as large as its terms.
        x = self._shortest()
        left = np.abs(F @ x - b)
        size = float((np.abs(F) @ np.abs(x) + np.abs(b)).max(initial=0.0))
        tol = CONSISTENT if np.result_type(F, b) == np.float64 else CONSISTENT_SINGLE
        if not (left <= tol * size).all():
            i = int(left.argmax())
            raise ValueError(f"F x = b has no solution: row {i} is off by {left[i]:.3g} at best")

    def _basis(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        def build() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            U, s, Vt = scipy.linalg.svd(self.F, full_matrices=False)
            kept = s > s.max(initial=0.0) * max(self.F.shape) * np.finfo(s.dtype).eps
            return U[:, kept], s[kept], Vt[kept]

        return self.kept("basis", build)

    def _shortest(self) -> np.ndarray:
        def build() -> np.ndarray:
            U, s, Vt = self._basis()
            return Vt.T @ ((U.T @ self.b) / s)

        return self.kept("shortest", build)

    def multipliers(self, s: np.ndarray) -> np.ndarray:
        """Least squares solution y of F'y = s."""
        U, values, Vt = self._basis()
        return U @ ((Vt @ s) / values)

    def value(self, x: np.ndarray) -> float:
        """0 where F x = b up to rounding, else infinity."""
        return outside(self.F, x, self.b)

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        Vt = self._basis()[2]
        return v - Vt.T @ (Vt @ v) + self._shortest()

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        Vt = self._basis()[2]
        off = float(np.max(np.abs(s - Vt.T @ (Vt @ s)), initial=0.0))
        return off + outside(self.F, x, self.b)
