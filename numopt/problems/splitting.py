"""Two functions coupled by linear equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_matrix, as_vector, require_length
from numopt.linalg.maps import Map, Repeat
from numopt.problems._base import Problem
from numopt.terms import OfSum, Stacked, Term, distance, scale

PRIMAL = "|A x + B z - c|_inf / (1 + max(|A x|, |B z|, |c|))"
DUAL = "max(dist(-A'y, df(x)), dist(-B'y, dg(z))) / (1 + max(|A'y|, |B'y|, |grad f|, |grad g|))"
GAP = "(primal - dual) / scale"


@dataclass(frozen=True, eq=False)
class Splitting(Problem):
    r"""Sum of two functions under linear equations, :math:`f(x) + g(z)` with :math:`A x + B z = c`.

    With multipliers y of the equations, a point is optimal if :math:`-A^T y \in \partial f(x)` and
    :math:`-B^T y \in \partial g(z)`. The certificate holds, in the inf norm,

    - ``primal`` (gate): :math:`\|Ax + Bz - c\| / (1 + \max(\|Ax\|, \|Bz\|, \|c\|))`;
    - ``dual`` (gate, unless there is a gap): the larger distance of :math:`-A^T y` to
      :math:`\partial f(x)` and of :math:`-B^T y` to :math:`\partial g(z)`, over 1 plus the largest
      of :math:`\|A^T y\|, \|B^T y\|` and the terms of the gradients; for functions without a known
      distance :math:`\|x - \mathrm{prox}_f(x - A^T y)\|` takes its place;
    - ``gap`` (gate), where `gap` is given: primal minus dual objective over a scale.

    Parameters
    ----------
    f, g : penalty, set or term
        From `numopt.penalties`, `numopt.sets`, `numopt.terms`, or blocks of your own.
    A, B : number, array, sparse matrix, LinearOperator or map, optional
        Numbers stand for multiples of the identity, which is also the default of A; minus the
        identity that of B.
    c : array, optional
        Zeros if not given.
    gap : callable, optional
        ``gap(problem, x, z, y)`` returns (primal value at a feasible point near x, dual value at
        a feasible point near y, scale).
    shape : tuple of int, optional
        Shape of the array that x stands for, for those who read the result.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.penalties import L1
    >>> from numopt.problems import Splitting
    >>> from numopt.terms import SquaredResidual
    >>> problem = Splitting(L1(1.0), SquaredResidual(None, np.array([3.0, 0.5])))
    >>> numopt.solve(problem).x.round(6).tolist()
    [2.0, 0.0]
    """

    certificate_parts: ClassVar[tuple[str, ...]] = ("z", "y")
    default_solver: ClassVar[str] = "admm"

    f: Any
    g: Any
    A: Any = None
    B: Any = None
    c: Any = None
    gap: Callable[..., tuple[float, float, float]] | None = None
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("f", "g"):
            term = getattr(self, name)
            if isinstance(term, type) or not (isinstance(term, Term) or hasattr(term, "Spec")):
                kind = term.__name__ if isinstance(term, type) else type(term).__name__
                raise TypeError(
                    f"{name} must be a penalty, a set or a term from numopt.terms, got {kind}"
                )
            if not isinstance(term, Term) and not any(
                term.offers(m) for m in ("prox_1d", "prox_into", "prox", "project")
            ):
                raise TypeError(f"{name}: {type(term).__name__} has no prox")
        if self.c is not None:
            object.__setattr__(self, "c", as_vector(self.c, "c"))
        for name in ("A", "B"):
            value = getattr(self, name)
            if sp.issparse(value) or not (
                value is None or np.ndim(value) == 0 or hasattr(value, "matvec")
            ):
                object.__setattr__(self, name, as_matrix(value, name))
        rows = self._rows()
        for name, default, term in (("A", 1.0, self.f), ("B", -1.0, self.g)):
            given = getattr(self, name)
            made = Map(default if given is None else given, name, rows)
            object.__setattr__(self, f"_{name}", made)
            if made.shape[0] != rows:
                raise ValueError(f"{name} has {made.shape[0]} rows, expected {rows}")
            if term.size not in (None, made.shape[1]):
                raise ValueError(
                    f"{name} has {made.shape[1]} columns but "
                    f"{'f' if name == 'A' else 'g'} takes {term.size} entries"
                )
        if self.c is not None:
            require_length(self.c, rows, "c")

    def _rows(self) -> int:
        """Number of equations, from the first part that tells."""
        for value in (self.A, self.B):
            if (hasattr(value, "shape") and np.ndim(value) != 0) or hasattr(value, "matvec"):
                return int(value.shape[0])
        for value in (self.c, self.f, self.g):
            if value is not None and value.size is not None:
                return int(value.size)
        raise ValueError("the number of equations is unknown; give A, B or c")

    @property
    def maps(self) -> tuple[Map, Map]:
        """A and B as maps."""
        return self._A, self._B  # type: ignore[attr-defined]

    @property
    def dtype(self) -> Any:
        """Working precision: float32 if any of the data are, whose digits nothing brings back."""
        data = (self.A, self.B, self.c, *vars(self.f).values(), *vars(self.g).values())
        single = any(getattr(part, "dtype", None) == np.float32 for part in data)
        return np.dtype(np.float32 if single else np.float64)

    @property
    def target(self) -> np.ndarray:
        """The right-hand side c."""
        return np.zeros(self.rows) if self.c is None else self.c

    @property
    def rows(self) -> int:
        """Number of equations."""
        return int(self.maps[0].shape[0])

    @property
    def size(self) -> int:
        """Length of x."""
        return int(self.maps[0].shape[1])

    @property
    def convex(self) -> bool:
        """Whether both functions are."""
        return bool(self.f.convex and self.g.convex)

    def objective(self, x: Any, z: Any = None, y: Any = None) -> float:
        """f(x) + g(z); z is found from the equations if it is not given and B is simple."""
        x = require_length(as_vector(x, "x", np.float64), self.size, "x")
        return float(self.f.value(x)) + float(self.g.value(self._other(x, z)))

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def certificate(self, x: Any, z: Any = None, y: Any = None) -> Certificate:
        """Residuals at (x, z) with multipliers y, zeros if not given."""
        x = require_length(as_vector(x, "x", np.float64), self.size, "x")
        z = self._other(x, z)
        y = np.zeros(self.rows) if y is None else as_vector(y, "y", np.float64)
        A, B = self.maps
        Ax, Bz = A.times(x), B.times(z)
        primal = largest(Ax + Bz - self.target) / (1 + largest(Ax, Bz, self.target))
        entries = {"primal": Entry(primal, PRIMAL)}
        kind = "global" if self.convex else "stationary"
        if self.gap is not None:
            value, bound, size = self.gap(self, x, z, y)
            # A dual value above the primal one is rounding, or an x that is not feasible.
            entries["gap"] = Entry(abs(value - bound) / size, GAP)
            return Certificate(kind, entries, float(value))
        Ay, By = A.adjoint(y), B.adjoint(y)
        off = max(distance(self.f, x, -Ay), distance(self.g, z, -By))
        size = 1 + max(largest(Ay, By), scale(self.f, x), scale(self.g, z))
        entries["dual"] = Entry(off / size, DUAL)
        return Certificate(kind, entries, float(self.f.value(x)) + float(self.g.value(z)))

    def _other(self, x: np.ndarray, z: Any) -> np.ndarray:
        """The z given, or the one that the equations say belongs to x."""
        B = self.maps[1]
        if z is not None:
            return require_length(as_vector(z, "z", np.float64), B.shape[1], "z")
        rest = self.target - self.maps[0].times(x)
        if B.scale is not None:
            return rest / B.scale
        if B.tight:
            return B.adjoint(rest) / B.tight
        raise ValueError("z cannot be told from x; give it")


def consensus(terms: Sequence[Any], n: int, g: Any = None) -> Splitting:
    r"""One variable for many terms, :math:`\min_x g(x) + \sum_i f_i(x)`, as a splitting.

    Every term gets a copy z_i of x, so that each iteration treats them one by one.

    Parameters
    ----------
    terms : sequence of penalties or terms
        The :math:`f_i`.
    n : int
        Length of x.
    g : penalty or term, optional
        Nothing if not given.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.problems.splitting import consensus
    >>> from numopt.terms import SquaredResidual
    >>> parts = [SquaredResidual(None, np.array([b])) for b in (1.0, 2.0, 6.0)]
    >>> numopt.solve(consensus(parts, 1)).x.round(6).tolist()
    [3.0]
    """
    from numopt.penalties import Zero

    terms = tuple(terms)
    if not terms:
        raise ValueError("terms is empty; give at least one")
    return Splitting(
        Zero() if g is None else g, Stacked(terms, (n,) * len(terms)), A=Repeat(n, len(terms))
    )


def sharing(terms: Sequence[Any], n: int, g: Any) -> Splitting:
    r"""Many variables that share a sum, :math:`\min \sum_i f_i(x_i) + g(\sum_i x_i)`.

    The variable of the result is x_1, ..., x_N one after the other.

    Parameters
    ----------
    terms : sequence of penalties or terms
        The :math:`f_i`.
    n : int
        Length of each x_i.
    g : penalty or term
        Convex.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.penalties import Ridge
    >>> from numopt.problems.splitting import sharing
    >>> from numopt.terms import SquaredResidual
    >>> problem = sharing([Ridge(1.0), Ridge(2.0)], 1, SquaredResidual(None, np.array([5.0])))
    >>> numopt.solve(problem).x.round(6).tolist()
    [2.0, 1.0]
    """
    terms = tuple(terms)
    if not terms:
        raise ValueError("terms is empty; give at least one")
    return Splitting(Stacked(terms, (n,) * len(terms)), OfSum(g, len(terms)))


def largest(*vectors: np.ndarray) -> float:
    """Largest entry of all, in absolute value."""
    return max(float(np.max(np.abs(v), initial=0.0)) for v in vectors)
