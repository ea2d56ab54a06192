"""Terms of a splitting that are no penalties: quadratics, affine sets, log-determinants.

Like blocks they are frozen and have ``value``, ``prox`` and, where known, ``conjugate`` and the
distance to their subdifferential; unlike blocks they run on NumPy and LAPACK, with factorisations
that are kept for the next step size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.validate import (
    as_matrix,
    as_symmetric,
    as_vector,
    require_count,
    require_length,
)
from numopt.linalg.maps import Map
from numopt.linalg.operators import as_operator
from numopt.linalg.pencil import Pencil

__all__ = [
    "Affine", "LogDeterminant", "OfSum", "QuadraticForm", "SquaredResidual", "Stacked", "Term",
]  # fmt: skip


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


class _Quadratic(Term):
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
class QuadraticForm(_Quadratic):
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
        return 0.0 if self.E is None else _outside(self.E, x, self.e)

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
class SquaredResidual(_Quadratic):
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
        x, left = self._shortest(), None
        left = np.abs(F @ x - b).max(initial=0.0)
        if not left <= 1e-8 * max(1.0, np.abs(b).max(initial=0.0)):
            i = int(np.abs(F @ x - b).argmax())
            raise ValueError(f"F x = b has no solution: row {i} is off by {left:.3g} at best")

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
        return _outside(self.F, x, self.b)

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        Vt = self._basis()[2]
        return v - Vt.T @ (Vt @ v) + self._shortest()

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        Vt = self._basis()[2]
        off = float(np.max(np.abs(s - Vt.T @ (Vt @ s)), initial=0.0))
        return off + _outside(self.F, x, self.b)


@dataclass(frozen=True, eq=False)
class LogDeterminant(Term):
    r"""Likelihood of a Gaussian, :math:`\mathrm{tr}(S X) - \log\det X` of a symmetric X > 0.

    The variable is X, row by row. The prox takes one eigendecomposition.

    Parameters
    ----------
    S : array of shape (p, p)
        Symmetric, as a covariance matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.terms import LogDeterminant
    >>> LogDeterminant(np.array([[0.0]])).prox(np.array([0.0]), 1.0).tolist()
    [1.0]
    """

    S: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "S", as_symmetric(self.S, "S"))
        object.__setattr__(self, "size", self.S.size)

    def value(self, x: np.ndarray) -> float:
        values = scipy.linalg.eigvalsh(x.reshape(self.S.shape), check_finite=False)
        if not (values > 0).all():
            return float(np.inf)
        return float(self.S.reshape(-1) @ x - np.log(values).sum())

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        p = len(self.S)
        V = v.reshape(p, p) - step * self.S
        w, Q = scipy.linalg.eigh((V + V.T) / 2, check_finite=False, driver="evd")
        # The positive root, without cancellation for w < 0.
        root = np.sqrt(w * w + 4 * step)
        x = np.where(w > 0, (w + root) / 2, 2 * step / (root - w))
        return ((Q * x) @ Q.T).reshape(-1)

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        try:
            inverse = np.linalg.inv(x.reshape(self.S.shape))
        except np.linalg.LinAlgError:
            return float(np.inf)
        return float(np.max(np.abs((self.S - inverse).reshape(-1) - s), initial=0.0))

    def scale(self, x: np.ndarray) -> float:
        return float(np.max(np.abs(self.S), initial=0.0))


@dataclass(frozen=True, eq=False)
class Stacked(Term):
    r"""Terms of the parts of one vector, :math:`\sum_i f_i(x_i)`.

    Parameters
    ----------
    terms : sequence of terms or penalties
    lengths : sequence of int
        Length of each part.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.penalties import L1
    >>> from numopt.terms import Stacked
    >>> Stacked([L1(1.0), L1(2.0)], [1, 1]).prox(np.array([3.0, 3.0]), 1.0).tolist()
    [2.0, 1.0]
    """

    terms: Any
    lengths: Any
    _parts: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        terms, lengths = tuple(self.terms), tuple(int(k) for k in self.lengths)
        if len(terms) != len(lengths):
            raise ValueError(f"there are {len(terms)} terms but {len(lengths)} lengths")
        for i, (term, k) in enumerate(zip(terms, lengths, strict=True)):
            require_count(k, f"lengths[{i}]")
            if term.size not in (None, k):
                raise ValueError(f"terms[{i}] takes {term.size} entries, lengths[{i}] is {k}")
        stops = np.cumsum((0, *lengths))
        parts = tuple(slice(int(a), int(b)) for a, b in pairwise(stops))
        for name, value in (("terms", terms), ("lengths", lengths), ("_parts", parts)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "size", int(stops[-1]))
        object.__setattr__(self, "convex", all(term.convex for term in terms))

    def value(self, x: np.ndarray) -> float:
        return float(sum(f.value(x[k]) for f, k in zip(self.terms, self._parts, strict=True)))

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        return np.concatenate(
            [f.prox(v[k], step) for f, k in zip(self.terms, self._parts, strict=True)]
            or [np.zeros(0)]
        )

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        pairs = zip(self.terms, self._parts, strict=True)
        return max((distance(f, x[k], s[k]) for f, k in pairs), default=0.0)

    def scale(self, x: np.ndarray) -> float:
        pairs = zip(self.terms, self._parts, strict=True)
        return max((scale(f, x[k]) for f, k in pairs), default=0.0)


@dataclass(frozen=True, eq=False)
class OfSum(Term):
    r"""A term of the sum of parts, :math:`g(x_1 + \dots + x_N)`.

    Parameters
    ----------
    term : term or penalty
        g, convex.
    parts : int
        N; the variable is x_1, ..., x_N one after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.penalties import L1
    >>> from numopt.terms import OfSum
    >>> OfSum(L1(1.0), 2).prox(np.array([3.0, 3.0]), 1.0).tolist()
    [2.0, 2.0]
    """

    term: Any
    parts: int

    def __post_init__(self) -> None:
        require_count(self.parts, "parts", 1)
        k = self.term.size
        object.__setattr__(self, "size", None if k is None else k * self.parts)

    def total(self, x: np.ndarray) -> np.ndarray:
        """x_1 + ... + x_N."""
        return x.reshape(self.parts, -1).sum(0)

    def value(self, x: np.ndarray) -> float:
        return float(self.term.value(self.total(x)))

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        # The sum's map S has S S' = N I, for which the prox of g(S x) has this closed form.
        total = self.total(v)
        moved = (self.term.prox(total, step * self.parts) - total) / self.parts
        return (v.reshape(self.parts, -1) + moved).reshape(-1)


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


def _outside(F: np.ndarray, x: np.ndarray, b: np.ndarray) -> float:
    """0 where F x = b up to rounding, else infinity."""
    size = np.max(np.abs(F) @ np.abs(x) + np.abs(b), initial=0.0)
    return 0.0 if np.max(np.abs(F @ x - b), initial=0.0) <= 1e-10 * size else float(np.inf)
