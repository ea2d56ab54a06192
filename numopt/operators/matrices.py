"""Matrices as operators and kernels see them: products with the matrix and its adjoint."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.block import Block, block
from numopt.core.validate import as_matrix
from numopt.operators._base import multiply_rows


class LinearMap(Block):
    """Base of the matrices: what Python calls."""

    def matvec(self, x: Any) -> np.ndarray:
        """A x."""
        return np.asarray(self.explicit @ x)

    def rmatvec(self, y: Any) -> np.ndarray:
        """A'y."""
        return np.asarray(self.explicit.T @ y)

    @property
    def explicit(self) -> Any:
        """The matrix itself."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        shape: tuple[int, int] = self.explicit.shape
        return shape

    @property
    def nnz(self) -> int:
        """Numbers stored."""
        explicit = self.explicit
        return int(explicit.nnz if sp.issparse(explicit) else explicit.size)

    def norm(self) -> float:
        """Largest singular value, from above by at most a thousandth."""
        from numopt.linalg import spectral_norm

        return self.kept("norm", lambda: spectral_norm(self.explicit, rtol=1e-3).upper)

    def _spec(self, dtype: Any) -> Any:
        from numopt.operators import _kernels  # noqa: F401 - what the methods call

        return super()._spec(dtype)


@block(base=LinearMap)
class DenseMatrix(LinearMap):
    """A dense matrix.

    Parameters
    ----------
    entries : array of shape (m, n)

    Examples
    --------
    >>> from numopt.operators import DenseMatrix
    >>> DenseMatrix([[1.0, 2.0], [0.0, 1.0]]).rmatvec([1.0, 1.0]).tolist()
    [1.0, 3.0]
    """

    entries: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", np.ascontiguousarray(self.entries, np.float64))

    @property
    def explicit(self) -> Any:
        """The matrix itself."""
        return self.entries

    def times_into(self, x, out):
        np.dot(self.entries, x, out)

    def adjoint_into(self, y, out):
        np.dot(self.entries.T, y, out)

    def add_adjoint(self, y, out):
        for i in range(y.size):
            for j in range(out.size):
                out[j] += y[i] * self.entries[i, j]

    def add_row(self, i, a, out):
        for j in range(out.size):
            out[j] += a * self.entries[i, j]


@block(base=LinearMap)
class SparseMatrix(LinearMap):
    """A sparse matrix, by rows and by columns.

    Parameters
    ----------
    matrix : scipy.sparse matrix of shape (m, n)

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from numopt.operators import SparseMatrix
    >>> SparseMatrix(sp.csr_array([[1.0, 2.0], [0.0, 1.0]])).matvec([1.0, 1.0]).tolist()
    [3.0, 1.0]
    """

    matrix: Any = dataclasses.field(compare=False, metadata={"labels": True, "host": True})
    data: Any = dataclasses.field(init=False, repr=False)
    indices: Any = dataclasses.field(init=False, repr=False)
    indptr: Any = dataclasses.field(init=False, repr=False)
    column_data: Any = dataclasses.field(init=False, repr=False)
    column_indices: Any = dataclasses.field(init=False, repr=False)
    column_indptr: Any = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        columns = as_matrix(self.matrix, "matrix")
        rows = columns.tocsr()
        index = np.int64 if rows.nnz >= 2**31 else np.int32
        object.__setattr__(self, "matrix", rows)
        for side, form in (("", rows), ("column_", columns)):
            object.__setattr__(self, f"{side}data", form.data.astype(np.float64))
            object.__setattr__(self, f"{side}indices", form.indices.astype(index))
            object.__setattr__(self, f"{side}indptr", form.indptr.astype(index))

    @property
    def explicit(self) -> Any:
        """The matrix itself."""
        return self.matrix

    def times_into(self, x, out):
        multiply_rows(self.data, self.indices, self.indptr, x, out)

    def adjoint_into(self, y, out):
        multiply_rows(self.column_data, self.column_indices, self.column_indptr, y, out)

    def add_adjoint(self, y, out):
        for i in range(y.size):
            for k in range(self.indptr[i], self.indptr[i + 1]):
                out[self.indices[k]] += y[i] * self.data[k]

    def add_row(self, i, a, out):
        for k in range(self.indptr[i], self.indptr[i + 1]):
            out[self.indices[k]] += a * self.data[k]


@block(base=Block)
class NoMatrix(Block):
    """The matrix of zeros.

    Examples
    --------
    >>> from numopt.operators import NoMatrix, Saddle
    >>> Saddle([[1.0]]).H == NoMatrix()
    True
    """

    def add_adjoint(self, y, out):
        pass

    def add_row(self, i, a, out):
        pass

    @property
    def nnz(self) -> int:
        """None are stored."""
        return 0

    def matvec(self, x: Any) -> Any:
        """0."""
        return 0.0


def as_linear(A: Any, name: str = "A") -> Any:
    """The block of a dense or sparse matrix, checked.

    Examples
    --------
    >>> from numopt.operators import as_linear
    >>> as_linear([[1, 2]]).shape
    (1, 2)
    """
    if isinstance(A, LinearMap):
        return A
    matrix = as_matrix(A, name)
    return SparseMatrix(matrix) if sp.issparse(matrix) else DenseMatrix(matrix)
