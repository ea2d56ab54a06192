"""What all convex sets share: as a penalty, a set is its indicator."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.penalties._base import Penalty


class ConvexSet(Penalty):
    """Convex set; as a penalty it is 0 inside and infinite outside, its prox the projection."""

    convex: ClassVar[bool] = True

    def project(self, x: Any) -> np.ndarray:
        """Nearest point of the set."""
        return self.prox(x, 1.0)

    def lmo(self, c: Any) -> np.ndarray:
        """A vertex that minimises c'x over the set."""
        raise TypeError(f"{type(self).__name__} has no linear minimisation oracle")

    @property
    def diameter(self) -> float:
        """Largest Euclidean distance within the set; inf if that is not known without more."""
        return float(np.inf)

    def diameter_in(self, n: int) -> float:
        """The diameter in n dimensions."""
        return self.diameter

    def contains(self, x: Any, tol: float = 1e-9) -> bool:
        """Whether x is within `tol` of the set in every coordinate."""
        x = self._vector(x, "x")
        return bool(np.max(np.abs(self.project(x) - x), initial=0.0) <= tol)

    def alpha_max(self, grad0: Any) -> float:
        """Scale of the gradient; a set has no strength."""
        return float(np.max(np.abs(grad0), initial=0.0))


def is_set(block: Any) -> bool:
    """Whether a block is a set, of the library or made with ``numopt.block``."""
    family = getattr(type(block), "__numopt_family__", type(block))
    return issubclass(family, ConvexSet) or (hasattr(block, "Spec") and block.offers("project"))
