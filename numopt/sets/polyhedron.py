"""Polyhedra given by linear constraints."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from numopt.core.block import block
from numopt.core.validate import as_matrix, as_vector, require_length
from numopt.sets._base import HostSet


class _PolyhedronForms(HostSet):
    dear: ClassVar[bool] = True
    bounded: ClassVar[bool] = True  # else the oracle says so

    A: Any
    low: np.ndarray
    high: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def lmo(self, c: Any) -> np.ndarray:
        """A vertex of least c'x, by the simplex method of HiGHS from a vertex found once."""
        c = self._vector(c, "c")
        return np.asarray(self._solve(c).x, c.dtype)

    def least(self, c: Any) -> float:
        """The dual value at the multipliers of HiGHS: a bound from below whatever they are."""
        c = np.asarray(self._vector(c, "c"), np.float64)
        found = self._solve(c)
        y, reduced = found.y, c + self.A.T @ found.y
        sides = np.where(y > 0, self.high, self.low)
        bounds = np.where(reduced > 0, self.lower, self.upper)
        # A multiplier of an absent side is rounding: what it does at the vertex counts.
        rows = np.where(np.isfinite(sides), sides, self.A @ found.x)
        columns = np.where(np.isfinite(bounds), bounds, found.x)
        return float(reduced @ columns - y @ rows)

    def violation(self, x: Any) -> float:
        """Largest excess of a row or a bound; of a row over its largest coefficient."""
        x = np.asarray(self._vector(x, "x"), np.float64)
        z = self.A @ x
        rows = np.maximum(self.low - z, z - self.high) / self._units()
        columns = np.maximum(self.lower - x, x - self.upper)
        return float(max(rows.max(initial=0.0), columns.max(initial=0.0)))

    @property
    def diameter(self) -> float:
        """That of the box of its bounds, infinite if one is missing."""
        return float(np.linalg.norm(self.upper - self.lower))

    def _units(self) -> np.ndarray:
        if not self.A.shape[0]:
            return np.ones(0)
        largest = abs(self.A).max(axis=1).toarray().ravel()
        return np.where(largest > 0, largest, 1.0)

    def _solve(self, c: np.ndarray) -> Any:
        import numopt
        from numopt.problems import LinearProgram
        from numopt.solvers.highs import Highs

        cost = np.asarray(c, np.float64)
        size = float(np.abs(cost).max(initial=0.0)) or 1.0

        def program(cost: np.ndarray) -> Any:
            return LinearProgram(
                cost, self.A, l=self.low, u=self.high, lb=self.lower, ub=self.upper
            )

        solver = Highs(algorithm="simplex", tol=1e-9)
        first = self.kept("first", lambda: solver.solve(program(np.zeros(cost.size))))
        if first.status is numopt.Status.INFEASIBLE:
            raise ValueError("Polyhedron: no point meets the constraints")
        found = solver.solve(program(cost / size), warm_start=first)
        if found.status is numopt.Status.UNBOUNDED:
            j = int(np.argmax(np.abs(found.ray)))
            raise ValueError(
                f"Polyhedron: unbounded in the direction of the oracle, along x[{j}]; Frank-Wolfe "
                "methods need a bounded set: give it bounds"
            )
        if not found.success:
            raise ValueError(f"Polyhedron: the oracle failed: {found.message}")
        found.y = found.y * size
        return found

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = ("low", "high", "lower", "upper")
        same = all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)
        return same and (self.A != other.A).nnz == 0  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.A.shape))

    def _size(self) -> int:
        return int(self.lower.size)


