"""What all penalties share: public vector forms over the compiled scalar ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from numopt.core.block import Block
from numopt.core.validate import as_vector, require_length


class Penalty(Block):
    """Function of the variable with a cheap prox.

    Separable penalties are blocks with the scalar forms ``value_1d``, ``prox_1d`` and, where it
    says something, ``subdiff_distance_1d``; the vector forms below come from those.
    """

    def __post_init__(self) -> None:
        if hasattr(self, "weights") and "weights" not in self.Spec._fields:
            require_weights(self)

    @property
    def size(self) -> int | None:
        """Length of the variable the penalty was made for, None if any length will do."""
        return self.kept("size", self._size)

    def _size(self) -> int | None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and value.ndim == 1:
                return int(value.size)
        return None

    def value(self, x: Any) -> float:
        """Value at x."""
        from numopt.core.generic import penalty_value

        self.require("value_1d", "value_of", "value")
        x = self._vector(x, "x")
        return float(penalty_value(self.spec(x.dtype), x))

    def prox(self, v: Any, step: float = 1.0) -> np.ndarray:
        """argmin_z |z - v|^2 / 2 + step * value(z); for nonconvex ties, the smaller point."""
        from numopt.core.generic import penalty_prox

        self.require("prox_1d", "prox_into", "prox", "project")
        v = self._vector(v, "v")
        if not (step >= 0 and np.isfinite(step)):
            raise ValueError(f"step must be a finite number >= 0, got {step!r}")
        return penalty_prox(self.spec(v.dtype), v, v.dtype.type(step))

    def subdiff_distance(self, x: Any, grad: Any) -> float:
        """Largest distance, over coordinates or groups, of -grad to the subdifferential at x."""
        if not self.offers("subdiff_distance_of"):
            return float(np.max(self.subdiff_distances(x, grad), initial=0.0))
        from numopt.core.generic import penalty_distance

        x, grad = self._pair(x, grad)
        return float(penalty_distance(self.spec(x.dtype), x, grad))

    def subdiff_distances(self, x: Any, grad: Any) -> np.ndarray:
        """Distance of -grad to the subdifferential at x, for each coordinate."""
        from numopt.core.generic import penalty_distances

        if not self.offers("subdiff_distance_1d"):
            raise TypeError(
                f"{type(self).__name__} has no subdifferential distance; "
                "its results carry the fixed-point residual of its prox instead"
            )
        x, grad = self._pair(x, grad)
        return penalty_distances(self.spec(x.dtype), x, grad)

    def conjugate(self, u: Any) -> float:
        """Convex conjugate at u."""
        from numopt.core.generic import penalty_conjugate

        if not self.has_conjugate:
            raise TypeError(f"{type(self).__name__} has no conjugate")
        u = self._vector(u, "u")
        if self.offers("conjugate_of"):
            return float(self.spec(u.dtype).conjugate_of(u))
        return float(penalty_conjugate(self.spec(u.dtype), u))

    def dual_scale(self, u: Any) -> float:
        """Largest s <= 1 found such that the conjugate is finite at s u."""
        from numopt.core.generic import penalty_dual_scale

        if not self.offers("conjugate_1d"):
            return 1.0
        u = self._vector(u, "u")
        return float(penalty_dual_scale(self.spec(u.dtype), u))

    @property
    def concavity(self) -> float:
        """Least c such that value(x) + c |x|^2 / 2 is convex; 0 if convex or not known."""
        return 0.0

    @property
    def coordinate_weights(self) -> np.ndarray | None:
        """Factor of the penalty at each coordinate, where it has some: 0 = unpenalised."""
        return getattr(self, "weights", None)

    @property
    def has_conjugate(self) -> bool:
        """Whether `conjugate` can be called."""
        return self.offers("conjugate_1d") or self.offers("conjugate_of")

    def alpha_max(self, grad0: Any) -> float:
        """Least strength at which 0 solves the problem whose loss has gradient grad0 at 0."""
        grad0 = self._vector(grad0, "grad0")
        weights = getattr(self, "weights", None)
        if weights is None:
            return float(np.max(np.abs(grad0), initial=0.0))
        free = weights > 0
        return float(np.max(np.abs(grad0[free]) / weights[free], initial=0.0))

    def support(self, x: Any) -> np.ndarray:
        """Which coordinates of x are not 0."""
        return self._vector(x, "x") != 0

    def _pair(self, x: Any, grad: Any) -> tuple[np.ndarray, np.ndarray]:
        x = self._vector(x, "x")
        return x, require_length(as_vector(grad, "grad", x.dtype), x.size, "grad")

    def _vector(self, x: Any, name: str) -> np.ndarray:
        x = as_vector(x, name)
        return x if self.size is None else require_length(x, self.size, name)


class Norm(Penalty):
    """Alpha times a norm: the conjugate is the indicator of a ball of the dual norm.

    Subclasses have a field `alpha`; their `alpha_max` is the dual norm.
    """

    alpha: float

    @property
    def has_conjugate(self) -> bool:
        """Always."""
        return True

    def conjugate(self, u: Any) -> float:
        """0 where the dual norm of u is at most alpha, else infinity."""
        # A hair beyond alpha is rounding of a scaled dual point.
        free = self.coordinate_weights
        fixed = free is None or not np.any(np.asarray(u)[free == 0])
        inside = fixed and self.alpha_max(u) <= self.alpha * (1 + 1e-12)
        return 0.0 if inside else float(np.inf)

    def dual_scale(self, u: Any) -> float:
        """Largest s <= 1 at which the conjugate is finite at s u, unpenalised part aside."""
        size = self.alpha_max(u)
        return min(1.0, self.alpha / size) if size > 0 else 1.0


def require_weights(penalty: Any) -> None:
    """Check the `weights` of a penalty: 0 = unpenalised, inf = excluded, else positive."""
    weights = penalty.weights
    if weights is None:
        return
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 1:
        raise ValueError(f"weights must be one number per coordinate, got shape {weights.shape}")
    if (weights < 0).any():
        j = int(np.argmax(weights < 0))
        raise ValueError(
            f"weights[{j}] = {weights[j]:g} is negative; 0 leaves a coordinate unpenalised"
        )
    object.__setattr__(penalty, "weights", weights)
