"""Linear programs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from numopt.core.result import Certificate, Entry
from numopt.problems.quadratic_program import QuadraticProgram

FIELDS = ("c", "A", "l", "u", "lb", "ub", "offset")
FORMULAS = {
    "primal": "distance of Ax to [l, u] / (1 + max |Ax|), of x to [lb, ub] / (1 + max |x|)",
    "dual": "max |c + A'y + z_ub - z_lb| / (1 + its largest term)",
    "gap": "|c'x + sup y'[l, u] + sup (z_ub - z_lb)'[lb, ub]| / (1 + its largest term)",
}


@dataclass(frozen=True, eq=False, init=False, repr=False)
class LinearProgram(QuadraticProgram):
    r"""Linear program.

    .. math::
        \min_x \; c^T x + \text{offset} \quad\text{subject to}\quad
        l \le A x \le u, \;\; lb \le x \le ub

    with multipliers y of the rows and :math:`z_{lb}, z_{ub} \ge 0` of the bounds,
    :math:`c + A^T y + z_{ub} - z_{lb} = 0`, y > 0 only at an upper side and y < 0 only at a lower
    one. It is the `QuadraticProgram` with P = 0, which all solvers of those take; its certificate
    at (x, y, z_lb, z_ub) has the gates

    - ``primal``: largest distance of Ax to [l, u] over 1 + the largest magnitude in Ax and its
      projection; the same for x and the bounds; the larger of the two.
    - ``dual``: largest residual of the equation above over 1 + its largest term; multipliers of
      the wrong sign or of infinite bounds are part of the residual.
    - ``gap``: :math:`|c^T x + u^T y_+ - l^T y_- + ub^T z_{ub} - lb^T z_{lb}|` over 1 + the larger
      of the two values it is the difference of.

    Parameters
    ----------
    c : array of shape (n,)
        Cost.
    A : array or scipy.sparse matrix of shape (m, n), optional
    l, u : float or array of shape (m,), optional
        Sides of the rows, -inf or inf where there is none; equal for an equation.
    lb, ub : float or array of shape (n,), optional
        Bounds on x; none by default.
    offset : float, default 0.0
        Constant of the objective.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, NaN, infinite entries of c or A, a lower bound of +inf. Crossed bounds
        (l > u) are no error: the problem is infeasible.

    Examples
    --------
    >>> from numopt.problems import LinearProgram
    >>> problem = LinearProgram([-1.0, -2.0], [[1.0, 1.0]], u=4.0, lb=0, ub=3.0)
    >>> problem.objective([1.0, 3.0])
    -7.0
    >>> certificate = problem.certificate([1.0, 3.0], y=[1.0], z_ub=[0.0, 1.0])
    >>> certificate.met(1e-12)
    True
    """

    default_solver: ClassVar[str] = "highs"

    def __init__(
        self,
        c: Any,
        A: Any = None,
        l: Any = None,  # noqa: E741
        u: Any = None,
        *,
        lb: Any = None,
        ub: Any = None,
        offset: float = 0.0,
    ):
        self.__dict__.update(P=None, q=c, A=A, l=l, u=u, lb=lb, ub=ub, offset=offset)
        self.__post_init__()

    @property
    def c(self) -> np.ndarray:
        """Cost."""
        cost: np.ndarray = self.q
        return cost

    @property
    def convex(self) -> bool:
        """Always."""
        return True

    def replace(self, **changes: Any) -> Self:
        """A related problem; what was computed from unchanged data is kept.

        Examples
        --------
        >>> from numopt.problems import LinearProgram
        >>> LinearProgram([2.0], lb=0).replace(c=[3.0], offset=1.0).objective([2.0])
        7.0
        """
        for name in changes:
            if name not in FIELDS:
                near = difflib.get_close_matches(name, FIELDS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(FIELDS)}"
                raise TypeError(f"LinearProgram has no field {name!r}; {hint}")
        if "A" in changes and np.shape(changes["A"]) != self.A.shape:
            return type(self)(**{name: getattr(self, name) for name in FIELDS} | changes)
        if "c" in changes:
            changes["q"] = changes.pop("c")
        return super().replace(**changes)

    def judged(
        self, primal: float, dual: float, gap: float, fun: float, tol: float | None = None
    ) -> Certificate:
        """The certificate that goes with what `kkt_residuals` found in these data."""
        entries = {
            "primal": Entry(primal, FORMULAS["primal"], True, tol),
            "dual": Entry(dual, FORMULAS["dual"], True, tol),
            "gap": Entry(gap, FORMULAS["gap"], True, tol),
        }
        return Certificate("global", entries, fun + self.offset, tol)

    def __repr__(self) -> str:
        return f"LinearProgram({self.size} variables, {self.n_rows} rows, {self.A.nnz} entries)"
