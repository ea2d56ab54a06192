"""Affine operators."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.block import block
from numopt.core.validate import as_vector, require_length
from numopt.operators._base import Operator
from numopt.operators.matrices import as_linear

# Up to this order the symmetric part is looked at by its eigenvalues.
SMALL = 500


@block(base=Operator)
class Affine(Operator):
    r"""Affine operator, :math:`F(z) = M z + q`.

    Monotone if M + M' is positive semidefinite. As a finite sum it is the mean of n components,
    one per column: :math:`F_i(z) = n z_i M_{:i} + q`.

    Parameters
    ----------
    M : array or scipy.sparse matrix of shape (n, n)
    q : array of shape (n,), optional
        0 if not given.

    Examples
    --------
    >>> from numopt.operators import Affine
    >>> F = Affine([[1.0, 2.0], [-2.0, 1.0]], [1.0, 0.0])
    >>> F([1.0, 1.0]).tolist(), F.monotone
    ([4.0, -1.0], True)
    """

    M: Any = dataclasses.field(metadata={"labels": True})
    q: Any = None
    # The transpose: its rows are the columns of M, in one piece of memory.
    columns: Any = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        M = as_linear(self.M, "Affine: M")
        n = M.shape[0]
        if M.shape != (n, n) or n == 0:
            raise ValueError(f"Affine: M must be square and not empty, got shape {M.shape}")
        q = np.zeros(n) if self.q is None else as_vector(self.q, "Affine: q", np.float64)
        object.__setattr__(self, "M", M)
        object.__setattr__(self, "q", require_length(q, n, "Affine: q"))
        object.__setattr__(self, "columns", as_linear(M.explicit.T, "M"))

    @property
    def size(self) -> int:
        """Length of z."""
        return int(self.q.size)

    @property
    def n_components(self) -> int:  # type: ignore[override]
        """Number of columns."""
        return int(self.q.size)

    @property
    def nnz(self) -> int:
        """Those of M."""
        return int(self.M.nnz)

    @property
    def lipschitz(self) -> float:
        """Largest singular value of M."""
        return float(self.M.norm())

    @property
    def average_lipschitz(self) -> float:
        """sqrt(n) times the largest norm of a column."""
        return self.kept("average", lambda: _average(self.M.explicit))

    @property
    def monotone(self) -> bool | None:
        """Whether M + M' is positive semidefinite, up to rounding."""
        return self.kept("monotone", lambda: is_monotone(self.M.explicit))

    def __call__(self, z: Any) -> np.ndarray:
        """M z + q."""
        z = require_length(as_vector(z, "z", np.float64), self.size, "z")
        return np.asarray(self.M.matvec(z) + self.q)

    def apply_into(self, z, out):
        self.M.times_into(z, out)
        for i in range(out.size):
            out[i] += self.q[i]

    def add_change(self, i, z, w, scale, out):
        self.columns.add_row(i, scale * self.q.size * (z[i] - w[i]), out)


def _average(M: Any) -> float:
    squares = (M * M).sum(axis=0) if not sp.issparse(M) else M.multiply(M).sum(axis=0)
    return float(np.sqrt(M.shape[0] * np.max(squares)))


def is_monotone(M: Any) -> bool | None:
    """Whether M + M' is positive semidefinite; None where that is dear to find out."""
    symmetric = M + M.T
    largest = float(abs(symmetric).max())
    if largest <= 1e-14 * float(abs(M).max()):
        return True
    if M.shape[0] > SMALL:
        return None
    full = symmetric.toarray() if sp.issparse(symmetric) else symmetric
    lowest = scipy.linalg.eigvalsh(full, subset_by_index=[0, 0])[0]
    return bool(lowest >= -1e-10 * largest * M.shape[0])
