"""What all terms share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Term:
    """Base of all terms."""

    convex: bool = True
    #: Length of the variable, None if any will do.
    size: int | None = None

    def value(self, x: np.ndarray) -> float:
        """Value at x."""
        raise NotImplementedError

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        """argmin_x value(x) + |x - v|^2 / (2 step)."""
        raise NotImplementedError

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        """Distance of s to the subdifferential at x in the inf norm, or what is 0 with it."""
        return float(np.max(np.abs(x - self.prox(x + s, 1.0)), initial=0.0))

    def scale(self, x: np.ndarray) -> float:
        """Largest of the terms that the gradient at x is made of."""
        return 0.0

    def kept(self, key: Any, build: Callable[[], Any]) -> Any:
        """`build()`, remembered: terms do not change."""
        memo = self.__dict__.setdefault("_kept", {})
        if key not in memo:
            memo[key] = build()
        return memo[key]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_kept"}


def distance(term: Any, x: np.ndarray, s: np.ndarray) -> float:
    """Distance of s to the subdifferential of a term or penalty at x."""
    if isinstance(term, Term):
        return term.distance(x, s)
    if term.offers("subdiff_distance_1d") or term.offers("subdiff_distance_of"):
        return float(term.subdiff_distance(x, -s))
    return float(np.max(np.abs(x - term.prox(x + s, 1.0)), initial=0.0))


def scale(term: Any, x: np.ndarray) -> float:
    """Size of what the gradient of a term is made of."""
    return term.scale(x) if isinstance(term, Term) else 0.0


def outside(F: np.ndarray, x: np.ndarray, b: np.ndarray) -> float:
    """0 where F x = b up to rounding, else infinity."""
    size = np.max(np.abs(F) @ np.abs(x) + np.abs(b), initial=0.0)
    tol = 1e-10 if np.result_type(F, b) == np.float64 else 1e-5
    return 0.0 if np.max(np.abs(F @ x - b), initial=0.0) <= tol * size else float(np.inf)
