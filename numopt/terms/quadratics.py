"""Quadratic terms: minimised over any linear map by one linear system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.validate import as_matrix, as_symmetric, as_vector, require_length
from numopt.linalg.maps import Map
from numopt.linalg.operators import as_operator
from numopt.linalg.pencil import Pencil
from numopt.terms._base import Term, outside


class Quadratic(Term):
    """What has a gradient H x + g: minimised over any linear map of x by one linear system."""

    def system(self, M: Map | None, size: int) -> Pencil:
        """The systems that steps along M take."""
        key = "shifted" if M is None else ("pencil", id(M.given))
        # The map is kept beside its pencil so that its id stays its own.
        return self.kept(key, lambda: (M, self._system(M, size)))[1]

    def _system(self, M: Map | None, size: int) -> Pencil:
        raise NotImplementedError

    def linear(self, size: int) -> np.ndarray:
        """The gradient g at 0."""
        raise NotImplementedError

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """H x + g."""
        raise NotImplementedError

    def minimum(
        self, M: Map | None, t: np.ndarray, rho: float, x0: Any = None, tol: float = 0.0
    ) -> np.ndarray:
        """argmin_x value(x) + rho |M x + t|^2 / 2."""
        n = t.size if M is None else M.shape[1]
        b = -rho * (t if M is None else M.adjoint(t)) - self.linear(n)
        return self.system(M, n).solve(b, rho, x0, tol)

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        return self.minimum(None, -v, 1 / step, v)


@dataclass(frozen=True, eq=False)
class QuadraticForm(Quadratic):
    r"""Convex quadratic, :math:`\frac12 x^T P x + q^T x`, on a plane :math:`E x = e` if given.

    Parameters
    ----------
    P : float, array, sparse matrix, LinearOperator or None
        Positive semidefinite and symmetric; a number stands for a multiple of I, None for 0.
    q : array of shape (n,), optional
        Zeros if not given.
    E, e : array of shape (k, n) and (k,), optional
        A few equations that x must satisfy, with independent rows.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.terms import QuadraticForm
    >>> QuadraticForm(1.0, np.array([-4.0])).prox(np.array([0.0]), 1.0).tolist()
    [2.0]
    """

    P: Any = None
    q: Any = None
    E: Any = None
    e: Any = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        P = self.P
        if P is not None and (np.ndim(P) == 0 and not hasattr(P, "matvec") and not sp.issparse(P)):
            if not (np.isfinite(P) and P >= 0):
                raise ValueError(f"P as a number must be finite and >= 0, got {P!r}")
            set_field(self, "P", float(P))
        elif P is not None and not hasattr(P, "matvec"):
            set_field(self, "P", as_symmetric(P, "P"))
        n = self.P.shape[0] if hasattr(self.P, "shape") else None
        if self.q is not None:
            q = as_vector(self.q, "q")
            set_field(self, "q", q if n is None else require_length(q, n, "q"))
            n = self.q.size
        set_field(self, "size", n)
        if (self.E is None) != (self.e is None):
            raise ValueError("E and e belong together: give both or none")
        if self.E is not None:
            E = as_matrix(np.atleast_2d(self.E), "E")
            set_field(self, "E", E)
            set_field(self, "e", require_length(as_vector(self.e, "e"), len(E), "e"))
            if n is not None and E.shape[1] != n:
                raise ValueError(f"E has {E.shape[1]} columns, expected {n}")

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """P x + q."""
        P, g = self.P, np.zeros_like(x) if self.q is None else self.q
        if P is None:
            return g.copy()
        return g + (P * x if isinstance(P, float) else as_operator(P, "P").matvec(x))

    def value(self, x: np.ndarray) -> float:
        q = 0.0 if self.q is None else float(self.q @ x)
        return float(x @ (self.gradient(x)) + q) / 2 + self.off_plane(x)

    def off_plane(self, x: np.ndarray) -> float:
        """0 where E x = e up to rounding, else infinity."""
        return 0.0 if self.E is None else outside(self.E, x, self.e)

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        gap = self.gradient(x) - s
        if self.E is not None:
            gap = gap - self.E.T @ np.linalg.lstsq(self.E.T, gap, rcond=None)[0]
        return float(np.max(np.abs(gap), initial=0.0)) + self.off_plane(x)

    def scale(self, x: np.ndarray) -> float:
        parts = [np.zeros(1) if self.q is None else self.q, self.gradient(x)]
        return max(float(np.max(np.abs(part), initial=0.0)) for part in parts)

    def linear(self, size: int) -> np.ndarray:
        return np.zeros(size) if self.q is None else self.q

    def _system(self, M: Map | None, size: int) -> Pencil:
        return Pencil(size, P=self.P, M=M)

    def minimum(
        self, M: Map | None, t: np.ndarray, rho: float, x0: Any = None, tol: float = 0.0
    ) -> np.ndarray:
        x = super().minimum(M, t, rho, x0, tol)
        if self.E is None:
            return x
        system = self.system(M, x.size)
        known = self.__dict__.get("_plane")
        if known is None or known[0] != (id(system), rho):
            W = np.column_stack([system.solve(row, rho) for row in self.E])
            known = (id(system), rho), W, np.linalg.pinv(self.E @ W)
            object.__setattr__(self, "_plane", known)
        _, W, inverse = known
        return x - W @ (inverse @ (self.E @ x - self.e))


@dataclass(frozen=True, eq=False)
class SquaredResidual(Quadratic):
    r"""Half the squares of residuals, :math:`\frac12 \|F x - b\|_2^2`.

    Parameters
    ----------
    F : array, sparse matrix or LinearOperator of shape (m, n), or None for the identity
        Sparse matrices are factored by a sparse L D L', operators give products for conjugate
        gradients.
    b : array of shape (m,)

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.terms import SquaredResidual
    >>> SquaredResidual(None, np.array([4.0])).prox(np.array([0.0]), 1.0).tolist()
    [2.0]
    """

    F: Any
    b: Any

    def __post_init__(self) -> None:
        b = as_vector(self.b, "b")
        object.__setattr__(self, "b", b)
        if self.F is None:
            object.__setattr__(self, "size", b.size)
            return
        if not hasattr(self.F, "matvec"):
            object.__setattr__(self, "F", as_matrix(self.F, "F"))
        if self.F.shape[0] != b.size:
            raise ValueError(f"F has {self.F.shape[0]} rows but b has {b.size} entries")
        object.__setattr__(self, "size", int(self.F.shape[1]))

    def residual(self, x: np.ndarray) -> np.ndarray:
        """F x - b."""
        return (x if self.F is None else self._products().matvec(x)) - self.b

    def value(self, x: np.ndarray) -> float:
        r = self.residual(x)
        return float(r @ r) / 2

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """F'(F x - b)."""
        r = self.residual(x)
        return r if self.F is None else self._products().rmatvec(r)

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        return float(np.max(np.abs(self.gradient(x) - s), initial=0.0))

    def scale(self, x: np.ndarray) -> float:
        return float(np.max(np.abs(self.linear(x.size)), initial=0.0))

    def linear(self, size: int) -> np.ndarray:
        def build() -> np.ndarray:
            return -self.b if self.F is None else -self._products().rmatvec(self.b)

        return self.kept("linear", build)

    def _products(self) -> Any:
        return self.kept("operator", lambda: as_operator(self.F, "F"))

    def _system(self, M: Map | None, size: int) -> Pencil:
        if self.F is None:
            return Pencil(size, P=1.0, M=M, dtype=self.b.dtype)
        return Pencil(size, F=self.F, M=M, dtype=self.b.dtype)
