"""The operator of quadratic saddle problems."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.block import block
from numopt.core.validate import as_symmetric, as_vector, require_length
from numopt.operators._base import Operator
from numopt.operators.affine import is_monotone
from numopt.operators.matrices import NoMatrix, as_linear


@block(base=Operator)
class Saddle(Operator):
    r"""Operator of a quadratic saddle problem.

    .. math::
       \min_x \max_y \; \tfrac12 x^T H x + c^T x + y^T A x - b^T y - \tfrac12 y^T K y,
       \qquad F(x, y) = (H x + c + A^T y,\; K y + b - A x)

    The variable is z = (x, y), x first. As a finite sum F is the mean of as many components as
    there are variables, one for each column of its matrix.

    Parameters
    ----------
    A : array or scipy.sparse matrix of shape (m, n)
        Coupling of y (m) and x (n).
    H, K : array or scipy.sparse matrix of shape (n, n) and (m, m), optional
        Symmetric positive semidefinite; 0 if not given.
    c, b : array of shape (n,) and (m,), optional
        0 if not given.

    Examples
    --------
    >>> from numopt.operators import Saddle
    >>> F = Saddle([[1.0, 2.0]], c=[1.0, 0.0], b=[3.0])
    >>> F([1.0, 1.0, 2.0]).tolist()
    [3.0, 4.0, 0.0]
    """

    A: Any = dataclasses.field(metadata={"labels": True})
    H: Any = dataclasses.field(default=None, metadata={"labels": True})
    c: Any = None
    K: Any = dataclasses.field(default=None, metadata={"labels": True})
    b: Any = None
    columns: Any = dataclasses.field(init=False, repr=False)  # A by columns: the rows of A'

    def __post_init__(self) -> None:
        A = as_linear(self.A, "Saddle: A")
        m, n = A.shape
        if m == 0 or n == 0:
            raise ValueError(f"Saddle: A is empty, its shape is {A.shape}")
        made: dict[str, Any] = {"A": A, "columns": as_linear(A.explicit.T, "A")}
        for name, size in (("H", n), ("K", m)):
            matrix: Any = getattr(self, name)
            if matrix is None or isinstance(matrix, NoMatrix):
                made[name] = NoMatrix()
                continue
            matrix = as_linear(as_symmetric(getattr(matrix, "explicit", matrix), f"Saddle: {name}"))
            if matrix.shape != (size, size):
                raise ValueError(
                    f"Saddle: {name} must have shape {(size, size)}, as A has shape {A.shape}; "
                    f"got {matrix.shape}"
                )
            made[name] = matrix
        for name, size in (("c", n), ("b", m)):
            vector = getattr(self, name)
            vector = np.zeros(size) if vector is None else as_vector(vector, f"Saddle: {name}")
            made[name] = require_length(vector.astype(np.float64), size, f"Saddle: {name}")
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def size(self) -> int:
        """Length of z = (x, y)."""
        return int(self.c.size + self.b.size)

    @property
    def n_components(self) -> int:  # type: ignore[override]
        """Number of variables."""
        return self.size

    @property
    def nnz(self) -> int:
        """Those of A, twice, and of H and K."""
        return int(2 * self.A.nnz + self.H.nnz + self.K.nnz)

    @property
    def lipschitz(self) -> float:
        """Largest singular value of the matrix of F, or a bound of it."""
        norms = [0.0 if isinstance(M, NoMatrix) else M.norm() for M in (self.H, self.K)]
        return float(self.A.norm() + max(norms))

    @property
    def average_lipschitz(self) -> float:
        """sqrt(n + m) times the largest norm of a column."""
        return self.kept("average", self._average)

    def _average(self) -> float:
        largest = 0.0
        for coupling, square in ((self.columns, self.H), (self.A, self.K)):
            total = _row_squares(coupling)
            if not isinstance(square, NoMatrix):
                total = total + _row_squares(square)
            largest = max(largest, float(total.max()))
        return float(np.sqrt(self.size * largest))

    @property
    def monotone(self) -> bool | None:
        """Whether H and K are positive semidefinite, up to rounding."""
        return self.kept("monotone", self._monotone)

    def _monotone(self) -> bool | None:
        answers = [isinstance(M, NoMatrix) or is_monotone(M.explicit) for M in (self.H, self.K)]
        return False if False in answers else None if None in answers else True

    def split(self, z: Any) -> tuple[np.ndarray, np.ndarray]:
        """Both parts of z = (x, y)."""
        return z[: self.c.size], z[self.c.size :]

    def __call__(self, z: Any) -> np.ndarray:
        """F(x, y)."""
        x, y = self.split(require_length(as_vector(z, "z", np.float64), self.size, "z"))
        first = self.H.matvec(x) + self.c + self.A.rmatvec(y)
        return np.concatenate([first, self.K.matvec(y) + self.b - self.A.matvec(x)])

    def apply_into(self, z, out):
        n = self.c.size
        x, y = z[:n], z[n:]
        first, second = out[:n], out[n:]
        self.A.adjoint_into(y, first)
        self.A.times_into(x, second)
        for j in range(n):
            first[j] += self.c[j]
        for i in range(second.size):
            second[i] = self.b[i] - second[i]
        self.H.add_adjoint(x, first)
        self.K.add_adjoint(y, second)

    def add_change(self, i, z, w, scale, out):
        n = self.c.size
        a = scale * z.size * (z[i] - w[i])
        if i < n:
            self.H.add_row(i, a, out[:n])
            self.columns.add_row(i, -a, out[n:])
        else:
            self.A.add_row(i - n, a, out[:n])
            self.K.add_row(i - n, a, out[n:])


def _row_squares(M: Any) -> np.ndarray:
    explicit = M.explicit
    squares = explicit.multiply(explicit) if sp.issparse(explicit) else explicit * explicit
    return np.asarray(squares.sum(axis=1)).ravel()
