"""Two-player zero-sum games in matrix form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_matrix, as_vector, require_choice, require_length
from numopt.linalg.operators import Operator, as_operator
from numopt.problems._base import Problem

GAP = "(upper - lower) / max(1, max |A|)"
GAP_SEEN = "(upper - lower) / max(1, max |A y|, max |A'x|)"
# Relative to the largest chance, what counts as never played.
SUPPORT = 1e-9
MIXED = "max(|sum(x) - 1|, -min(x), |sum(y) - 1|, -min(y))"


@dataclass(frozen=True, eq=False)
class MatrixGame(Problem):
    r"""Matrix game, :math:`\max_x \min_y x^T A y` over mixed strategies x and y.

    The row player draws row i with chance :math:`x_i`, the column player column j with
    :math:`y_j`; with ``payoff="row"`` the former receives :math:`A_{ij}` from the latter, with
    "cost" it pays that. The certificate holds, as gates,

    - ``gap``: (upper - lower) / max(1, max |A|), where for payoff "row"
      lower = :math:`\min_j (A^T x)_j` is what x guarantees to the row player and upper =
      :math:`\max_i (A y)_i` what y concedes; for "cost" lower = :math:`\min_i (A y)_i` and upper =
      :math:`\max_j (A^T x)_j`. The value of the game lies between them. For operators, whose
      entries are not known, max(|A y|, |A'x|) stands for max |A|, which is smaller.
    - ``mixed``: how far x and y are from being distributions.

    The objective is what x guarantees.

    Parameters
    ----------
    A : array, scipy.sparse matrix or LinearOperator of shape (m, n)
        Operators need ``matvec`` and ``rmatvec``.
    payoff : {"row", "cost"}
        Whether A is what the row player receives or what it pays.

    Raises
    ------
    ValueError, TypeError
        If A is empty, not 2-D, not real or not finite.

    Examples
    --------
    >>> from numopt.problems import MatrixGame
    >>> pennies = MatrixGame([[1, -1], [-1, 1]])
    >>> pennies.certificate([0.5, 0.5], [0.5, 0.5]).met(0.0)
    True
    >>> pennies.bounds([1.0, 0.0], [0.5, 0.5])
    (-1.0, 0.0)
    """

    default_solver: ClassVar[str] = "double-oracle"
    certificate_parts: ClassVar[tuple[str, ...]] = ("y",)

    A: Any
    payoff: str = "row"

    def __post_init__(self) -> None:
        require_choice(self.payoff, ("row", "cost"), "payoff")
        A = self.A
        if sp.issparse(A):
            A = as_matrix(A, "A").tocsr().astype(np.float64, copy=False)
        elif hasattr(A, "matvec"):
            as_operator(A, "A")
        else:
            A = as_matrix(A, "A").astype(np.float64, copy=False)
        if 0 in A.shape:
            raise ValueError(f"A is empty, its shape is {A.shape}; every player needs a choice")
        object.__setattr__(self, "A", A)

    @property
    def explicit(self) -> bool:
        """Whether the entries of A are there, not only products with it."""
        return isinstance(self.A, np.ndarray) or sp.issparse(self.A)

    @cached_property
    def operator(self) -> Operator:
        """What multiplies with A."""
        return as_operator(self.A, "A")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        m, n = self.A.shape
        return int(m), int(n)

    @property
    def entries(self) -> int:
        """Stored entries of A; those of both strategies if A is an operator."""
        if not self.explicit:
            return sum(self.shape)
        return int(self.A.nnz if sp.issparse(self.A) else self.A.size)

    @property
    def range(self) -> tuple[float, float]:
        """Least and largest entry of A, of an explicit one."""

        def find() -> tuple[float, float]:
            return float(self.A.min()), float(self.A.max())

        return self.cached("range", (self.A,), find)

    def times(self, y: np.ndarray) -> np.ndarray:
        """A y: what each row earns, or pays, against y."""
        return np.asarray(self.A @ y if self.explicit else self.operator.matvec(y), np.float64)

    def adjoint(self, x: np.ndarray) -> np.ndarray:
        """A'x: the same for each column."""
        if self.explicit:
            return np.asarray(self.A.T @ x, np.float64)
        try:
            return np.asarray(self.operator.rmatvec(x), np.float64)
        except NotImplementedError:  # as SciPy's operators say it
            raise TypeError("A has no rmatvec, which games need: products with A'") from None

    def strategies(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Both as vectors of the right length."""
        m, n = self.shape
        x = require_length(as_vector(x, "x", np.float64), m, "x")
        return x, require_length(as_vector(y, "y", np.float64), n, "y")

    def bounds(self, x: Any, y: Any) -> tuple[float, float]:
        """Lower and upper bound of the value of the game, from A'x and A y."""
        x, y = self.strategies(x, y)
        return self.bounds_from(self.times(y), self.adjoint(x))

    def bounds_from(self, Ay: np.ndarray, Ax: np.ndarray) -> tuple[float, float]:
        """The same from the products."""
        if self.payoff == "row":
            return float(Ax.min()), float(Ay.max())
        return float(Ay.min()), float(Ax.max())

    def objective(self, x: Any, y: Any = None) -> float:
        """What x guarantees to the row player, against the best of columns; y is not looked at."""
        x = require_length(as_vector(x, "x", np.float64), self.shape[0], "x")
        Ax = self.adjoint(x)
        return float(Ax.min() if self.payoff == "row" else Ax.max())

    def certificate(self, x: Any, y: Any = None) -> Certificate:
        """Gap of the bounds at x and y, and their distance from distributions; NaN without y."""
        if y is None:
            entries = {"gap": Entry(np.nan, GAP), "mixed": Entry(np.nan, MIXED)}
            return Certificate("global", entries, self.objective(x))
        x, y = self.strategies(x, y)
        Ay, Ax = self.times(y), self.adjoint(x)
        if self.explicit:
            scale, formula = max(1.0, *map(abs, self.range)), GAP
        else:
            scale, formula = max(1.0, float(abs(Ay).max()), float(abs(Ax).max())), GAP_SEEN
        return self._certified(x, y, Ay, Ax, scale, formula)

    def strict(self, x: np.ndarray, y: np.ndarray, Ay: np.ndarray, Ax: np.ndarray) -> Certificate:
        """The certificate relative to half the range of A, from the products: for solvers."""
        return self._certified(x, y, Ay, Ax, self.spread, "(upper - lower) / spread")

    def _certified(
        self,
        x: np.ndarray,
        y: np.ndarray,
        Ay: np.ndarray,
        Ax: np.ndarray,
        scale: float,
        formula: str,
    ) -> Certificate:
        lower, upper = self.bounds_from(Ay, Ax)
        off = max(abs(1 - x.sum()), -x.min(), abs(1 - y.sum()), -y.min(), 0.0)
        entries = {
            "gap": Entry((upper - lower) / scale, formula),
            "mixed": Entry(float(off), MIXED),
        }
        return Certificate("global", entries, lower if self.payoff == "row" else upper)

    @property
    def spread(self) -> float:
        """Half the range of the entries, of three columns of operators; 1 where that is 0.

        Shifts of A leave it as it is.
        """
        return self.cached("spread", (self.A,), self._spread)

    def _spread(self) -> float:
        if self.explicit:
            low, high = self.range
        else:
            n = self.shape[1]
            columns = [self.times(np.eye(1, n, j)[0]) for j in sorted({0, n // 2, n - 1})]
            low, high = float(np.min(columns)), float(np.max(columns))
        return 0.5 * high - 0.5 * low or 1.0

    @property
    def coupling(self) -> float:
        """Norm of A without the means of rows and columns, from above by a few hundredths."""
        return self.cached("coupling", (self.A,), self._coupling)

    def _coupling(self) -> float:
        from numopt.linalg import spectral_norm

        def centred(v: np.ndarray) -> np.ndarray:
            return v - v.mean()

        core = Operator(
            self.shape,
            np.dtype(np.float64),
            lambda y: centred(self.times(centred(y))),
            lambda x: centred(self.adjoint(centred(x))),
        )
        upper = spectral_norm(core, rtol=0.03).upper
        return max(upper, 1e-10 * self.spread)  # 0 where A is a sum of rows and columns

    def summary(self, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """Value, its bounds, their gap, the exploitability and the supports of two strategies."""
        Ay = self.times(y)
        lower, upper = self.bounds_from(Ay, self.adjoint(x))
        return {
            "value": min(max(float(x @ Ay), lower), upper),
            "lower": lower,
            "upper": upper,
            "gap": upper - lower,
            "exploitability": (upper - lower) / 2,
            "support_x": np.flatnonzero(x > SUPPORT * x.max()),
            "support_y": np.flatnonzero(y > SUPPORT * y.max()),
        }
