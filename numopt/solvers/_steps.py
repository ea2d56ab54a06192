"""The half steps of ADMM: one term against the coupling."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.linalg.maps import Map
from numopt.linalg.norm_bounds import spectral_norm
from numopt.linalg.operators import Operator
from numopt.terms import _Quadratic


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
        if isinstance(term, _Quadratic):
            self.system = term.system(None, M.shape[1])
            self.cheap, self.exact = self.system.cheap, self.system.method != "cg"

    def __call__(self, t: np.ndarray, rho: float, x0: np.ndarray, tol: float) -> np.ndarray:
        beta = self.M.tight
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
    if isinstance(term, _Quadratic):
        return System(term, M)
    return Linearised(term, M)
