"""What all convex sets share: as a penalty, a set is its indicator."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.penalties._base import Penalty

MEMBER = 1e-6  # relative excess of a norm that counts as rounding, also in float32


class ConvexSet(Penalty):
    """Convex set; as a penalty it is 0 inside and infinite outside, its prox the projection."""

    convex: ClassVar[bool] = True

    def project(self, x: Any) -> np.ndarray:
        """Nearest point of the set."""
        return self.prox(x, 1.0)

    #: Whether a call of the oracle costs more than some products with the data.
    dear: ClassVar[bool] = False

    @property
    def has_projection(self) -> bool:
        """Whether `project` can be called."""
        return any(self.offers(name) for name in ("prox_1d", "prox_into", "prox", "project"))

    @property
    def has_oracle(self) -> bool:
        """Whether `lmo` can be called."""
        return getattr(type(self), "lmo", ConvexSet.lmo) is not ConvexSet.lmo

    def lmo(self, c: Any) -> np.ndarray:
        """A vertex that minimises c'x over the set."""
        raise TypeError(f"{type(self).__name__} has no linear minimisation oracle")

    def least(self, c: Any) -> float:
        """Minimum of c'x over the set; where the oracle is iterative, a bound from below."""
        return float(np.dot(c, self.lmo(c)))

    @property
    def diameter(self) -> float:
        """Largest Euclidean distance within the set; inf if that is not known without more."""
        return float(np.inf)

    def diameter_in(self, n: int) -> float:
        """The diameter in n dimensions."""
        return self.diameter

    @property
    def bounded(self) -> bool:
        """Whether linear functions have minima over the set, and `lmo` finds them."""
        return self.has_oracle and self.diameter_in(self.size or 1) < np.inf

    def violation(self, x: Any) -> float:
        """How far x is outside, 0 inside: the largest entry of x - P(x)."""
        x = self._vector(x, "x")
        return float(np.max(np.abs(self.project(x) - x), initial=0.0))

    def contains(self, x: Any, tol: float = 1e-9) -> bool:
        """Whether x is within `tol` of the set in every coordinate."""
        return self.violation(x) <= tol

    def alpha_max(self, grad0: Any) -> float:
        """Scale of the gradient; a set has no strength."""
        return float(np.max(np.abs(grad0), initial=0.0))


class HostSet(ConvexSet):
    """Set whose methods run in Python: for Frank-Wolfe methods, not for kernels that project.

    Subclasses write `lmo`, and `project` or, where that is dear, `violation`.
    """

    remedy: ClassVar[str] = "'frank-wolfe' methods do without it, on SetConstrained and others"

    @property
    def has_projection(self) -> bool:
        """Whether `project` can be called."""
        return type(self).project is not HostSet.project

    def project(self, x: Any) -> np.ndarray:
        """Nearest point of the set, where that is cheap."""
        raise TypeError(
            f"{type(self).__name__} has no cheap projection; Frank-Wolfe methods do without: "
            "numopt.solvers.FrankWolfe"
        )

    def prox(self, v: Any, step: float = 1.0) -> np.ndarray:
        """The projection."""
        return self.project(v)

    def value(self, x: Any) -> float:
        """0 in the set up to rounding, else infinity."""
        x = self._vector(x, "x")
        rounding = MEMBER * max(1.0, float(np.abs(x).max(initial=0.0)))
        return 0.0 if self.violation(x) <= rounding else float(np.inf)

    @property
    def has_conjugate(self) -> bool:
        """Always."""
        return True

    def conjugate(self, u: Any) -> float:
        """The support function, max u'x over the set."""
        return -self.least(-np.asarray(u, float))


class NormBall(HostSet):
    """Ball of a norm around 0: subclasses have a `radius`, and give the norm by `norm_of`."""

    radius: float

    def norm_of(self, x: np.ndarray) -> float:
        """The norm of x."""
        raise NotImplementedError

    def violation(self, x: Any) -> float:
        """Largest entry of what x exceeds its own multiple on the sphere by, 0 inside."""
        x = np.asarray(self._vector(x, "x"), np.float64)
        size = self.norm_of(x)
        if size <= self.radius:
            return 0.0
        return float(np.abs(x).max() * (1 - self.radius / size))


def is_set(block: Any) -> bool:
    """Whether a block is a set, of the library or made with ``numopt.block``."""
    family = getattr(type(block), "__numopt_family__", type(block))
    return issubclass(family, ConvexSet) or (hasattr(block, "Spec") and block.offers("project"))
