"""Convex conjugates and Moreau envelopes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.calculus._base import Composed, require_base, require_convex
from numopt.core.block import block
from numopt.core.stubs import (
    conjugate_1d,
    conjugate_bound_1d,
    prox_1d,
    prox_into,
    value_1d,
    value_of,
)
from numopt.core.validate import require_positive
from numopt.penalties._base import Norm, Penalty


class _ConjugateForms(Composed):
    """Forms of `Conjugate` that are not for kernels, where a method of that name would be."""

    def value(self, x: Any) -> float:
        """Value at x."""
        return self.base.conjugate(x) if not self.separable else super().value(x)

    @property
    def has_conjugate(self) -> bool:
        """Always: the base."""
        return True

    def conjugate(self, u: Any) -> float:
        """Value of the base at u."""
        return self.base.value(u)

    def dual_scale(self, u: Any) -> float:
        """1, as penalties are finite."""
        return 1.0


@block
class Conjugate(_ConjugateForms):
    r"""Convex conjugate, :math:`\phi^*(u) = \sup_x u^T x - \phi(x)`.

    Its prox is Moreau's, :math:`v - s \, \mathrm{prox}_{\phi / s}(v / s)`. The conjugate of a norm
    times alpha is the indicator of the dual norm's ball of radius alpha, its prox the projection.

    Parameters
    ----------
    base : block
        Convex penalty :math:`\phi`: one that separates and knows its conjugate, or a norm.

    References
    ----------
    J.-J. Moreau, "Proximite et dualite dans un espace hilbertien", Bull. Soc. Math. France 93,
    1965.

    Examples
    --------
    >>> from numopt.calculus import Conjugate
    >>> from numopt.penalties import L1, GroupLasso
    >>> Conjugate(L1(1.0)).prox([3.0, -0.5]).tolist()
    [1.0, -0.5]
    >>> Conjugate(GroupLasso(1.0, groups=[0, 0])).prox([3.0, 4.0]).round(6).tolist()
    [0.6, 0.8]
    """

    convex: ClassVar[bool] = True

    base: Penalty

    def __new__(cls, base: Any = None) -> Any:
        """A `ConjugateOfNorm` where the base does not separate."""
        whole = cls is Conjugate and not getattr(base, "separable", True)
        return object.__new__(ConjugateOfNorm if whole else cls)

    def __post_init__(self) -> None:
        require_base(self, self.base)
        require_convex(self, self.base, "the conjugate would be that of its convex hull")
        if not (self.base.offers("conjugate_1d") or isinstance(self.base, Norm)):
            raise TypeError(
                f"Conjugate: {type(self.base).__name__} does not know its conjugate; it needs "
                "conjugate_1d, or to be a norm"
            )
        object.__setattr__(self, "separable", self.base.separable)

    def value_1d(self, x, j):
        return conjugate_1d(self.base, x, j)

    def prox_1d(self, x, step, j):
        if step == 0:
            return x
        return x - step * prox_1d(self.base, x / step, 1 / step, j)

    def conjugate_1d(self, u, j):
        return value_1d(self.base, u, j)

    @property
    def coordinate_weights(self) -> np.ndarray | None:
        """None: a weight of the base means the opposite here."""
        return None

    def alpha_max(self, grad0: Any) -> float:
        """Largest |grad0|, a scale."""
        return float(np.max(np.abs(self._vector(grad0, "grad0")), initial=0.0))

    def _size(self) -> int | None:
        return self.base.size


@block
class ConjugateOfNorm(Conjugate):
    """What `Conjugate` makes of norms that do not separate: the ball of the dual norm.

    Examples
    --------
    >>> from numopt.calculus import Conjugate
    >>> from numopt.penalties import LInf
    >>> Conjugate(LInf(1.0)).value([0.5, -0.5]), Conjugate(LInf(1.0)).value([0.5, -0.6])
    (0.0, inf)
    """

    base: Penalty

    def prox_into(self, v, step, out):
        if step == 0:
            for j in range(v.size):
                out[j] = v[j]
            return
        inside = np.empty_like(v)
        for j in range(v.size):
            inside[j] = v[j] / step
        prox_into(self.base, inside, 1 / step, inside)
        for j in range(v.size):
            out[j] = v[j] - step * inside[j]

    def value_of(self, x):
        # In the ball or not, up to rounding.
        inside = np.empty_like(x)
        prox_into(self.base, x, 1.0, inside)
        for j in range(x.size):
            if abs(inside[j]) > 1e-9 * (abs(x[j]) + 1):
                return np.inf
        return 0.0


class _EnvelopeForms(Composed):
    """Forms of `MoreauEnvelope` that are not for kernels."""

    mu: float

    def gradient(self, x: Any) -> np.ndarray:
        """Gradient at x."""
        x = self._vector(x, "x")
        return np.asarray((x - self.base.prox(x, self.mu)) / x.dtype.type(self.mu))

    def subdiff_distance(self, x: Any, grad: Any) -> float:
        """Largest entry of grad + the gradient at x."""
        x, grad = self._pair(x, grad)
        return float(np.max(np.abs(grad + self.gradient(x)), initial=0.0))

    @property
    def has_conjugate(self) -> bool:
        """As the base."""
        return self.base.has_conjugate

    def conjugate(self, u: Any) -> float:
        """That of the base plus mu |u|^2 / 2."""
        u = self._vector(u, "u")
        return self.base.conjugate(u) + self.mu * float(u @ u) / 2

    def dual_scale(self, u: Any) -> float:
        """That of the base."""
        return self.base.dual_scale(u)


@block
class MoreauEnvelope(_EnvelopeForms):
    r"""Smoothed penalty, :math:`\min_z \phi(z) + \|x - z\|_2^2 / (2 \mu)`.

    It has the minimisers of :math:`\phi` and a gradient, :math:`(x - \mathrm{prox}_{\mu \phi}(x)) /
    \mu`, with the Lipschitz constant :math:`1 / \mu`; that of the L1 norm is Huber's function. Its
    prox is :math:`v + \frac{s}{s + \mu} (\mathrm{prox}_{(s + \mu) \phi}(v) - v)`.

    Parameters
    ----------
    base : block
        Convex penalty :math:`\phi`.
    mu : float, default 1.0
        How much to smooth, > 0.

    References
    ----------
    J.-J. Moreau, "Proximite et dualite dans un espace hilbertien", Bull. Soc. Math. France 93,
    1965.

    Examples
    --------
    >>> from numopt.calculus import MoreauEnvelope
    >>> from numopt.penalties import L1
    >>> smooth = MoreauEnvelope(L1(1.0), mu=1.0)
    >>> smooth.value([0.5]), smooth.value([3.0])
    (0.125, 2.5)
    >>> smooth.gradient([0.5, 3.0]).tolist()
    [0.5, 1.0]
    """

    convex: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    base: Penalty
    mu: float = 1.0

    def __post_init__(self) -> None:
        require_base(self, self.base)
        require_convex(self, self.base, "its envelope has no prox of this form")
        require_positive(self.mu, "MoreauEnvelope: mu")
        object.__setattr__(self, "separable", self.base.separable)
        object.__setattr__(self, "strongly_convex", self.base.strongly_convex)

    def value_1d(self, x, j):
        z = prox_1d(self.base, x, self.mu, j)
        return value_1d(self.base, z, j) + (x - z) * ((x - z) / (2 * self.mu))

    def prox_1d(self, x, step, j):
        far = step + self.mu
        return x + step / far * (prox_1d(self.base, x, far, j) - x)

    def subdiff_distance_1d(self, x, grad, j):
        return abs(grad + (x - prox_1d(self.base, x, self.mu, j)) / self.mu)

    def conjugate_1d(self, u, j):
        return conjugate_1d(self.base, u, j) + self.mu * u * u / 2

    def conjugate_bound_1d(self, j):
        return conjugate_bound_1d(self.base, j)

    def value_of(self, x):
        z = np.empty_like(x)
        prox_into(self.base, x, self.mu, z)
        total = 0.0
        for j in range(x.size):
            total += (x[j] - z[j]) * ((x[j] - z[j]) / (2 * self.mu))
        return value_of(self.base, z) + total

    def prox_into(self, v, step, out):
        z, far = np.empty_like(v), step + self.mu
        prox_into(self.base, v, far, z)
        for j in range(v.size):
            out[j] = v[j] + step / far * (z[j] - v[j])

    @property
    def coordinate_weights(self) -> np.ndarray | None:
        """Those of the base."""
        return self.base.coordinate_weights

    def alpha_max(self, grad0: Any) -> float:
        """Infinite, unless 0 is optimal for every strength."""
        return float(np.inf) if np.any(grad0) else 0.0

    def _size(self) -> int | None:
        return self.base.size