@block
class Polyhedron(_PolyhedronForms):
    r"""Polytope, :math:`\{x : A_{ub} x \le b_{ub},\ A_{eq} x = b_{eq},\ l \le x \le u\}`.

    Arguments mean what they do in `numopt.linprog`: without `bounds`, :math:`x \ge 0`.

    Parameters
    ----------
    A_ub, A_eq : array or scipy.sparse matrix of shape (m, p), optional
        Rows of inequalities and of equations.
    b_ub, b_eq : array of shape (m,), optional
        Their right-hand sides.
    bounds : pair or sequence of pairs, default (0, None)
        (lower, upper) for all coordinates or for each; None for none.

    Raises
    ------
    ValueError
        Also by the oracle, where no point meets the constraints or the set is unbounded in its
        direction.

    Notes
    -----
    The oracle is a linear program, which HiGHS solves from the basis of a vertex found once.

    Examples
    --------
    >>> from numopt.sets import Polyhedron
    >>> Polyhedron([[1.0, 2.0]], [4.0]).lmo([-1.0, -1.0]).tolist()
    [4.0, 0.0]
    """

    A_ub: Any = dataclasses.field(default=None, metadata={"host": True, "labels": True})
    b_ub: Any = dataclasses.field(default=None, metadata={"host": True, "labels": True})
    A_eq: Any = dataclasses.field(default=None, metadata={"host": True, "labels": True})
    b_eq: Any = dataclasses.field(default=None, metadata={"host": True, "labels": True})
    bounds: Any = dataclasses.field(default=(0, None), metadata={"host": True, "labels": True})
    A: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})
    low: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})
    high: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})
    lower: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})
    upper: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})

    def __post_init__(self) -> None:
        blocks: list[Any] = []
        sides: list[tuple[np.ndarray, np.ndarray]] = []
        for kind in ("ub", "eq"):
            A, b = getattr(self, f"A_{kind}"), getattr(self, f"b_{kind}")
            if (A is None) is not (b is None):
                given, lacking = ("A", "b") if b is None else ("b", "A")
                raise ValueError(f"Polyhedron: {given}_{kind} is given without {lacking}_{kind}")
            if A is None:
                continue
            A = as_matrix(A, f"Polyhedron: A_{kind}")
            b = as_vector(np.atleast_1d(b), f"Polyhedron: b_{kind}", np.float64)
            require_length(b, A.shape[0], f"Polyhedron: b_{kind}")
            if blocks and A.shape[1] != blocks[0].shape[1]:
                raise ValueError(
                    f"Polyhedron: A_ub has {blocks[0].shape[1]} columns, A_eq has {A.shape[1]}"
                )
            blocks.append(sp.csc_array(A, dtype=np.float64))
            sides.append((b if kind == "eq" else np.full(b.size, -np.inf), b))
        pairs = _pairs(self.bounds)
        p = blocks[0].shape[1] if blocks else len(pairs)
        if len(pairs) not in (1, p):
            raise ValueError(f"Polyhedron: bounds has {len(pairs)} pairs for {p} coordinates")
        lower = np.array([-np.inf if low is None else low for low, _ in pairs], float)
        upper = np.array([np.inf if high is None else high for _, high in pairs], float)
        lower, upper = np.resize(lower, p), np.resize(upper, p)
        wrong = ~(lower <= upper)
        if wrong.any():
            j = int(np.argmax(wrong))
            raise ValueError(
                f"Polyhedron: bounds has ({lower[j]:g}, {upper[j]:g}) at index {j}: lower <= upper "
                "fails"
            )
        A = sp.csc_array(sp.vstack(blocks)) if blocks else sp.csc_array((0, p))
        low, high = (
            np.concatenate([s[i] for s in sides]) if sides else np.zeros(0) for i in (0, 1)
        )
        values = {"A": A, "low": low, "high": high, "lower": lower, "upper": upper}
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _pairs(bounds: Any) -> list[tuple[Any, Any]]:
    """Bounds as a list of pairs, one if it holds for all."""
    try:
        listed = [] if bounds is None else list(bounds)
        if len(listed) == 2 and all(side is None or np.ndim(side) == 0 for side in listed):
            return [(listed[0], listed[1])]
        return [(low, high) for low, high in listed] or [(0, None)]
    except (TypeError, ValueError):
        raise ValueError(
            "Polyhedron: bounds must be a (lower, upper) pair or one per coordinate, got "
            f"{bounds!r}"
        ) from None
