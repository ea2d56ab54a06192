"""The half steps of ADMM, its start, and what moves its penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.validate import as_vector, require_length
from numopt.linalg.maps import Map
from numopt.linalg.norm_bounds import spectral_norm
from numopt.linalg.operators import Operator
from numopt.terms import Quadratic

# Curvatures count if the correlation of the differences they come from exceeds this.
CORRELATED = 0.2


class Step:
    """argmin_x f(x) + rho |M x + t|^2 / 2, from x0 where the method is inexact.

    Attributes
    ----------
    cheap : bool
        Whether another rho costs no more than a step.
    exact : bool
        Whether the minimiser does not depend on the step before.
    """

    cheap = exact = True

    def __init__(self, term: Any, M: Map):
        self.term, self.M = term, M

    def __call__(self, t: np.ndarray, rho: float, x0: np.ndarray, tol: float) -> np.ndarray:
        raise NotImplementedError


class Prox(Step):
    """M'M = beta I: a prox with step 1 / (beta rho)."""

    def __init__(self, term: Any, M: Map):
        super().__init__(term, M)
        self.system = None
        if isinstance(term, Quadratic):
            self.system = term.system(None, M.shape[1])
            self.cheap, self.exact = self.system.cheap, self.system.method != "cg"

    def __call__(self, t: np.ndarray, rho: float, x0: np.ndarray, tol: float) -> np.ndarray:
        beta: Any = self.M.tight
        v = self.M.adjoint(t) * t.dtype.type(-1 / beta)
        if self.system is not None:
            return self.term.minimum(None, -v, beta * rho, x0, tol)
        return self.term.prox(v, 1 / (beta * rho))


class System(Step):
    """f quadratic: a linear system."""

    def __init__(self, term: Any, M: Map):
        super().__init__(term, M)
        system = term.system(M, M.shape[1])
        self.cheap, self.exact = system.cheap, system.method != "cg"

    def __call__(self, t: np.ndarray, rho: float, x0: np.ndarray, tol: float) -> np.ndarray:
        return self.term.minimum(self.M, t, rho, x0, tol)


class Linearised(Step):
    """Any f and M: the coupling linearised at x0, a prox with step 1 / (rho |M|^2)."""

    exact = False

    def __init__(self, term: Any, M: Map):
        super().__init__(term, M)
        products = Operator(M.shape, np.dtype(float), M.times, M.adjoint)
        self.curvature = spectral_norm(products, rtol=0.05).upper ** 2 or 1.0

    def __call__(self, t: np.ndarray, rho: float, x0: np.ndarray, tol: float) -> np.ndarray:
        step = 1 / (rho * self.curvature)
        return self.term.prox(x0 - self.M.adjoint(self.M.times(x0) + t) / self.curvature, step)


def step_of(term: Any, M: Map, linearised: bool = False) -> Step:
    """The best way to minimise a term against the coupling."""
    if linearised and not M.tight:
        return Linearised(term, M)
    if M.tight:
        return Prox(term, M)
    if isinstance(term, Quadratic):
        return System(term, M)
    return Linearised(term, M)


# ---- starts and penalties -----------------------------------------------------------------------


def start_of_z(splitting: Any, x: np.ndarray, warm: dict[str, Any]) -> np.ndarray:
    """The z given, or the one that meets Ax + Bz = c at x where B is orthogonal."""
    B = splitting.maps[1]
    if "z" in warm:
        return require_length(as_vector(warm["z"], "warm_start['z']"), B.shape[1], "z")
    rest = splitting.target - splitting.maps[0].times(x)
    if B.tight:
        return B.adjoint(rest) / B.tight
    return np.zeros(B.shape[1])


def multipliers(splitting: Any, z: np.ndarray, warm: dict[str, Any]) -> np.ndarray:
    """Those given, or such that a smooth g is stationary."""
    g, B = splitting.g, splitting.maps[1]
    if "y" in warm:
        return require_length(as_vector(warm["y"], "warm_start['y']"), splitting.rows, "y")
    if isinstance(g, Quadratic) and B.scale is not None:
        return g.gradient(z) / -B.scale
    return np.zeros(splitting.rows)


def ratio(a: float, b: float) -> float:
    """a / b; where b is 0, whether a is not."""
    return a / b if b > 0 else float(a != 0)


def curvature(
    seen: np.ndarray, Ax: np.ndarray, Bz: np.ndarray, yh: np.ndarray, y: np.ndarray
) -> float | None:
    """Geometric mean of the spectral steps of both dual functions, None if neither tells."""
    found = []
    for d, e in ((-Ax - seen[0], yh - seen[2]), (seen[1] - Bz, y - seen[3])):
        de, dd, ee = float(d @ e), float(d @ d), float(e @ e)
        if de > CORRELATED * np.sqrt(dd) * np.sqrt(ee):  # NaN before the first look
            steepest, least = ee / de, de / dd
            found.append(least if 2 * least > steepest else steepest - least / 2)
    if not found:
        return None
    return float(np.exp(np.mean(np.log(found))))
